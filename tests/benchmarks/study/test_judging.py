"""What verdicts rest on and which chains are sound, from made-up responses in the folders of an arm."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks.study import judging as module
from benchmarks.study.data import write_training
from benchmarks.study.judging import Chains, Groups, Verdicts, compared, harvested, is_sound, judged
from benchmarks.study.plan import STUDY_FILE, read_study
from benchmarks.study.stages import Layout, first_round
from data_prep.routes.bank import Question
from data_prep.routes.responses import Found
from data_prep.search_relevance.datasets import rl_rows, teach
from data_prep.search_relevance.expert import with_names
from realm_ext.prompt import render_messages
from reward_fns.domains.search_relevance.engine import LABELS
from reward_fns.response import Verdict, render_response
from reward_fns.routes import Route, route_to_mapping, routes_from

STUDY = read_study()
REALM = STUDY.arms["realm"]


def question() -> tuple[dict[str, Any], list[Route]]:
    """A row with a right and a wrong route."""
    for row in rl_rows(40, 0, "train", 3, detail="short").rows:
        routes = routes_from(row["extra_info"]["routes"])
        right, wrong = ([r for r in routes if r.label is kind] for kind in (True, False))
        if right and wrong:
            return row, [right[0], wrong[0]]
    raise AssertionError("no mixed set")


ROW, ROUTES = question()
GOLD = ROW["reward_model"]["ground_truth"]
TEXT = ROW["prompt"][-1]["content"]
CHAIN = "\n".join(f"{n}. {s}" for n, s in enumerate(with_names(teach(TEXT, "full")).steps, start=1))


def response(chain: str, says: tuple[bool, bool], answer: str = GOLD) -> str:
    return render_response(
        chain, [Verdict(says[0], None if says[0] else 0), Verdict(says[1], None if says[1] else 0)], answer
    )


def guided(text: str) -> Found:
    return Found(Question.of(ROW), tuple(ROUTES), text, "1.jsonl:1")


def test_a_verdict_is_true_or_follows_the_own_answer_or_both() -> None:
    found = Verdicts()
    found.add(response(CHAIN, (True, False)), ROUTES, GOLD)
    assert (found.n, found.true, found.follow) == (2, 2, 2)
    found.add(response(CHAIN, (False, True), ROUTES[1].answer), ROUTES, GOLD)  # wrong, and of one mind
    assert (found.n, found.true, found.follow) == (4, 2, 4)
    found.add(
        response(CHAIN, (True, False), ROUTES[1].answer), ROUTES, GOLD
    )  # judges well, answers otherwise
    assert (found.n, found.true, found.follow) == (6, 4, 4)
    found.add("no answer", ROUTES, GOLD)
    assert found.n == 6


def test_a_chain_is_sound_where_every_check_is_the_experts() -> None:
    assert is_sound(CHAIN, TEXT)
    lines = CHAIN.splitlines()
    assert not is_sound("\n".join(lines[1:]), TEXT)
    assert not is_sound("\n".join([lines[0] + " and more", *lines[1:]]), TEXT)


def test_right_chains_are_counted_by_soundness_and_verdicts() -> None:
    found = Chains()
    unsound = CHAIN.splitlines()[-1]
    for text in (
        response(CHAIN, (True, False)),
        response(CHAIN, (False, False)),
        response(unsound, (True, False)),
        response(CHAIN, (True, False), next(label for label in LABELS if label != GOLD)),
    ):
        found.add(guided(text))
    assert (found.n, found.sound, found.judged, found.judged_sound) == (3, 2, 2, 1)


def test_groups_say_where_only_judging_tells_rollouts_apart() -> None:
    found = Groups()
    base = {"outcome": 1.0, "verdict": 0.5, "decisive": 0.0}
    found.add([base, base])
    found.add([base, base | {"verdict": -0.2}])
    found.add([base, base | {"decisive": 1.0}])
    found.add([base, base | {"outcome": 0.0}])
    found.add([base, base | {"outcome": 0.0, "verdict": 0.0}])
    found.add([base])
    assert found == Groups(5, 2, 3, 2)


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    """Seed 0 of `realm`, measured: one sample of the test, one rollout."""
    small = replace(STUDY.data, n_base=4, n_sft=4, n_train=40, n_val=2, arithmetic_base=4, arithmetic_sft=4)
    made = Layout(STUDY_FILE, replace(STUDY, data=replace(small, hold_out=())), tmp_path)
    write_training(made.study, 0, made.data(0))
    folder = made.arm(REALM, 0)
    sample = {
        "doc_id": 0,
        "doc": {"gold": GOLD, "routes": [route_to_mapping(route) for route in ROUTES]},
        "filtered_resps": [response(CHAIN, (True, True))],
    }
    for part in (first_round(folder), folder):
        shard = part / "checkpoints" / "traces" / "step_00000001.jsonl"
        shard.parent.mkdir(parents=True)
        lines = (
            {
                "step": 1,
                "uid": "q",
                "regime": regime,
                "components": {"outcome": 1.0, "verdict": v, "decisive": 0.0},
            }
            for regime, v in (("guided", 0.1), ("guided", 0.2), ("unguided", 0.0))
        )
        shard.write_text("".join(json.dumps(line) + "\n" for line in lines))
    for path, line in (
        (folder / "eval" / "samples_study_guided_2026.jsonl", sample),
        (
            folder / "rollouts" / "1.jsonl",
            {
                "input": f"user\n{render_messages(ROW['prompt'], ROUTES)[-1]['content']}\nassistant\n",
                "output": response(CHAIN, (True, False)),
            },
        ),
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(line) + "\n")
    return made


def test_folders_are_read_and_told(
    layout: Layout, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found = judged(layout, REALM)
    assert (found.n, found.true, found.follow) == (2, 1, 1)
    assert harvested(layout, REALM) == Chains(1, 1, 1, 1)
    assert compared(layout, REALM) == Groups(2, 0, 2, 2)
    assert judged(layout, STUDY.arms["grpo"]).n == 0
    monkeypatch.setattr(module, "read_study", lambda path: layout.study)
    module.main(["--runs", str(layout.runs)])
    shown = capsys.readouterr().out
    assert "50.0%" in shown and "100.0%" in shown and "grpo" not in shown
