"""The official Python SDK as a client of the gateway.

Started by tests/it/sdk.rs, which also sets up the models that are named here. Every answer is checked
through the SDK's own types: what they refuse, a user's program would refuse as well.
"""

import json
import os
import time
import unittest

import openai

BASE_URL = os.environ["BASE_URL"]
API_KEY = os.environ["API_KEY"]
HELLO = [{"role": "user", "content": "Say hello"}]
WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    },
}
# The same answer from a provider that can do both, only plain answers, only streams.
TOOL_MODELS = ["tools", "tools-plain-only", "tools-stream-only"]


def client(**options):
    return openai.OpenAI(base_url=BASE_URL, **{"api_key": API_KEY, "max_retries": 0, **options})


class Chat(unittest.TestCase):
    def test_plain(self):
        answer = client().chat.completions.create(model="hello", messages=HELLO)
        self.assertEqual(answer.choices[0].message.content, "Hello, world!")
        self.assertEqual(answer.choices[0].finish_reason, "stop")
        self.assertEqual(answer.object, "chat.completion")
        self.assertEqual((answer.usage.prompt_tokens, answer.usage.total_tokens), (10, 30))
        self.assertTrue(answer._request_id)

    def test_stream(self):
        chunks = list(client().chat.completions.create(model="hello", messages=HELLO, stream=True))
        self.assertEqual(text_of(chunks), "Hello, world!")
        self.assertEqual(chunks[0].choices[0].delta.role, "assistant")
        self.assertEqual(chunks[-1].choices[0].finish_reason, "stop")
        self.assertTrue(all(chunk.usage is None for chunk in chunks))

    def test_stream_with_usage(self):
        for model in ["hello", *TOOL_MODELS]:
            with self.subTest(model=model):
                chunks = list(
                    client().chat.completions.create(
                        model=model, messages=HELLO, stream=True, stream_options={"include_usage": True}
                    )
                )
                told = [chunk for chunk in chunks if chunk.usage]
                self.assertEqual(len(told), 1)
                self.assertEqual(told[0].usage.total_tokens, 30)
                self.assertEqual(told[0].choices, [])
                self.assertIs(told[0], chunks[-1])

    def test_a_stream_can_be_left(self):
        with client().chat.completions.create(model="hello", messages=HELLO, stream=True) as stream:
            next(iter(stream))
        answer = client().chat.completions.create(model="hello", messages=HELLO)
        self.assertEqual(answer.choices[0].message.content, "Hello, world!")

    def test_a_name_with_a_slash(self):
        answer = client().chat.completions.create(model="maker/hello", messages=HELLO)
        self.assertEqual(answer.choices[0].message.content, "Hello, world!")


class Tools(unittest.TestCase):
    """Parallel calls, plain and streamed, from providers of every ability: always the same result."""

    def check(self, message, finish_reason):
        self.assertEqual(message.content, "Let me see.")
        self.assertEqual(finish_reason, "tool_calls")
        calls = [(call.id, call.function.name, json.loads(call.function.arguments)) for call in message.tool_calls]
        self.assertEqual(
            calls,
            [("call_1", "weather", {"city": "Köln"}), ("call_2", "weather", {"city": "São Paulo"})],
        )

    def test_plain(self):
        for model in TOOL_MODELS:
            with self.subTest(model=model):
                answer = client().chat.completions.create(model=model, messages=HELLO, tools=[WEATHER])
                self.check(answer.choices[0].message, answer.choices[0].finish_reason)
                self.assertEqual(answer.choices[0].message.reasoning_content, "Two cities, two calls.")
                self.assertEqual(answer.usage.total_tokens, 30)

    def test_streamed(self):
        for model in TOOL_MODELS:
            with self.subTest(model=model):
                # This helper puts the chunks together and refuses a stream that does not add up.
                with client().chat.completions.stream(model=model, messages=HELLO, tools=[WEATHER]) as stream:
                    choice = stream.get_final_completion().choices[0]
                self.check(choice.message, choice.finish_reason)

    def test_reasoning_is_streamed(self):
        for model in TOOL_MODELS:
            with self.subTest(model=model):
                chunks = client().chat.completions.create(model=model, messages=HELLO, stream=True)
                deltas = [chunk.choices[0].delta for chunk in chunks if chunk.choices]
                reasoning = [getattr(delta, "reasoning_content", None) or "" for delta in deltas]
                self.assertEqual("".join(reasoning), "Two cities, two calls.")

    def test_several_choices(self):
        for model in TOOL_MODELS:
            with self.subTest(model=model):
                answer = client().chat.completions.create(model=model, messages=HELLO, n=2, logprobs=True)
                self.assertEqual([choice.index for choice in answer.choices], [0, 1])
                for choice in answer.choices:
                    self.check(choice.message, choice.finish_reason)
                    tokens = [token.token for token in choice.logprobs.content]
                    self.assertEqual("".join(tokens), "Let me see.")


