"""The generated rows: deterministic, right by the verifier, disjoint over splits, and giving nothing away."""

import re
from collections import Counter
from typing import Any

import pyarrow as pa
import pytest

from data_prep.schema import RL_SCHEMA, SFT_SCHEMA
from data_prep.search_relevance.base import base_rows
from data_prep.search_relevance.datasets import (
    DistilOptions,
    distil,
    make_rows,
    refusal,
    rl_rows,
    rules_text,
    teach,
    with_names,
)
from data_prep.search_relevance.generator import Item, combination, make_item
from realm_ext.prompt import GUIDED, UNGUIDED, render_messages
from reward_fns import compute_score
from reward_fns.domains.search_relevance import DOMAIN
from reward_fns.domains.search_relevance.engine import decide
from reward_fns.domains.search_relevance.question import parse_question
from reward_fns.response import Verdict, parse_response, render_response
from reward_fns.routes import routes_from

TRAIN = rl_rows(150, 3, "train", 4)
SFT = distil(300, 3)
BASE = base_rows(300, 3)


def question_of(row: dict[str, Any]) -> str:
    text: str = (row.get("messages") or row["prompt"])[0]["content"]
    return text


def n_shown(row: dict[str, Any]) -> int:
    return len(re.findall(r"^Route \d+$", question_of(row), re.MULTILINE))


def test_the_same_rows_each_time_and_a_prefix_when_fewer() -> None:
    assert rl_rows(20, 3, "train", 4).rows == TRAIN.rows[:20]
    assert distil(20, 3).rows == SFT.rows[:20]
    assert base_rows(20, 3).rows == BASE.rows[:20]
    assert rl_rows(20, 4, "train", 4).questions.isdisjoint(rl_rows(20, 3, "train", 4).questions)


def test_rows_fit_their_schema() -> None:
    for batch, schema in ((TRAIN, RL_SCHEMA), (SFT, SFT_SCHEMA), (BASE, SFT_SCHEMA)):
        assert pa.Table.from_pylist(batch.rows, schema=schema).to_pylist() == batch.rows


def test_gold_and_perfect_judgement_score_in_full() -> None:
    for row in TRAIN.rows:
        assert DOMAIN.check_row(row) == []
        gold, info = row["reward_model"]["ground_truth"], row["extra_info"]
        unguided = compute_score(row["data_source"], render_response("x", (), gold), gold, info)
        assert unguided["outcome"] == unguided["format"] == 1.0 and not unguided["guided"]
        shown = list(range(len(info["routes"])))
        verdicts = [Verdict(r["label"], None if r["label"] else r["first_error"]) for r in info["routes"]]
        response = render_response("x", verdicts, gold)
        guided = compute_score(row["data_source"], response, gold, info | {"shown": shown})
        assert guided["outcome"] == guided["consistent"] == 1.0 and guided["n_disputed"] == 0
        if guided["has_decisive"]:
            assert guided["decisive"] == pytest.approx(1.0)


def test_first_error_is_the_first_step_that_is_not_in_the_true_chain() -> None:
    checked = 0
    for row in TRAIN.rows:
        truth = set(with_names(teach(question_of(row), "full")).steps)
        for route in routes_from(row["extra_info"]["routes"]):
            assert (route.first_error is None) == route.label == route.sound
            if route.first_error is not None and route.source != "program/brief":
                assert route.first_error == next(i for i, step in enumerate(route.steps) if step not in truth)
                checked += 1
    assert checked > 100


def test_validation_rows_say_their_regime_and_prompts_hold_no_route() -> None:
    for regime in ("unguided", "guided"):
        rows = rl_rows(30, 3, "val", 4, regime).rows
        assert {row["data_source"] for row in rows} == {f"realm/search_relevance/{regime}"}
        assert {row["extra_info"]["regime"] for row in rows} == {regime}
        for row in rows:
            assert n_shown(row) == 0
            assert not any(s in question_of(row) for r in row["extra_info"]["routes"] for s in r["steps"])
    assert {row["extra_info"]["regime"] for row in TRAIN.rows} == {None}


