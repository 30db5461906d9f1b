// The official Google SDK for Gemini, of the generation that asks for /v1beta.

import assert from "node:assert/strict";
import { IMAGE, SCHEMA, SYSTEM, TOOLS, checks, connecting, sdk } from "./matrix.mjs";

const { ApiError, GoogleGenAI } = sdk("@google/genai");
const connect = connecting(
  (baseUrl, apiKey) => new GoogleGenAI({ apiKey, httpOptions: { baseUrl, timeout: 20_000 } }),
);

function request(model, ask) {
  const contents = [];
  for (const [kind, said] of ask.turns) {
    if (kind === "user") contents.push({ role: "user", parts: [{ text: said }] });
    else if (kind === "image")
      contents.push({
        role: "user",
        parts: [{ text: said }, { inlineData: { mimeType: "image/png", data: IMAGE } }],
      });
    else if (kind === "answer") contents.push(said.native);
    else
      contents.push({
        role: "user",
        parts: said.map(([{ id, name }, text]) => ({ functionResponse: { id, name, response: JSON.parse(text) } })),
      });
  }
  const config = { systemInstruction: SYSTEM };
  if (ask.tools)
    config.tools = [
      {
        functionDeclarations: TOOLS.map(({ name, about, schema }) => ({
          name,
          description: about,
          parametersJsonSchema: schema,
        })),
      },
    ];
  if (ask.choice)
    config.toolConfig = { functionCallingConfig: { mode: "ANY", allowedFunctionNames: ["weather"] } };
  if (ask.schema) Object.assign(config, { responseMimeType: "application/json", responseJsonSchema: SCHEMA });
  if (ask.thinking) config.thinkingConfig = { includeThoughts: true, thinkingBudget: 2048 };
  if (ask.parameters)
    Object.assign(config, { maxOutputTokens: 64, temperature: 0.5, topP: 0.9, stopSequences: ["END"] });
  return { model, contents, config };
}

function answerOf(responses) {
  const answer = { model: responses.at(-1).modelVersion, text: "", thinking: "", refusal: "", calls: [] };
  const parts = [];
  let finish;
  for (const response of responses) {
    assert.ok(response.responseId && response.modelVersion);
    if (response.promptFeedback?.blockReason) finish = "SAFETY";
    for (const candidate of response.candidates ?? []) {
      finish = candidate.finishReason ?? finish;
      parts.push(...(candidate.content?.parts ?? []));
    }
  }
  for (const part of parts) {
    const call = part.functionCall;
    if (call) answer.calls.push({ id: call.id, name: call.name, args: call.args ?? {} });
    else if (part.thought) answer.thinking += part.text;
    else answer.text += part.text ?? "";
  }
  answer.finish = { MAX_TOKENS: "length", SAFETY: "filter", STOP: answer.calls.length ? "tools" : "stop" }[finish];
  const usage = responses.at(-1).usageMetadata;
  const said = usage.candidatesTokenCount ?? 0;
  const reasoning = usage.thoughtsTokenCount ?? 0;
  assert.equal(usage.totalTokenCount, usage.promptTokenCount + said + reasoning);
  answer.usage = {
    input: usage.promptTokenCount,
    output: said + reasoning,
    cached: usage.cachedContentTokenCount ?? 0,
    reasoning,
  };
  // As the SDK's own chats do: signatures stay where they were, an empty text is no part.
  answer.native = { role: "model", parts: parts.filter((part) => part.text !== "" || part.thoughtSignature) };
  return answer;
}

checks({
  dialect: "gemini",
  isError: (error) => error instanceof ApiError,
  statusOf(error) {
    assert.ok(error instanceof ApiError, error);
    const said = JSON.parse(error.message).error;
    assert.equal(said.code, error.status);
    assert.ok(said.status && said.message, error);
    return error.status;
  },
  async ask(model, ask) {
    return answerOf([await connect(model, ask).models.generateContent(request(model, ask))]);
  },
  async stream(model, ask) {
    const responses = [];
    for await (const response of await connect(model, ask).models.generateContentStream(request(model, ask)))
      responses.push(response);
    return answerOf(responses);
  },
  async *pieces(model, ask) {
    for await (const response of await connect(model, ask).models.generateContentStream(request(model, ask)))
      yield response.text ?? "";
  },
  async count(model) {
    const contents = "How many tokens are these?";
    return (await connect(model).models.countTokens({ model, contents })).totalTokens;
  },
  async embed(model) {
    const answer = await connect(model).models.embedContent({ model, contents: ["one", "two"] });
    return answer.embeddings.map(({ values }) => values);
  },
  async models() {
    const names = [];
    for await (const model of await connect("").models.list()) names.push(model.name.replace(/^models\//, ""));
    const one = await connect("").models.get({ model: "openai/hello" });
    return { names, one: one.name.replace(/^models\//, "") };
  },
});
