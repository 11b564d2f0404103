"""Statistics and the surface probe: planted cues are found, their absence too, on questions the fit has not seen."""

import random
from pathlib import Path

import pytest

from data_prep.routes.probe import probe
from data_prep.routes.stats import read_stats
from data_prep.schema import bank_row
from reward_fns.routes import Route
from tests.data_prep.routes.banks import bank_rows, question_of, rl_rows, write_bank, write_rl


def routes_with(cue: str, n: int = 100, seed: int = 0) -> tuple[list[str], list[Route]]:
    """Four routes a question, half of them right; `cue` says in what they differ, most of the time."""
    rng = random.Random(seed)
    uids, routes = [], []
    for question in range(n):
        for number in range(4):
            label = number % 2 == 0
            shows = label if rng.random() < 0.85 else not label
            words = [rng.choice("abcdefgh") * 3 for _ in range(rng.randint(8, 14))]
            words += ["hence"] if cue == "words" and shows else []
            words *= 2 if cue == "length" and shows else 1
            source = "strong" if cue == "source" and shows else "weak"
            uids.append(str(question))
            routes.append(
                Route((f"q{question}", " ".join(words)), "1" if label else "2", label, None, None, source)
            )
    return uids, routes


@pytest.mark.parametrize("cue", ["words", "length", "source"])
def test_planted_cues_are_found(cue: str) -> None:
    found = probe(*routes_with(cue))
    assert found is not None and found.all > 0.5
    assert (found.form > 0.5) == (cue != "words")
    assert found.questions == 100 and found.routes == 400 and 0 < found.error < 0.2


def test_nothing_is_found_where_there_is_nothing() -> None:
    found = probe(*routes_with("nothing"))
    assert found is not None and abs(found.all) < 0.2 and abs(found.form) < 0.2


def test_what_is_known_of_a_question_does_not_help() -> None:
    """All routes of a question share a word and a label: only a fit that had seen the question would gain."""
    uids = [str(i // 4) for i in range(400)]
    routes = [
        Route((f"word{i // 4} word{i // 4}",), "1", random.Random(i // 4).random() < 0.5, None, None, "a")
        for i in range(400)
    ]
    found = probe(uids, routes)
    assert found is not None and abs(found.words) < 0.25


def test_too_little_to_say() -> None:
    uids, routes = routes_with("words", n=10)
    assert probe(uids, routes) is None
    assert probe([str(i) for i in range(50)], [routes[0]] * 50) is None


def test_counts(tmp_path: Path) -> None:
    rows = list(bank_rows(30, 4))
    question, gold = question_of(1)
    disputed = Route(("once",), gold, True, False, 0, "people")
    twice = Route(("ONCE ",), gold, True, None, None, "people")
    rows += [bank_row(question, gold, r, domain="math", writer="p", stale=True) for r in (disputed, twice)]
    stats = read_stats(write_bank(tmp_path / "bank.parquet", rows))
    assert (stats.questions, stats.routes, stats.disputed, stats.stale) == (30, 122, 1, 2)
    assert (stats.duplicates, stats.sound_known, stats.first_errors) == (1, 1, 1)
    assert sum(stats.kinds.values()) == 30 and stats.writers == {"w": 120, "p": 2}
    assert stats.sources["people"]["right"] == 1 and stats.sources["people"]["disputed"] == 1
    assert stats.probed is not None and set(stats.single) == {"length", "number of steps", "source"}


def test_a_validation_file_counts_each_question_once(tmp_path: Path) -> None:
    routes = [Route((f"{i}",), str(i), False, None, None, "a") for i in range(3)]
    halves = [row for regime in ("unguided", "guided") for row in rl_rows(5, routes=routes, regime=regime)]
    stats = read_stats(write_rl(tmp_path / "val.parquet", halves))
    assert (stats.questions, stats.routes, stats.duplicates) == (5, 15, 0)
