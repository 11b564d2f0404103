"""`realm compare`: what it prints and writes, and its exit codes."""

import json
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from realm_ext.compare import baselines
from realm_ext.compare.command import compare
from tests.realm_ext.compare.conftest import Writer

app = typer.Typer()
app.command()(compare)
PNG = b"\x89PNG\r\n\x1a\n"


def run(*arguments: Any, code: int = 0, width: str = "80") -> str:
    result = CliRunner().invoke(app, [*map(str, arguments), "--rounds", "500"], env={"COLUMNS": width})
    assert result.exit_code == code, result.output
    return result.output


def rows(right: int) -> list[dict[str, Any]]:
    return [
        {
            "uid": f"{i:016x}",
            "question": f"Which | of <b> is {i}? " + "long " * 60,
            "gold": "AB"[i % 2],
            "rule": f"R{1 + i % 3}",
            "data_source": "realm/search_relevance/unguided",
            "scores": {"acc": float(i < right), "macro_f1": ["AB"[i % 2], "AB"[(i + (i >= right)) % 2]]},
            "response": f"<answer> {'AB'[(i + (i >= right)) % 2]} </answer>",
        }
        for i in range(60)
    ]


@pytest.fixture
def two(tmp_path: Path, write_run: Writer, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Runs sft and rl on a task and its guided partner, and shipped baselines for it."""
    for name, right in (("sft", 20), ("rl", 45)):
        tasks = {"realm_x": rows(right), "realm_x_guided": rows(50)}
        f1 = {task: {"macro_f1,none": right_share(tasks[task])} for task in tasks}
        write_run(tmp_path / "eval" / name / "m", tasks, results=f1, version=3.0)
    (tmp_path / "shipped").mkdir()
    (tmp_path / "shipped" / "baselines.json").write_text(
        json.dumps(
            {
                "realm_x": {"version": 3.0, "acc": {"majority class": 0.5}},
                "realm_x_guided": {"version": 2.0, "acc": {"majority class": 0.5}},
            }
        )
    )
    monkeypatch.setattr(baselines, "find_folder", lambda folder: tmp_path / "shipped")
    return tmp_path / "eval"


def right_share(samples: list[dict[str, Any]]) -> float:
    """Macro-F1 where errors are as frequent in both directions: the share of right answers."""
    return sum(row["scores"]["acc"] for row in samples) / len(samples)


def test_the_tables_and_sentences(two: Path) -> None:
    printed = " ".join(run(two).split())
    for line in (
        "realm_x, version 3.0, 60 documents",
        "acc 33.3 [22.7, 45.9] 75.0 [62.8, 84.2] majority class 50.0 macro_f1",
        "acc rl - sft +41.7 +",
        "R1 Region gate",
        "realm_x, acc: rl against sft +41.7 points",
        "better.",
        "realm_x_guided, acc: rl against sft +0.0 points (95% +0.0 to +0.0), within noise.",
        "realm_x: routes in the prompt bring sft +50.0 points",
        "baselines are of version 2.0, not shown with 3.0",
    ):
        assert line in printed, line
    assert "NOT COMPARED" not in printed


def test_files_are_written(two: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(two, "--markdown", out / "c.md", "--json", out / "c.json", "--plots", out / "figures")
    page = (out / "c.md").read_text()
    assert "## realm_x: paired differences" in page
    assert "| *majority class* | *50.0* |  |" in page
    assert "Which \\| of &lt;b>" in page
    written = json.loads((out / "c.json").read_text())
    assert written["runs"] == ["sft", "rl"]
    (main,) = [d for d in written["differences"] if d["task"] == "realm_x"]
    assert main["reading"] == "better" and main["p_value"] == pytest.approx(2 / 2**25)
    assert written["tasks"]["realm_x"]["baselines"] == {"majority class": 0.5}
    assert len(written["changes"]) == 10
    pictures = sorted(path.name for path in (out / "figures").iterdir())
    assert pictures == [
        "accuracy.png",
        "gap.png",
        "parts_realm_x_guided_rl_sft.png",
        "parts_realm_x_rl_sft.png",
    ]
    assert all((out / "figures" / name).read_bytes().startswith(PNG) for name in pictures)


def test_no_figure_is_cut_in_a_narrow_terminal(two: Path) -> None:
    printed = run(two, width="40")
    assert "33.3 [22.7, 45.9]" in printed
    assert "00000000000000" in printed


def test_refusals_end_with_exit_code_1_and_the_rest_is_shown(two: Path, write_run: Writer) -> None:
    write_run(two / "old" / "m", {"realm_x": rows(30)}, version=2.0)
    printed = " ".join(run(two, code=1).split())
    assert "NOT COMPARED: old and sft on realm_x: versions 2.0 and 3.0 of the task" in printed
    assert "rl against sft +41.7 points" in printed


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(["gone"], "gone is not there"), (["eval", "--metric", "f2"], "no task has the metric f2")],
)
def test_errors_are_one_line(
    two: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str
) -> None:
    monkeypatch.chdir(two.parent)
    printed = run(*arguments, code=1)
    assert printed.startswith("realm compare: ") and message in printed


def test_one_run_alone_is_described(two: Path) -> None:
    printed = run(two / "rl")
    assert "paired differences" not in printed
    assert "autonomy gap" in printed


def test_a_damaged_task_name_does_not_leave_the_folder_of_figures(two: Path, tmp_path: Path) -> None:
    run(f"a/b={two / 'sft'}", f"../c={two / 'rl'}", "--plots", tmp_path / "figures")
    assert "parts_realm_x_.._c_a_b.png" in {path.name for path in (tmp_path / "figures").iterdir()}
