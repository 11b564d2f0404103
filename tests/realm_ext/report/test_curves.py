"""What figures by training step share: where the routes are gone, and how lines are drawn and named."""

from matplotlib.figure import Figure

from realm_ext.report.curves import autonomy_step, draw_and_label
from realm_ext.report.scalars import Series


def exposure(*values: float) -> dict[str, Series]:
    return {"realm/exposure": Series(tuple(range(1, len(values) + 1)), values)}


def test_autonomy_starts_where_exposure_stays_at_0() -> None:
    assert autonomy_step(exposure(1.0, 0.0, 0.5, 0.0, 0.0)) == 4
    assert autonomy_step(exposure(1.0, 0.5)) is None
    assert autonomy_step(exposure(0.0, 0.0)) is None
    assert autonomy_step({}) is None


def test_only_lines_with_data_are_drawn_and_named() -> None:
    axes = Figure().subplots()
    draw_and_label(
        axes, [("here", Series((1, 2), (0.0, 1.0)), "#000000", "-"), ("gone", None, "#000000", "-")]
    )
    assert len(axes.lines) == 1
    assert [text.get_text() for text in axes.texts] == ["here"]
