"""Hostile outputs: every one answered, in time, with the constant keys. `benchmarks/bench_hostile.py` runs more."""

import time

import pytest

from benchmarks.hostile_outputs import GOLDS, MAKERS, hostile_outputs
from reward_fns import compute_score, symbolic
from reward_fns.answers import compare, is_equivalent, judge
from reward_fns.match import Match

KEYS = set(compute_score("realm/math", "<answer> 1 </answer>", "1"))


@pytest.fixture(autouse=True)
def short_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(symbolic, "BUDGET_SECONDS", 0.3)


@pytest.mark.parametrize(("count", "with_workers"), [(2_000, False), (160, True)])
def test_hostile_outputs(count: int, with_workers: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Our own part is bounded in processor time: the clock would measure the machine."""
    if not with_workers:
        monkeypatch.setattr(symbolic, "_installed", lambda: False)
    seen = set()
    for i, (kind, text) in enumerate(hostile_outputs(count, seed=1, huge=40_000)):
        started = time.process_time()
        result = compute_score("realm/math", text, GOLDS[i % len(GOLDS)])
        assert time.process_time() - started < 0.5, (kind, text[:80])
        assert set(result) == KEYS and result["outcome"] in (0.0, 1.0)
        seen.add(kind)
    assert seen == set(MAKERS)


def test_a_million_characters() -> None:
    for kind, text in hostile_outputs(len(MAKERS), seed=2):
        started = time.process_time()
        is_equivalent(text, "18")
        assert time.process_time() - started < 2.0, kind


@pytest.mark.parametrize(
    "text",
    [
        "9^{9^{9}}",
        "9**9**9",
        "99999999!",
        "10^{99999}",
        "\\frac{" * 300 + "1",
        "(" * 400 + "1" + ")" * 400,
        "((((x+1)^{20}+1)^{20}+1)^{20}+1)^{20}",
        "\\sin(" * 20 + "x+y" + ")^{9}" * 20,
        "\\sqrt{99999999999999999999}",
        "1" * 401,
        "x" * 999,
    ],
)
def test_cheap_tiers_do_not_compute_what_is_large(text: str) -> None:
    started = time.process_time()
    assert compare(text, "18")[0] is not Match.SAME
    assert time.process_time() - started < 0.5


def test_large_numbers_ask_nobody() -> None:
    for text in ("9^{9^{9}}", "99999999!", "10^{99999999}"):
        assert judge(text, "18") is Match.AMBIGUOUS
