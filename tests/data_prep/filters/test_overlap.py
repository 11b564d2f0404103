"""Overlap with evaluation sets: what is found, with which evidence, and what is left alone."""

import json
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_prep.filters import Candidate
from data_prep.filters.overlap import OverlapFilter, OverlapIndex, words_of
from data_prep.search_relevance.generator import make_item

WORDS = [f"w{i}" for i in range(2000)]


def sentence(seed: int, length: int = 40) -> str:
    return " ".join(random.Random(seed).sample(WORDS, length))


@pytest.fixture(scope="module")
def index() -> OverlapIndex:
    return OverlapIndex(
        {"one": [sentence(i) for i in range(50)], "two": [sentence(100 + i) for i in range(50)]}
    )


def test_words_ignore_case_form_and_punctuation_and_split_ideographs() -> None:
    assert words_of("The price, \uff11\uff10\uff05 (of IT)!") == ["the", "price", "10", "of", "it"]
    assert words_of("fill ____ in") == ["fill", "in"]
    assert words_of("\u7b54\u6848 is na\u00efve") == ["\u7b54", "\u6848", "is", "na\u00efve"]


def test_a_whole_document_is_found_inside_a_longer_text(index: OverlapIndex) -> None:
    found = index.find(f"Question: {sentence(107).upper()}!\nAnswer: 3")
    assert found is not None
    assert (found.dataset, found.document, found.whole, found.words) == ("two", 7, True, 40)
    assert found.span == sentence(107)
    assert "document 7, whole text" in found.evidence


def test_thirteen_shared_words_are_found_and_twelve_are_not(index: OverlapIndex) -> None:
    words = sentence(3).split()
    found = index.find(" ".join(["a", *words[5:18], "b"]))
    assert found is not None
    assert (found.dataset, found.document, found.whole, found.words) == ("one", 3, False, 13)
    assert found.span == " ".join(words[5:18])
    assert index.find(" ".join(["a", *words[5:17], "b"])) is None


def test_the_longest_span_is_the_evidence_and_every_document_is_named(index: OverlapIndex) -> None:
    one, two = sentence(1).split(), sentence(2).split()
    text = " ".join([*one[:14], "x", *one[20:40], "x", *two[:15]])
    assert [(o.document, o.words) for o in index.find_all(text)] == [(1, 20), (2, 15)]
    strongest = index.find(text)
    assert strongest is not None and strongest.words == 20


@given(st.lists(st.sampled_from(WORDS[:40]), max_size=60))
def test_found_spans_stand_in_both_texts(words: list[str]) -> None:
    documents = [" ".join(random.Random(i).choices(WORDS[:40], k=30)) for i in range(20)]
    index = OverlapIndex({"set": documents}, n=3, floor=2)
    text = " ".join(words)
    expected = {
        number
        for number, document in enumerate(documents)
        if not index.sets["set"].templated
        for i in range(28)
        if " ".join(document.split()[i : i + 3]) in text
    }
    found = index.find_all(text)
    assert all(f" {o.span} " in f" {text} " and o.span in documents[o.document] for o in found)
    assert {o.document for o in found} <= expected | {o.document for o in found if o.whole}


def test_short_documents_are_searched_as_a_whole_and_tiny_ones_must_equal_the_text() -> None:
    index = OverlapIndex({"short": ["What is the capital of France?", "2 + 3 = ?", sentence(0)]})
    found = index.find("Please say: what is the CAPITAL of France, Paris?")
    assert found is not None and (found.document, found.whole, found.words) == (0, True, 6)
    assert index.find("the capital of France is Paris") is None
    tiny = index.find("2 + 3  = ?")
    assert tiny is not None and tiny.document == 1
    assert index.find("2 - 3 = ?") is None
    assert index.find("what of 2 + 3 = ? and so on") is None
    assert (index.sets["short"].distinct, index.sets["short"].short) == (3, 1)


def test_what_all_documents_share_at_their_ends_is_no_overlap() -> None:
    ending = "Answer with one of the following letters only and explain nothing at all please now thanks"
    index = OverlapIndex({"set": [f"Question: {sentence(i, 20)} {ending}" for i in range(20)]})
    assert index.find(f"Another question. {ending}") is None
    found = index.find(sentence(4, 20))
    assert found is not None and found.whole


