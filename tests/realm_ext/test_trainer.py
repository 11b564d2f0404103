"""The trainer mode without a cluster: hooks into verl's trainer."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from omegaconf import DictConfig, OmegaConf, open_dict

pytest.importorskip("verl")

from verl.trainer.ppo.v1 import trainer_base
from verl.trainer.ppo.v1.trainer_colocate_async import PPOTrainerColocateAsync
from verl.trainer.ppo.v1.trainer_sync import PPOTrainerSync
from verl.utils.tensordict_utils import get_tensordict
from verl.utils.tracking import Tracking

from realm_ext import diagnostics
from realm_ext import trainer as trainer_module
from realm_ext.advantages import _STRATA
from realm_ext.agent_loop import STEP_COLUMN
from realm_ext.carry import Carried
from realm_ext.config import read_config
from realm_ext.report.scalars import read_scalars
from realm_ext.rollout_metrics import Rollout
from realm_ext.trainer import RealmTrainerColocateAsync, RealmTrainerSync


def make_config(root: Path, realm: dict[str, Any] | None = None, **trainer: Any) -> DictConfig:
    config = OmegaConf.create(
        {
            "realm": {"schedule": {"kind": "linear", "fade_steps": 10}, **(realm or {})},
            "data": {
                "train_files": "a.parquet",
                "train_batch_size": 4,
                "seed": None,
                "shuffle": True,
                "max_response_length": 10,
            },
            "actor_rollout_ref": {"rollout": {"n": 8}, "actor": {}},
            "algorithm": {"adv_estimator": "realm_grpo"},
            "trainer": {
                "default_local_dir": str(root),
                "resume_mode": "auto",
                "max_actor_ckpt_to_keep": None,
                "max_critic_ckpt_to_keep": None,
                "test_freq": -1,
                "v1": {"realm_sync": {"poll_interval": 0.2}},
                **trainer,
            },
        }
    )
    OmegaConf.set_struct(config, True)
    return config


def make_trainer(root: Path, realm: dict[str, Any] | None = None, **trainer: Any) -> RealmTrainerSync:
    made = RealmTrainerSync.__new__(RealmTrainerSync)
    made.config = make_config(root, realm, **trainer)
    made.realm = read_config(made.config)
    made.schedule = lambda step: 0.5
    made.use_critic = False
    made.global_steps = 0
    made.processor = None
    made.levels, made._segments, made._buckets = None, [], {}
    made._rollouts_of_step = []
    made._carried = Carried()
    made._data_fingerprint = ""
    return made


def test_it_is_registered_and_reports_sync(tmp_path: Path) -> None:
    assert trainer_base.get_trainer_cls("realm_sync") is RealmTrainerSync
    made = make_trainer(tmp_path)
    made.trainer_mode = "realm_sync"
    assert made.trainer_mode == "sync"


def test_rows_that_only_verl_knows_are_counted_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A dataset class of the user's: 9 rows are 2 steps an epoch, so 3 epochs end at step 6 of 10."""
    made = make_trainer(tmp_path, total_training_steps=10, total_epochs=3)
    monkeypatch.setattr(
        PPOTrainerSync, "_init_dataloader", lambda self: setattr(self, "train_dataset", range(9))
    )
    with pytest.raises(ValueError, match="would end the run at step 6 of"):
        made._init_dataloader()
    made.config.trainer.total_epochs = 5
    made._init_dataloader()


def test_the_asynchronous_mode_is_verls_with_rows_that_carry_their_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert trainer_base.get_trainer_cls("realm_colocate_async") is RealmTrainerColocateAsync
    made = RealmTrainerColocateAsync.__new__(RealmTrainerColocateAsync)
    made.levels, made.global_steps = None, 7
    assert made.trainer_mode == "colocate_async"
    infos: np.ndarray = np.empty(2, dtype=object)
    infos[:] = [{"uid": "a"}, {"uid": "b"}]
    given = get_tensordict({"extra_info": infos})
    monkeypatch.setattr(PPOTrainerColocateAsync, "_next_train_batch", lambda *_: given)
    assert list(made._next_train_batch()[STEP_COLUMN]) == [7, 7]


