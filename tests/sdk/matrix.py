"""What every SDK must see of every provider, whichever dialects they speak.

`tests/it/sdk_matrix.rs` and `sdk_fixtures.rs` start the scripts `matrix_*.py` and say in MATRIX where the models
are. A model is called `<provider's dialect>/<case>`; what the cases say is in the fixtures' cases.json.
A script describes its SDK as a `Client`, and `checks` makes the test cases of it.
"""

import json
import os
import sys
import unittest
from dataclasses import dataclass, field

MATRIX = json.loads(os.environ["MATRIX"])
KEY = MATRIX["key"]
# Without a gateway each SDK speaks with recorded answers of its own dialect: then the recordings are tested.
DIRECT = MATRIX["gateway"] is None
PROVIDERS = ["openai", "responses", "anthropic", "gemini"]
with open(MATRIX["cases"]) as file:
    CASES = json.load(file)

# A red pixel.
IMAGE = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAAAABJRU5ErkJggg=="
)
WEATHER = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]}},
    "required": ["city"],
}
BOOKING = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "properties": {
        "guests": {
            "type": "array",
            "items": {"type": "object", "properties": {"name": {"type": "string"}, "age": {"type": ["number", "null"]}}},
        },
        "when": {"$ref": "#/$defs/when"},
        "notes": {"type": "array", "items": {"type": "string"}},
        "terrace": {"type": "boolean"},
        "deposit": {"anyOf": [{"type": "number"}, {"type": "null"}]},
    },
    "required": ["guests"],
    "additionalProperties": False,
    "$defs": {"when": {"type": "object", "properties": {"date": {"type": "string"}, "time": {"type": "string"}}}},
}
TOOLS = [
    ("weather", "The weather of a city.", WEATHER),
    ("book_table", "Books a table.", BOOKING),
    ("now", "The time.", {"type": "object", "properties": {}}),
]
SCHEMA = {
    "type": "object",
    "properties": {
        "name": {"type": "string"},
        "age": {"type": "integer"},
        "tags": {"type": "array", "items": {"type": "string"}},
        "address": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
            "additionalProperties": False,
        },
    },
    "required": ["name", "age", "tags", "address"],
    "additionalProperties": False,
}

# The status that a client sees after this one of the only provider. What is our trouble with the provider, and
# none of the client's making, is a bad gateway.
STATUSES = {
    400: {400},
    401: {502},
    403: {502},
    404: {404, 502},
    413: {413},
    429: {429, 502},
    500: {500, 502},
    503: {502, 503, 529},
    529: {502, 503, 529},
}


@dataclass
class Answer:
    """An answer as the SDK's user sees it."""

    text: str = ""
    thinking: str = ""
    refusal: str = ""
    calls: list = field(default_factory=list)  # (id, name, arguments)
    finish: str = ""  # stop, tools, length, filter
    model: str = ""
    usage: dict = field(default_factory=dict)  # input, output, cached, reasoning
    native: object = None  # what the SDK's user puts into the next request


@dataclass
class Ask:
    """A request. `turns` are ("user", text), ("image", text), ("answer", Answer), ("results", [(call, text)])."""

    turns: list
    tools: bool = False
    schema: bool = False
    thinking: bool = False
    parameters: bool = False
    choice: bool = False  # of the first tool
    key: str = KEY
    system: str = "You are brief."


class Broken(Exception):
    """A stream that said it went wrong, where the SDK gives that as an event."""


def base_url(model):
    return MATRIX["gateway"] or MATRIX["endpoints"][model]


def hello(**more):
    return Ask([("user", "Héllo — 世界?")], **more)


class Client:
    """One way to ask, of one SDK. Subclasses answer for the rest."""

    dialect = None
    api_error = None

    def ask(self, model, ask):
        """An `Answer`."""
        raise NotImplementedError

    def stream(self, model, ask):
        """The same answer, put together from a stream."""
        raise NotImplementedError

    def pieces(self, model, ask):
        """The texts of a stream as they come."""
        raise NotImplementedError

    def status_of(self, error):
        """The status that the SDK's exception tells; fails where its class does not fit the status."""
        raise NotImplementedError

    def count(self, model):
        """The number of tokens of a short request; None where there is no such call."""
        return None

    def embed(self, model):
        """The embeddings of two texts; None where there is no such call."""
        return None

    def models(self):
        """The names of all models, and of `openai/hello` asked for by itself."""
        raise NotImplementedError


