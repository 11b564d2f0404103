"""The trainer and the adaptive state, without a cluster: levels travel with the rows, move once a step, survive kills."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("verl")

from verl.trainer.ppo.v1.trainer_sync import PPOTrainerSync
from verl.utils.tensordict_utils import get_tensordict

from realm_ext import traces
from realm_ext.adaptive import Visit
from realm_ext.adaptive_store import FOLDER, ChangedDataError
from realm_ext.agent_loop import EXPOSURE_COLUMN
from realm_ext.checkpoints import step_folder
from realm_ext.rollout_metrics import Rollout
from realm_ext.trainer import RealmTrainerSync, visits_of
from tests.realm_ext.test_resume import save_at, verl_saves  # noqa: F401
from tests.realm_ext.test_trainer import make_trainer

ADAPTIVE = {"adaptive": {"kind": "per_question", "start": 0.8}}
ROUTE = {"steps": ["s"], "answer": "1", "label": True}


@pytest.fixture
def trainer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RealmTrainerSync:
    """A trainer at the start of a run; verl's own load finds `loaded_step`."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.parquet").write_bytes(b"questions")

    def load(self: Any) -> None:
        tracker = tmp_path / "run" / "latest_checkpointed_iteration.txt"
        self.global_steps = int(tracker.read_text()) if tracker.exists() else 0

    monkeypatch.setattr(PPOTrainerSync, "_load_checkpoint", load)
    (tmp_path / "run").mkdir()
    return made(tmp_path)


def made(folder: Path) -> RealmTrainerSync:
    trainer = make_trainer(folder / "run", ADAPTIVE)
    trainer._load_checkpoint()
    return trainer


def rows(*infos: Any) -> Any:
    column: Any = np.empty(len(infos), dtype=object)
    column[:] = list(infos)
    sources = np.array(["realm/math"] * len(infos), dtype=object)
    return get_tensordict({"extra_info": column, "data_source": sources})


def info(uid: str, **more: Any) -> dict[str, Any]:
    return {"uid": uid, "regime": None, "routes": [ROUTE], **more}


def rollout(row_uid: str, session: int, right: bool | None, guided: bool = False) -> Rollout:
    reward = {} if right is None else {"acc": float(right)}
    extra = {"guided": guided, "exposure": 0.4, "row_uid": row_uid, "reward_extra_info": reward}
    return Rollout.from_stored(f"v{row_uid}_{session}_0", {"response_len": 3}, extra)


def one_step(
    trainer: RealmTrainerSync, monkeypatch: pytest.MonkeyPatch, *rollouts: Rollout
) -> dict[str, float]:
    """A step that fetched one row of each question in `rollouts`."""
    uids = sorted({rollout.row_uid for rollout in rollouts})

    def step(self: Any, metrics: Any, timing: Any) -> str:
        self._next_train_batch()
        self._rollouts_of_step += rollouts
        return "batch"

    monkeypatch.setattr(PPOTrainerSync, "step", step)
    monkeypatch.setattr(PPOTrainerSync, "_next_train_batch", lambda *_: rows(*map(info, uids)))
    trainer.global_steps += 1
    metrics: dict[str, float] = {}
    assert trainer.step(metrics, {}) == "batch"
    return metrics


def test_each_row_carries_its_exposure(trainer: RealmTrainerSync, monkeypatch: pytest.MonkeyPatch) -> None:
    assert trainer.levels is not None
    for _ in range(3):
        trainer.levels.update([Visit("easy", "realm/math/3", True)])
    given = rows(
        info("easy"), info("new"), info("val", regime="guided"), {"index": 1}, info("none", routes=[])
    )
    monkeypatch.setattr(PPOTrainerSync, "_next_train_batch", lambda *_: given)
    batch = trainer._next_train_batch()
    carried = [item.data if hasattr(item, "data") else item for item in list(batch[EXPOSURE_COLUMN])]
    assert carried == [pytest.approx(0.025), pytest.approx(0.025), None, None, pytest.approx(0.4)]