class OtherEndpoints(unittest.TestCase):
    def test_embeddings(self):
        # Without a wish the SDK asks for base64 and decodes it.
        default = client().embeddings.create(model="hello", input=["one", "two"])
        plain = client().embeddings.create(model="hello", input=["one", "two"], encoding_format="float")
        self.assertEqual(len(default.data), 2)
        self.assertEqual([e.embedding for e in default.data], [e.embedding for e in plain.data])
        self.assertIsInstance(default.data[1].embedding[0], float)
        self.assertEqual(default.usage.total_tokens, 10)

    def test_models(self):
        ids = [model.id for model in client().models.list()]
        self.assertIn("hello", ids)
        for name in ["hello", "maker/hello"]:
            model = client().models.retrieve(name)
            self.assertEqual((model.id, model.object), (name, "model"))

    def test_legacy_completions(self):
        answer = client().completions.create(model="hello", prompt="Say hello")
        self.assertEqual(answer.choices[0].text, "Hello, world!")
        self.assertEqual(answer.usage.total_tokens, 30)
        chunks = client().completions.create(model="hello", prompt="Say hello", stream=True)
        self.assertEqual("".join(chunk.choices[0].text for chunk in chunks), "Hello, world!")


class Errors(unittest.TestCase):
    def fails(self, kind, model="hello", stream=False, **options):
        with self.assertRaises(kind) as caught:
            answer = client(**options).chat.completions.create(model=model, messages=HELLO, stream=stream)
            if stream:
                list(answer)
        return caught.exception

    def test_wrong_key(self):
        error = self.fails(openai.AuthenticationError, api_key="sk-wrong")
        self.assertEqual(error.status_code, 401)

    def test_unknown_model(self):
        for stream in [False, True]:
            error = self.fails(openai.NotFoundError, model="helo", stream=stream)
            self.assertEqual(error.code, "model_not_found")
        with self.assertRaises(openai.NotFoundError):
            client().models.retrieve("helo")

    def test_bad_request_of_the_provider(self):
        for stream in [False, True]:
            error = self.fails(openai.BadRequestError, model="bad-request", stream=stream)
            self.assertEqual(error.code, "invalid_value")
            self.assertIn("temperature is too high", error.message)

    def test_spent_quota_is_told_at_once(self):
        # Left to its defaults the SDK would try three times and sleep in between.
        began = time.monotonic()
        error = self.fails(openai.RateLimitError, model="spent", max_retries=2)
        self.assertEqual(error.code, "insufficient_quota")
        self.assertNotIn("retry-after", error.response.headers)
        self.assertLess(time.monotonic() - began, 0.4)

    def test_broken_provider(self):
        for stream in [False, True]:
            error = self.fails(openai.InternalServerError, model="broken", stream=stream)
            self.assertEqual(error.status_code, 502)

    def test_silent_provider(self):
        error = self.fails(openai.InternalServerError, model="silent")
        self.assertEqual(error.status_code, 504)

    def test_impatient_client(self):
        self.fails(openai.APITimeoutError, model="silent", timeout=0.2)

    def test_streams_that_break(self):
        for model in ["error-midway", "cut-midway"]:
            with self.subTest(model=model):
                stream = client().chat.completions.create(model=model, messages=HELLO, stream=True)
                chunks = []
                with self.assertRaises(openai.APIError) as caught:
                    for chunk in stream:
                        chunks.append(chunk)
                # The body itself was whole: the error is one that was said, not a lost connection.
                self.assertNotIsInstance(caught.exception, openai.APIConnectionError)
                self.assertEqual(text_of(chunks), "one two ")


def text_of(chunks):
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)


if __name__ == "__main__":
    unittest.main()
