// The official Anthropic SDK.

import assert from "node:assert/strict";
import { IMAGE, SCHEMA, SYSTEM, TOOLS, checkClass, checks, connecting, sdk } from "./matrix.mjs";

const Anthropic = sdk("@anthropic-ai/sdk").default;
const connect = connecting(
  (baseURL, apiKey) => new Anthropic({ baseURL, apiKey, maxRetries: 0, timeout: 20_000 }),
);

function request(model, ask) {
  const messages = [];
  for (const [kind, said] of ask.turns) {
    if (kind === "user") messages.push({ role: "user", content: said });
    else if (kind === "image")
      messages.push({
        role: "user",
        content: [
          { type: "image", source: { type: "base64", media_type: "image/png", data: IMAGE } },
          { type: "text", text: said },
        ],
      });
    else if (kind === "answer") messages.push({ role: "assistant", content: said.native });
    else
      messages.push({
        role: "user",
        content: said.map(([call, content]) => ({ type: "tool_result", tool_use_id: call.id, content })),
      });
  }
  const made = { model, max_tokens: 4096, messages, system: SYSTEM };
  if (ask.tools) made.tools = TOOLS.map(({ name, about, schema }) => ({ name, description: about, input_schema: schema }));
  if (ask.choice) made.tool_choice = { type: "tool", name: "weather" };
  if (ask.schema) made.output_config = { format: { type: "json_schema", schema: SCHEMA } };
  if (ask.thinking) Object.assign(made, { thinking: { type: "enabled", budget_tokens: 2048 } });
  // This version of the API refuses temperature and top_p.
  if (ask.parameters) Object.assign(made, { max_tokens: 64, stop_sequences: ["END"] });
  return made;
}

function answerOf(message) {
  assert.equal(message.type, "message");
  assert.equal(message.role, "assistant");
  const { model, content } = message;
  const answer = { model, text: "", thinking: "", refusal: "", calls: [], native: content };
  for (const block of content) {
    if (block.type === "text") answer.text += block.text;
    else if (block.type === "thinking") {
      assert.equal(typeof block.signature, "string");
      answer.thinking += block.thinking;
    } else {
      assert.equal(block.type, "tool_use");
      answer.calls.push({ id: block.id, name: block.name, args: block.input });
    }
  }
  answer.finish = { end_turn: "stop", tool_use: "tools", max_tokens: "length", refusal: "filter" }[message.stop_reason];
  const { usage } = message;
  const cached = usage.cache_read_input_tokens ?? 0;
  answer.usage = {
    input: usage.input_tokens + cached + (usage.cache_creation_input_tokens ?? 0),
    output: usage.output_tokens,
    cached,
    reasoning: usage.output_tokens_details?.thinking_tokens ?? 0,
  };
  return answer;
}

checks({
  dialect: "anthropic",
  isError: (error) => error instanceof Anthropic.APIError,
  statusOf(error) {
    checkClass(Anthropic, error);
    assert.equal(error.error.type, "error");
    assert.ok(error.error.error.type && error.error.error.message, error);
    return error.status;
  },
  async ask(model, ask) {
    return answerOf(await connect(model, ask).messages.create(request(model, ask)));
  },
  async stream(model, ask) {
    const starts = [];
    let said = "";
    const stream = connect(model, ask).messages.stream(request(model, ask));
    stream.on("streamEvent", (event) => event.type === "content_block_start" && starts.push(event.index));
    stream.on("text", (piece) => (said += piece));
    const message = await stream.finalMessage();
    assert.deepEqual(starts, [...message.content.keys()]);
    const answer = answerOf(message);
    assert.equal(said, answer.text);
    return answer;
  },
  async *pieces(model, ask) {
    for await (const event of await connect(model, ask).messages.create({ ...request(model, ask), stream: true })) {
      if (event.type === "content_block_delta" && event.delta.type === "text_delta") yield event.delta.text;
    }
  },
  async count(model) {
    const messages = [{ role: "user", content: "How many tokens are these?" }];
    return (await connect(model).messages.countTokens({ model, messages })).input_tokens;
  },
  async models() {
    const names = [];
    for await (const model of connect("").models.list({ limit: 1000 })) {
      assert.ok(model.type === "model" && model.display_name && model.created_at);
      names.push(model.id);
    }
    return { names, one: (await connect("").models.retrieve("openai/hello")).id };
  },
});
