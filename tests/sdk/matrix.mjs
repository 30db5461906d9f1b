// What every SDK must see of every provider, whichever dialects they speak: matrix.py in the other language,
// with the same models and the same expectations.
//
// An ask is { turns, tools, choice, schema, thinking, parameters, key }; a turn is ["user", text], ["image", text],
// ["answer", answer] or ["results", [[call, text], ...]]. An answer is { model, text, thinking, refusal, calls,
// finish, usage, native }, where a call is { id, name, args } and native is what goes into the next request.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { describe, test } from "node:test";

export const sdk = createRequire(join(process.env.SDK_DIR, "here"));

const MATRIX = JSON.parse(process.env.MATRIX);
const CASES = JSON.parse(readFileSync(MATRIX.cases));
export const KEY = MATRIX.key;
// Without a gateway each SDK speaks with recorded answers of its own dialect: then the recordings are tested.
export const DIRECT = MATRIX.gateway === null;
const PROVIDERS = ["openai", "responses", "anthropic", "gemini"];

// A red pixel.
export const IMAGE =
  "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAAAABJRU5ErkJggg==";
export const SYSTEM = "You are brief.";

const object = (properties, more) => ({ type: "object", properties, ...more });
const text = { type: "string" };
export const TOOLS = [
  {
    name: "weather",
    about: "The weather of a city.",
    schema: object({ city: text, unit: { type: "string", enum: ["celsius", "fahrenheit"] } }, { required: ["city"] }),
  },
  {
    name: "book_table",
    about: "Books a table.",
    schema: {
      $schema: "https://json-schema.org/draft/2020-12/schema",
      ...object({
        guests: { type: "array", items: object({ name: text, age: { type: ["number", "null"] } }) },
        when: { $ref: "#/$defs/when" },
        notes: { type: "array", items: text },
        terrace: { type: "boolean" },
        deposit: { anyOf: [{ type: "number" }, { type: "null" }] },
      }),
      required: ["guests"],
      additionalProperties: false,
      $defs: { when: object({ date: text, time: text }) },
    },
  },
  { name: "now", about: "The time.", schema: object({}) },
];
const closed = (properties) => object(properties, { required: Object.keys(properties), additionalProperties: false });
export const SCHEMA = closed({
  name: text,
  age: { type: "integer" },
  tags: { type: "array", items: text },
  address: closed({ city: text }),
});

// The status that a client sees after this one of the only provider. What is our trouble with the provider, and
// none of the client's making, is a bad gateway.
const STATUSES = {
  400: [400],
  401: [502],
  403: [502],
  404: [404, 502],
  413: [413],
  429: [429, 502],
  500: [500, 502],
  503: [502, 503, 529],
  529: [502, 503, 529],
};

export const baseUrl = (model) => MATRIX.gateway ?? MATRIX.endpoints[model];
const hello = (more) => ({ turns: [["user", "Héllo — 世界?"]], ...more });

/// One client for each address and key.
export function connecting(make) {
  const made = new Map();
  return (model, { key = KEY } = {}) => {
    const url = baseUrl(model);
    const name = `${key} ${url}`;
    if (!made.has(name)) made.set(name, make(url, key));
    return made.get(name);
  };
}

/// A stream that said it went wrong, where the SDK gives that as an event.
export class Broken extends Error {}

/// Whether an error of the SDKs of OpenAI and Anthropic, which are built alike, is of the class for its status.
export function checkClass(SDK, error) {
  const fitting = {
    400: SDK.BadRequestError,
    401: SDK.AuthenticationError,
    403: SDK.PermissionDeniedError,
    404: SDK.NotFoundError,
    429: SDK.RateLimitError,
  }[error.status];
  assert.ok(error instanceof (fitting ?? (error.status >= 500 ? SDK.InternalServerError : SDK.APIError)), error);
}

