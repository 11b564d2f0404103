"""The adaptive state on disk: what is written is read back, small saves stay small, damage is seen and said."""

import json
import random
import shutil
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from realm_ext import adaptive_store
from realm_ext.adaptive import AdaptiveConfig, Levels, Visit
from realm_ext.adaptive_store import (
    FOLDER,
    MANIFEST,
    ChangedDataError,
    Segment,
    TornStateError,
    check_data,
    data_fingerprint,
    fault,
    load,
    save,
)
from realm_ext.checkpoints import find, mark_whole, repair, step_folder

CONFIG = AdaptiveConfig(kind="per_question", start=0.7, raise_by=0.1, lower_by=0.3)


def visit(levels: Levels, step: int, uids: list[str]) -> None:
    levels.update([Visit(uid, f"b{len(uid)}", (step + len(uid)) % 3 == 0) for uid in dict.fromkeys(uids)])


def train(root: Path, steps: list[list[str]]) -> tuple[Levels, list[Segment]]:
    levels, segments = Levels(CONFIG), []  # type: tuple[Levels, list[Segment]]
    for step, uids in enumerate(steps, start=1):
        visit(levels, step, uids)
        segments = save(step_folder(root, step), levels, segments, step, "data")
    return levels, segments


@settings(deadline=None, max_examples=20)
@given(st.lists(st.lists(st.text('ab\n"é☃', max_size=3), max_size=6), max_size=8))
def test_what_is_saved_is_loaded(tmp_path_factory: pytest.TempPathFactory, steps: list[list[str]]) -> None:
    root = tmp_path_factory.mktemp("state")
    levels, segments = train(root, [*steps, ["last"]])
    found, read = load(step_folder(root, len(steps) + 1), CONFIG)
    assert (found, read) == (levels, segments)


def test_each_checkpoint_is_complete_on_its_own(tmp_path: Path) -> None:
    levels, _ = train(tmp_path, [[f"q{i % 7}", f"q{i}"] for i in range(9)])
    moved = tmp_path / "elsewhere"
    step_folder(tmp_path, 9).rename(moved)
    for step in range(1, 9):
        shutil.rmtree(step_folder(tmp_path, step))
    assert load(moved, CONFIG)[0] == levels


def test_going_on_from_an_older_checkpoint_leaves_the_newer_ones_whole(tmp_path: Path) -> None:
    train(tmp_path, [["a"], ["b"], ["c"]])
    levels, segments = load(step_folder(tmp_path, 1), CONFIG)
    visit(levels, 2, ["z"])
    save(step_folder(tmp_path, 2), levels, segments, 2, "data")
    assert set(load(step_folder(tmp_path, 2), CONFIG)[0].questions) == {"a", "z"}
    assert set(load(step_folder(tmp_path, 3), CONFIG)[0].questions) == {"a", "b", "c"}


def test_without_the_last_checkpoint_everything_is_written_anew(tmp_path: Path) -> None:
    levels, segments = train(tmp_path, [["a"], ["b", "c"]])
    shutil.rmtree(step_folder(tmp_path, 2))
    visit(levels, 3, ["d"])
    save(step_folder(tmp_path, 3), levels, segments, 3, "data")
    assert load(step_folder(tmp_path, 3), CONFIG)[0] == levels


def test_a_file_system_without_hard_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError("no links here")

    monkeypatch.setattr(adaptive_store.os, "link", refuse)
    levels, _ = train(tmp_path, [["a", "b", "c"], ["d"]])
    assert load(step_folder(tmp_path, 2), CONFIG)[0] == levels