def test_boilerplate_inside_documents_is_ignored_but_the_whole_document_is_found() -> None:
    middle = "consider the following passage about trade and answer the question that comes after it in full"
    texts = [f"{sentence(i, 15)} {middle} {sentence(i + 500, 15)}" for i in range(20)]
    index = OverlapIndex({"set": texts})
    assert index.sets["set"].ignored > 0 and not index.sets["set"].templated
    assert index.find(f"now {middle} yes") is None
    found = index.find(texts[5])
    assert found is not None and found.whole


def test_templated_sets_count_whole_documents_only() -> None:
    """Generated questions share long runs of words with one another; only the same question is an overlap."""
    held_out = [make_item(0, "test", i).question for i in range(1000)]
    index = OverlapIndex({"search": held_out})
    assert index.sets["search"].templated
    others = [make_item(5, "train", i).question for i in range(2000)]
    found = [question for question in others if index.find(question)]
    assert set(found) == set(others) & set(held_out)
    for question in held_out[::50]:
        overlap = index.find(f"Rules first.\n{question}\n\nReason inside <think> </think>.")
        assert overlap is not None and overlap.whole


def test_a_longer_list_is_another_question_in_a_templated_set() -> None:
    held_out = [make_item(0, "test", i).question for i in range(1000)]
    index = OverlapIndex({"search": held_out})
    longer = [q.replace("\nIs the ad", ", XX\nIs the ad") for q in held_out[:20]]
    assert not any(index.find(question) for question in longer)


def test_repeated_and_empty_documents_are_counted() -> None:
    index = OverlapIndex({"set": [sentence(1), sentence(1), "?!", ""]})
    summary = index.sets["set"]
    assert (summary.documents, summary.distinct, summary.empty) == (4, 1, 2)
    found = index.find(sentence(1))
    assert found is not None and found.document == 0


def test_an_empty_index_finds_nothing() -> None:
    assert OverlapIndex({}).find(sentence(1)) is None
    assert OverlapIndex({"set": []}).find("") is None


def test_a_bad_floor_is_refused() -> None:
    with pytest.raises(ValueError, match="from 1 to n=5; got 6"):
        OverlapIndex({}, n=5, floor=6)


def test_a_very_long_text_is_searched(index: OverlapIndex) -> None:
    rng = random.Random(9)
    text = " ".join(rng.choices(WORDS, k=200_000)) + " " + sentence(11)
    assert [(o.dataset, o.document) for o in index.find_all(text)] == [("one", 11)]


def test_a_text_of_one_word_over_and_over_is_no_trap() -> None:
    index = OverlapIndex({"set": ["ha " * 60, sentence(1)]})
    found = index.find_all("ha " * 200_000)
    assert [(o.document, o.whole, o.words) for o in found] == [(0, True, 60)]


def test_the_filter_names_set_and_span(index: OverlapIndex) -> None:
    overlapping = OverlapFilter(index)
    clean = Candidate("u", sentence(900), sentence(901), "teacher")
    assert overlapping.refuse(clean) is None
    for candidate in (
        Candidate("u", sentence(3), "so 4", "teacher"),
        Candidate("u", sentence(900), f"we see {sentence(3)}", "teacher"),
    ):
        refusal = overlapping.refuse(candidate)
        assert refusal is not None
        assert refusal.reason == "overlap with the evaluation set one"
        assert sentence(3) in refusal.evidence


def test_gsm8k_solutions_of_test_questions_are_all_found(shared_data: Path) -> None:
    """The example model solutions answer questions of the test split; the training split is nearly clean."""

    def questions(name: str) -> list[str]:
        lines = (shared_data / "gsm8k" / name).read_text(encoding="utf-8").splitlines()
        return [json.loads(line)["question"] for line in lines]

    index = OverlapIndex({"gsm8k": questions("test.jsonl")})
    assert not index.sets["gsm8k"].templated
    solved = questions("example_model_solutions.jsonl")
    assert sum(bool((found := index.find(q)) and found.whole) for q in solved) == len(solved) == 700
    trained = [found for q in questions("train.jsonl") if (found := index.find(q))]
    # Looked at: one stamp story with its names changed, two of the same train speed, one film length.
    assert len(trained) == 4 and not any(found.whole for found in trained)