def test_without_adaptive_nothing_is_added(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PPOTrainerSync, "_next_train_batch", lambda *_: rows(info("q")))
    assert EXPOSURE_COLUMN not in make_trainer(tmp_path)._next_train_batch()


def test_unguided_rollouts_alone_make_a_visit() -> None:
    given = [
        rollout("a", 0, True, guided=True),
        rollout("a", 1, False),
        rollout("b", 0, False),
        rollout("b", 1, True),
        rollout("c", 0, True, guided=True),
        rollout("unknown", 0, True),
    ]
    buckets = dict.fromkeys("abc", "x")
    assert visits_of(given, buckets) == [Visit("a", "x", False), Visit("b", "x", True)]
    with pytest.raises(ValueError, match="returns `outcome` or `acc`"):
        visits_of([rollout("a", 0, None)], buckets)


def test_a_step_moves_levels_and_leaves_a_trace(
    trainer: RealmTrainerSync, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    metrics = one_step(trainer, monkeypatch, rollout("a", 0, True), rollout("b", 0, False))
    assert trainer.levels is not None
    assert {uid: state.level for uid, state in trainer.levels.questions.items()} == {
        "a": pytest.approx(0.55),
        "b": 0.8,
    }
    assert metrics["realm/adaptive/questions"] == 2.0
    assert metrics["realm/adaptive/level/realm/math/3"] == pytest.approx(0.675)
    assert [line["uid"] for line in traces.read(tmp_path / "run")] == ["a", "b"]


def test_killed_and_resumed_it_is_where_it_was(
    trainer: RealmTrainerSync,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    verl_saves: list[Any],  # noqa: F811
) -> None:
    one_step(trainer, monkeypatch, rollout("a", 0, True), rollout("b", 0, False))
    save_at(trainer, 1)
    one_step(trainer, monkeypatch, rollout("a", 0, True), rollout("c", 0, True))
    save_at(trainer, 2)
    one_step(trainer, monkeypatch, rollout("b", 0, False))
    resumed = made(tmp_path)
    assert resumed.global_steps == 2
    assert traces.steps(tmp_path / "run") == [1, 2]
    one_step(resumed, monkeypatch, rollout("b", 0, False))
    assert trainer.levels is not None and resumed.levels is not None
    assert resumed.levels.questions == trainer.levels.questions
    assert resumed.levels.buckets == trainer.levels.buckets


def test_a_torn_state_falls_back_and_says_so(
    trainer: RealmTrainerSync,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    verl_saves: list[Any],  # noqa: F811
    capsys: pytest.CaptureFixture[str],
) -> None:
    for step in (1, 2):
        one_step(trainer, monkeypatch, rollout(f"q{step}", 0, True))
        save_at(trainer, step)
    segment = max((step_folder(tmp_path / "run", 2) / FOLDER).glob("*.jsonl"))
    content = segment.read_bytes()
    segment.unlink()
    segment.write_bytes(bytes(len(content)))
    resumed = made(tmp_path)
    assert resumed.global_steps == 1
    assert resumed.levels is not None and set(resumed.levels.questions) == {"q1"}
    said = capsys.readouterr().out
    assert "resuming from step 1, the last whole checkpoint" in said
    assert "global_step_2 has a torn adaptive state" in said


def test_changed_data_is_refused(
    trainer: RealmTrainerSync,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    verl_saves: list[Any],  # noqa: F811
) -> None:
    one_step(trainer, monkeypatch, rollout("a", 0, True))
    save_at(trainer, 1)
    (tmp_path / "a.parquet").write_bytes(b"other questions")
    with pytest.raises(ChangedDataError, match=r"data\.train_files is not the data"):
        made(tmp_path)


def test_a_checkpoint_from_before_starts_afresh_and_says_so(
    tmp_path: Path,
    trainer: RealmTrainerSync,
    verl_saves: list[Any],  # noqa: F811
    capsys: pytest.CaptureFixture[str],
) -> None:
    save_at(make_trainer(tmp_path / "run"), 1)
    assert made(tmp_path).global_steps == 1
    assert "has no adaptive state; every question starts at level 0.8" in capsys.readouterr().out