def test_poll_interval(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    buffer = SimpleNamespace(poll_interval=2.0)
    monkeypatch.setattr(PPOTrainerSync, "_build_replay_buffer", lambda self: buffer)
    made = make_trainer(tmp_path)
    assert made._build_replay_buffer().poll_interval == 0.2
    made.config = make_config(tmp_path, v1={})
    assert made._build_replay_buffer().poll_interval == trainer_module.POLL_INTERVAL_S


def test_metrics_of_finished_steps_survive_a_kill(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TENSORBOARD_DIR", str(tmp_path))
    made = make_trainer(tmp_path)
    made.logger = Tracking("p", "e", ["console", "tensorboard"])
    for step in (1, 2, 3):
        made.on_step_begin()
        made.logger.log({"realm/exposure": 1.0 / step}, step)
    made.on_step_begin()
    series, _ = read_scalars(tmp_path)
    assert series["realm/exposure"].steps == (1, 2, 3)
    made.logger = Tracking("p", "e", ["console"])
    made.on_step_begin()


def test_advantages_know_the_regime_and_padding_stays_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Any] = []

    def base(self: Any, batch: Any, metrics: Any) -> Any:
        seen.append(_STRATA.get())
        return batch

    extra: np.ndarray = np.empty(3, dtype=object)
    for i, guided in enumerate((True, False, True)):
        extra[i] = {"guided": guided, "exposure": 0.5, "shown": [0, 1] if guided else []}
    monkeypatch.setattr(PPOTrainerSync, "_compute_advantage", base)
    monkeypatch.setattr(trainer_module.tq, "kv_batch_get", lambda **_: {"extra_fields": extra})
    batch = SimpleNamespace(
        keys=["u_0_0", "u_1_0", "pad_0_0"],
        tags=[{"response_len": 2}, {"response_len": 3}, {"response_len": 1, "is_padding": True}],
        partition_id="train",
    )
    made, metrics = make_trainer(tmp_path), {}  # type: tuple[RealmTrainerSync, dict[str, Any]]
    assert made._compute_advantage(batch, metrics) is batch
    rows, moved, punishments = seen[0]
    assert rows == [("u", "guided"), ("u", "unguided"), ("alone 2", "unguided")]
    assert (moved, punishments.tolist()) == ({}, [0.0, 0.0, 0.0])
    assert metrics["realm/schedule"] == 0.5
    assert metrics["realm/guided_share"] == 0.5
    made.config.algorithm.adv_estimator = "grpo"
    made._compute_advantage(batch, metrics)
    assert seen[1] is None


@pytest.mark.parametrize(
    ("kind", "rows", "punishments"),
    [
        ("none", ["u", "u", "u"], [0.0, 0.0, 0.0]),
        ("mask", ["u", "alone 1", "u"], [0.0, 0.0, 0.0]),
        ("punish", ["u", "u", "u"], [0.0, 0.2, 0.1]),
    ],
)
def test_overlong_rollouts_are_left_out_or_punished_and_keep_their_score(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, rows: list[str], punishments: list[float]
) -> None:
    """Responses of 4, 10 and 9 tokens of a budget of 10; the second was cut there."""
    seen: list[Any] = []
    monkeypatch.setattr(
        PPOTrainerSync, "_compute_advantage", lambda self, batch, metrics: seen.append(_STRATA.get())
    )
    extra: np.ndarray = np.empty(3, dtype=object)
    for i in range(3):
        reward = {"score": 1.0, "outcome": 1.0}
        extra[i] = {"guided": False, "exposure": 0.0, "cut": i == 1, "reward_extra_info": reward}
    monkeypatch.setattr(trainer_module.tq, "kv_batch_get", lambda **_: {"extra_fields": extra})
    batch = SimpleNamespace(
        keys=["u_0_0", "u_1_0", "u_2_0"],
        tags=[{"response_len": n} for n in (4, 10, 9)],
        partition_id="train",
    )
    made = make_trainer(tmp_path, {"overlong": {"kind": kind}})
    metrics: dict[str, Any] = {}
    made._compute_advantage(batch, metrics)
    ((found, _, taken),) = seen
    assert [uid for uid, _ in found] == rows
    assert taken == pytest.approx(punishments)
    assert metrics["realm/unguided/cut"] == pytest.approx(1 / 3)
    assert metrics["realm/unguided/score"] == 1.0
    assert metrics.get("realm/overlong/punishment", 0.0) == pytest.approx(sum(punishments) / 3)


def test_a_carried_rollout_is_compared_with_unguided_ones_and_stays_in_the_guided_mean(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Any] = []
    monkeypatch.setattr(
        PPOTrainerSync, "_compute_advantage", lambda self, batch, metrics: seen.append(_STRATA.get())
    )
    monkeypatch.setattr(PPOTrainerSync, "_balance_batch", lambda self, batch, metrics: batch)
    extra: np.ndarray = np.empty(3, dtype=object)
    for i, guided in enumerate((True, True, False)):
        reward = {"score": 1.25 if guided else 0.05, "outcome": float(guided)}
        extra[i] = {"guided": guided, "exposure": 0.5, "row_uid": "r", "reward_extra_info": reward}
    monkeypatch.setattr(trainer_module.tq, "kv_batch_get", lambda **_: {"extra_fields": extra})
    given: list[dict[str, Any]] = []

    def carry(batch: Any, rollouts: Any, **options: Any) -> Carried:
        given.append(options)
        return Carried(frozenset({"u_0_0"}), 1, 0)

    monkeypatch.setattr(trainer_module.carry, "carry", carry)
    batch = SimpleNamespace(
        keys=["u_0_0", "u_1_0", "u_2_0"], tags=[{"response_len": 2}] * 3, partition_id="train"
    )
    made, metrics = make_trainer(tmp_path, {"carry": 2}), {}  # type: tuple[RealmTrainerSync, dict[str, Any]]
    made.actor_rollout_wg = SimpleNamespace(_dispatch_info={"actor": [0, 0, 1, 1]})
    made.tokenizer = made.__dict__["_token_builder"] = None
    made.config.actor_rollout_ref.rollout = {"n": 3, "temperature": 0.7, "calculate_log_probs": True}
    made._balance_batch(batch, metrics)
    assert given[0]["most"] == 2
    assert given[0]["multiple"] == 2
    assert given[0]["with_log_probs"] is True
    assert given[0]["score"] == pytest.approx(1.05)
    assert metrics["realm/carry/rollouts"] == metrics["realm/carry/behind"] == 1.0
    made._compute_advantage(batch, metrics)
    assert [found[:2] for found in seen] == [
        ([("u", "unguided"), ("u", "guided"), ("u", "unguided")], {0: (("u", "guided"), 1.25)}),
    ]
    assert [rollout.carried for rollout in made._rollouts_of_step] == [True, False, False]


def test_a_diagnostic_that_fails_is_said_once_and_the_run_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A full disk under the traces and TensorBoard, a broken metric, a model whose config cannot be read."""
    monkeypatch.setattr(diagnostics, "_failed", set())

    def fail(*_: Any, **__: Any) -> Any:
        raise OSError("No space left on device")

    extra: np.ndarray = np.empty(1, dtype=object)
    extra[0] = {"guided": True, "exposure": 1.0, "reward_extra_info": {"score": 1.0, "outcome": 1.0}}
    batch = SimpleNamespace(keys=["u_0_0"], tags=[{"response_len": 2}], partition_id="train")
    made = make_trainer(tmp_path, test_freq=1)
    made.total_training_steps, made.tokenizer = 9, None
    with open_dict(made.config):
        made.config.actor_rollout_ref.model = {"path": "remote"}
        made.config.actor_rollout_ref.rollout.temperature = 1.0
    made.actor_rollout_wg = SimpleNamespace(_dispatch_info={"actor": [0]})
    made.logger = SimpleNamespace(logger={"tensorboard": SimpleNamespace(writer=SimpleNamespace(flush=fail))})
    monkeypatch.setattr(trainer_module.tq, "kv_batch_get", lambda **_: {"extra_fields": extra})
    monkeypatch.setattr(PPOTrainerSync, "on_step_begin", lambda self: None)
    monkeypatch.setattr(PPOTrainerSync, "_compute_advantage", lambda self, batch, metrics: batch)
    monkeypatch.setattr(PPOTrainerSync, "step", lambda self, m, t: self._compute_advantage(batch, m))
    monkeypatch.setattr(PPOTrainerSync, "_val_metrics_update", lambda *_, **__: {"val-core/x": 1.0})
    for name in ("step_metrics", "validation_metrics", "lost_metrics", "omega_conf_to_dataclass"):
        monkeypatch.setattr(trainer_module, name, fail)
    monkeypatch.setattr(trainer_module.traces, "write", fail)
    monkeypatch.setattr(made, "_warn_of_stall", fail)
    for made.global_steps in (1, 2):
        made.on_step_begin()
        metrics: dict[str, Any] = {}
        assert made.step(metrics, {}) is batch
        assert metrics == {"realm/schedule": 0.5}
        assert made._val_metrics_update([], [], {"reward": []}, []) == {"val-core/x": 1.0}
    said = capsys.readouterr().out.splitlines()
    assert len(said) == len({line.partition(" failed, and")[0] for line in said}) == 7
    assert all(line.startswith("ReaLM: ") and " failed, and the run goes on" in line for line in said)
    assert sum("No space left on device" in line for line in said) == 7


def test_the_model_type_is_what_verl_made_of_the_config(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """verl copies a remote path, reads `hf_config_path` and trusts remote code if told to; so nothing is read anew."""
    made = make_trainer(tmp_path)
    made.tokenizer = object()
    with open_dict(made.config):
        made.config.actor_rollout_ref.model = {"path": "hdfs://nowhere", "trust_remote_code": True}
    given: list[Any] = []
    model = SimpleNamespace(hf_config=SimpleNamespace(model_type="of_remote_code"))

    def omega_conf_to_dataclass(config: Any) -> Any:
        given.append(config)
        return model

    monkeypatch.setattr(trainer_module, "omega_conf_to_dataclass", omega_conf_to_dataclass)
    monkeypatch.setattr(
        trainer_module, "create_continuous_token_builder", lambda tokenizer, **options: options
    )
    assert made._token_builder == {"hf_model_type": "of_remote_code", "chat_template_kwargs": {}}
    assert given[0].path == "hdfs://nowhere" and given[0].trust_remote_code is True


def test_steps_without_anything_to_learn_bring_one_warning_with_an_example(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    made = make_trainer(tmp_path, {"warn_after": 2, "traces": False})
    with open_dict(made.config):
        made.config.data.max_response_length = 9
    made.tokenizer = SimpleNamespace(decode=lambda ids: f"tokens {ids}")
    stored = {"responses": torch.nested.as_nested_tensor([torch.tensor([5, 6])], layout=torch.jagged)}
    asked: list[Any] = []

    def kv_batch_get(**given: Any) -> Any:
        asked.append(given)
        return stored

    monkeypatch.setattr(trainer_module.tq, "kv_batch_get", kv_batch_get)
    batch = SimpleNamespace(
        keys=["pad_0_0", "u_0_0"],
        tags=[{"response_len": 1, "is_padding": True}, {"response_len": 2}],
        partition_id="train",
    )

    def step(self: Any, metrics: Any, timing: Any) -> Any:
        extra = {"exposure": 0.0, "reward_extra_info": {"score": 0.0, "format": 0.0}}
        self._rollouts_of_step = [Rollout.from_stored(f"u_{i}_0", {"response_len": 2}, extra) for i in (0, 2)]
        return batch

    monkeypatch.setattr(PPOTrainerSync, "step", step)
    for made.global_steps in range(1, 7):
        metrics: dict[str, Any] = {}
        made.step(metrics, {})
        assert metrics == {"realm/lost/rollouts": 30.0, "realm/lost/groups": 3.0}, "of 4 groups of 8"
    said = capsys.readouterr().out.splitlines()
    assert len(said) == 1
    assert said[0].startswith("ReaLM: for 2 steps in a row, up to step 2, every rollout was malformed")
    assert "'tokens [5, 6]'" in said[0]
    assert [given["keys"] for given in asked] == [["u_0_0"]]


def test_validation_adds_both_regimes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PPOTrainerSync, "_val_metrics_update", lambda *_, **__: {"val-core/x": 1.0})
    found = make_trainer(tmp_path)._val_metrics_update(
        ["realm/math/guided", "realm/math/unguided"],
        ["a", "b"],
        {"reward": [1.2, 0.0], "acc": [1.0, 0.0]},
        [2, 2],
    )
    assert found == {
        "val-core/x": 1.0,
        "realm/val/guided_acc": 1.0,
        "realm/val/unguided_acc": 0.0,
        "realm/val/gap": 1.0,
    }
