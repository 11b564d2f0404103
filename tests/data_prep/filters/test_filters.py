"""The filters: each refuses what it is for, with the evidence, and lets everything else pass; the pass streams."""

from collections.abc import Iterator

import pytest

from data_prep.filters import KEPT_EXAMPLES, Candidate, Filter, FilterReport, run_filters
from data_prep.filters.exact import ExactDuplicate
from data_prep.filters.length import TooLong, Truncated
from data_prep.filters.rules import UnknownRule


def candidate(text: str, uid: str = "u", source: str = "a", truncated: bool = False) -> Candidate:
    return Candidate(uid, "question", text, source, truncated)


def test_truncated() -> None:
    assert Truncated().refuse(candidate("whole")) is None
    refusal = Truncated().refuse(candidate("and then", truncated=True))
    assert refusal is not None and refusal.reason == "truncated" and "and then" in refusal.evidence


def test_too_long_in_characters_and_in_tokens() -> None:
    assert TooLong(5).refuse(candidate("12345")) is None
    refusal = TooLong(5).refuse(candidate("123456"))
    assert refusal is not None and refusal.evidence == "6 characters, 5 allowed"
    words = TooLong(2, lambda text: len(text.split()))
    assert words.refuse(candidate("one two")) is None
    refusal = words.refuse(candidate("one two three"))
    assert refusal is not None and refusal.evidence == "3 tokens, 2 allowed"


def test_a_text_of_millions_is_not_tokenised() -> None:
    def count(text: str) -> int:
        raise AssertionError("was tokenised")

    assert TooLong(100, count).refuse(candidate("x" * 2_000_000)) is not None
    with pytest.raises(ValueError, match="1 unit or more; got 0"):
        TooLong(0)


def test_unknown_rule() -> None:
    rules = UnknownRule(["R1", "R2"])
    assert rules.refuse(candidate("no rule, [note 3], R9")) is None
    assert rules.refuse(candidate("so Exact [R1], [R2]")) is None
    refusal = rules.refuse(candidate("by [R1] and [R17] so Exact"))
    assert refusal is not None and refusal.reason == "unknown rule cited"
    assert refusal.evidence.startswith("R17 in ")


def test_exact_duplicates_are_those_of_one_question() -> None:
    exact = ExactDuplicate()
    assert exact.refuse(candidate("3 + 4 = 7", source="first")) is None
    assert exact.refuse(candidate("3 + 4 = 8")) is None
    refusal = exact.refuse(candidate(" 3 +  4\n= 7 "))
    assert refusal is not None and refusal.reason == "exact duplicate" and "first" in refusal.evidence
    assert exact.refuse(candidate("3 + 4 = 7", uid="other")) is None
    assert exact.refuse(candidate("half \ud800 a pair", uid="other")) is None


def test_the_first_refusal_counts_and_examples_are_few() -> None:
    report = FilterReport()
    rows = ["x" * 10 if i % 2 else "short" for i in range(100)]
    filters: list[Filter] = [TooLong(5), UnknownRule([])]
    kept = list(run_filters(rows, filters, report, candidate))
    assert kept == ["short"] * 50
    assert (report.seen, report.kept, dict(report.dropped)) == (100, 50, {"too long": 50})
    assert [e["row"] for e in report.examples] == list(range(1, 2 * KEPT_EXAMPLES, 2))
    assert report.examples[0] == {
        "row": 1,
        "reason": "too long",
        "text": "x" * 10,
        "evidence": "10 characters, 5 allowed",
        "uid": "u",
        "source": "a",
    }


def test_the_pass_reads_no_row_before_it_is_asked_for() -> None:
    read = []

    def rows() -> Iterator[str]:
        for i in range(10):
            read.append(i)
            yield str(i)

    passed = run_filters(rows(), [], FilterReport(), candidate)
    assert next(passed) == "0" and next(passed) == "1"
    assert read == [0, 1]