def checks(client):
    """The test cases of a client: two ways to ask, and what does not depend on the way."""
    if client.dialect not in MATRIX["clients"]:
        return None

    class Both(unittest.TestCase):
        maxDiff = None

        def providers(self, case):
            for provider in [client.dialect] if DIRECT else PROVIDERS:
                if f"{provider}/{case}" in MATRIX["models"]:
                    yield provider

        def each(self, case, ask):
            """Asks in both ways every provider that knows the case, and checks what all answers have in common."""
            seen = 0
            for provider in self.providers(case):
                for way in [client.ask, client.stream]:
                    with self.subTest(provider=provider, way=way.__name__):
                        answer = way(f"{provider}/{case}", ask)
                        self.check(CASES[case], answer)
                        if provider != client.dialect:
                            # Translated answers are by the model that was asked for.
                            self.assertEqual(answer.model, f"{provider}/{case}")
                        seen += 1
                        yield provider, answer
            self.assertTrue(seen or case == "refusal")

        def check(self, case, answer):
            self.assertEqual(answer.text or answer.refusal, case.get("text", case.get("refusal", "")))
            self.assertEqual(answer.finish, case["finish"])
            self.assertEqual(answer.usage["input"], case["usage"]["input"])
            self.assertEqual(answer.usage["output"], case["usage"]["output"])
            calls = [(call["name"], json.loads(call["arguments"])) for call in case.get("calls", [])]
            self.assertEqual([(name, arguments) for _, name, arguments in answer.calls], calls)
            # Older models of Gemini name no calls.
            ids = [id for id, _, _ in answer.calls if client.dialect != "gemini" or id]
            self.assertEqual(len(set(ids)), len(ids))
            if client.dialect != "gemini":
                for id in ids:
                    self.assertRegex(id, r"^[A-Za-z0-9_-]{1,64}$")

        def test_hello(self):
            for _ in self.each("hello", hello()):
                pass

        def test_image(self):
            for _ in self.each("image", Ask([("image", "What is this?")])):
                pass

        def test_schema(self):
            for _, answer in self.each("schema", hello(schema=True)):
                self.assertEqual(json.loads(answer.text)["address"]["city"], "Łódź")

        def test_thinking(self):
            for _, answer in self.each("thinking", hello(thinking=True)):
                self.assertEqual(answer.thinking, CASES["thinking"]["thinking"])
                self.assertEqual(answer.usage["reasoning"], 64)

        def test_long(self):
            for _ in self.each("long", hello()):
                pass
            for provider in self.providers("long"):
                with self.subTest(provider=provider):
                    # Nothing is put together on the way.
                    pieces = [piece for piece in client.pieces(f"{provider}/long", hello()) if piece]
                    self.assertGreater(len(pieces), 390)

        def test_length(self):
            for _ in self.each("length", hello(parameters=True)):
                pass

        def test_filter(self):
            for _ in self.each("filter", hello()):
                pass

        def test_blocked(self):
            for _ in self.each("blocked", hello()):
                pass

        def test_refusal(self):
            for _, answer in self.each("refusal", hello()):
                if client.dialect in ("openai", "responses"):
                    self.assertTrue(answer.refusal and not answer.text)

        def test_cached_usage(self):
            for _, answer in self.each("cached-usage", hello()):
                self.assertEqual(answer.usage["cached"], 1536)
                self.assertEqual(answer.usage["reasoning"], 256)

        def test_tools(self):
            """Calls in parallel, and their results sent back the way they came."""
            for provider, first in self.each("tools-parallel", hello(tools=True)):
                self.second(provider, first)
            for provider, first in self.each("tools-empty", hello(tools=True)):
                self.second(provider, first)

        def test_tools_while_thinking(self):
            for provider, first in self.each("tools-thinking", hello(tools=True, thinking=True)):
                self.assertEqual(first.thinking, CASES["tools-thinking"]["thinking"])
                self.second(provider, first, thinking=True)

        def second(self, provider, first, **more):
            results = [(call, f'{{"result of":"{call[1]}","°C":7}}') for call in first.calls]
            ask = Ask([("user", "Héllo"), ("answer", first), ("results", results)], tools=True, **more)
            for way in [client.ask, client.stream]:
                self.check(CASES["tools-answer"], way(f"{provider}/tools-answer", ask))

        def test_token_counts(self):
            for provider in self.providers("hello"):
                case = "count-tokens" if f"{provider}/count-tokens" in MATRIX["models"] else "hello"
                with self.subTest(provider=provider):
                    count = client.count(f"{provider}/{case}")
                    if count is not None:
                        native = provider in ("anthropic", "gemini") or DIRECT
                        self.assertTrue(count == 42 if native else 0 < count < 1000, count)

        def test_embeddings(self):
            for provider in self.providers("embeddings"):
                with self.subTest(provider=provider):
                    vectors = client.embed(f"{provider}/embeddings")
                    if vectors is not None:
                        self.assertEqual(len(vectors), 2)
                        self.assertTrue(all(isinstance(value, float) for vector in vectors for value in vector))
                        if DIRECT or provider == "gemini":
                            self.assertEqual(vectors, [[0.5, -0.25, 0.125], [-1.0, 0.75, 0.0]])

        def test_errors_of_the_provider(self):
            for status, seen in STATUSES.items():
                for provider in self.providers(f"error-{status}"):
                    self.fails(f"{provider}/error-{status}", {status} if DIRECT else seen, "simulated status")

        def test_errors_within_a_stream(self):
            for provider in self.providers("error-midway"):
                self.breaks(f"{provider}/error-midway")

        def fails(self, model, statuses, words="", **more):
            for way in [client.ask, client.stream]:
                with self.subTest(model=model, way=way.__name__):
                    with self.assertRaises(client.api_error) as caught:
                        way(model, hello(**more))
                    status = client.status_of(caught.exception)
                    self.assertIn(status, statuses)
                    if status in (400, 413):
                        self.assertIn(words, str(caught.exception))

        def breaks(self, model):
            """Some text, then an error: never what could pass for an answer."""
            with self.subTest(model=model):
                seen = []
                with self.assertRaises((client.api_error, Broken)):
                    for piece in client.pieces(model, hello()):
                        seen.append(piece)
                self.assertTrue("".join(seen))
                self.assertTrue(CASES["hello"]["text"].startswith("".join(seen)))

    class Gateway(Both):
        """What takes a gateway."""

        def test_a_provider_of_another_vendor_goes_on(self):
            for before in self.providers("tools-thinking"):
                first = client.stream(f"{before}/tools-thinking", hello(tools=True, thinking=True))
                for provider in self.providers("tools-answer"):
                    with self.subTest(before=before, provider=provider):
                        self.second(provider, first)
                        self.second(provider, first, thinking=True)

        def test_streams_that_are_cut(self):
            for case in ["cut", "ended"]:
                for provider in self.providers(case):
                    self.breaks(f"{provider}/{case}")

        def test_answers_that_are_cut(self):
            for provider in self.providers("cut"):
                with self.subTest(provider=provider), self.assertRaises(client.api_error) as caught:
                    client.ask(f"{provider}/cut", hello())
                self.assertGreaterEqual(client.status_of(caught.exception), 500)

        def test_streams_in_small_pieces(self):
            for provider in self.providers("pieces"):
                with self.subTest(provider=provider):
                    self.check(CASES["hello"], client.stream(f"{provider}/pieces", hello()))

        def test_providers_that_know_one_way_only(self):
            for case in ["streams-only", "plain-only"]:
                for provider in self.providers(case):
                    for way in [client.ask, client.stream]:
                        with self.subTest(case=case, provider=provider, way=way.__name__):
                            answer = way(f"{provider}/{case}", hello(tools=True, thinking=True))
                            self.check(CASES["tools-thinking"], answer)

        def test_parameters(self):
            for provider in self.providers("parameters"):
                for way in [client.ask, client.stream]:
                    with self.subTest(provider=provider, way=way.__name__):
                        self.check(CASES["hello"], way(f"{provider}/parameters", hello(parameters=True)))

        def test_choice_of_a_tool(self):
            for provider in self.providers("choice"):
                for way in [client.ask, client.stream]:
                    with self.subTest(provider=provider, way=way.__name__):
                        answer = way(f"{provider}/choice", hello(tools=True, choice=True))
                        self.check(CASES["tools-thinking"], answer)

        def test_wrong_keys(self):
            self.fails(f"{next(self.providers('hello'))}/hello", {401}, key="sk-wrong")

        def test_unknown_models(self):
            self.fails("nobody/knows", {404})

        def test_spent_quotas(self):
            for provider in self.providers("spent"):
                self.fails(f"{provider}/spent", {429})

        def test_silent_providers(self):
            # One is enough: it takes its time.
            provider = next(self.providers("silent"))
            self.fails(f"{provider}/silent", {504})

        def test_models(self):
            names, one = client.models()
            self.assertEqual(set(MATRIX["models"]) - set(names), set())
            self.assertEqual(one, "openai/hello")

    name = "".join(part.title() for part in type(client).__name__.split("_"))
    made = Both if DIRECT else Gateway
    return type(name, (made,), {})


def main():
    # Without a wanted client there is nothing to run, which newer versions take for a failure.
    if any(check for name, check in vars(sys.modules["__main__"]).items() if name.endswith("Checks")):
        unittest.main(argv=["matrix"])
