"""Harvest: what speaks of routes goes, what leans on them is dropped with a reason, and the rest is right without them."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from data_prep.routes.bank import questions_of
from data_prep.routes.folders import write_harvested
from data_prep.routes.harvest import Harvested, HarvestOptions, harvest_rows
from data_prep.routes.responses import questions_by_text, response_files, shown_in
from data_prep.schema import SFT_SCHEMA
from realm_ext.prompt import UNGUIDED, render_messages
from reward_fns.response import parse_response
from reward_fns.routes import Route
from reward_fns.stripping import strip_routes
from tests.data_prep.routes.banks import question_of, rl_rows, write_rl

ROUTES = (
    Route(
        ("7 and 7 are two sevens, which together make fourteen of them all", "so 14"),
        "14",
        True,
        None,
        None,
        "a",
    ),
    Route(("7 + 7 = 15", "so 15"), "15", False, None, 0, "b"),
)
OWN = "7 + 7 is twice 7.\nTwice 7 is 14, as 7, 14, 21 is the row of seven."


@pytest.mark.parametrize(
    ("reasoning", "left"),
    [
        ("Route 1 is right. 3 + 4 = 7, so seven it is.\nso 7", "3 + 4 = 7, so seven it is.\nso 7"),
        (
            "1. Both routes agree.\n2. 3 + 4 = 7 by counting\n3. so the answer is 7",
            "1. 3 + 4 = 7 by counting\n2. so the answer is 7",
        ),
        ("1: right\n2: wrong at 3\n3 + 4 = 7 by counting up", "3 + 4 = 7 by counting up"),
        (
            "The second solution forgets one. 3 + 4 = 7, which is what was asked for.",
            "3 + 4 = 7, which is what was asked for.",
        ),
        ("3 + 4 = 7.\nNo route is needed.", "3 + 4 = 7."),
    ],
)
def test_sentences_about_routes_go(reasoning: str, left: str) -> None:
    stripped = strip_routes(reasoning, "What is 3 + 4?", ())
    assert (stripped.text, stripped.refused) == (left, None) and stripped.removed >= 1


def test_words_that_the_question_uses_stay() -> None:
    text = "The bus route has 3 stops. Each solution of salt weighs 2."
    question = "A bus route ... a solution of salt ...?"
    assert strip_routes(text, question, ()).text == text
    assert strip_routes(text + " Route 2 says 5.", question, ()).text == text


@pytest.mark.parametrize(
    ("reasoning", "reason"),
    [
        ("Route 1 is right.\nRoute 2 is wrong at 1.", "nothing but routes in the reasoning"),
        ("Unlike the others I count 3 + 4 = 7 here", "still points at a route"),
        ("3 + 4 = 7 because step 2 is right and so on", "still points at a route"),
        ("So: 7 and 7 are two sevens, which together make fourteen.", "10 words in a row of a shown route"),
        (
            "Route 1 adds one and then another one and that is fine. Yes.",
            "less than 30% left without the routes",
        ),
    ],
)
def test_chains_that_lean_on_routes_are_refused(reasoning: str, reason: str) -> None:
    stripped = strip_routes(reasoning, "What is 7 + 7?", ROUTES)
    assert stripped.refused == reason and stripped.evidence


def test_what_the_question_says_may_be_said() -> None:
    step = ROUTES[0].steps[0]
    assert strip_routes(f"{step}. Hence 14.", f"We know: {step}. How many?", ROUTES).refused is None


def prompt_text(question: str, routes: Sequence[Route], n_steps: Sequence[int] | None = None) -> str:
    """What verl's dump holds of a prompt: the chat template's text without special tokens."""
    content = render_messages([{"role": "user", "content": question}], routes, shown_steps=n_steps)[0][
        "content"
    ]
    return f"system\nYou help.\nuser\n{content}\nassistant\n"


def test_shown_routes_are_read_back_from_the_prompt() -> None:
    found = shown_in(prompt_text("What is 7 + 7?", ROUTES))
    assert [(route.steps, route.answer) for route in found] == [(r.steps, r.answer) for r in ROUTES]
    cut = shown_in(prompt_text("What is 7 + 7?", ROUTES, [1, 2]))
    assert [(route.steps, route.answer) for route in cut] == [
        (ROUTES[0].steps[:1], ""),
        (ROUTES[1].steps, "15"),
    ]
    assert shown_in(prompt_text("What is 7 + 7?", ())) == ()


def response(think: str, answer: str = "14", verdicts: str = "1: right\n2: wrong at 1") -> str:
    return f"<think> {think} </think>\n<verdicts>\n{verdicts}\n</verdicts>\n<answer> {answer} </answer>"


def write_dump(folder: Path, step: int, entries: Sequence[tuple[str, str]]) -> None:
    folder.mkdir(exist_ok=True)
    lines = [
        json.dumps(
            {"input": prompt, "output": output, "gts": "14", "score": 1.0, "step": step, "uid": "r_0_0"}
        )
        for prompt, output in entries
    ]
    (folder / f"{step}.jsonl").write_text("\n".join(lines) + "\n")


def harvest(folder: Path, data: Path | None, **options: Any) -> tuple[list[dict[str, Any]], Harvested]:
    harvested = Harvested()
    questions = questions_by_text(questions_of(data)) if data else {}
    files = response_files(folder)
    return list(harvest_rows(files, questions, HarvestOptions(**options), harvested)), harvested


def test_unguided_chains_are_taken_as_they_are(tmp_path: Path) -> None:
    """The control of harvest: what was right without routes, and speaks of none that could be taken out."""
    data = write_rl(tmp_path / "train.parquet", rl_rows(10))
    question, _ = question_of(7)
    bare = prompt_text(question, ())
    plain = "7 plus 7, so two sevens.\nUnlike the others I count up."
    entries = [
        (bare, f"<think> {plain} </think>\n<answer> 14 </answer>"),
        (bare, f"<think> {plain} </think>\n<answer> 15 </answer>"),
        (prompt_text(question, ROUTES), response(OWN)),
        (prompt_text("What is 99 + 99?", ()), "<think> x y </think>\n<answer> 198 </answer>"),
    ]
    write_dump(tmp_path / "dump", 1, entries)
    rows, harvested = harvest(tmp_path / "dump", data, regime="unguided")
    (row,) = rows
    assert [m["content"] for m in row["messages"]] == [
        question + UNGUIDED,
        f"<think> {plain} </think>\n<answer> 14 </answer>",
    ]
    assert harvested.unusable == {"guided": 1, "question not in the data": 1}
    assert harvested.read.dropped == {"wrong answer": 1} and harvested.sentences_removed == 0


def test_no_more_rows_than_another_harvest_has(tmp_path: Path) -> None:
    data = write_rl(tmp_path / "train.parquet", rl_rows(10))
    chains = [f"7 and 7 are {word} sevens." for word in ("two", "a pair of", "twice one", "both")]
    entries = [
        (
            prompt_text(question_of(n)[0], ()),
            f"<think> {chain} </think>\n<answer> {question_of(n)[1]} </answer>",
        )
        for n in range(6)
        for chain in chains
    ]
    write_dump(tmp_path / "dump", 1, entries)
    options = HarvestOptions(regime="unguided", similarity=0.98, most=5)
    harvested, n = write_harvested(tmp_path / "out", response_files(tmp_path / "dump"), data, options)
    rows = pq.read_table(tmp_path / "out" / "sft.parquet").to_pylist()
    assert (n, len(rows)) == (5, 5)
    assert len({row["uid"] for row in rows}) > 2, "drawn from all questions, not the first ones"
    assert harvested.filtered.dropped == {"more than 5 chains in all": 19}
    write_harvested(tmp_path / "again", response_files(tmp_path / "dump"), data, options)
    assert pq.read_table(tmp_path / "again" / "sft.parquet").to_pylist() == rows


def test_rollouts_become_unguided_rows(tmp_path: Path) -> None:
    data = write_rl(tmp_path / "train.parquet", rl_rows(10))
    question, _ = question_of(7)
    guided = prompt_text(question, ROUTES)
    entries = [
        (guided, response("Route 1 is right. " + OWN)),
        (guided, response(OWN)),
        (guided, response(OWN, "15")),
        (guided, response("Route 1 is right.")),
        (guided, response(OWN, "14", "1: right")),
        (guided, "<think> no end"),
        (prompt_text(question, ()), "<think> x </think> <answer> 14 </answer>"),
        (prompt_text("What is 99 + 99?", ROUTES), response(OWN)),
    ]
    write_dump(tmp_path / "dump", 2, entries)
    write_dump(tmp_path / "dump", 10, [(guided, response("7 more than 7 is 14, counted up by ones to 14."))])
    (tmp_path / "dump" / "10.jsonl").open("a").write("{torn\n\n")
    rows, harvested = harvest(tmp_path / "dump", data)
    assert [set(row) for row in rows] == [set(SFT_SCHEMA.names)] * 2
    for row in rows:
        prompt, answer = row["messages"]
        assert prompt["content"] == question + UNGUIDED
        parsed = parse_response(answer["content"], 0)
        assert not parsed.problems and parsed.answer == "14" and "oute" not in (parsed.think or "")
        assert (row["kind"], row["source"]) == ("harvest", "student")
    assert (harvested.lines, harvested.read.seen) == (10, 7)
    assert harvested.unusable == {"unguided": 1, "question not in the data": 1, "line not readable": 1}
    assert harvested.read.dropped == {
        "wrong answer": 1,
        "nothing but routes in the reasoning": 1,
        "grammar not kept": 1,
        "no readable answer": 1,
    }
    assert harvested.filtered.dropped == {"exact duplicate": 1}, "the first two are the same once stripped"
    assert any(example["source"] == "student 2.jsonl:3" for example in harvested.read.examples)


def test_few_chains_of_a_question_are_enough(tmp_path: Path) -> None:
    data = write_rl(tmp_path / "train.parquet", rl_rows(10))
    guided = prompt_text(question_of(7)[0], ROUTES)
    different = [
        response(f"{' '.join(str(n) for n in range(i, i + 12))} and so 14") for i in range(0, 120, 20)
    ]
    write_dump(tmp_path / "dump", 1, [(guided, text) for text in different])
    rows, harvested = harvest(tmp_path / "dump", data, per_question=2)
    assert len(rows) == 2 and harvested.filtered.dropped == {"more than 2 chains of a question": 4}


def test_samples_of_lm_eval_bring_their_questions(tmp_path: Path) -> None:
    question, gold = question_of(7)
    routes = [{"steps": list(r.steps), "answer": r.answer, "label": r.label} for r in ROUTES]
    doc = {"question": question, "gold": gold, "data_source": "realm/math", "routes": routes}
    lines = [
        json.dumps({"doc": doc, "resps": [[response(OWN)]]}),
        json.dumps({"doc": {**doc, "routes": None}, "resps": [["<think> x </think> <answer> 14 </answer>"]]}),
        json.dumps({"doc": {"text": "another task"}, "resps": [["x"]]}),
    ]
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "samples_realm_math_guided_2026.jsonl").write_text("\n".join(lines))
    rows, harvested = harvest(tmp_path, None)
    assert len(rows) == 1 and harvested.unusable == {"unguided": 2}


def test_traces_hold_no_text(tmp_path: Path) -> None:
    (tmp_path / "traces").mkdir()
    (tmp_path / "traces" / "step_00000001.jsonl").write_text("{}")
    with pytest.raises(ValueError, match=r"route traces have no text.*trainer\.rollout_data_dir"):
        response_files(tmp_path)
    with pytest.raises(ValueError, match="holds no responses: Train with"):
        response_files(tmp_path / "nothing")