def test_no_rule_id_reaches_a_student() -> None:
    texts = [str(row) for batch in (TRAIN, SFT, BASE) for row in batch.rows]
    assert not any(re.search(r"\[R?\d*\]", text) for text in texts)


def test_distilled_rows_follow_from_the_question() -> None:
    for row in SFT.rows:
        prompt, response = row["messages"][0]["content"], row["messages"][1]["content"]
        shown = n_shown(row)
        parsed = parse_response(response, shown)
        decision = decide(*parse_question(prompt))
        assert parsed.problems == () and parsed.answer == decision.label
        hasty = row["source"] == "program/brief"
        assert parsed.think is not None and parsed.think.startswith("1. ") != hasty
        assert not (hasty and shown), "who judges routes makes every check"
        rule = next(r.name for r in DOMAIN.rules if r.id == decision.rule)
        own = parsed.think.partition("\nAnswer 1: ")[0]
        assert own.endswith(f"so {decision.label} ({rule})")
        assert (own != parsed.think) == (shown > 0)
        assert (row["kind"] == "contrast") == (shown > 0)
        assert prompt.endswith(GUIDED if shown else UNGUIDED)
        assert not any(r.text in prompt for r in DOMAIN.rules)
    kinds = Counter(row["kind"] for row in SFT.rows)
    assert 0.2 < kinds["contrast"] / 300 < 0.4
    bare = [row for row in SFT.rows if row["kind"] == "chain"]
    assert 0.5 < Counter(row["source"] for row in bare)["program/brief"] / len(bare) < 0.7


def test_contrast_rows_show_any_number_of_routes_and_judge_them_truly() -> None:
    rows = [row for row in distil(200, 3, options=DistilOptions(contrast_share=1.0)).rows]
    assert {n_shown(row) for row in rows} == {1, 2, 3, 4}
    for row in rows:
        prompt = question_of(row)
        label = decide(*parse_question(prompt)).label
        answers = re.findall(r"^Answer \d: (.*)$", prompt, re.MULTILINE)
        verdicts = parse_response(row["messages"][1]["content"], len(answers)).verdicts
        assert [v is not None and v.right for v in verdicts] == [answer == label for answer in answers]


@pytest.mark.parametrize("kind", ["contrast", "base"])
def test_the_critique_says_what_the_prompt_shows_and_the_verdicts_follow_from_it(kind: str) -> None:
    """Each line: the route's own answer, the chain's, whether they are the same, and where the route goes wrong."""
    rows = distil(150, 3, options=DistilOptions(contrast_share=1.0)).rows if kind == "contrast" else BASE.rows
    named = 0
    for row in rows:
        prompt, response = question_of(row), row["messages"][1]["content"]
        shown = n_shown(row)
        parsed = parse_response(response, shown)
        blocks = re.split(r"^Route \d\n", prompt.partition("Routes to judge:\n")[2], flags=re.MULTILINE)[1:]
        lines = re.findall(
            r"^Answer (\d): (\w+) / (\w+): (same|differs,(?: \([\w ]+\))? (\w+): (\d))(?: </think>)?$",
            response,
            re.MULTILINE,
        )
        assert len(blocks) == len(lines) == shown
        for number, (line, block, verdict) in enumerate(
            zip(lines, blocks, parsed.verdicts, strict=True), start=1
        ):
            answer = re.search(r"^Answer \d: (.*)$", block, re.MULTILINE)
            assert verdict is not None and answer is not None
            assert line[:3] == (str(number), answer[1], parsed.answer)
            assert verdict.right == (line[3] == "same") == (answer[1] == parsed.answer)
            if not verdict.right:
                assert line[5] == str((verdict.step or 0) + 1)
                assert re.search(rf"^{line[5]}\. {line[4]}\b", block, re.MULTILINE)
                named += 1
    assert named > 50


