"""Figures of verdicts, carry-over and adaptive levels: what each draws, and that it is absent without its metrics."""

from collections.abc import Callable

import pytest
from matplotlib.figure import Figure

from realm_ext.adaptive import BUCKETS, bucket_of
from realm_ext.report.method_plots import (
    LEVEL,
    informedness,
    levels_by_domain,
    plot_carry_over,
    plot_levels,
    plot_verdicts,
)
from realm_ext.report.reading import Run
from realm_ext.report.scalars import Series
from realm_ext.report.style import LIGHT, Theme
from realm_ext.rollout_metrics import Rollout, confusion_metrics
from reward_fns.routes import Route

RIGHT, WRONG = "realm/verdicts/right_judged_right", "realm/verdicts/wrong_judged_right"


def run_of(**metrics: list[float]) -> Run:
    """A run with the metrics, by name after `realm__`, from step 1 on."""
    log = {
        "realm/" + name.replace("__", "/"): Series(tuple(range(1, len(values) + 1)), tuple(values))
        for name, values in metrics.items()
    }
    return Run("run", log, {}, (), (), ())


def texts(figure: Figure | None) -> list[list[str]]:
    """The names of the lines, panel by panel."""
    assert figure is not None
    return [[text.get_text() for text in axes.texts if text.get_text()] for axes in figure.axes]


def titles(figure: Figure | None) -> list[str]:
    assert figure is not None
    return [axes.get_title(loc="left") or axes.get_title() for axes in figure.axes]


@pytest.mark.parametrize("draw", [plot_verdicts, plot_carry_over, plot_levels])
def test_a_run_that_logged_none_of_it_has_no_figure(draw: Callable[[Run, Theme], Figure | None]) -> None:
    assert draw(run_of(exposure=[1.0, 0.0], schedule=[1.0, 0.0]), LIGHT) is None


def test_both_kinds_of_routes_and_the_distance_between_them() -> None:
    run = run_of(
        verdicts__right_judged_right=[0.5, 0.75, 1.0],
        verdicts__wrong_judged_right=[0.5, 0.25],
        verdicts__missing=[0.5, 0.0, 0.0],
    )
    assert informedness(run.rl) == Series((1, 2), (0.0, 0.5))
    assert [sorted(panel) for panel in texts(plot_verdicts(run, LIGHT))] == [
        ["right routes", "wrong routes"],
        ["informedness", "no verdict"],
    ]


def test_verdicts_of_one_kind_alone_have_no_informedness() -> None:
    run = run_of(verdicts__right_judged_right=[1.0])
    assert informedness(run.rl) is None
    assert texts(plot_verdicts(run, LIGHT)) == [["right routes"]]
    apart = {RIGHT: Series((1,), (1.0,)), WRONG: Series((2,), (0.0,))}
    assert informedness(apart) is None


def test_a_run_without_any_readable_verdict_says_so() -> None:
    assert texts(plot_verdicts(run_of(verdicts__missing=[1.0, 1.0]), LIGHT)) == [["no verdict"]]


def test_verdicts_are_drawn_under_the_names_that_training_logs() -> None:
    counts = dict.fromkeys(
        ("right_judged_right", "right_judged_wrong", "wrong_judged_right", "wrong_judged_wrong"), 1.0
    )
    components = {**counts, "n_shown": 5.0}
    rollout = Rollout("u", 0, "r", True, 1.0, (0, 1, 2, 3), (1, 1, 1, 1), 1, 0, 9, components)
    logged = {name: Series((1,), (value,)) for name, value in confusion_metrics([rollout]).items()}
    assert {RIGHT, WRONG, "realm/verdicts/missing"} <= logged.keys()
    names = [
        name for panel in texts(plot_verdicts(Run("run", logged, {}, (), (), ()), LIGHT)) for name in panel
    ]
    assert sorted(names) == ["informedness", "no verdict", "right routes", "wrong routes"]


def test_carry_over_with_and_without_the_number_of_responses() -> None:
    four = [-0.5, -0.4, -0.3, -0.2]
    alone = plot_carry_over(run_of(carry_over__log_prob=four), LIGHT)
    assert alone is not None and len(alone.axes) == 1
    both = plot_carry_over(
        run_of(carry_over__log_prob=four, carry_over__rollouts=[32.0, 8.0, 8.0, 4.0]), LIGHT
    )
    assert both is not None and len(both.axes) == 2
    assert both.axes[1].get_ylim()[0] == 0


def test_fewer_than_four_points_make_no_trend_of_carry_over() -> None:
    assert plot_carry_over(run_of(carry_over__log_prob=[-0.5, -0.4, -0.3]), LIGHT) is None


def test_first_errors_are_drawn_beside_the_best_guess_of_them() -> None:
    run = run_of(verdicts__missing=[0.0, 0.0], first_error_acc=[0.3, 0.4], first_error_guess=[0.5, 0.5])
    assert [sorted(panel) for panel in texts(plot_verdicts(run, LIGHT))] == [
        ["first error", "guess of it", "no verdict"]
    ]


def test_informedness_breaks_where_the_verdicts_do() -> None:
    right = Series((1, 2, 5, 6), (0.5, 0.6, 0.7, 0.8), starts=(2,), faint=(3,))
    wrong = Series((1, 2, 5, 6), (0.5, 0.4, 0.3, 0.2), starts=(2,), faint=(3,))
    found = informedness({RIGHT: right, WRONG: wrong})
    assert found is not None and found.values == pytest.approx((0.0, 0.2, 0.4, 0.6))
    assert (found.starts, found.faint) == ((2,), (3,))


def test_levels_are_drawn_a_panel_a_domain_beside_the_schedule() -> None:
    run = run_of(
        schedule=[1.0, 0.0],
        adaptive__questions=[8.0, 16.0],
        adaptive__level__realm__math__0=[1.0, 1.0],
        adaptive__level__realm__math__3=[0.5, 0.25],
        adaptive__level__realm__choice__1=[0.75, 0.5],
    )
    figure = plot_levels(run, LIGHT)
    assert texts(figure) == [
        ["schedule", "25 to 50%"],
        ["schedule", "75 to 100%", "0 to 25%"],
        [],
        [],
    ]
    assert titles(figure)[:3] == ["choice", "math", "Visited so far"]
    assert figure is not None and not figure.axes[3].get_visible()
    assert len(plot_levels(run_of(adaptive__level__realm__math__0=[1.0]), LIGHT).axes) == 1  # type: ignore[union-attr]


def test_levels_are_read_under_the_names_that_training_logs() -> None:
    routes = [Route(("step",), "1", label, None, None, "test") for label in (True, False)]
    log = {f"{LEVEL}{bucket_of(source, routes)}": Series((1,), (1.0,)) for source in ("realm/math", "a/b")}
    assert {domain: list(quarters) for domain, quarters in levels_by_domain(log).items()} == {
        "a/b": [BUCKETS // 2],
        "math": [BUCKETS // 2],
    }
    assert (
        levels_by_domain({LEVEL + "odd": Series((1,), (1.0,)), "realm/exposure": Series((1,), (1.0,))}) == {}
    )
