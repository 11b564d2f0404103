"""TensorBoard logs: verl's own writer, resumes, torn files, values that are not numbers."""

import math
from collections.abc import Callable
from pathlib import Path

from torch.utils.tensorboard import SummaryWriter

from realm_ext.report.scalars import Series, merge_series, read_event_file, read_scalars


def test_reads_what_verls_writer_writes(tmp_path: Path) -> None:
    name = "val-core/realm/search_relevance/unguided/acc/mean@1"
    writer = SummaryWriter(str(tmp_path))
    writer.add_scalar(name, 0.25, 0)
    writer.add_scalar(name, 0.5, 5)
    writer.add_scalar("new_style", 2.0, 1, new_style=True)
    writer.add_text("a text", "not a number", 1)
    writer.close()
    series, notes = read_scalars(tmp_path)
    assert series == {name: Series((0, 5), (0.25, 0.5)), "new_style": Series((1,), (2.0,))}
    assert notes == []


def test_a_resume_overrides_the_steps_it_does_again(
    tmp_path: Path, write_events: Callable[..., Path]
) -> None:
    write_events(tmp_path, {"a": [(3, 30.0), (4, 40.0)], "b": [(3, 3.0)]}, started=200.0)
    write_events(tmp_path, {"a": [(s, float(s)) for s in range(1, 6)], "b": [(2, 2.0)]}, started=100.0)
    series, _ = read_scalars(tmp_path)
    assert series["a"] == Series((1, 2, 3, 4), (1.0, 2.0, 30.0, 40.0))  # step 5 was lost in the crash
    assert series["b"] == Series((2, 3), (2.0, 3.0))


def test_of_one_step_written_twice_the_last_counts() -> None:
    series, _ = merge_series([{"a": [(1, 1.0), (2, 2.0), (2, 5.0)]}])
    assert series["a"].values == (1.0, 5.0)


def test_values_that_are_not_finite_are_left_out_and_counted() -> None:
    series, not_finite = merge_series([{"a": [(1, math.nan), (2, 2.0), (3, math.inf)], "b": [(1, math.nan)]}])
    assert series == {"a": Series((2,), (2.0,))}
    assert not_finite == {"a": 2, "b": 1}


def test_a_torn_file_gives_its_whole_records_and_one_line(
    tmp_path: Path, write_events: Callable[..., Path]
) -> None:
    path = write_events(tmp_path, {"a": [(1, 1.0), (2, 2.0)]})
    path.write_bytes(path.read_bytes()[:-5])
    series, notes = read_scalars(tmp_path)
    assert series["a"] == Series((1,), (1.0,))
    assert len(notes) == 1 and "ends inside a record" in notes[0] and "2 whole records" in notes[0]


def test_a_file_of_something_else_holds_nothing_and_says_so(tmp_path: Path) -> None:
    (tmp_path / "events.out.tfevents.1.host").write_bytes(b"no events at all, just text that is long enough")
    series, notes = read_scalars(tmp_path)
    assert series == {}
    assert len(notes) == 1 and "0 whole records" in notes[0]


def test_an_empty_file_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "events.out.tfevents.1.host"
    path.touch()
    assert read_event_file(path).whole