/// Registers the tests of a client: { dialect, ask, stream, pieces, isError, statusOf, count, embed, models }.
export function checks(client) {
  if (!MATRIX.clients.includes(client.dialect)) return;
  const ways = [client.ask, client.stream];
  const providers = (name) =>
    (DIRECT ? [client.dialect] : PROVIDERS).filter((provider) => MATRIX.models.includes(`${provider}/${name}`));

  function check(name, answer) {
    const expected = CASES[name];
    assert.equal(answer.text || answer.refusal, expected.text ?? expected.refusal ?? "");
    assert.equal(answer.finish, expected.finish);
    assert.equal(answer.usage.input, expected.usage.input);
    assert.equal(answer.usage.output, expected.usage.output);
    assert.deepEqual(
      answer.calls.map(({ name, args }) => [name, args]),
      (expected.calls ?? []).map((call) => [call.name, JSON.parse(call.arguments)]),
    );
    // Older models of Gemini name no calls.
    const ids = answer.calls.map(({ id }) => id).filter((id) => client.dialect !== "gemini" || id);
    assert.equal(new Set(ids).size, ids.length);
    if (client.dialect !== "gemini") ids.forEach((id) => assert.match(id, /^[A-Za-z0-9_-]{1,64}$/));
  }

  /// Asks in both ways every provider that knows the case.
  function each(name, ask, then = () => {}) {
    for (const provider of providers(name)) {
      for (const way of ways) {
        test(`${name} of ${provider}, ${way.name}`, async () => {
          const answer = await way(`${provider}/${name}`, ask);
          check(name, answer);
          // Translated answers are by the model that was asked for.
          if (provider !== client.dialect) assert.equal(answer.model, `${provider}/${name}`);
          await then(answer, provider);
        });
      }
    }
  }

  async function second(provider, first, more) {
    const results = first.calls.map((call) => [call, `{"result of":"${call.name}","°C":7}`]);
    const turns = [
      ["user", "Héllo"],
      ["answer", first],
      ["results", results],
    ];
    for (const way of ways) check("tools-answer", await way(`${provider}/tools-answer`, { turns, tools: true, ...more }));
  }

  function fails(name, providers, statuses, words = "", more = {}) {
    for (const provider of providers) {
      for (const way of ways) {
        test(`${statuses} for ${name} of ${provider}, ${way.name}`, async () => {
          await assert.rejects(way(`${provider}/${name}`, hello(more)), (error) => {
            assert.ok(client.isError(error), error);
            const status = client.statusOf(error);
            assert.ok(statuses.includes(status), `${status}: ${error}`);
            if (status === 400 || status === 413) assert.ok(error.message.includes(words), error.message);
            return true;
          });
        });
      }
    }
  }

  /// Some text, then an error: never what could pass for an answer.
  function breaks(name) {
    for (const provider of providers(name)) {
      test(`${name} of ${provider}`, async () => {
        let seen = "";
        const reading = async () => {
          for await (const piece of client.pieces(`${provider}/${name}`, hello())) seen += piece;
        };
        await assert.rejects(reading, (error) => {
          assert.ok(client.isError(error) || error instanceof Broken, error);
          return true;
        });
        assert.ok(seen && CASES.hello.text.startsWith(seen), seen);
      });
    }
  }

  describe(client.dialect, () => {
    each("hello", hello());
    each("image", { turns: [["image", "What is this?"]] });
    each("schema", hello({ schema: true }), ({ text }) => assert.equal(JSON.parse(text).address.city, "Łódź"));
    each("thinking", hello({ thinking: true }), ({ thinking, usage }) => {
      assert.equal(thinking, CASES.thinking.thinking);
      assert.equal(usage.reasoning, 64);
    });
    each("long", hello());
    for (const provider of providers("long")) {
      test(`pieces of long of ${provider}`, async () => {
        let count = 0;
        for await (const piece of client.pieces(`${provider}/long`, hello())) count += piece ? 1 : 0;
        // Nothing is put together on the way.
        assert.ok(count > 390, `${count}`);
      });
    }
    each("length", hello({ parameters: true }));
    each("filter", hello());
    each("blocked", hello());
    each("refusal", hello(), ({ refusal, text }) => {
      if (["openai", "responses"].includes(client.dialect)) assert.ok(refusal && !text);
    });
    each("cached-usage", hello(), ({ usage }) => assert.deepEqual([usage.cached, usage.reasoning], [1536, 256]));
    each("tools-parallel", hello({ tools: true }), (first, provider) => second(provider, first));
    each("tools-empty", hello({ tools: true }), (first, provider) => second(provider, first));
    each("tools-thinking", hello({ tools: true, thinking: true }), (first, provider) => {
      assert.equal(first.thinking, CASES["tools-thinking"].thinking);
      return second(provider, first, { thinking: true });
    });
    for (const provider of client.count ? providers("hello") : []) {
      test(`token count of ${provider}`, async () => {
        const name = MATRIX.models.includes(`${provider}/count-tokens`) ? "count-tokens" : "hello";
        const count = await client.count(`${provider}/${name}`);
        const native = DIRECT || ["anthropic", "gemini"].includes(provider);
        assert.ok(native ? count === 42 : count > 0 && count < 1000, `${count}`);
      });
    }
    for (const provider of client.embed ? providers("embeddings") : []) {
      test(`embeddings of ${provider}`, async () => {
        const vectors = await client.embed(`${provider}/embeddings`);
        assert.equal(vectors.length, 2);
        assert.ok(vectors.flat().every((value) => typeof value === "number"));
        const recorded = [
          [0.5, -0.25, 0.125],
          [-1, 0.75, 0],
        ];
        if (DIRECT || provider === "gemini") assert.deepEqual(vectors, recorded);
      });
    }
    for (const [status, seen] of Object.entries(STATUSES)) {
      const name = `error-${status}`;
      fails(name, providers(name), DIRECT ? [Number(status)] : seen, "simulated status");
    }
    breaks("error-midway");
    if (!DIRECT) gateway();
  });

  /// What takes a gateway.
  function gateway() {
    for (const before of providers("tools-thinking")) {
      for (const provider of providers("tools-answer")) {
        test(`${provider} goes on after ${before}`, async () => {
          const first = await client.stream(`${before}/tools-thinking`, hello({ tools: true, thinking: true }));
          await second(provider, first);
          await second(provider, first, { thinking: true });
        });
      }
    }
    breaks("cut");
    breaks("ended");
    for (const provider of providers("cut")) {
      test(`plain answer of ${provider} that is cut`, () =>
        assert.rejects(client.ask(`${provider}/cut`, hello()), (error) => client.statusOf(error) >= 500));
    }
    const other = (name, as, ask, ways) => {
      for (const provider of providers(name)) {
        for (const way of ways) {
          test(`${name} of ${provider}, ${way.name}`, async () => check(as, await way(`${provider}/${name}`, ask)));
        }
      }
    };
    other("pieces", "hello", hello(), [client.stream]);
    other("parameters", "hello", hello({ parameters: true }), ways);
    other("streams-only", "tools-thinking", hello({ tools: true, thinking: true }), ways);
    other("plain-only", "tools-thinking", hello({ tools: true, thinking: true }), ways);
    other("choice", "tools-thinking", hello({ tools: true, choice: true }), ways);
    fails("hello", providers("hello").slice(0, 1), [401], "", { key: "sk-wrong" });
    fails("knows", ["nobody"], [404]);
    fails("spent", providers("spent"), [429]);
    // One is enough: it takes its time.
    fails("silent", providers("silent").slice(0, 1), [504]);
    test("models", async () => {
      const { names, one } = await client.models();
      assert.deepEqual(
        MATRIX.models.filter((name) => !names.includes(name)),
        [],
      );
      assert.equal(one, "openai/hello");
    });
  }
}
