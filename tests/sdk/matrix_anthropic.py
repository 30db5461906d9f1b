"""The official Anthropic SDK."""

import functools

import anthropic

import matrix
from matrix import IMAGE, SCHEMA, TOOLS, Answer


@functools.cache
def connect(base_url, key):
    return anthropic.Anthropic(base_url=base_url, api_key=key, max_retries=0, timeout=20.0)


def sdk(model, key=matrix.KEY):
    return connect(matrix.base_url(model), key)


class Messages(matrix.Client):
    dialect = "anthropic"
    api_error = anthropic.APIError

    def request(self, model, ask):
        messages = []
        for kind, said in ask.turns:
            if kind == "user":
                messages.append({"role": "user", "content": said})
            elif kind == "image":
                source = {"type": "base64", "media_type": "image/png", "data": IMAGE}
                blocks = [{"type": "image", "source": source}, {"type": "text", "text": said}]
                messages.append({"role": "user", "content": blocks})
            elif kind == "answer":
                messages.append({"role": "assistant", "content": said.native})
            else:
                blocks = [{"type": "tool_result", "tool_use_id": id, "content": text} for (id, _, _), text in said]
                messages.append({"role": "user", "content": blocks})
        request = {"model": model, "max_tokens": 4096, "messages": messages, "system": ask.system}
        if ask.tools:
            request["tools"] = [
                {"name": name, "description": about, "input_schema": schema} for name, about, schema in TOOLS
            ]
        if ask.choice:
            request["tool_choice"] = {"type": "tool", "name": "weather"}
        if ask.schema:
            request["output_config"] = {"format": {"type": "json_schema", "schema": SCHEMA}}
        if ask.thinking:
            request["thinking"] = {"type": "adaptive"}
            request["output_config"] = {"effort": "high"}
        if ask.parameters:
            # This version of the API refuses temperature and top_p.
            request |= {"max_tokens": 64, "stop_sequences": ["END"]}
        return request

    def ask(self, model, ask):
        return self.answer(sdk(model, ask.key).messages.create(**self.request(model, ask)))

    def stream(self, model, ask):
        starts, text = [], []
        with sdk(model, ask.key).messages.stream(**self.request(model, ask)) as stream:
            for event in stream:
                if event.type == "content_block_start":
                    starts.append(event.index)
                    block = event.content_block
                    assert block.type != "tool_use" or block.input == {} or block.name != "now", block
                elif event.type == "text":
                    text.append(event.text)
            message = stream.get_final_message()
        assert starts == list(range(len(message.content))), starts
        answer = self.answer(message)
        assert "".join(text) == answer.text
        return answer

    def answer(self, message):
        assert message.type == "message" and message.role == "assistant" and message.id
        answer = Answer(model=message.model)
        for block in message.content:
            if block.type == "text":
                answer.text += block.text
            elif block.type == "thinking":
                assert isinstance(block.signature, str)
                answer.thinking += block.thinking
            elif block.type == "tool_use":
                assert isinstance(block.input, dict)
                answer.calls.append((block.id, block.name, block.input))
            else:
                raise AssertionError(block)
        answer.native = [block.model_dump(exclude_none=True, exclude={"parsed_output"}) for block in message.content]
        reasons = {"end_turn": "stop", "tool_use": "tools", "max_tokens": "length", "refusal": "filter"}
        answer.finish = reasons[message.stop_reason]
        usage = message.usage
        cached, written = usage.cache_read_input_tokens or 0, usage.cache_creation_input_tokens or 0
        details = usage.output_tokens_details
        answer.usage = {
            "input": usage.input_tokens + cached + written,
            "output": usage.output_tokens,
            "cached": cached,
            "reasoning": details.thinking_tokens or 0 if details else 0,
        }
        return answer

    def pieces(self, model, ask):
        for event in sdk(model, ask.key).messages.create(**self.request(model, ask), stream=True):
            if event.type == "content_block_delta" and event.delta.type == "text_delta":
                yield event.delta.text

    def status_of(self, error):
        if not isinstance(error, anthropic.APIStatusError):
            raise error
        status = error.status_code
        fitting = {
            400: anthropic.BadRequestError,
            401: anthropic.AuthenticationError,
            403: anthropic.PermissionDeniedError,
            404: anthropic.NotFoundError,
            429: anthropic.RateLimitError,
        }.get(status, anthropic.InternalServerError if status >= 500 else anthropic.APIStatusError)
        assert isinstance(error, fitting), error
        assert error.body["type"] == "error" and error.body["error"]["type"] and error.body["error"]["message"]
        return status

    def count(self, model):
        messages = [{"role": "user", "content": "How many tokens are these?"}]
        return sdk(model).messages.count_tokens(model=model, messages=messages).input_tokens

    def models(self):
        names = []
        for model in sdk("").models.list(limit=1000):
            assert model.type == "model" and model.display_name and model.created_at
            names.append(model.id)
        return names, sdk("").models.retrieve("openai/hello").id


MessagesChecks = matrix.checks(Messages())

if __name__ == "__main__":
    matrix.main()
