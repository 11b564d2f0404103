"""Checkpoints as kills leave them: which one counts as whole, and what is repaired."""

from pathlib import Path

import pytest

from realm_ext import checkpoints
from realm_ext.checkpoints import (
    ASIDE,
    MARKER,
    OVERWRITING,
    TRACKER,
    find,
    mark_whole,
    prune,
    repair,
    step_folder,
)


def save(root: Path, step: int, *, marker: bool = True, tracker: bool = True) -> Path:
    """What verl writes, then what the trainer adds."""
    folder = step_folder(root, step)
    checkpoints.open_for_writing(root, step)
    (folder / "actor").mkdir(parents=True, exist_ok=True)
    (folder / "actor" / "model.pt").write_bytes(b"m" * step)
    (folder / "data.pt").write_bytes(b"d")
    if tracker:
        (root / TRACKER).write_text(str(step))
    if marker:
        mark_whole(root, step, {"realm": "abc"})
    return folder


def save_ranks(root: Path, step: int, size: int, *ranks: int, marker: bool = True) -> Path:
    """What verl's ranks write of `size`, those of `ranks` on this machine; with `marker`, the trainer's files too."""
    folder = step_folder(root, step)
    if marker:
        checkpoints.open_for_writing(root, step)
    (folder / "actor").mkdir(parents=True, exist_ok=True)
    for rank in ranks:
        for kind in ("model", "optim", "extra_state"):
            (folder / "actor" / f"{kind}_world_size_{size}_rank_{rank}.pt").write_bytes(b"x")
    if marker:
        (folder / "data.pt").write_bytes(b"d")
        (root / TRACKER).write_text(str(step))
        mark_whole(root, step, {})
    return folder


def test_all_ranks_here_is_whole(tmp_path: Path) -> None:
    save_ranks(tmp_path, 4, 2, 0, 1)
    assert find(tmp_path) == checkpoints.Found(4, (), ())


@pytest.mark.parametrize(
    "seen", ["rank 0 and the trainer", "rank 1 alone", "the trainer alone", "stock verl"]
)
def test_what_lies_partly_on_another_machine_is_refused_and_left(tmp_path: Path, seen: str) -> None:
    ranks = {"rank 1 alone": (1,), "the trainer alone": ()}.get(seen, (0,))
    for step in (2, 4):
        folder = save_ranks(tmp_path, step, 2, *ranks, marker=seen != "rank 1 alone")
        if seen == "the trainer alone":
            (folder / "actor").rmdir()
        elif seen == "stock verl":
            (folder / MARKER).unlink()
    found = find(tmp_path)
    assert found.step is None
    assert found.split and found.split[0].startswith("global_step_4 lies partly on another machine: ")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(checkpoints.NotSharedError, match="not on shared storage"):
        repair(tmp_path, found)
    assert sorted(tmp_path.rglob("*")) == before


def test_halves_brought_together_are_whole(tmp_path: Path) -> None:
    folder = save_ranks(tmp_path, 4, 2, 0)
    for kind in ("model", "optim", "extra_state"):
        (folder / "actor" / f"{kind}_world_size_2_rank_1.pt").write_bytes(b"y")
    assert find(tmp_path) == checkpoints.Found(4, (), ())


def test_killed_while_the_ranks_save_is_no_other_machine(tmp_path: Path) -> None:
    """The file that the trainer leaves before the ranks begin tells the two apart."""
    save_ranks(tmp_path, 2, 2, 0, 1)
    checkpoints.open_for_writing(tmp_path, 4)
    save_ranks(tmp_path, 4, 2, 0, marker=False)
    found = find(tmp_path)
    assert (found.step, found.incomplete, found.split) == (2, (4,), ())
    repair(tmp_path, found)
    assert (tmp_path / f"{ASIDE}global_step_4").is_dir()


def test_one_lost_file_is_damage_and_no_other_machine(tmp_path: Path) -> None:
    save_ranks(tmp_path, 2, 2, 0, 1)
    (save_ranks(tmp_path, 4, 2, 0, 1) / "actor" / "optim_world_size_2_rank_1.pt").unlink()
    found = find(tmp_path)
    assert (found.step, found.split) == (2, ())
    assert found.problems == ("global_step_4 lacks actor/optim_world_size_2_rank_1.pt",)


def test_files_of_an_earlier_world_size_do_not_matter(tmp_path: Path) -> None:
    save_ranks(tmp_path, 4, 4, 0, marker=False)
    save_ranks(tmp_path, 4, 2, 0, 1)
    assert find(tmp_path).step == 4
    assert checkpoints.other_world_size(step_folder(tmp_path, 4), 2) is None


def test_the_number_of_workers(tmp_path: Path) -> None:
    folder = save_ranks(tmp_path, 4, 2, 0, 1)
    assert checkpoints.other_world_size(folder, 2) is None
    problem = checkpoints.other_world_size(folder, 1)
    assert problem is not None and "saved by 2 training workers, and this run has 1 " in problem
    assert checkpoints.other_world_size(save(tmp_path, 6), 1) is None, "names that do not tell"


def test_nothing_there(tmp_path: Path) -> None:
    assert find(tmp_path / "no").step is None
    assert find(tmp_path) == checkpoints.Found(None, (), ())


def test_the_tracked_one_is_taken_without_a_word(tmp_path: Path) -> None:
    save(tmp_path, 2)
    save(tmp_path, 4)
    assert find(tmp_path) == checkpoints.Found(4, (), ())