def test_a_save_writes_what_was_touched_and_little_more(tmp_path: Path) -> None:
    """Lines written over many saves: a small multiple of the questions touched, however many are known."""
    draw = random.Random(1)
    levels, segments = Levels(CONFIG), []  # type: tuple[Levels, list[Segment]]
    visit(levels, 0, [f"q{i}" for i in range(5000)])
    segments = save(step_folder(tmp_path, 0), levels, segments, 0, "data")
    written, touched = 0, 0
    for step in range(1, 65):
        uids = [f"q{draw.randrange(5000)}" for _ in range(20)]
        visit(levels, step, uids)
        touched += len(set(uids))
        segments = save(step_folder(tmp_path, step), levels, segments, step, "data")
        written += segments[-1].n_lines
        assert len(segments) <= 9
    assert written < 7 * touched  # 64 saves: every line is rewritten at most log2(64) times


DAMAGE = ["shorter", "longer", "same size", "gone", "no manifest", "torn manifest", "no segments", "older"]


def damage(folder: Path, kind: str) -> None:
    segment, manifest = next(folder.glob("*.jsonl")), folder / MANIFEST
    content = segment.read_bytes()
    segment.unlink()  # never in place: other checkpoints share the file
    if kind == "no manifest":
        manifest.unlink()
    elif kind == "torn manifest":
        manifest.write_text(manifest.read_text()[:20])
    elif kind == "no segments":
        manifest.write_text(json.dumps({"version": 1, "data": "", "segments": [["x"]], "buckets": {}}))
    elif kind == "older":
        manifest.write_text(json.dumps({"version": 0}))
    changed = {"shorter": content[:-2], "longer": content + b"\n", "same size": bytes(len(content))}
    if kind != "gone":
        segment.write_bytes(changed.get(kind, content))


@pytest.mark.parametrize("kind", DAMAGE)
def test_damage_is_seen_and_the_run_falls_back(tmp_path: Path, kind: str) -> None:
    levels, segments = Levels(CONFIG), []  # type: tuple[Levels, list[Segment]]
    for step in (2, 4):
        visit(levels, step, [f"q{step}", "q"])
        folder = step_folder(tmp_path, step)
        segments = save(folder, levels, segments, step, "data")
        (folder / "actor").mkdir()
        (folder / "actor" / "model.pt").write_bytes(b"m")
        (folder / "data.pt").write_bytes(b"d")
        mark_whole(tmp_path, step, {})
    assert find(tmp_path, fault).step == 4
    damage(step_folder(tmp_path, 4) / FOLDER, kind)
    assert "torn adaptive state" in (fault(step_folder(tmp_path, 4)) or "")
    with pytest.raises(TornStateError):
        load(step_folder(tmp_path, 4), CONFIG)
    found = find(tmp_path, fault)
    assert (found.step, found.incomplete) == (2, (4,))
    assert found.problems[0].startswith("global_step_4 ")
    repair(tmp_path, found)
    assert set(load(step_folder(tmp_path, 2), CONFIG)[0].questions) == {"q", "q2"}


def test_no_state_is_no_fault(tmp_path: Path) -> None:
    assert fault(tmp_path) is None
    check_data(tmp_path, "anything")
    with pytest.raises(FileNotFoundError, match="no adaptive state"):
        load(tmp_path, CONFIG)


def test_changed_data_is_refused(tmp_path: Path) -> None:
    one, other = tmp_path / "a.parquet", tmp_path / "b.parquet"
    one.write_bytes(b"1")
    other.write_bytes(b"2")
    prints = [data_fingerprint(map(str, paths)) for paths in ([one], [other], [one, other], [other, one])]
    assert len(set(prints)) == 4
    other.write_bytes(b"1")
    assert data_fingerprint([str(other)]) == prints[0]
    assert data_fingerprint(["hdfs://x"]) != data_fingerprint(["hdfs://y"])
    levels = Levels(CONFIG)
    visit(levels, 1, ["q"])
    save(tmp_path / "global_step_1", levels, [], 1, prints[0])
    check_data(tmp_path / "global_step_1", prints[0])
    with pytest.raises(ChangedDataError, match=r"data\.train_files is not the data"):
        check_data(tmp_path / "global_step_1", prints[2])
