"""The official Google SDK for Gemini."""

import base64
import functools
import json

from google import genai
from google.genai import errors, types

import matrix
from matrix import IMAGE, SCHEMA, TOOLS, Answer


@functools.cache
def connect(base_url, key):
    once = types.HttpRetryOptions(attempts=1)
    options = types.HttpOptions(base_url=base_url, timeout=20_000, retry_options=once)
    return genai.Client(api_key=key, http_options=options)


def sdk(model, key=matrix.KEY):
    # Kept, because a client that nobody holds closes itself.
    return connect(matrix.base_url(model), key)


class Generate(matrix.Client):
    dialect = "gemini"
    api_error = errors.APIError

    def request(self, model, ask):
        contents = []
        for kind, said in ask.turns:
            if kind == "user":
                contents.append(types.UserContent(said))
            elif kind == "image":
                image = types.Part.from_bytes(data=base64.b64decode(IMAGE), mime_type="image/png")
                contents.append(types.UserContent([said, image]))
            elif kind == "answer":
                contents.append(said.native)
            else:
                parts = [
                    types.Part(function_response=types.FunctionResponse(id=id, name=name, response=json.loads(text)))
                    for (id, name, _), text in said
                ]
                contents.append(types.Content(role="user", parts=parts))
        config = types.GenerateContentConfig(system_instruction=ask.system)
        if ask.tools:
            declared = [
                types.FunctionDeclaration(name=name, description=about, parameters_json_schema=schema)
                for name, about, schema in TOOLS
            ]
            config.tools = [types.Tool(function_declarations=declared)]
        if ask.choice:
            calling = types.FunctionCallingConfig(mode="ANY", allowed_function_names=["weather"])
            config.tool_config = types.ToolConfig(function_calling_config=calling)
        if ask.schema:
            config.response_mime_type = "application/json"
            config.response_json_schema = SCHEMA
        if ask.thinking:
            config.thinking_config = types.ThinkingConfig(include_thoughts=True, thinking_level="HIGH")
        if ask.parameters:
            config.max_output_tokens = 64
            config.temperature, config.top_p, config.stop_sequences = 0.5, 0.9, ["END"]
        return {"model": model, "contents": contents, "config": config}

    def ask(self, model, ask):
        return self.answer([sdk(model, ask.key).models.generate_content(**self.request(model, ask))])

    def stream(self, model, ask):
        return self.answer(list(sdk(model, ask.key).models.generate_content_stream(**self.request(model, ask))))

    def answer(self, responses):
        answer, parts, finish = Answer(model=responses[-1].model_version), [], None
        for response in responses:
            assert isinstance(response, types.GenerateContentResponse)
            assert response.response_id and response.model_version
            if response.prompt_feedback and response.prompt_feedback.block_reason:
                finish = "SAFETY"
            for candidate in response.candidates or []:
                finish = candidate.finish_reason or finish
                parts.extend((candidate.content and candidate.content.parts) or [])
        for part in parts:
            if part.function_call:
                call = part.function_call
                answer.calls.append((call.id, call.name, call.args or {}))
            elif part.thought:
                answer.thinking += part.text
            else:
                answer.text += part.text or ""
        finish = str(getattr(finish, "value", finish))
        answer.finish = {"MAX_TOKENS": "length", "SAFETY": "filter", "STOP": "tools" if answer.calls else "stop"}[finish]
        usage = responses[-1].usage_metadata
        said, thought = usage.candidates_token_count or 0, usage.thoughts_token_count or 0
        assert usage.total_token_count == usage.prompt_token_count + said + thought
        answer.usage = {
            "input": usage.prompt_token_count,
            "output": said + thought,
            "cached": usage.cached_content_token_count or 0,
            "reasoning": thought,
        }
        # As the SDK's own chats do: signatures stay where they were, an empty text is no part.
        kept = [part for part in parts if part.text != "" or part.thought_signature]
        answer.native = types.Content(role="model", parts=kept)
        return answer

    def pieces(self, model, ask):
        for response in sdk(model, ask.key).models.generate_content_stream(**self.request(model, ask)):
            yield response.text or ""

    def status_of(self, error):
        assert isinstance(error, errors.ServerError if error.code >= 500 else errors.ClientError), error
        assert error.status and error.message, error.details
        assert error.details["error"]["code"] == error.code, error.details
        return error.code

    def count(self, model):
        return sdk(model).models.count_tokens(model=model, contents="How many tokens are these?").total_tokens

    def embed(self, model):
        answer = sdk(model).models.embed_content(model=model, contents=["one", "two"])
        return [embedding.values for embedding in answer.embeddings]

    def models(self):
        names = [model.name.removeprefix("models/") for model in sdk("").models.list()]
        return names, sdk("").models.get(model="openai/hello").name.removeprefix("models/")


GenerateChecks = matrix.checks(Generate())

if __name__ == "__main__":
    matrix.main()