@pytest.mark.parametrize("content", ["", " \n", "4x", "\x00\x00"])
def test_torn_tracker(tmp_path: Path, content: str) -> None:
    save(tmp_path, 2)
    save(tmp_path, 4)
    (tmp_path / TRACKER).write_text(content)
    found = find(tmp_path)
    assert found.step == 4
    assert TRACKER in found.problems[0]
    repair(tmp_path, found)
    assert (tmp_path / TRACKER).read_text() == "4"
    assert find(tmp_path).problems == ()


def test_killed_while_the_tracker_was_empty_and_no_marker_was_written(tmp_path: Path) -> None:
    save(tmp_path, 2)
    save(tmp_path, 4, marker=False)
    (tmp_path / TRACKER).write_text("")
    found = find(tmp_path)
    assert (found.step, found.incomplete) == (2, (4,))
    repair(tmp_path, found)
    assert (tmp_path / TRACKER).read_text() == "2"
    assert (tmp_path / f"{ASIDE}global_step_4").is_dir()
    assert not step_folder(tmp_path, 4).exists()


def test_killed_between_tracker_and_marker(tmp_path: Path) -> None:
    save(tmp_path, 2)
    save(tmp_path, 4, marker=False)
    assert find(tmp_path).step == 4


def test_killed_while_saving(tmp_path: Path) -> None:
    save(tmp_path, 2)
    (step_folder(tmp_path, 4) / "actor").mkdir(parents=True)
    found = find(tmp_path)
    assert (found.step, found.incomplete) == (2, (4,))
    assert "half written" in found.problems[0]


def test_killed_while_saving_the_first(tmp_path: Path) -> None:
    (step_folder(tmp_path, 4) / "actor").mkdir(parents=True)
    (tmp_path / TRACKER).write_text("")
    found = find(tmp_path)
    assert found.step is None
    repair(tmp_path, found)
    assert not (tmp_path / TRACKER).exists()
    assert find(tmp_path) == checkpoints.Found(None, (), ())


def test_tracker_names_a_missing_folder(tmp_path: Path) -> None:
    save(tmp_path, 2)
    (tmp_path / TRACKER).write_text("9")
    found = find(tmp_path)
    assert found.step == 2
    assert found.problems == (f"{TRACKER} names step 9, whose folder is missing",)


@pytest.mark.parametrize("damage", ["shorter", "gone", "no data", "no actor", "torn marker"])
def test_damaged_checkpoint_falls_back(tmp_path: Path, damage: str) -> None:
    save(tmp_path, 2)
    folder = save(tmp_path, 4)
    if damage == "shorter":
        (folder / "actor" / "model.pt").write_bytes(b"m")
    elif damage == "gone":
        (folder / "actor" / "model.pt").unlink()
    elif damage == "no data":
        (folder / MARKER).unlink()
        (folder / "data.pt").unlink()
    elif damage == "no actor":
        (folder / MARKER).unlink()
        (folder / "actor" / "model.pt").unlink()
    else:
        (folder / MARKER).write_text("{")
    found = find(tmp_path)
    assert (found.step, found.incomplete) == (2, (4,))
    assert found.problems[0].startswith("global_step_4 ")


def test_a_rewritten_export_does_not_matter(tmp_path: Path) -> None:
    export = step_folder(tmp_path, 4) / "actor" / "huggingface"
    export.mkdir(parents=True)
    (export / "config.json").write_text("{}")
    save(tmp_path, 4)
    (export / "config.json").write_text("{ }")
    assert find(tmp_path).step == 4


def test_killed_while_overwriting_the_tracked_checkpoint(tmp_path: Path) -> None:
    save(tmp_path, 2)
    save(tmp_path, 4)
    checkpoints.open_for_writing(tmp_path, 4)
    found = find(tmp_path)
    assert found.step == 2
    assert found.problems == ("global_step_4 was being overwritten",)


def test_overwriting_to_the_end_is_whole_again(tmp_path: Path) -> None:
    save(tmp_path, 4)
    folder = save(tmp_path, 4)
    assert not (folder / OVERWRITING).exists()
    assert find(tmp_path) == checkpoints.Found(4, (), ())


def test_the_tracker_wins_over_a_later_step_of_an_older_run(tmp_path: Path) -> None:
    save(tmp_path, 9)
    save(tmp_path, 3)
    assert find(tmp_path) == checkpoints.Found(3, (), ())
    (tmp_path / TRACKER).write_text("")
    assert find(tmp_path).step == 3


def test_only_one_generation_is_set_aside(tmp_path: Path) -> None:
    save(tmp_path, 2)
    for step in (4, 6):
        (step_folder(tmp_path, step) / "actor").mkdir(parents=True)
        repair(tmp_path, find(tmp_path))
    assert [p.name for p in tmp_path.glob(f"{ASIDE}*")] == [f"{ASIDE}global_step_6"]


def test_prune_keeps_the_last_written(tmp_path: Path) -> None:
    for step in (2, 4, 6):
        save(tmp_path, step)
    (step_folder(tmp_path, 5) / "actor").mkdir(parents=True)
    assert prune(tmp_path, 2) == [2]
    assert find(tmp_path).step == 6
    assert sorted(p.name for p in tmp_path.glob("global_step_*")) == [
        "global_step_4",
        "global_step_5",
        "global_step_6",
    ]
