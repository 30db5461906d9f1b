// The official OpenAI SDK: Chat Completions and Responses.

import assert from "node:assert/strict";
import { Broken, DIRECT, IMAGE, SCHEMA, SYSTEM, TOOLS, checkClass, checks, connecting, sdk } from "./matrix.mjs";

const OpenAI = sdk("openai").default;
const connect = connecting(
  (url, apiKey) => new OpenAI({ baseURL: `${url}/v1`, apiKey, maxRetries: 0, timeout: 20_000 }),
);
const IMAGE_URL = `data:image/png;base64,${IMAGE}`;

const isError = (error) => error instanceof OpenAI.APIError;

function statusOf(error) {
  checkClass(OpenAI, error);
  assert.ok(error.error.message && error.type, error);
  return error.status;
}

async function models() {
  const names = [];
  for await (const model of await connect("").models.list()) names.push(model.id);
  return { names, one: (await connect("").models.retrieve("openai/hello")).id };
}

// === Chat Completions ===

function chatRequest(model, ask) {
  const messages = [{ role: "system", content: SYSTEM }];
  for (const [kind, said] of ask.turns) {
    if (kind === "user") messages.push({ role: "user", content: said });
    else if (kind === "image")
      messages.push({
        role: "user",
        content: [
          { type: "text", text: said },
          { type: "image_url", image_url: { url: IMAGE_URL } },
        ],
      });
    else if (kind === "answer") messages.push(said.native);
    else for (const [call, content] of said) messages.push({ role: "tool", tool_call_id: call.id, content });
  }
  const request = { model, messages };
  if (ask.tools)
    request.tools = TOOLS.map(({ name, about, schema }) => ({
      type: "function",
      function: { name, description: about, parameters: schema },
    }));
  if (ask.choice) request.tool_choice = { type: "function", function: { name: "weather" } };
  if (ask.schema)
    request.response_format = { type: "json_schema", json_schema: { name: "person", schema: SCHEMA, strict: true } };
  if (ask.thinking) request.reasoning_effort = "high";
  if (ask.parameters)
    Object.assign(request, { max_completion_tokens: 64, temperature: 0.5, top_p: 0.9, stop: ["END"] });
  return request;
}

/// A message without what the helpers of the SDK add to it.
function sent({ parsed, tool_calls, ...message }) {
  if (tool_calls?.length)
    message.tool_calls = tool_calls.map(({ id, type, function: { name, arguments: args } }) => ({
      id,
      type,
      function: { name, arguments: args },
    }));
  return message;
}

function chatAnswer(completion) {
  assert.equal(completion.choices.length, 1);
  const [{ message, finish_reason }] = completion.choices;
  assert.equal(message.role, "assistant");
  const { usage } = completion;
  assert.equal(usage.total_tokens, usage.prompt_tokens + usage.completion_tokens);
  return {
    model: completion.model,
    text: message.content ?? "",
    thinking: message.reasoning_content ?? "",
    refusal: message.refusal ?? "",
    calls: (message.tool_calls ?? []).map((call) => {
      assert.equal(call.type, "function");
      return { id: call.id, name: call.function.name, args: JSON.parse(call.function.arguments) };
    }),
    finish: { tool_calls: "tools", content_filter: "filter" }[finish_reason] ?? finish_reason,
    usage: {
      input: usage.prompt_tokens,
      output: usage.completion_tokens,
      cached: usage.prompt_tokens_details?.cached_tokens ?? 0,
      reasoning: usage.completion_tokens_details?.reasoning_tokens ?? 0,
    },
    native: sent(message),
  };
}

checks({
  dialect: "openai",
  isError,
  statusOf,
  models,
  async ask(model, ask) {
    return chatAnswer(await connect(model, ask).chat.completions.create(chatRequest(model, ask)));
  },
  async stream(model, ask) {
    const thinking = [];
    // This helper puts the chunks together and refuses a stream that does not add up.
    const request = { ...chatRequest(model, ask), stream_options: { include_usage: true } };
    const stream = connect(model, ask).chat.completions.stream(request);
    stream.on("chunk", (chunk) => thinking.push(chunk.choices[0]?.delta.reasoning_content ?? ""));
    const answer = chatAnswer(await stream.finalChatCompletion());
    return { ...answer, thinking: thinking.join("") };
  },
  async *pieces(model, ask) {
    const request = { ...chatRequest(model, ask), stream: true };
    for await (const chunk of await connect(model, ask).chat.completions.create(request))
      yield chunk.choices[0]?.delta.content ?? "";
  },
  async embed(model) {
    const input = ["one", "two"];
    const plain = await connect(model).embeddings.create({ model, input, encoding_format: "float" });
    // Without a wish the SDK asks for base64 and decodes it, which a recording does not know.
    const byDefault = DIRECT ? plain : await connect(model).embeddings.create({ model, input });
    assert.deepEqual(byDefault.data, plain.data);
    assert.ok(plain.usage.total_tokens > 0);
    return plain.data.map(({ embedding }) => embedding);
  },
});

