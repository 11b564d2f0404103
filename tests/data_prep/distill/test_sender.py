"""Sending over real HTTP to a server that misbehaves: every fault ends in the reply, a counted failure or a clear stop."""

import asyncio
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest

from data_prep.distill.limits import Prices
from data_prep.distill.openai_teacher import OpenAITeacher, read_body
from data_prep.distill.requests import CHAIN, Failure, Parameters, Reply, Request
from data_prep.distill.sender import Ending, Limits, Sender, Stopped
from data_prep.distill.store import Store
from data_prep.distill.teachers import Malformed
from tests.data_prep.distill import fault_server
from tests.data_prep.distill.fault_server import FaultServer, serving
from tests.data_prep.distill.test_limits import Stopwatch

pytest.importorskip("openai")
PARAMETERS = Parameters(max_tokens=100)


def request(text: str = "hello", attempt: int = 0) -> Request:
    return Request(CHAIN, "uid", text, attempt, (("user", text),), seed=attempt)


def echo(prompt: str, draw: int) -> tuple[str, str]:
    return f"you said {prompt}", "stop"


def first(*faults: str) -> fault_server.Fail:
    """These faults, then none."""
    return lambda key, before: faults[before] if before < len(faults) else fault_server.OK


class Scene:
    """A sender with fake time and a real server."""

    def __init__(self, folder: Path, server: FaultServer, limits: Limits, timeout: float = 5.0) -> None:
        self.clock = Stopwatch()
        self.store = Store(folder)
        self.teacher = OpenAITeacher("m", server.url, PARAMETERS, timeout=timeout)
        self.limits = limits

    def play(self, *requests: Request) -> list[Reply | Failure | BaseException]:
        async def all_of_them() -> list[Reply | Failure | BaseException]:
            self.sender = Sender(self.teacher, self.store, self.limits, "1", PARAMETERS, self.clock)
            try:
                return await asyncio.gather(*map(self.sender.ask, requests), return_exceptions=True)
            finally:
                await self.teacher.close()

        with self.store:
            answers = asyncio.run(all_of_them())
            self.spent, self.unsettled = self.store.spent, self.store.unsettled
        return answers


REPLY = Reply("you said hello", "stop", 1, 3)


@pytest.mark.parametrize(
    ("fault", "counted"),
    [
        (fault_server.LIMIT, "error: HTTP 429"),
        (fault_server.LIMIT_DATE, "error: HTTP 429"),
        (fault_server.ERROR, "error: HTTP 500"),
        (fault_server.TORN, "error: connection broke off"),
        (fault_server.GARBAGE, "error: reply is not JSON"),
        (fault_server.NO_MESSAGE, "error: reply has no message"),
        (fault_server.EMPTY, "error: reply is empty"),
    ],
)
def test_a_fault_is_counted_and_the_request_sent_again(tmp_path: Path, fault: str, counted: str) -> None:
    with serving(echo, first(fault)) as server:
        scene = Scene(tmp_path, server, Limits())
        assert scene.play(request()) == [REPLY]
    assert scene.sender.counts[counted] == 1 and sum(server.asked.values()) == 2
    assert scene.clock.time > 0.4  # it waited before the second try


def test_a_slow_reply_is_a_timeout_that_may_be_billed(tmp_path: Path) -> None:
    prices = Prices(Decimal(1_000_000), Decimal(1_000_000))
    with serving(echo, first(fault_server.SLOW), slow_seconds=0.6) as server:
        scene = Scene(tmp_path, server, Limits(prices=prices), timeout=0.3)
        assert scene.play(request()) == [REPLY]
    worst = request().most_prompt_tokens + PARAMETERS.max_tokens
    assert scene.sender.counts["error: timeout"] == 1
    assert scene.spent == worst + 1 + 3 and scene.unsettled == 0


def test_a_429_holds_back_all_requests_for_the_time_asked(tmp_path: Path) -> None:
    with serving(echo, first(fault_server.LIMIT_DATE)) as server:
        scene = Scene(tmp_path, server, Limits())
        assert scene.play(request("a"), request("b")) == [
            Reply("you said a", "stop", 0, 2),
            Reply("you said b", "stop", 0, 2),
        ]
        assert 0.5 < scene.clock.time < 4


