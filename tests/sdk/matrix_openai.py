"""The official OpenAI SDK: Chat Completions and Responses."""

import functools
import json

import openai

import matrix
from matrix import IMAGE, SCHEMA, TOOLS, Answer, Broken

IMAGE_URL = f"data:image/png;base64,{IMAGE}"


@functools.cache
def connect(base_url, key):
    return openai.OpenAI(base_url=f"{base_url}/v1", api_key=key, max_retries=0, timeout=20.0)


def sdk(model, key=matrix.KEY):
    return connect(matrix.base_url(model), key)


def status_of(error):
    if not isinstance(error, openai.APIStatusError):
        raise error
    status = error.status_code
    fitting = {
        400: openai.BadRequestError,
        401: openai.AuthenticationError,
        403: openai.PermissionDeniedError,
        404: openai.NotFoundError,
        429: openai.RateLimitError,
    }.get(status, openai.InternalServerError if status >= 500 else openai.APIStatusError)
    assert isinstance(error, fitting), error
    assert isinstance(error.message, str) and error.type, error.body
    return status


class Chat(matrix.Client):
    dialect = "openai"
    api_error = openai.APIError

    def request(self, model, ask):
        messages = [{"role": "system", "content": ask.system}]
        for kind, said in ask.turns:
            if kind == "user":
                messages.append({"role": "user", "content": said})
            elif kind == "image":
                parts = [{"type": "text", "text": said}, {"type": "image_url", "image_url": {"url": IMAGE_URL}}]
                messages.append({"role": "user", "content": parts})
            elif kind == "answer":
                messages.append(said.native)
            else:
                for (id, _, _), text in said:
                    messages.append({"role": "tool", "tool_call_id": id, "content": text})
        request = {"model": model, "messages": messages}
        if ask.tools:
            request["tools"] = [
                {"type": "function", "function": {"name": name, "description": about, "parameters": schema}}
                for name, about, schema in TOOLS
            ]
        if ask.choice:
            request["tool_choice"] = {"type": "function", "function": {"name": "weather"}}
        if ask.schema:
            form = {"name": "person", "schema": SCHEMA, "strict": True}
            request["response_format"] = {"type": "json_schema", "json_schema": form}
        if ask.thinking:
            request["reasoning_effort"] = "high"
        if ask.parameters:
            request |= {"max_completion_tokens": 64, "temperature": 0.5, "top_p": 0.9, "stop": ["END"]}
        return request

    def ask(self, model, ask):
        completion = sdk(model, ask.key).chat.completions.create(**self.request(model, ask))
        assert completion.object == "chat.completion" and completion.id
        return self.answer(completion)

    def stream(self, model, ask):
        # This helper puts the chunks together and refuses a stream that does not add up.
        options = {"include_usage": True}
        request = self.request(model, ask)
        thinking = []
        with sdk(model, ask.key).chat.completions.stream(**request, stream_options=options) as stream:
            for event in stream:
                if event.type == "chunk":
                    for choice in event.chunk.choices:
                        thinking.append(getattr(choice.delta, "reasoning_content", None) or "")
            # The final completion is refused to us where a filter or the length ended it.
            answer = self.answer(stream.current_completion_snapshot)
        answer.thinking = "".join(thinking)
        return answer

    def answer(self, completion):
        [choice] = completion.choices
        message = choice.message
        assert message.role == "assistant"
        usage = completion.usage
        cached = usage.prompt_tokens_details and usage.prompt_tokens_details.cached_tokens
        reasoning = usage.completion_tokens_details and usage.completion_tokens_details.reasoning_tokens
        assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens
        calls = []
        for call in message.tool_calls or []:
            assert call.type == "function"
            calls.append((call.id, call.function.name, json.loads(call.function.arguments)))
        native = message.model_dump(exclude_none=True, exclude={"parsed"})
        for call in native.get("tool_calls") or []:
            call["function"].pop("parsed_arguments", None)
            call.pop("index", None)
        return Answer(
            text=message.content or "",
            thinking=getattr(message, "reasoning_content", None) or "",
            refusal=message.refusal or "",
            calls=calls,
            model=completion.model,
            finish={"tool_calls": "tools", "content_filter": "filter"}.get(choice.finish_reason, choice.finish_reason),
            usage={
                "input": usage.prompt_tokens,
                "output": usage.completion_tokens,
                "cached": cached or 0,
                "reasoning": reasoning or 0,
            },
            native=native,
        )

    def pieces(self, model, ask):
        for chunk in sdk(model, ask.key).chat.completions.create(**self.request(model, ask), stream=True):
            for choice in chunk.choices:
                yield choice.delta.content or ""

    def status_of(self, error):
        return status_of(error)

    def embed(self, model):
        # Without a wish the SDK asks for base64 and decodes it.
        answers = [
            sdk(model).embeddings.create(model=model, input=["one", "two"]),
            sdk(model).embeddings.create(model=model, input=["one", "two"], encoding_format="float"),
        ]
        vectors = [[item.embedding for item in answer.data] for answer in answers]
        assert vectors[0] == vectors[1], vectors
        assert answers[0].usage.total_tokens > 0
        return vectors[0]

    def models(self):
        names = [model.id for model in sdk("").models.list()]
        return names, sdk("").models.retrieve("openai/hello").id


