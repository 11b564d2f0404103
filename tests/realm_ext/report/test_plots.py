"""Figures: drawn from a whole run, None without data, and the pure parts they rest on."""

from pathlib import Path

import pytest
from matplotlib.figure import Figure

from realm_ext.report.plots import PLOTS, Plot, departs_from_schedule, render, validation_series
from realm_ext.report.reading import Run, Stage, read_run
from realm_ext.report.scalars import Series
from realm_ext.report.style import DARK, LIGHT, draw_line, rolling_mean, spread, text_on
from realm_ext.report.time_plots import phase_seconds

PNG = b"\x89PNG\r\n\x1a\n"
EMPTY = Run("empty", {}, {}, (), (), ())


def log(**values: list[float]) -> dict[str, Series]:
    return {
        name.replace("__", "/"): Series(tuple(range(1, len(v) + 1)), tuple(v)) for name, v in values.items()
    }


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("plot", PLOTS, ids=lambda plot: plot.name)
def test_every_figure_is_drawn_from_a_whole_run_without_a_warning(plot: Plot, run_dir: Path) -> None:
    run = read_run(run_dir)
    light = render(plot, run, LIGHT)
    assert light is not None and light.startswith(PNG)


def test_a_figure_depends_on_the_run_and_the_theme_alone(run_dir: Path) -> None:
    run, plot = read_run(run_dir), PLOTS[0]
    assert render(plot, run, LIGHT) == render(plot, run, LIGHT)
    assert render(plot, run, LIGHT) != render(plot, run, DARK)


@pytest.mark.parametrize("plot", PLOTS, ids=lambda plot: plot.name)
def test_no_figure_without_data(plot: Plot) -> None:
    assert render(plot, EMPTY, LIGHT) is None


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("plot", PLOTS, ids=lambda plot: plot.name)
def test_a_run_of_one_step_draws_what_it_has(plot: Plot) -> None:
    metrics = log(
        realm__exposure=[1.0],
        realm__unguided__outcome=[0.5],
        realm__unguided__response_length=[9.0],
        realm__val__unguided_acc=[0.5],
        actor__entropy=[0.0],
        timing_s__step=[0.5],
        realm__verdicts__missing=[1.0],
        realm__adaptive__level__realm__math__3=[1.0],
    )
    run = Run("short", metrics, {}, (), (Stage("$x^", 0.0, "done", {}),), ())
    png = render(plot, run, LIGHT)
    assert (png is None) == (plot.name in ("accuracy", "carry_over"))


def test_the_schedule_is_drawn_apart_only_where_exposure_departs_from_it() -> None:
    schedule = log(realm__schedule=[1.0, 0.5])
    assert not departs_from_schedule(schedule | log(realm__exposure=[1.0, 0.5 + 1e-7]))
    assert departs_from_schedule(schedule | log(realm__exposure=[1.0, 0.25]))
    assert not departs_from_schedule(schedule | {"realm/exposure": Series((3,), (0.5,))})
    assert not departs_from_schedule(schedule)
    assert not departs_from_schedule({})


def test_validation_falls_back_on_verls_own_names() -> None:
    verls = {"val-core/realm/search_relevance/unguided/acc/mean@1": Series((0,), (0.25,))}
    assert validation_series(verls, "unguided") == Series((0,), (0.25,))
    assert validation_series(verls, "guided") is None
    assert validation_series(verls | log(realm__val__unguided_acc=[0.5]), "unguided") == Series((1,), (0.5,))


def test_phases_add_up_to_step_and_validation() -> None:
    phases = phase_seconds(
        log(timing_s__step=[10.0, 6.0], timing_s__gen=[5.0, 3.0])
        | {"timing_s/save_checkpoint": Series((2,), (1.0,)), "timing_s/testing": Series((2,), (4.0,))}
    )
    assert phases == {"generate": 4.0, "save checkpoint": 0.5, "validate": 2.0, "other": 3.5}


@pytest.mark.parametrize("smooth", [True, False])
def test_lines_break_and_are_not_smoothed_where_a_series_begins_anew(smooth: bool) -> None:
    """Ten steps at 0 and, in the next round, ten at 1, of which one is of few rollouts."""
    series = Series(tuple(range(1, 21)), (0.0,) * 10 + (1.0,) * 10, starts=(10,), faint=(14,))
    axes = Figure().subplots()
    end = draw_line(axes, series, "#000000", smooth=smooth)
    assert (end.x, end.y) == (20, 1.0)
    drawn = [(list(map(int, line.get_xdata())), set(line.get_ydata())) for line in axes.lines]
    few, *lines = drawn
    assert few == ([15], {1.0})
    parts = [(list(range(1, 11)), {0.0}), (list(range(11, 15)), {1.0}), (list(range(16, 21)), {1.0})]
    assert lines == [part for part in parts for _ in range(2 if smooth else 1)]


def test_rolling_mean_keeps_the_length_and_shrinks_at_the_ends() -> None:
    assert rolling_mean([1.0, 2.0, 6.0, 3.0], 3) == [1.5, 3.0, pytest.approx(11 / 3), 4.5]


def test_labels_are_spread_around_where_they_were() -> None:
    assert spread([], 0.1) == []
    assert spread([0.2, 0.8], 0.1) == [0.2, 0.8]
    assert spread([0.5, 0.5], 0.1) == pytest.approx([0.45, 0.55])
    assert spread([0.0, 0.0], 0.1) == pytest.approx([0.05, 0.15])


def test_text_on_a_colour_is_readable() -> None:
    assert text_on("#f0e442") == "#000000"
    assert text_on("#0072b2") == "#ffffff"