def test_a_reply_is_paid_for_once(tmp_path: Path) -> None:
    with serving(echo) as server:
        assert Scene(tmp_path, server, Limits()).play(request(), request()) == [REPLY, REPLY]
        again = Scene(tmp_path, server, Limits())
        assert again.play(request()) == [REPLY]
        assert sum(server.asked.values()) == 1 and again.sender.counts["tries"] == 0


def test_malformed_replies_are_given_up_for_good(tmp_path: Path) -> None:
    with serving(echo, lambda key, before: fault_server.GARBAGE) as server:
        expected = Failure("reply is not JSON", "<html>")
        assert Scene(tmp_path, server, Limits(malformed_tries=2)).play(request()) == [expected]
        assert Scene(tmp_path, server, Limits()).play(request()) == [expected]
        assert sum(server.asked.values()) == 2


@pytest.mark.parametrize("status", [400, 401, 403, 404])
def test_a_refusal_ends_the_run_with_one_message_without_the_key(
    tmp_path: Path, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    with serving(echo) as server:
        server.refuse_with = status
        scene = Scene(tmp_path, server, Limits())
        answers = scene.play(request("a"), request("b"))
        assert server.keys == {"Bearer sk-secret"}
    assert all(isinstance(answer, Stopped) for answer in answers)
    stop = scene.sender.stop
    assert (
        stop is not None
        and stop.ending is Ending.REFUSED
        and f"HTTP {status}: no, and your key" in stop.message
    )
    stored = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert "sk-secret" not in stop.message and b"sk-secret" not in stored


@pytest.mark.parametrize("skip", [True, False])
def test_a_server_that_keeps_failing(tmp_path: Path, skip: bool) -> None:
    with serving(echo, lambda key, before: fault_server.ERROR) as server:
        scene = Scene(tmp_path, server, Limits(tries=3, skip_failing=skip))
        (answer,) = scene.play(request())
        assert sum(server.asked.values()) == 3
    if skip:
        assert answer == Failure("the server kept failing", "the server kept failing (HTTP 500)")
    else:
        assert isinstance(answer, Stopped) and scene.sender.stop is not None
        assert (
            scene.sender.stop.ending is Ending.UNREACHABLE and "--skip-failing" in scene.sender.stop.message
        )


def test_a_limit_that_lets_others_through_is_no_failure(tmp_path: Path) -> None:
    asked = iter(range(10_000))

    def one_in_four(key: str, before: int) -> str:
        return fault_server.LIMIT if next(asked) % 4 else fault_server.OK

    with serving(echo, one_in_four) as server:
        scene = Scene(tmp_path, server, Limits(tries=5))
        answers = scene.play(*(request(f"{n}") for n in range(12)))
    assert all(isinstance(answer, Reply) for answer in answers)
    assert max(server.asked.values()) > 5, "some had more turns than tries"


def test_nobody_listens(tmp_path: Path) -> None:
    with serving(echo) as server:
        scene = Scene(tmp_path, server, Limits(tries=2))
    (answer,) = scene.play(request())
    assert isinstance(answer, Stopped) and scene.sender.counts["error: cannot connect"] == 2


def test_a_wait_that_is_too_long_ends_the_run(tmp_path: Path) -> None:
    with serving(echo, first(fault_server.LIMIT_DATE)) as server:
        scene = Scene(tmp_path, server, Limits(longest_wait=0.1))
        (answer,) = scene.play(request())
    assert isinstance(answer, Stopped) and scene.sender.stop is not None
    assert "asks to wait" in scene.sender.stop.message


def test_the_ceiling_is_never_passed_and_binds_across_runs(tmp_path: Path) -> None:
    prices, requests = Prices(Decimal(1), Decimal(10)), [request(f"{n:05d}") for n in range(40)]
    worst = prices.cost(requests[0].most_prompt_tokens, PARAMETERS.max_tokens)
    each = prices.cost(1, 3)
    limits = Limits(prices=prices, max_cost=worst + 10 * each)
    with serving(echo) as server:
        scene = Scene(tmp_path, server, limits)
        answers = scene.play(*requests)
        assert scene.spent == 11 * each <= worst + 10 * each and scene.unsettled == 0
        assert sum(isinstance(answer, Reply) for answer in answers) == 11 == sum(server.asked.values())
        assert scene.sender.stop is not None and scene.sender.stop.ending is Ending.CEILING
        assert sum(isinstance(a, Reply) for a in Scene(tmp_path, server, limits).play(*requests)) == 11
        assert sum(server.asked.values()) == 11


def test_requests_and_tokens_a_minute(tmp_path: Path) -> None:
    requests = [request(f"{n:04d}") for n in range(13)]
    with serving(echo) as server:
        scene = Scene(tmp_path / "a", server, Limits(requests_per_minute=60))
        scene.play(*requests)
        assert 12 <= scene.clock.time <= 14
        scene = Scene(tmp_path / "b", server, Limits(tokens_per_minute=60 * PARAMETERS.max_tokens))
        scene.play(*requests)
        assert scene.clock.time >= 12


def test_missing_usage_is_billed_at_its_worst(tmp_path: Path) -> None:
    prices = Prices(Decimal(1_000_000), Decimal(1_000_000))
    with serving(echo, first(fault_server.NO_USAGE)) as server:
        scene = Scene(tmp_path, server, Limits(prices=prices))
        assert scene.play(request()) == [Reply("you said hello", "stop", None, None)]
    assert scene.spent == request().most_prompt_tokens + PARAMETERS.max_tokens


def test_ending_waits_for_what_is_in_flight(tmp_path: Path) -> None:
    async def scene(store: Store, url: str) -> tuple[list[object], Sender]:
        sender = Sender(
            OpenAITeacher("m", url, PARAMETERS), store, Limits(requests_per_minute=120), "1", PARAMETERS
        )
        asking = asyncio.gather(sender.ask(request("a")), sender.ask(request("b")), return_exceptions=True)
        await asyncio.sleep(0.1)
        sender.end(Ending.INTERRUPTED, "enough")
        return list(await asking), sender

    with serving(echo, seconds=0.3) as server, Store(tmp_path) as store:
        (one, other), sender = asyncio.run(scene(store, server.url))
    assert one == Reply("you said a", "stop", 0, 2) and isinstance(other, Stopped)
    assert sender.stop is not None and sum(server.asked.values()) == 1


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: OpenAITeacher("m", "localhost", PARAMETERS), "is an address"),
        (
            lambda: OpenAITeacher("m", "https://api.openai.com/v1", PARAMETERS),
            "OPENAI_API_KEY holds no API key",
        ),
        (lambda: OpenAITeacher("m", "http://localhost/v1", PARAMETERS, "MINE"), "MINE holds no API key"),
    ],
)
def test_bad_address_or_key(
    make: Callable[[], object], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(ValueError, match=message):
        make()


def test_the_description_holds_no_secret() -> None:
    teacher = OpenAITeacher("org/m", "http://me:pass@host:8000/v1?key=x", PARAMETERS)
    assert teacher.description == {"kind": "openai", "model": "org/m", "base_url": "http://host:8000/v1"}
    assert teacher.name == "teacher/m"


@pytest.mark.parametrize(
    ("body", "reply"),
    [
        ('{"choices": [{"message": {"content": "x"}}]}', Reply("x", "stop")),
        ('{"choices": [{"message": {"content": null}, "finish_reason": "length"}]}', Reply("", "length")),
        (
            '{"choices": [{"message": {"content": "x"}}], "usage": {"prompt_tokens": -1, "completion_tokens": true}}',
            Reply("x", "stop"),
        ),
        (
            '{"choices": [{"message": {"content": "x", "reasoning_content": "1. so x"}}]}',
            Reply("x", "stop", reasoning="1. so x"),
        ),
        (
            '{"choices": [{"message": {"content": null, "reasoning": "so x"}}]}',
            Reply("", "stop", reasoning="so x"),
        ),
        ('{"choices": [{"message": {"reasoning": "so x"}}]}', Reply("", "stop", reasoning="so x")),
        ('{"choices": [{"message": {"content": [{"type": "text", "text": "x"}]}}]}', Reply("x", "stop")),
        ('{"choices": [{"message": {"content": "", "reasoning": " "}, "finish_reason": "eos"}]}', None),
        ("null", None),
        ("[]", None),
        ('{"choices": []}', None),
        ('{"choices": [{"message": {"content": 3}}]}', None),
        ('{"choices": [null]}', None),
    ],
)
def test_bodies(body: str, reply: Reply | None) -> None:
    if reply is not None:
        assert read_body(body) == reply
    else:
        with pytest.raises(Malformed):
            read_body(body)
