"""Near duplicates: within a question by index, across questions by bands on disk; both find what a plain search does."""

import random
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from data_prep.filters import KEPT_EXAMPLES, Candidate, FilterReport
from data_prep.filters.minhash import bands_and_rows, jaccard, shingles, signature
from data_prep.filters.near_duplicates import NearDuplicate, without_near_duplicates

SCHEMA = pa.schema([("uid", pa.string()), ("text", pa.string())])


def words(rng: random.Random, n: int = 60) -> list[str]:
    return [f"w{rng.randrange(500)}" for _ in range(n)]


def candidate_of(row: Mapping[str, Any]) -> Candidate:
    return Candidate(row["uid"], "", row["text"], "a")


def rows_with_copies(n: int, seed: int = 0) -> list[dict[str, str]]:
    """Every fourth row is the one before it with one word changed; its uid says so."""
    rng = random.Random(seed)
    rows: list[dict[str, str]] = []
    for i in range(n):
        if i % 4 == 3:
            changed = rows[-1]["text"].split()
            changed[-1] = "changed"
            rows.append({"uid": f"copy {i}", "text": " ".join(changed)})
        else:
            rows.append({"uid": f"own {i}", "text": " ".join(words(rng))})
    return rows


def test_shingles_and_similarity() -> None:
    assert shingles("A b  C d") == {b"a b c", b"b c d"}
    assert shingles("a b") == {b"a b"} and shingles("") == {b""}
    rng = random.Random(1)
    one = words(rng, 200)
    other = one[:100] + words(rng, 100)
    true = len(shingles(" ".join(one)) & shingles(" ".join(other))) / len(
        shingles(" ".join(one)) | shingles(" ".join(other))
    )
    estimated = jaccard(signature(" ".join(one)).hashvalues, signature(" ".join(other)).hashvalues[None])[0]
    assert estimated == pytest.approx(true, abs=0.15)


@pytest.mark.parametrize("threshold", [0.0, -1.0, 0.99, 2.0])
def test_thresholds_that_say_nothing_are_refused(threshold: float) -> None:
    with pytest.raises(ValueError, match="near duplicates"):
        bands_and_rows(threshold)


def test_within_a_question() -> None:
    near = NearDuplicate(0.9)
    text = " ".join(words(random.Random(2)))
    changed = text.rsplit(" ", 1)[0] + " so"
    assert near.refuse(Candidate("u", "q", text, "a")) is None
    assert near.refuse(Candidate("u", "q", " ".join(words(random.Random(3))), "a")) is None
    refusal = near.refuse(Candidate("u", "q", changed, "b"))
    assert refusal is not None and refusal.reason == "near duplicate" and text in refusal.evidence
    assert near.refuse(Candidate("v", "q", changed, "b")) is None, "another question"


def test_across_questions(tmp_path: Path) -> None:
    rows = rows_with_copies(400)
    report = FilterReport(seen=len(rows))
    kept = list(without_near_duplicates(rows, SCHEMA, report, candidate_of, scratch=tmp_path))
    assert kept == [row for row in rows if row["uid"].startswith("own")], "in their order"
    assert report.dropped == {"near duplicate": 100} and report.kept == len(kept)
    assert len(report.examples) == KEPT_EXAMPLES
    assert [example["row"] for example in report.examples[:2]] == [3, 7]
    for example in report.examples:
        earlier = example["row"] - 1
        assert re.match(rf"similarity (0\.9\d|1\.00) to row {earlier}: ", example["evidence"])
        assert example["evidence"].endswith(rows[earlier]["text"])
    assert not [path for path in tmp_path.rglob("*") if path.is_file()], "nothing is left on disk"


def test_one_text_many_times_keeps_the_first(tmp_path: Path) -> None:
    rows = [{"uid": str(i), "text": "the same few words each time"} for i in range(300)]
    report = FilterReport(seen=300)
    kept = list(without_near_duplicates(rows, SCHEMA, report, candidate_of, scratch=tmp_path))
    assert [row["uid"] for row in kept] == ["0"]
    assert report.dropped.total() == 299


@pytest.mark.parametrize("n", [0, 1])
def test_few_rows(n: int, tmp_path: Path) -> None:
    rows = rows_with_copies(n)
    assert list(without_near_duplicates(rows, SCHEMA, FilterReport(), candidate_of, scratch=tmp_path)) == rows


def test_likenesses_with_different_answers_are_both_kept(tmp_path: Path) -> None:
    """Two contracts of 400 words that differ in one, and in what is right of them."""
    schema = pa.schema([("uid", pa.string()), ("text", pa.string()), ("gold", pa.string())])
    text = " ".join(words(random.Random(3), 400))
    rows = [
        {"uid": "a", "text": f"{text} shall pay", "gold": "Liability"},
        {"uid": "b", "text": f"{text} shall not", "gold": "None"},
        {"uid": "c", "text": f"{text} must pay", "gold": "Liability"},
    ]

    def with_answer(row: Mapping[str, Any]) -> Candidate:
        return Candidate(row["uid"], "", row["text"], "a", answer=row["gold"])

    report = FilterReport()
    kept = list(without_near_duplicates(rows, schema, report, with_answer, scratch=tmp_path / "scratch"))
    assert [row["uid"] for row in kept] == ["a", "b"] and report.dropped == {"near duplicate": 1}
    one = NearDuplicate()
    candidates = [
        Candidate("q", "", row["text"], "a", answer=row["gold"]) for row in (rows[0], rows[2], rows[1])
    ]
    assert [one.refuse(candidate) is None for candidate in candidates] == [True, False, True]