def test_held_out_combinations_are_in_no_row() -> None:
    def combinations(rows: list[dict[str, Any]]) -> set[str]:
        pairs = [parse_question(question_of(row)) for row in rows]
        return {combination(Item(query, ad, decide(query, ad))) for query, ad in pairs}

    held = ("R4", "R3+R4")
    assert combinations(TRAIN.rows) > set(held)
    for rows in (
        rl_rows(60, 3, "train", 4, hold_out=held).rows,
        distil(60, 3, hold_out=held).rows,
        base_rows(60, 3, hold_out=held).rows,
    ):
        assert combinations(rows).isdisjoint(held)
    assert rl_rows(60, 3, "train", 4, hold_out=held).dropped["rule combination held out"] > 5


def test_chain_prompts_are_those_of_rl() -> None:
    item = make_item(3, "sft", 0)
    row = distil(1, 3, options=DistilOptions(contrast_share=0)).rows[0]
    assert row["messages"][:1] == render_messages([{"role": "user", "content": item.question}], ())


def test_options() -> None:
    rows = distil(40, 3, options=DistilOptions(brief_share=0, contrast_share=0, keep_rules=1)).rows
    assert {(row["kind"], row["source"]) for row in rows} == {("chain", "program/full")}
    assert all(question_of(row).startswith(rules_text() + "\nQuery: ") for row in rows)
    with pytest.raises(ValueError, match="contrast_share is a share of the rows, from 0 to 1; got 2"):
        DistilOptions(contrast_share=2)
    with pytest.raises(ValueError, match="max_routes must be 1 or more; got 0"):
        DistilOptions(max_routes=0)


def test_a_wrong_teacher_is_refused() -> None:
    item = make_item(3, "sft", 0)
    good = teach(item.question, "full")
    assert refusal(item, good) is None
    other = next(label for label in DOMAIN.labels if label != good.answer)
    bare = tuple(re.sub(r" \[R\d+\]", "", step) for step in good.steps)
    wrong_rule = "R1" if item.decision.rule != "R1" else "R2"
    changed: dict[str, dict[str, Any]] = {
        "wrong label": {"answer": other},
        "deciding rule not cited": {"steps": bare},
        "unknown rule cited": {"steps": (*good.steps, "[R99]")},
    }
    for reason, change in changed.items():
        assert refusal(item, replaced(good, change)) == reason
    assert refusal(item, replaced(good, {"steps": (f"so [{wrong_rule}]",)})) == "deciding rule not cited"


def replaced(route: Any, change: dict[str, Any]) -> Any:
    return type(route)(**{**vars(route), **change})


def test_base_rows_know_the_grammar_and_no_rule() -> None:
    right = 0
    for row in BASE.rows:
        response = row["messages"][1]["content"]
        parsed = parse_response(response, n_shown(row))
        assert parsed.problems == () and parsed.answer in DOMAIN.labels
        assert not any(rule.name in str(row["messages"]) for rule in DOMAIN.rules)
        right += parsed.answer == decide(*parse_question(question_of(row))).label
    assert 0.15 < right / 300 < 0.35, "labels are drawn at random from four"
    assert 0.4 < sum(n_shown(row) > 0 for row in BASE.rows) / 300 < 0.6


def test_other_splits_questions_are_left_out_and_counted() -> None:
    questions = sorted(TRAIN.questions)[:10]
    batch = rl_rows(150, 3, "train", 4, exclude=set(questions))
    assert batch.questions.isdisjoint(questions)
    assert batch.dropped["question of another split"] == 10


def test_refused_rows_are_replaced_and_counted() -> None:
    batch = make_rows(5, 3, "sft", lambda index, item: "odd" if index % 2 else {"index": index})
    assert [row["index"] for row in batch.rows] == [0, 2, 4, 6, 8]
    assert batch.dropped == {"odd": 4}
    with pytest.raises(ValueError, match=r"split 'sft' gave only 0 of 2 rows in 40 draws \(never: 40\)"):
        make_rows(2, 3, "sft", lambda index, item: "never")