class Responses(matrix.Client):
    dialect = "responses"
    api_error = openai.APIError

    def request(self, model, ask):
        items = []
        for kind, said in ask.turns:
            if kind == "user":
                items.append({"role": "user", "content": said})
            elif kind == "image":
                parts = [
                    {"type": "input_text", "text": said},
                    {"type": "input_image", "image_url": IMAGE_URL, "detail": "auto"},
                ]
                items.append({"role": "user", "content": parts})
            elif kind == "answer":
                items.extend(said.native)
            else:
                for (id, _, _), text in said:
                    items.append({"type": "function_call_output", "call_id": id, "output": text})
        request = {"model": model, "input": items, "instructions": ask.system, "store": False}
        if ask.tools:
            request["tools"] = [
                {"type": "function", "name": name, "description": about, "parameters": schema, "strict": False}
                for name, about, schema in TOOLS
            ]
        if ask.choice:
            request["tool_choice"] = {"type": "function", "name": "weather"}
        if ask.schema:
            form = {"type": "json_schema", "name": "person", "schema": SCHEMA, "strict": True}
            request["text"] = {"format": form}
        if ask.thinking:
            request["reasoning"] = {"effort": "high", "summary": "auto"}
            request["include"] = ["reasoning.encrypted_content"]
        if ask.parameters:
            request |= {"max_output_tokens": 64, "temperature": 0.5, "top_p": 0.9}
        return request

    def ask(self, model, ask):
        return self.answer(sdk(model, ask.key).responses.create(**self.request(model, ask)))

    def stream(self, model, ask):
        last, numbers, done, text = None, [], [], []
        # This helper refuses events that contradict each other.
        with sdk(model, ask.key).responses.stream(**self.request(model, ask)) as stream:
            for event in stream:
                numbers.append(event.sequence_number)
                self.refuse(event)
                if event.type == "response.output_item.done":
                    done.append(event.item)
                elif event.type in ("response.output_text.delta", "response.refusal.delta"):
                    text.append(event.delta)
                elif event.type in ("response.completed", "response.incomplete"):
                    last = event.response
        assert numbers == list(range(len(numbers))), numbers
        assert last is not None
        # Codex reads nothing but the finished items.
        dumped = [[item.model_dump() for item in items] for items in (done, last.output)]
        for items in dumped:
            for item in items:
                item.pop("parsed_arguments", None)
                for part in item.get("content") or []:
                    part.pop("parsed", None)
        assert dumped[0] == dumped[1], dumped
        answer = self.answer(last)
        assert "".join(text) == answer.text + answer.refusal
        return answer

    def refuse(self, event):
        if event.type == "response.failed":
            raise Broken(event.response.error)
        if event.type == "error":
            raise Broken(event)

    def answer(self, response):
        assert response.object == "response" and response.id and response.error is None
        answer = Answer(native=[], model=response.model)
        for item in response.output:
            # What the SDK's users do: the items go back as they came.
            answer.native.append(item.model_dump(exclude_none=True, exclude={"parsed_arguments": True, "status": True}))
            if item.type == "message":
                for part in item.content:
                    if part.type == "output_text":
                        answer.text += part.text
                    else:
                        answer.refusal += part.refusal
            elif item.type == "reasoning":
                answer.thinking += "".join(part.text for part in item.summary)
            elif item.type == "function_call":
                answer.calls.append((item.call_id, item.name, json.loads(item.arguments)))
            else:
                raise AssertionError(item)
        for item in answer.native:
            for part in item.get("content") or []:
                part.pop("parsed", None)
        if response.status == "incomplete":
            reason = response.incomplete_details.reason
            answer.finish = {"max_output_tokens": "length", "content_filter": "filter"}[reason]
        else:
            assert response.status == "completed", response.status
            answer.finish = "tools" if answer.calls else "stop"
        usage = response.usage
        assert usage.total_tokens == usage.input_tokens + usage.output_tokens
        answer.usage = {
            "input": usage.input_tokens,
            "output": usage.output_tokens,
            "cached": usage.input_tokens_details.cached_tokens,
            "reasoning": usage.output_tokens_details.reasoning_tokens,
        }
        return answer

    def pieces(self, model, ask):
        for event in sdk(model, ask.key).responses.create(**self.request(model, ask), stream=True):
            self.refuse(event)
            if event.type == "response.output_text.delta":
                yield event.delta

    def status_of(self, error):
        return status_of(error)

    def count(self, model):
        count = sdk(model).responses.input_tokens.count(model=model, input="How many tokens are these?")
        assert count.object == "response.input_tokens"
        return count.input_tokens

    def models(self):
        return Chat().models()


ChatChecks = matrix.checks(Chat())
ResponsesChecks = matrix.checks(Responses())

if __name__ == "__main__":
    matrix.main()
