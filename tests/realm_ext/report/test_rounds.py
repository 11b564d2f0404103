"""Rounds of RL as one run: found in order, counted on, marked where one ends."""

import shutil
from pathlib import Path

import pytest

from realm_ext.report.command import write_report
from realm_ext.report.reading import read_run
from realm_ext.report.rounds import join_rounds, mark_regimes, round_folders
from realm_ext.report.scalars import Series
from realm_ext.report.style import LIGHT
from realm_ext.report.summary import summarize
from tests.realm_ext.report.conftest import EventWriter


def in_two_rounds(run_dir: Path) -> Path:
    """The run of `run_dir` twice, one after the other."""
    shutil.copytree(run_dir / "rl", run_dir / "first")
    (run_dir / "first").rename(run_dir / "rl" / "round1")
    return run_dir


def test_rounds_are_found_by_number(tmp_path: Path) -> None:
    assert round_folders(tmp_path) == [tmp_path], "one round is the part itself"
    for name in ("round10", "round2", "round1", "rounds", "round_x", "roundabout"):
        (tmp_path / name).mkdir()
    (tmp_path / "round3").write_text("a file")
    assert [path.name for path in round_folders(tmp_path)] == ["round1", "round2", "round10", tmp_path.name]


def test_steps_count_on_and_a_boundary_may_stand_twice() -> None:
    first = {"loss": Series((1, 2, 3), (3.0, 2.0, 1.0)), "val": Series((0, 3), (0.1, 0.2))}
    second = {
        "loss": Series((1, 2), (1.5, 0.5)),
        "val": Series((0, 2), (0.6, 0.7)),
        "new": Series((2,), (1.0,)),
    }
    joined, ends = join_rounds([first, second])
    assert ends == (3,)
    assert joined["loss"] == Series((1, 2, 3, 4, 5), (3.0, 2.0, 1.0, 1.5, 0.5), starts=(3,))
    assert joined["val"] == Series((0, 3, 3, 5), (0.1, 0.2, 0.6, 0.7), starts=(2,))
    assert joined["new"] == Series((5,), (1.0,))
    assert join_rounds([first]) == (first, ())
    assert join_rounds([]) == ({}, ())


def test_a_report_of_two_rounds(run_dir: Path) -> None:
    run = read_run(in_two_rounds(run_dir))
    assert run.round_ends == (12,)
    assert run.rl["realm/exposure"].steps == tuple(range(1, 25))
    assert run.rl["realm/val/unguided_acc"].steps == (0, 4, 8, 12, 12, 16, 20, 24)
    assert not any("rl/" in note for note in run.notes)
    write_report(run, summarize(run), run_dir / "report")
    assert (run_dir / "report" / "validation.png").stat().st_size > 10_000


def test_guided_lines_break_where_nobody_was_guided_and_few_rollouts_are_faint() -> None:
    every = Series((1, 2, 3, 4, 5, 6), (1.0,) * 6)
    seen = Series((1, 2, 5, 6), (0.1, 0.2, 0.5, 0.6))
    log = {
        "realm/exposure": every,
        "realm/guided/outcome": seen,
        "realm/unguided/outcome": every,
        "actor/entropy": seen,
    }
    rollouts = {1: (64, 32), 2: (64, 16), 5: (64, 15), 6: (8, 4)}
    marked = mark_regimes(log, rollouts)
    # step 5 has 15 guided of 64; step 6 has few of either kind because it is small
    assert marked["realm/guided/outcome"] == Series(seen.steps, seen.values, starts=(2,), faint=(2,))
    assert marked["realm/unguided/outcome"] == every
    assert marked["actor/entropy"] == seen
    assert mark_regimes(log, {})["realm/guided/outcome"].faint == ()
    few = mark_regimes(log, {4: (64, 60)})["realm/unguided/outcome"]
    assert few.faint == (3,), "four unguided ones"


@pytest.mark.parametrize(("name", "panels"), [("exposure", 1), ("validation", 2)])
def test_the_next_round_is_marked_at_its_step(run_dir: Path, name: str, panels: int) -> None:
    from realm_ext.report.plots import PLOTS

    (plot,) = (plot for plot in PLOTS if plot.name == name)
    figure = plot.draw(read_run(in_two_rounds(run_dir)), LIGHT)
    assert figure is not None
    texts = [text.get_text() for axes in figure.axes for text in axes.texts]
    assert texts.count("round 2") == 1
    assert "no routes from step 21" in texts, "the second fade's end, not the first's"
    marked = [a for a in figure.axes if any(list(line.get_xdata()) == [12, 12] for line in a.lines)]
    assert len(marked) == panels


def test_a_round_without_metrics_is_noted(run_dir: Path, write_events: EventWriter) -> None:
    in_two_rounds(run_dir)
    shutil.rmtree(run_dir / "rl" / "tensorboard")
    run = read_run(run_dir)
    assert any(note.startswith("rl/tensorboard is missing") for note in run.notes)
    assert run.rl["realm/exposure"].steps == tuple(range(1, 13)) and run.round_ends == ()
