"""An OpenAI-compatible endpoint on the loopback that misbehaves on purpose, and counts what it is asked.

For the tests of `realm distill`. What it says depends on the request alone; how it fails on the request and on how often
that was asked before. `asked` counts tries, `served` good replies, whether or not someone was still
there to take them (a bill counts those too), by content of the request.
"""

import hashlib
import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from data_prep.search_relevance.datasets import teach
from reward_fns.domains.search_relevance.engine import LABELS

OK, LIMIT, LIMIT_DATE, ERROR, SLOW, TORN, GARBAGE, NO_MESSAGE, EMPTY, NO_USAGE = (
    *("ok", "429", "429 with a date", "500", "slow", "torn", "garbage", "no message", "empty", "no usage"),
)
FAULTS = (LIMIT, ERROR, TORN, GARBAGE, NO_MESSAGE, EMPTY)

Say = Callable[[str, int], tuple[str, str]]
"""From the prompt and a number drawn from the request: the text and the finish reason."""
Fail = Callable[[str, int], str]
"""From the request's key and how often it was asked before: what to do."""


def never(key: str, before: int) -> str:
    return OK


def often_at_first(key: str, before: int) -> str:
    """A third of the requests fail once, a few of them twice, each in its way."""
    draw = int(key[:8], 16)
    fails = (0, 0, 0, 0, 1, 2)[draw % 6]
    return FAULTS[(draw // 6 + before) % len(FAULTS)] if before < fails else OK


def question_in(prompt: str) -> str:
    return prompt.partition("Question:\n")[2].partition("Irrelevant?")[0] + "Irrelevant?"


def expert_says(prompt: str, draw: int) -> tuple[str, str]:
    """A teacher of `search_relevance` that is right two times out of three, and errs in every way there is."""
    route = teach(question_in(prompt), "full")
    steps, answer = list(route.steps), route.answer
    verdicts = ""
    if "Routes to judge" in prompt:
        answers = [line.partition(": ")[2] for line in prompt.splitlines() if line.startswith("Answer")]
        right = [given == answer if draw % 5 else True for given in answers]
        lines = [f"{i}: {'right' if good else 'wrong'}" for i, good in enumerate(right, start=1)]
        verdicts = "\n".join(["<verdicts>", *lines, "</verdicts>\n"])
    elif draw % 12 == 0:
        return f"<think>\n1. {steps[0]}", "length"
    elif draw % 12 == 1:
        steps[-1] = f"so {answer} [R99]"
    elif draw % 12 == 2:
        steps[-1] = f"so {answer} [R2]"
    elif draw % 12 == 3:
        return "I would say it is " + answer, "stop"
    elif draw % 12 < 6:
        answer = LABELS[(LABELS.index(answer) + 1) % len(LABELS)]
        steps[-1] = f"so {answer} [R4]"
    think = "\n".join(f"{i}. {step}" for i, step in enumerate(steps, start=1))
    return f"<think>\n{think}\n</think>\n{verdicts}<answer> {answer} </answer>", "stop"


class FaultServer(ThreadingHTTPServer):
    """Start with `serving`; `url` is the base URL."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, say: Say, fail: Fail, seconds: float = 0.0, slow_seconds: float = 5.0) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.say, self.fail = say, fail
        self.seconds, self.slow_seconds = seconds, slow_seconds
        self.lock = threading.Lock()
        self.asked: Counter[str] = Counter()
        self.served: Counter[str] = Counter()
        self.faults: Counter[str] = Counter()
        self.keys: set[str] = set()
        """API keys that were sent."""
        self.begun: list[float] = []
        """When each request began."""
        self.refuse_with: int | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that went away is what some tests are about."""


class _Handler(BaseHTTPRequestHandler):
    server: FaultServer
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        server, key = self.server, content_key(body)
        with server.lock:
            fault = server.fail(key, server.asked[key])
            server.asked[key] += 1
            server.faults[fault] += 1
            server.keys.add(self.headers.get("Authorization", ""))
            server.begun.append(time.monotonic())
        if server.refuse_with is not None:
            message = f"no, and your key is {self.headers.get('Authorization', '')}"
            self._send(server.refuse_with, json.dumps({"error": {"message": message}}))
            return
        time.sleep(server.slow_seconds if fault == SLOW else server.seconds)
        if fault == LIMIT:
            self._send(429, "{}", {"Retry-After": "0"})
        elif fault == LIMIT_DATE:
            date = datetime.now(UTC) + timedelta(seconds=1)
            self._send(429, "{}", {"Retry-After": format_datetime(date, usegmt=True)})
        elif fault == ERROR:
            self._send(500, "oops")
        else:
            self._answer(fault, key, body)

    def _answer(self, fault: str, key: str, body: Mapping[str, Any]) -> None:
        prompt = body["messages"][-1]["content"]
        text, finish = self.server.say(prompt, int(key[8:16], 16))
        if fault == EMPTY:
            finish = "stop"  # with "length" it would be a whole reply: the thinking took all there was
        choice: dict[str, Any] = {"index": 0, "finish_reason": finish, "message": {"role": "assistant"}}
        if fault != NO_MESSAGE:
            choice["message"]["content"] = "" if fault == EMPTY else text
        reply: dict[str, Any] = {"id": "x", "object": "chat.completion", "choices": [choice]}
        if fault != NO_USAGE:
            reply["usage"] = {"prompt_tokens": len(prompt) // 4, "completion_tokens": len(text) // 4}
        data = "<html>" if fault == GARBAGE else json.dumps(reply)
        if fault == TORN:
            self._send(200, data[: len(data) // 2], length=len(data))
            self.close_connection = True
            return
        if fault in (OK, NO_USAGE, SLOW):
            with self.server.lock:
                self.server.served[key] += 1
        self._send(200, data)

    def _send(
        self, status: int, text: str, headers: Mapping[str, str] | None = None, length: int | None = None
    ) -> None:
        data = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(length or len(data)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:
        """Silence."""


def content_key(body: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()


@contextmanager
def serving(
    say: Say = expert_says, fail: Fail = never, seconds: float = 0.0, slow_seconds: float = 5.0
) -> Iterator[FaultServer]:
    with FaultServer(say, fail, seconds, slow_seconds) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
