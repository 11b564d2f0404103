"""The tables from the route traces, and a report with and without them."""

from pathlib import Path

import pytest
from rich.console import Console

from realm_ext import traces
from realm_ext.report.command import print_summary
from realm_ext.report.page import build_page
from realm_ext.report.reading import read_run
from realm_ext.report.summary import summarize, trace_tables
from realm_ext.report.traces import ROWS, read_traces
from realm_ext.rollout_metrics import Rollout


def rollout(session: int, n_shown: int, exposure: float, right: bool) -> Rollout:
    return Rollout.from_stored(
        f"v_{session}_0",
        {"response_len": 5},
        {
            "guided": n_shown > 0,
            "exposure": exposure,
            "shown": list(range(n_shown)),
            "shown_steps": [3] * n_shown,
            "row_uid": "q",
            "reward_extra_info": {"score": 1.25 * right, "outcome": float(right)},
        },
    )


def write_steps(root: Path, n: int) -> None:
    for step in range(1, n + 1):
        exposure = 1 - step / n
        traces.write(root, step, [rollout(0, 2, exposure, True), rollout(1, 0, exposure, step % 2 == 0)])


def test_exposure_by_step_and_outcome_by_routes(tmp_path: Path) -> None:
    write_steps(tmp_path, 25)
    found = read_traces([tmp_path], [])
    assert found is not None
    assert len(found.exposure) == 9 <= ROWS
    first, last = found.exposure[0], found.exposure[-1]
    assert (first.first, first.last, first.rollouts) == (1, 3, 6)
    assert first.exposure == pytest.approx(1 - 2 / 25)
    assert (first.guided_share, first.routes, first.steps) == (0.5, 2.0, 6.0)
    assert (last.first, last.last) == (25, 25)
    assert [(row.routes, row.rollouts) for row in found.outcomes] == [(0, 25), (2, 25)]
    assert found.outcomes[0].outcome == pytest.approx(12 / 25)
    assert (found.outcomes[1].outcome, found.outcomes[1].score) == (1.0, 1.25)
    (_, _, _, rows), _ = trace_tables(found)
    assert (rows[0][0], rows[-1][0]) == ("1 to 3", "25")
    assert found.rollouts == {step: (2, 1) for step in range(1, 26)}


def test_torn_traces_are_a_note_and_missing_ones_nothing(tmp_path: Path) -> None:
    notes: list[str] = []
    assert read_traces([tmp_path / "checkpoints"], notes) is None
    assert notes == []
    path = traces.write(tmp_path, 1, [rollout(0, 1, 1.0, True)])
    path.write_text(path.read_text()[:-5])
    assert read_traces([tmp_path], notes) is None
    assert "line 1 is not a trace" in notes[0]
    path.write_text('{"step": 1}\n')
    assert read_traces([tmp_path], notes) is None


def test_the_report_shows_them(run_dir: Path) -> None:
    write_steps(run_dir / "rl" / "checkpoints", 4)
    run = read_run(run_dir)
    summary = summarize(run)
    console = Console(record=True, width=120)
    print_summary(run, summary, console)
    printed = console.export_text()
    assert "Exposure by step, from the route traces" in printed and "Outcome by routes shown" in printed
    page = build_page(run, summary, [])
    assert "Route traces" in page and "Outcome by routes shown" in page


def test_steps_of_a_later_round_count_on(tmp_path: Path) -> None:
    roots = [tmp_path / name for name in ("round1", "round2")]
    for root in roots:
        write_steps(root, 4)
    found = read_traces(roots, [])
    assert found is not None
    assert [(row.first, row.rollouts) for row in found.exposure] == [(step, 2) for step in range(1, 9)]
    assert read_traces([roots[0], tmp_path / "not there"], []) == read_traces(roots[:1], [])
