"""The baselines: worked by hand on small sets, and the committed file is what the command computes."""

import json
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from eval_tasks import baselines
from eval_tasks.baselines import (
    MAJORITY,
    RANDOM,
    SOURCE,
    VOTE,
    as_json,
    compute,
    compute_all,
    table,
    task_config,
)
from eval_tasks.link import SOURCE as TASKS
from realm_ext.compare.baselines import read_baselines


def doc(
    gold: str, answers: str = "", domain: str = "search_relevance", question: str = "Q"
) -> dict[str, Any]:
    """Routes are given as `Exact:a Substitute:b`, answer and source."""
    routes = [
        {"steps": ["s"], "answer": answer, "label": answer == gold, "source": source}
        for answer, _, source in (text.partition(":") for text in answers.split())
    ]
    made = {"gold": gold, "question": question, "data_source": f"realm/{domain}/guided"}
    return made | ({"routes": routes} if routes else {})


def test_unguided_figures() -> None:
    figures = compute([doc("Exact"), doc("Exact"), doc("Substitute")], 2.0)
    assert (figures.version, figures.documents) == (2.0, 3)
    assert figures.acc == {RANDOM: 0.25, MAJORITY: round(2 / 3, 6)}
    assert figures.which == {MAJORITY: "Exact"}


def test_the_vote_shares_ties_and_the_source_is_the_best_of_those_often_there() -> None:
    docs = [
        doc("Exact", "Exact:a Exact:b Substitute:c"),  # vote right
        doc("Exact", "Exact:a Substitute:b Substitute:a"),  # vote wrong; a: half
        doc("Exact", "Exact:a Substitute:b"),  # a tie: half
        doc("Exact", "Substitute:a Substitute:b"),  # wrong
    ]
    figures = compute(docs, 1.0)
    assert figures.acc[VOTE] == pytest.approx((1 + 0 + 0.5 + 0) / 4)
    assert figures.acc[SOURCE] == pytest.approx((1 + 0.5 + 1 + 0) / 4)
    assert figures.which[SOURCE] == "a"
    rare = compute([doc("Exact", "Substitute:a"), doc("Exact", "Substitute:a"), doc("Exact", "Exact:b")], 1.0)
    assert (rare.acc[SOURCE], rare.which[SOURCE]) == (0.0, "a")  # b has a route for one of three


def test_answers_are_grouped_by_the_domain_s_comparer() -> None:
    routes = [{"steps": ["s"], "answer": a, "label": a != "7", "source": "a"} for a in ("7", "1/2", "0.5")]
    figures = compute([doc("0.5", domain="math") | {"routes": routes}], 1.0)
    assert figures.acc[VOTE] == 1.0  # two of three; three different texts would be a tie
    assert RANDOM not in figures.acc


def test_options_are_read_from_the_question() -> None:
    question = "Which?\n(A) one\n(B) two\n(C) three\n(D) four\n(E) five"
    assert compute([doc("B", domain="choice", question=question)], 1.0).acc[RANDOM] == 0.2


def test_includes_are_followed(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("include: [b.yaml, c]\ntask: a\nmetadata: {version: 2.0}\n")
    (tmp_path / "b.yaml").write_text("include: c\ntask: b\nrepeats: 3\n")
    (tmp_path / "c").write_text("custom_dataset: !function x.load\nrepeats: 1\n")
    config = task_config(tmp_path / "a.yaml")
    assert config == {"task": "a", "repeats": 1, "custom_dataset": "x.load", "metadata": {"version": 2.0}}


def test_configs_are_those_that_lm_eval_reads() -> None:
    yaml_loader = pytest.importorskip("lm_eval.tasks._yaml_loader")
    for path in sorted(TASKS.glob("*.yaml")):
        theirs = yaml_loader.load_yaml(path, resolve_func=False)
        ours = task_config(path)
        assert {key: ours.get(key) for key in ("task", "group", "dataset_kwargs", "metadata")} == {
            key: theirs.get(key) for key in ("task", "group", "dataset_kwargs", "metadata")
        }


def test_the_committed_file_is_what_the_command_computes() -> None:
    pytest.importorskip("datasets")
    found = compute_all()
    assert as_json(found) == baselines.FILE.read_text(encoding="utf-8"), "run `realm baselines --write`"
    assert all(0 < value < 0.5 for figures in found.values() for value in figures.acc.values())
    assert {name for name in found if name.endswith("_guided")} == {
        name for name, figures in found.items() if VOTE in figures.acc
    }


def test_the_command_prints_a_table_and_writes_on_demand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    figures = {"t": compute([doc("Exact", "Exact:a")], 1.0)}
    monkeypatch.setattr(baselines, "compute_all", lambda: figures)
    monkeypatch.setattr(baselines, "FILE", tmp_path / "b.json")
    app = typer.Typer()
    app.command()(baselines.baselines)
    printed = CliRunner().invoke(app, []).output
    assert printed == table(figures) + "\n"
    assert printed.splitlines()[-1] == "| `t` | 1 | 25.0 | 100.0 | 100.0 | 100.0 |"
    assert not (tmp_path / "b.json").exists()
    CliRunner().invoke(app, ["--write"])
    assert json.loads((tmp_path / "b.json").read_text())["t"]["acc"][VOTE] == 1.0


def test_realm_compare_reads_the_shipped_file() -> None:
    from realm_ext.compare.comparison import Comparison

    found = Comparison(("a",), whole={"realm_law_guided", "other"})
    found.main = {"realm_law_guided": ("acc", "none"), "other": ("acc", "none")}
    found.versions = {"realm_law_guided": "1.0", "other": "1.0"}
    assert set(read_baselines(found)["realm_law_guided"]) == {RANDOM, MAJORITY, VOTE, SOURCE}
    found.versions["realm_law_guided"] = "0.5"
    assert read_baselines(found) == {}
    assert found.notes == ["realm_law_guided: baselines are of version 1.0, not shown with 0.5"]
