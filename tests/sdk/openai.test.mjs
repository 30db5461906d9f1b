// The official Node SDK as a client of the gateway.
//
// Started by tests/it/sdk.rs, which also sets up the models that are named here and says in SDK_DIR where
// the SDK is installed.

import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { join } from "node:path";
import { describe, test } from "node:test";

const OpenAI = createRequire(join(process.env.SDK_DIR, "here"))("openai").default;

const messages = [{ role: "user", content: "Say hello" }];
const tools = [
  {
    type: "function",
    function: { name: "weather", parameters: { type: "object", properties: { city: { type: "string" } } } },
  },
];
// The same answer from a provider that can do both, only plain answers, only streams.
const toolModels = ["tools", "tools-plain-only", "tools-stream-only"];

const client = (options) =>
  new OpenAI({ baseURL: process.env.BASE_URL, apiKey: process.env.API_KEY, maxRetries: 0, ...options });

const chat = (request, options) => client(options).chat.completions.create({ model: "hello", messages, ...request });

async function collect(stream) {
  const chunks = [];
  for await (const chunk of stream) chunks.push(chunk);
  return chunks;
}

const textOf = (chunks) => chunks.map((chunk) => chunk.choices[0]?.delta.content ?? "").join("");

describe("chat", () => {
  test("plain", async () => {
    const answer = await chat();
    assert.equal(answer.choices[0].message.content, "Hello, world!");
    assert.equal(answer.choices[0].finish_reason, "stop");
    assert.equal(answer.usage.total_tokens, 30);
    assert.ok(answer._request_id);
  });

  test("stream", async () => {
    const chunks = await collect(await chat({ stream: true }));
    assert.equal(textOf(chunks), "Hello, world!");
    assert.equal(chunks[0].choices[0].delta.role, "assistant");
    assert.equal(chunks.at(-1).choices[0].finish_reason, "stop");
    assert.ok(chunks.every((chunk) => !chunk.usage));
  });

  for (const model of ["hello", ...toolModels]) {
    test(`stream with usage: ${model}`, async () => {
      const chunks = await collect(await chat({ model, stream: true, stream_options: { include_usage: true } }));
      const told = chunks.filter((chunk) => chunk.usage);
      assert.deepEqual(told, [chunks.at(-1)]);
      assert.equal(told[0].usage.total_tokens, 30);
      assert.deepEqual(told[0].choices, []);
    });
  }

  test("a stream can be left", async () => {
    for await (const _ of await chat({ stream: true })) break;
    assert.equal((await chat()).choices[0].message.content, "Hello, world!");
  });
});

describe("tools", () => {
  const check = ({ message, finish_reason }) => {
    assert.equal(message.content, "Let me see.");
    assert.equal(finish_reason, "tool_calls");
    assert.deepEqual(
      message.tool_calls.map((call) => [call.id, call.function.name, JSON.parse(call.function.arguments)]),
      [
        ["call_1", "weather", { city: "Köln" }],
        ["call_2", "weather", { city: "São Paulo" }],
      ],
    );
  };

  for (const model of toolModels) {
    test(`plain: ${model}`, async () => {
      const answer = await chat({ model, tools });
      check(answer.choices[0]);
      assert.equal(answer.choices[0].message.reasoning_content, "Two cities, two calls.");
    });

    test(`streamed: ${model}`, async () => {
      // This helper puts the chunks together and refuses a stream that does not add up.
      const stream = client().chat.completions.stream({ model, messages, tools });
      check((await stream.finalChatCompletion()).choices[0]);
    });

    test(`several choices: ${model}`, async () => {
      const answer = await chat({ model, n: 2, logprobs: true });
      assert.deepEqual(
        answer.choices.map((choice) => choice.index),
        [0, 1],
      );
      for (const choice of answer.choices) {
        check(choice);
        assert.equal(choice.logprobs.content.map((token) => token.token).join(""), "Let me see.");
      }
    });
  }
});

describe("other endpoints", () => {
  test("embeddings", async () => {
    const input = ["one", "two"];
    // Without a wish the SDK asks for base64 and decodes it.
    const byDefault = await client().embeddings.create({ model: "hello", input });
    const plain = await client().embeddings.create({ model: "hello", input, encoding_format: "float" });
    assert.deepEqual(byDefault.data, plain.data);
    assert.equal(byDefault.data.length, 2);
    assert.equal(typeof byDefault.data[1].embedding[0], "number");
  });

  test("models", async () => {
    const ids = (await collect(await client().models.list())).map((model) => model.id);
    assert.ok(ids.includes("hello"));
    for (const name of ["hello", "maker/hello"]) {
      assert.equal((await client().models.retrieve(name)).id, name);
    }
  });

  test("legacy completions", async () => {
    const request = { model: "hello", prompt: "Say hello" };
    const answer = await client().completions.create(request);
    assert.equal(answer.choices[0].text, "Hello, world!");
    const chunks = await collect(await client().completions.create({ ...request, stream: true }));
    assert.equal(chunks.map((chunk) => chunk.choices[0].text).join(""), "Hello, world!");
  });
});

describe("errors", () => {
  test("wrong key", () => assert.rejects(chat({}, { apiKey: "sk-wrong" }), OpenAI.AuthenticationError));

  for (const stream of [false, true]) {
    const how = stream ? "streamed" : "plain";

    test(`unknown model, ${how}`, () =>
      assert.rejects(chat({ model: "helo", stream }), (error) => {
        assert.ok(error instanceof OpenAI.NotFoundError);
        assert.equal(error.code, "model_not_found");
        return true;
      }));

    test(`bad request of the provider, ${how}`, () =>
      assert.rejects(chat({ model: "bad-request", stream }), (error) => {
        assert.ok(error instanceof OpenAI.BadRequestError);
        assert.equal(error.code, "invalid_value");
        return true;
      }));

    test(`broken provider, ${how}`, () =>
      assert.rejects(chat({ model: "broken", stream }), (error) => {
        assert.ok(error instanceof OpenAI.InternalServerError);
        assert.equal(error.status, 502);
        return true;
      }));
  }

  test("spent quota is told at once", async () => {
    // Left to its defaults the SDK would try three times and sleep in between.
    const began = performance.now();
    await assert.rejects(chat({ model: "spent" }, { maxRetries: 2 }), (error) => {
      assert.ok(error instanceof OpenAI.RateLimitError);
      assert.equal(error.code, "insufficient_quota");
      return true;
    });
    assert.ok(performance.now() - began < 400);
  });

  test("silent provider", () =>
    assert.rejects(chat({ model: "silent" }), (error) => {
      assert.ok(error instanceof OpenAI.InternalServerError);
      assert.equal(error.status, 504);
      return true;
    }));

  test("impatient client", () =>
    assert.rejects(chat({ model: "silent" }, { timeout: 200 }), OpenAI.APIConnectionTimeoutError));

  for (const model of ["error-midway", "cut-midway"]) {
    test(`stream that breaks: ${model}`, async () => {
      const chunks = [];
      const reading = async () => {
        for await (const chunk of await chat({ model, stream: true })) chunks.push(chunk);
      };
      await assert.rejects(reading, (error) => {
        // The body itself was whole: the error is one that was said, not a lost connection.
        assert.ok(error instanceof OpenAI.APIError);
        assert.ok(!(error instanceof OpenAI.APIConnectionError));
        return true;
      });
      assert.equal(textOf(chunks), "one two ");
    });
  }
});
