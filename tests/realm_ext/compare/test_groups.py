"""Groups: their figure is a mean of their tasks, and so is the difference of two runs."""

from pathlib import Path
from typing import Any

import pytest

from realm_ext.compare.analysis import compare_runs
from realm_ext.compare.comparison import Comparison
from realm_ext.compare.differences import Options
from realm_ext.compare.reading import read_runs
from tests.realm_ext.compare.conftest import Writer, scored

SHORT, LONG = 20, 60


def mean(values: list[float]) -> float:
    return sum(values) / len(values)


@pytest.fixture
def compare(tmp_path: Path, write_run: Writer) -> Any:
    """Compare runs of a group of a short task x and a long task y, each given by its right answers."""

    def compared(
        runs: dict[str, tuple[int, int]], by_size: bool = False, end: str = "", **options: Any
    ) -> Comparison:
        for name, (x, y) in runs.items():
            values = [1.0] * x + [0.0] * (SHORT - x), [1.0] * y + [0.0] * (LONG - y)
            figure = (x + y) / (SHORT + LONG) if by_size else (mean(values[0]) + mean(values[1])) / 2
            write_run(
                tmp_path / name,
                {f"x{end}": scored(values[0]), f"y{end}": scored(values[1])},
                groups={f"g{end}": {"alias": "g", "acc,none": figure, "acc_stderr,none": 0.04}},
                group_subtasks={f"g{end}": [f"x{end}", f"y{end}"], "whole": [f"g{end}"]},
                date=f"2026-01-0{2 + len(end) // 7}T00-00-00.0",
            )
        found = read_runs([str(tmp_path / name) for name in runs])
        return compare_runs(found.runs, Options(rounds=4000, **options))

    return compared


def the_group(found: Comparison) -> Any:
    (difference,) = [d for d in found.differences if d.task == "g"]
    return difference


def test_tasks_count_alike_where_lm_eval_s_figure_says_so(compare: Any) -> None:
    found = compare({"a": (10, 30), "b": (15, 30)})
    difference = the_group(found)
    assert found.groups == {"g": ("x", "y")}
    assert difference.values == pytest.approx(((0.75 + 0.5) / 2, 0.5))
    assert (difference.n, difference.test) == (SHORT + LONG, "swap")
    # 5 of 20 gained in one task of two: half of 0.25 -+ 1.96 * sqrt(0.25 * 0.75 / 20)
    assert difference.interval.low == pytest.approx(0.125 - 1.96 * 0.0484, abs=0.02)
    assert difference.interval.high == pytest.approx(0.125 + 1.96 * 0.0484, abs=0.02)


def test_or_by_their_size(compare: Any) -> None:
    difference = the_group(compare({"a": (10, 30), "b": (15, 45)}, by_size=True))
    assert difference.values == pytest.approx((60 / 80, 40 / 80))
    assert difference.reading == "better"


def test_the_p_value_is_that_of_swaps_over_all_tasks(compare: Any) -> None:
    """8 of 80 changed, all for the better, weights by size: p = 2 / 2**8."""
    difference = the_group(compare({"a": (10, 30), "b": (12, 36)}, by_size=True))
    assert difference.p_value == pytest.approx(2 / 2**8, abs=0.004)


def test_scores_and_gap_of_a_group(compare: Any) -> None:
    compare({"a": (10, 30)})
    found = compare({"a": (18, 54)}, end="_guided")
    gaps = {gap.task: gap for gap in found.gaps}
    assert gaps["g"].values == pytest.approx((0.9, 0.5))
    assert (gaps["g"].n, gaps["g"].reading) == (80, "better")
    score = next(s for s in found.scores if s.task == "g_guided")
    assert (score.value, score.stderr, score.n) == (0.9, 0.04, 80)


def test_a_group_with_a_refused_task_is_not_compared(compare: Any, tmp_path: Path, write_run: Writer) -> None:
    found = compare({"a": (10, 30), "b": (15, 30)})
    samples = next((tmp_path / "b").glob("samples_y_*"))
    samples.write_text("".join(samples.read_text().splitlines(keepends=True)[:-1]))
    found = compare_runs(read_runs([str(tmp_path / "a"), str(tmp_path / "b")]).runs, Options(rounds=100))
    assert not [d for d in found.differences if d.task == "g"]
    assert len(found.refused) == 1 and "b and a on y: different documents" in found.refused[0]


def test_a_figure_that_is_no_mean_of_the_tasks_is_not_compared(compare: Any, tmp_path: Path) -> None:
    compare({"a": (10, 30), "b": (15, 30)})
    path = next((tmp_path / "b").glob("results_*"))
    path.write_text(path.read_text().replace('"acc,none": 0.625, "acc_stderr,none": 0.04', '"acc,none": 0.9'))
    found = compare_runs(read_runs([str(tmp_path / "a"), str(tmp_path / "b")]).runs, Options(rounds=100))
    assert not [d for d in found.differences if d.task == "g"]
    assert "g: acc is no mean of its tasks that is known here, not compared" in found.notes


def test_a_group_of_one_task_is_that_task(tmp_path: Path, write_run: Writer) -> None:
    groups = {"groups": {"g": {"acc,none": 1.0}}, "group_subtasks": {"g": ["x"]}}
    write_run(tmp_path / "a", {"x": scored([1])}, **groups)
    assert read_runs([str(tmp_path / "a")]).runs[0].groups == {}
