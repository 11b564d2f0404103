"""The study's picture: what is averaged, and a file that comes out the same each time."""

from pathlib import Path

import pytest

from benchmarks.study.picture import draw, mean_curve, save
from benchmarks.study.plan import FIRST
from benchmarks.study.rows import read_rows
from tests.benchmarks.study.test_report import row


def test_a_step_that_stands_twice_gives_two_points() -> None:
    """The end of a round, and the start of the next after SFT."""
    rows = [row("realm", seed, 0.7) for seed in (0, 1)]
    for number, made in enumerate(rows):
        points = [[0, 0.4, 0.5], [20, 0.5, 0.5], [20, 0.8 - 0.1 * number, 0.5], [40, 0.9, 0.5]]
        object.__setattr__(made, "curve", points + [[41, 0.9, 0.5]] * number)
    a_step = 5120 / 40
    assert mean_curve(rows) == [
        (0, 0.4), (20 * a_step, 0.5), (20 * a_step, pytest.approx(0.75)), (40 * a_step, 0.9),
    ]  # fmt: skip
    assert mean_curve([]) == []


def test_it_is_drawn_from_rows_alone_and_the_same_each_time(tmp_path: Path) -> None:
    rows: dict[str, dict[int, object]] = {}
    for made in read_rows(FIRST / "rows"):
        rows.setdefault(made.arm, {})[made.seed] = made
    arms = ["sft", "grpo", "realm", "no_such"]
    for name in ("a.png", "b.png"):
        save(draw(rows, arms, "realm", 50), tmp_path / name)  # type: ignore[arg-type]
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png", "b.png"]
    with pytest.raises(ValueError, match="no rows of no_such"):
        draw({}, ["no_such"], "realm", 50)
