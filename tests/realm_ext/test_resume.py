"""Checkpoints around verl's own save and load, without a cluster: marked, pruned, resumed from, or refused."""

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("verl")

from verl.trainer.ppo.v1.trainer_sync import PPOTrainerSync

from realm_ext import checkpoints
from realm_ext.checkpoints import MARKER, TRACKER, NotSharedError, step_folder
from realm_ext.trainer import RealmTrainerSync
from tests.realm_ext.test_trainer import make_trainer


@pytest.fixture
def verl_saves(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """verl's own save, reduced to the files it leaves; the returned list records the limits it was given."""
    limits: list[Any] = []

    def save(self: Any) -> None:
        root, step = Path(self.config.trainer.default_local_dir), self.global_steps
        limits.append(self.config.trainer.max_actor_ckpt_to_keep)
        (step_folder(root, step) / "actor").mkdir(parents=True, exist_ok=True)
        (step_folder(root, step) / "actor" / "model.pt").write_bytes(b"x")
        (step_folder(root, step) / "data.pt").write_bytes(b"x")
        (root / TRACKER).write_text(str(step))

    monkeypatch.setattr(PPOTrainerSync, "_save_checkpoint", save)
    return limits


@pytest.fixture
def verl_loads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """verl's own load, reduced to what it reads; the returned list records the tracker's content."""
    read: list[str] = []

    def load(self: Any) -> None:
        tracker = Path(self.config.trainer.default_local_dir) / TRACKER
        read.append(tracker.read_text() if tracker.exists() else "none")

    monkeypatch.setattr(PPOTrainerSync, "_load_checkpoint", load)
    return read


def save_at(trainer: RealmTrainerSync, *steps: int) -> None:
    for step in steps:
        trainer.global_steps = step
        trainer._save_checkpoint()


def test_saving_marks_and_prunes_after_verl_is_done(tmp_path: Path, verl_saves: list[Any]) -> None:
    made = make_trainer(tmp_path, max_actor_ckpt_to_keep=2)
    save_at(made, 2, 4, 6)
    assert verl_saves == [None, None, None]
    assert made.config.trainer.max_actor_ckpt_to_keep == 2
    assert sorted(p.name for p in tmp_path.glob("global_step_*")) == ["global_step_4", "global_step_6"]
    assert (step_folder(tmp_path, 6) / MARKER).is_file()


def test_a_failing_save_leaves_no_marker_and_the_config_as_it_was(
    tmp_path: Path, verl_saves: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = make_trainer(tmp_path, max_actor_ckpt_to_keep=1, remove_previous_ckpt_in_save=True)
    save_at(made, 2)

    def fail(self: Any) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(PPOTrainerSync, "_save_checkpoint", fail)
    with pytest.raises(OSError, match="disk full"):
        save_at(made, 4)
    assert made.config.trainer.max_actor_ckpt_to_keep == 1
    assert made.config.trainer.remove_previous_ckpt_in_save is True
    assert (step_folder(tmp_path, 2) / MARKER).is_file()


def test_resume_after_a_kill_during_the_tracker_write(
    tmp_path: Path, verl_saves: list[Any], verl_loads: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    made = make_trainer(tmp_path)
    save_at(made, 2, 4)
    (step_folder(tmp_path, 4) / MARKER).unlink()
    (tmp_path / TRACKER).write_text("")
    made._load_checkpoint()
    assert verl_loads == ["2"]
    said = capsys.readouterr().out
    assert said.count("\n") == 1
    assert said.startswith("ReaLM: resuming from step 2")
    assert not step_folder(tmp_path, 4).exists()


def test_resume_in_order_says_nothing(
    tmp_path: Path, verl_saves: list[Any], verl_loads: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    made = make_trainer(tmp_path)
    made._load_checkpoint()
    save_at(made, 2)
    made._load_checkpoint()
    assert verl_loads == ["none", "2"]
    assert capsys.readouterr().out == ""


def test_resume_with_another_schedule_says_so(
    tmp_path: Path, verl_saves: list[Any], verl_loads: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    made = make_trainer(tmp_path)
    save_at(made, 2)
    made.config.realm.schedule.fade_steps = 99
    made._load_checkpoint()
    assert "these changed: realm;" in capsys.readouterr().out


def test_other_resume_modes_are_verls_own(tmp_path: Path, verl_loads: list[str]) -> None:
    (tmp_path / TRACKER).write_text("")
    make_trainer(tmp_path, resume_mode="disable")._load_checkpoint()
    assert verl_loads == [""]


@pytest.fixture
def half_is_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """verl's own save of two ranks, as the machine of rank 0 and of the trainer sees it."""

    def save(self: Any) -> None:
        root, step = Path(self.config.trainer.default_local_dir), self.global_steps
        actor = step_folder(root, step) / "actor"
        actor.mkdir(parents=True, exist_ok=True)
        for kind in ("model", "optim", "extra_state"):
            (actor / f"{kind}_world_size_2_rank_0.pt").write_bytes(b"x")
        (step_folder(root, step) / "data.pt").write_bytes(b"x")
        (root / TRACKER).write_text(str(step))

    monkeypatch.setattr(PPOTrainerSync, "_save_checkpoint", save)


def test_storage_that_is_not_shared_is_told_at_the_first_save_and_nothing_is_pruned(
    tmp_path: Path, half_is_elsewhere: None, capsys: pytest.CaptureFixture[str]
) -> None:
    made = make_trainer(tmp_path, max_actor_ckpt_to_keep=1, nnodes=2, n_gpus_per_node=1)
    save_at(made, 2, 4)
    said = capsys.readouterr().out
    assert said.count("\n") == 1
    assert "not on shared storage: global_step_2, just saved" in said and "rank 1" in said
    assert sorted(p.name for p in tmp_path.glob("global_step_*")) == ["global_step_2", "global_step_4"]


def files_of(root: Path) -> dict[str, bytes]:
    return {str(p.relative_to(root)): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()}


def test_a_resume_refuses_them_and_changes_nothing(
    tmp_path: Path, half_is_elsewhere: None, verl_loads: list[str]
) -> None:
    made = make_trainer(tmp_path, nnodes=2, n_gpus_per_node=1)
    save_at(made, 2, 4)
    before = files_of(tmp_path)
    with pytest.raises(NotSharedError, match="not on shared storage: global_step_4 lies partly on another"):
        made._load_checkpoint()
    assert files_of(tmp_path) == before
    assert verl_loads == []


def test_so_does_a_resume_on_the_other_machine(tmp_path: Path, verl_loads: list[str]) -> None:
    """There: the files of rank 1 alone; the trainer's, with tracker and marker, are on the first."""
    for step in (2, 4):
        actor = step_folder(tmp_path, step) / "actor"
        actor.mkdir(parents=True)
        (actor / "model_world_size_2_rank_1.pt").write_bytes(b"x")
    before = files_of(tmp_path)
    made = make_trainer(tmp_path, nnodes=2, n_gpus_per_node=1)
    with pytest.raises(NotSharedError, match="rank 0 are not here"):
        made._load_checkpoint()
    assert files_of(tmp_path) == before
    assert verl_loads == []


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ("half", "not on shared storage: it lies partly on another machine"),
        ("cut short", "not a whole checkpoint: it has 1 bytes of 2 in actor/model_world_size_2_rank_1.pt"),
        ("killed", "not a whole checkpoint: it is half written"),
        ("gone", "no such folder"),
        ("other size", "was saved by 2 training workers, and this run has 3"),
    ],
)
def test_a_named_checkpoint_is_looked_at_too(
    tmp_path: Path, verl_loads: list[str], damage: str, message: str
) -> None:
    folder = step_folder(tmp_path, 4)
    checkpoints.open_for_writing(tmp_path, 4)
    (folder / "actor").mkdir()
    for rank in (0, 1):
        (folder / "actor" / f"model_world_size_2_rank_{rank}.pt").write_bytes(b"xx")
    (folder / "data.pt").write_bytes(b"x")
    if damage != "killed":
        checkpoints.mark_whole(tmp_path, 4, {})
    file = folder / "actor" / "model_world_size_2_rank_1.pt"
    if damage == "half":
        file.unlink()
    elif damage == "cut short":
        file.write_bytes(b"x")
    named = tmp_path / "nothing" if damage == "gone" else folder
    n_nodes = 3 if damage == "other size" else 2
    made = make_trainer(
        tmp_path, resume_mode="resume_path", resume_from_path=str(named), nnodes=n_nodes, n_gpus_per_node=1
    )
    with pytest.raises(ValueError, match=message):
        made._load_checkpoint()
    assert verl_loads == []


def test_a_named_checkpoint_that_is_whole_is_verls_to_load(tmp_path: Path, verl_saves: list[Any]) -> None:
    read: list[Any] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PPOTrainerSync, "_load_checkpoint", lambda self: read.append(self.config.trainer))
        made = make_trainer(tmp_path)
        save_at(made, 2)
        named = step_folder(tmp_path, 2)
        (named / "data.pt").unlink()
        (named / MARKER).unlink()  # as stock verl leaves it, and without the state of the data
        made = make_trainer(tmp_path, resume_mode="resume_path", resume_from_path=str(named))
        made._load_checkpoint()
    assert len(read) == 1


def test_another_number_of_workers_is_told_before_anything_is_loaded(
    tmp_path: Path, verl_loads: list[str]
) -> None:
    checkpoints.open_for_writing(tmp_path, 2)
    folder = step_folder(tmp_path, 2)
    (folder / "actor").mkdir()
    for rank in (0, 1):
        (folder / "actor" / f"model_world_size_2_rank_{rank}.pt").write_bytes(b"x")
    (folder / "data.pt").write_bytes(b"x")
    checkpoints.mark_whole(tmp_path, 2, {})
    with pytest.raises(ValueError, match="saved by 2 training workers, and this run has 1"):
        make_trainer(tmp_path, nnodes=1, n_gpus_per_node=1)._load_checkpoint()
    assert verl_loads == []
    make_trainer(tmp_path, nnodes=1, n_gpus_per_node=2)._load_checkpoint()
    assert verl_loads == ["2"]


def test_an_old_checkpoint_that_cannot_be_removed_does_not_end_the_run(
    tmp_path: Path, verl_saves: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = make_trainer(tmp_path, max_actor_ckpt_to_keep=1)

    def fail(root: Path, keep: int) -> list[int]:
        raise OSError("device busy")

    monkeypatch.setattr(checkpoints, "prune", fail)
    save_at(made, 2, 4)
    assert (step_folder(tmp_path, 4) / MARKER).is_file()