// === Responses ===

function responsesRequest(model, ask) {
  const input = [];
  for (const [kind, said] of ask.turns) {
    if (kind === "user") input.push({ role: "user", content: said });
    else if (kind === "image")
      input.push({
        role: "user",
        content: [
          { type: "input_text", text: said },
          { type: "input_image", image_url: IMAGE_URL, detail: "auto" },
        ],
      });
    else if (kind === "answer") input.push(...said.native);
    else for (const [call, output] of said) input.push({ type: "function_call_output", call_id: call.id, output });
  }
  const request = { model, input, instructions: SYSTEM, store: false };
  if (ask.tools)
    request.tools = TOOLS.map(({ name, about, schema }) => ({
      type: "function",
      name,
      description: about,
      parameters: schema,
      strict: false,
    }));
  if (ask.choice) request.tool_choice = { type: "function", name: "weather" };
  if (ask.schema) request.text = { format: { type: "json_schema", name: "person", schema: SCHEMA, strict: true } };
  if (ask.thinking)
    Object.assign(request, {
      reasoning: { effort: "high", summary: "auto" },
      include: ["reasoning.encrypted_content"],
    });
  if (ask.parameters) Object.assign(request, { max_output_tokens: 64, temperature: 0.5, top_p: 0.9 });
  return request;
}

function refuse(event) {
  if (event.type === "response.failed") throw new Broken(event.response.error.message);
  if (event.type === "error") throw new Broken(event.message);
}

function responsesAnswer(response) {
  assert.equal(response.object, "response");
  assert.equal(response.error, null);
  const answer = { model: response.model, text: "", thinking: "", refusal: "", calls: [], native: [] };
  for (const item of response.output) {
    if (item.type === "message") {
      for (const part of item.content) {
        if (part.type === "output_text") answer.text += part.text;
        else answer.refusal += part.refusal;
      }
    } else if (item.type === "reasoning") {
      answer.thinking += item.summary.map(({ text }) => text).join("");
    } else {
      assert.equal(item.type, "function_call");
      answer.calls.push({ id: item.call_id, name: item.name, args: JSON.parse(item.arguments) });
    }
    const { parsed_arguments, ...native } = item;
    answer.native.push(native);
  }
  if (response.status === "incomplete")
    answer.finish = { max_output_tokens: "length", content_filter: "filter" }[response.incomplete_details.reason];
  else {
    assert.equal(response.status, "completed");
    answer.finish = answer.calls.length ? "tools" : "stop";
  }
  const { usage } = response;
  assert.equal(usage.total_tokens, usage.input_tokens + usage.output_tokens);
  answer.usage = {
    input: usage.input_tokens,
    output: usage.output_tokens,
    cached: usage.input_tokens_details.cached_tokens,
    reasoning: usage.output_tokens_details.reasoning_tokens,
  };
  return answer;
}

checks({
  dialect: "responses",
  isError,
  statusOf,
  models,
  async ask(model, ask) {
    return responsesAnswer(await connect(model, ask).responses.create(responsesRequest(model, ask)));
  },
  async stream(model, ask) {
    let number = 0;
    let last;
    let said = "";
    const done = [];
    const request = { ...responsesRequest(model, ask), stream: true };
    for await (const event of await connect(model, ask).responses.create(request)) {
      refuse(event);
      assert.equal(event.sequence_number, number++);
      assert.equal(event.type === "response.created", number === 1);
      if (event.type === "response.output_item.done") done.push(event.item);
      if (event.type === "response.output_text.delta" || event.type === "response.refusal.delta") said += event.delta;
      if (event.type === "response.completed" || event.type === "response.incomplete") last = event.response;
    }
    // Codex reads nothing but the finished items.
    assert.deepEqual(done, last.output);
    const answer = responsesAnswer(last);
    assert.equal(said, answer.text + answer.refusal);
    // This helper refuses events that contradict each other.
    const { stream: _, ...plain } = request;
    const helped = await connect(model, ask).responses.stream(plain).finalResponse();
    assert.equal(responsesAnswer(helped).text, answer.text);
    return answer;
  },
  async *pieces(model, ask) {
    const request = { ...responsesRequest(model, ask), stream: true };
    for await (const event of await connect(model, ask).responses.create(request)) {
      refuse(event);
      if (event.type === "response.output_text.delta") yield event.delta;
    }
  },
  async count(model) {
    const count = await connect(model).responses.inputTokens.count({ model, input: "How many tokens are these?" });
    assert.equal(count.object, "response.input_tokens");
    return count.input_tokens;
  },
});
