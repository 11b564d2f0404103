"""The changed-rule tasks: prompts with and without the edited rules, and what the scores say of some answerers."""

from collections.abc import Callable
from typing import Any

import pytest

from data_prep.search_relevance.datasets import rules_text
from eval_tasks.changed_rule import SPECIAL, read_rows
from eval_tasks.link import SOURCE
from reward_fns.domains.search_relevance.edits import EDITS
from reward_fns.response import render_response

lm_tasks = pytest.importorskip("lm_eval.tasks")
NAMES = ("realm_changed_rule", "realm_changed_rule_hidden")


@pytest.fixture(scope="module")
def tasks() -> dict[str, Any]:
    manager = lm_tasks.TaskManager(include_path=SOURCE, include_defaults=False)
    return dict(manager.load(list(NAMES))["tasks"])


def run(task: Any, answer: Callable[[dict[str, Any]], str]) -> dict[str, float]:
    """The aggregated metrics of a way to answer."""
    scored = [
        task.process_results(doc, [render_response("I see.", [], answer(doc))]) for doc in task.eval_docs
    ]
    return {name: agg([row[name] for row in scored]) for name, agg in task.aggregation().items()}


def test_the_rules_stand_before_the_question_or_not_at_all() -> None:
    shown, hidden = read_rows(True), read_rows(False)
    for with_rules, bare in zip(shown, hidden, strict=True):
        assert with_rules["question"].endswith(bare["question"])
        rules = with_rules["question"].removesuffix(bare["question"])
        assert all(text in rules for text in EDITS[bare["edit"]].texts.values())
        # Otherwise word for word what a training prompt shows that keeps the rules.
        differ = set(rules.splitlines()) ^ set((rules_text() + "\n").splitlines())
        assert len(differ) == 2 * len(EDITS[bare["edit"]].texts)
        assert "Rules" not in bare["question"]
        assert {k: v for k, v in with_rules.items() if k != "question"} == {
            k: v for k, v in bare.items() if k != "question"
        }


@pytest.mark.parametrize("name", NAMES)
def test_scores_of_some_answerers(tasks: dict[str, Any], name: str) -> None:
    task = tasks[name]
    new = run(task, lambda doc: doc["gold"])
    assert (new["acc"], *(new[metric] for metric in SPECIAL)) == (1.0, 1.0, 0.0, 1.0)
    old = run(task, lambda doc: doc["old_gold"])
    assert (old["acc"], *(old[metric] for metric in SPECIAL)) == (0.5, 0.0, 1.0, 1.0)
    lazy = run(task, lambda doc: "Substitute")
    assert lazy["acc_affected"] < 0.6 and lazy["acc_unaffected"] < 0.35


def test_metrics_have_errors_and_directions(tasks: dict[str, Any]) -> None:
    task = tasks[NAMES[0]]
    got = run(task, lambda doc: doc["gold"] if len(doc["uid"]) and doc["uid"] < "8" else doc["old_gold"])
    for metric in SPECIAL:
        assert isinstance(got[f"{metric}_stderr"], float)
    assert got["acc_affected"] + got["kept_old"] == pytest.approx(1.0)
    assert task.higher_is_better()["kept_old"] is False
    assert task.higher_is_better()["acc_affected"] is True


def test_being_right_by_rules_that_are_not_shown_is_neither_good_nor_bad(tasks: dict[str, Any]) -> None:
    shown, hidden = (tasks[name].higher_is_better() for name in NAMES)
    undirected = {name for name, higher in hidden.items() if higher is None}
    of_gold = {"acc", "macro_f1", "acc_affected", "kept_old"}
    assert undirected == {
        *of_gold,
        *(name for name in hidden if name.startswith("recall_") and name[-7:] != "_stderr"),
    }
    assert hidden["acc_unaffected"] and shown["acc"] and not shown["kept_old"]
    assert hidden["malformed"] is False
