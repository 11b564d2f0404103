"""Bad input is refused before Ray starts: one message, every reason in it."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from omegaconf import DictConfig, OmegaConf

from data_prep.schema import RL_SCHEMA
from realm_ext import accelerator, adaptive_store
from realm_ext.adaptive import Levels
from realm_ext.checkpoints import mark_whole, step_folder
from realm_ext.config import read_config
from realm_ext.preflight import ConfigError, check
from tests.realm_ext.conftest import make_row, write


def refused(config: DictConfig) -> str:
    with pytest.raises(ConfigError) as error:
        check(config)
    return str(error.value)


def test_a_good_config_passes_and_its_reward_is_completed(config: DictConfig) -> None:
    check(config)
    kwargs = config.reward.custom_reward_function.reward_kwargs
    assert kwargs.right_share == pytest.approx(0.375)
    assert (kwargs.w_outcome, kwargs.w_verdict, kwargs.w_decisive, kwargs.w_format) == (1.0, 0.2, 0.2, 0.05)


def test_a_given_right_share_is_kept(config: DictConfig) -> None:
    config.realm = {**config.realm, "right_share": 0.5}
    check(config)
    assert config.reward.custom_reward_function.reward_kwargs.right_share == 0.5


def test_a_cpu_recipe_in_the_gpu_environment_is_refused(
    config: DictConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(accelerator, "is_gpu_stack", lambda: True)
    config.trainer = {**config.trainer, "device": "cpu"}
    assert "trainer.device=cpu, but torch and vLLM here are built for GPUs" in refused(config)
    config.trainer.device = "cuda"
    check(config)


def test_a_config_without_realm_is_left_alone() -> None:
    config = OmegaConf.create({"anything": 1})
    check(config)
    assert config == {"anything": 1}


@pytest.mark.parametrize(
    ("key", "value", "text"),
    [
        ("actor_rollout_ref.model.path", "/no/such/model", "/no/such/model: no such folder"),
        ("actor_rollout_ref.model.path", "./model", "./model: no such folder"),
        ("actor_rollout_ref.model.path", "a/b/c", "a/b/c: no such folder"),
        ("actor_rollout_ref.model.path", "~/model", "verl takes ~ for a folder of that name"),
        ("actor_rollout_ref.model.path", "/tmp/", "no path that ends in a slash"),
        ("actor_rollout_ref.model.path", None, "expected a folder or a Hugging Face id"),
        ("data.train_files", "/no/train.parquet", "/no/train.parquet does not exist"),
        ("data.val_files", ["/no/val.parquet"], "/no/val.parquet does not exist"),
        ("data.train_files", None, "data.train_files: no file is given"),
        ("data.val_files", [], "data.val_files: no file is given"),
        ("trainer.v1.trainer_mode", "colocate_async", "use realm_colocate_async"),
        ("trainer.v1.trainer_mode", "separate_async", "needs GPUs for rollouts alone"),
        ("algorithm.adv_estimator", "remax", "adv_estimator=remax: not supported where routes are shown"),
        ("algorithm.adv_estimator", "grpo", "adv_estimator=grpo: not supported where routes are shown"),
        ("algorithm.adv_estimator", "gae", "adv_estimator=gae: not supported where routes are shown"),
        (
            "realm",
            {"schedule": {"kind": "constant"}, "adaptive": {"kind": "all"}},
            "realm.adaptive.kind: 'all' is unknown",
        ),
        ("trainer.v1.trainer_mode", "sync", "realm_grpo needs trainer.v1.trainer_mode=realm_sync"),
        ("trainer.v1.trainer_mode", "fast", "fast is unknown"),
        ("trainer.use_v1", False, "use_v1=false"),
        (
            "realm",
            {"schedule": {"kind": "constant"}, "preflight": "loose"},
            "realm.preflight: 'loose' is unknown; use one of strict, warn",
        ),
        ("trainer.total_training_steps", 7, "more than 75% of the 7 training steps"),
        ("trainer.total_epochs", 3, "more than 75% of the 6 training steps"),
        ("trainer.total_training_steps", 9, "would end the run at step 8 of"),
        ("data.train_batch_size", 9, "8 rows, fewer than data.train_batch_size=9"),
        ("actor_rollout_ref.rollout.n", 3, "fewer than 2 guided rollouts"),
        ("actor_rollout_ref.rollout.prompt_length", 20, "longer than rollout.prompt_length=20"),
        ("actor_rollout_ref.rollout.agent.agent_loop_manager_class", None, "agent_loop_manager_class="),
        ("reward.custom_reward_function.path", None, "path must be pkg://reward_fns"),
        ("reward.reward_manager.name", "dapo", "only `naive`"),
        ("realm.schedule.fade_steps", -1, "realm.schedule.fade_steps: expected a whole number"),
        ("realm.schedule", {"kind": "square"}, "realm.schedule.kind: 'square' is unknown"),
    ],
)
def test_bad_values_are_named(config: DictConfig, key: str, value: Any, text: str) -> None:
    OmegaConf.update(config, key, value, merge=False)
    assert text in refused(config)


def test_a_loss_that_depends_on_micro_batches(config: DictConfig) -> None:
    OmegaConf.set_struct(config, False)
    config.actor_rollout_ref.actor = {"loss_agg_mode": "seq-mean-token-sum-norm", "loss_scale_factor": None}
    assert "loss_scale_factor=null" in refused(config)


def test_weights_that_let_a_wrong_answer_win(config: DictConfig) -> None:
    config.realm = {**config.realm, "weights": {"verdict": 0.9}}
    assert "a wrong answer could outrank a right one" in refused(config)


def test_a_punishment_that_lets_a_wrong_answer_win(config: DictConfig) -> None:
    config.realm = {**config.realm, "overlong": {"kind": "punish", "weight": 0.5}}
    assert "a short wrong answer could outrank a long right one" in refused(config)


def test_weights_set_twice_must_agree(config: DictConfig) -> None:
    OmegaConf.set_struct(config, False)
    config.reward.custom_reward_function.reward_kwargs = {"w_verdict": 0.1}
    assert "w_verdict=0.1 contradicts realm.weights.verdict=0.2" in refused(config)


def test_the_asynchronous_mode_is_fine_without_adaptive_exposure(config: DictConfig) -> None:
    config.trainer.v1.trainer_mode = "realm_colocate_async"
    check(config)


def test_poll_interval_is_checked(config: DictConfig) -> None:
    OmegaConf.set_struct(config, False)
    config.trainer.v1.realm_sync = {"poll_interval": 0}
    assert "poll_interval: expected seconds" in refused(config)


def test_a_users_own_data_runs_as_it_is(config: DictConfig) -> None:
    schema = pa.schema([f for f in RL_SCHEMA if f.name not in ("extra_info", "agent_name")])
    for path in (config.data.train_files, config.data.val_files[0]):
        write(Path(path), [{**make_row(i), "data_source": "mine"} for i in range(8)], schema)
    config.reward.custom_reward_function.path = "mine.py"
    config.actor_rollout_ref.rollout.agent.agent_loop_manager_class = None
    check(config)
    assert "reward_kwargs" not in config.reward.custom_reward_function


def test_all_problems_come_at_once(config: DictConfig) -> None:
    config.actor_rollout_ref.model.path = "/no/model"
    config.data.train_files = "/no/data.parquet"
    config.actor_rollout_ref.rollout.n = 2
    message = refused(config)
    assert message.startswith("the run cannot start:\n  1. ")
    assert all(text in message for text in ("/no/model", "/no/data.parquet", "rollout.n=2"))


@pytest.mark.parametrize(
    ("key", "value", "text"),
    [
        ("algorithm.filter_groups.enable", True, "guided and unguided taken together"),
        ("actor_rollout_ref.rollout.multi_turn.enable", True, "asked once and call no tools"),
        ("actor_rollout_ref.rollout.multi_turn.tool_config_path", "tools.yaml", "asked once"),
        ("actor_rollout_ref.rollout.multi_turn.function_tool_path", "tools.py", "asked once"),
        ("reward.reward_model.enable", True, "does not ask a reward model"),
        ("actor_rollout_ref.rollout.agent.agent_loop_manager_class", "mine.Manager", "is up to it"),
        ("reward.custom_reward_function.path", "mine.py", "realm.weights have no effect"),
        ("reward.reward_manager", {"source": "importlib", "name": "Mine"}, "hands `tool_extra_fields` on"),
    ],
)
def test_what_runs_beside_routes_without_effect_is_said(
    config: DictConfig, key: str, value: Any, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    OmegaConf.set_struct(config, False)
    OmegaConf.update(config, key, value, merge=False)
    check(config)
    assert text in capsys.readouterr().out


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("reward.reward_manager.name", "dapo"),
        ("reward.reward_manager.name", "gdpo"),
        ("reward.custom_reward_function.path", None),
        ("actor_rollout_ref.rollout.agent.agent_loop_manager_class", None),
        ("actor_rollout_ref.rollout.n", 1),
        ("algorithm.adv_estimator", "remax"),
        ("trainer.total_training_steps", 7),
    ],
)
def test_what_routes_alone_forbid_is_fine_without_them(config: DictConfig, key: str, value: Any) -> None:
    schema = pa.schema([f for f in RL_SCHEMA if f.name not in ("extra_info", "agent_name")])
    for path in (config.data.train_files, config.data.val_files[0]):
        write(Path(path), [{**make_row(i), "data_source": "openai/gsm8k"} for i in range(8)], schema)
    OmegaConf.update(config, key, value)
    check(config)


def test_verls_own_modes_are_fine_with_verls_own_estimators(config: DictConfig) -> None:
    schema = pa.schema([f for f in RL_SCHEMA if f.name != "extra_info"])
    for path in (config.data.train_files, config.data.val_files[0]):
        write(Path(path), [make_row(i) for i in range(8)], schema)
    config.algorithm.adv_estimator = "grpo"
    for mode in ("sync", "colocate_async", "separate_async"):
        config.trainer.v1.trainer_mode = mode
        check(config)


def test_with_warn_every_problem_is_printed_and_the_run_goes_on(
    config: DictConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    config.realm = {**config.realm, "preflight": "warn"}
    config.actor_rollout_ref.rollout.n = 3
    config.reward.reward_manager.name = "dapo"
    check(config)
    lines = [line for line in capsys.readouterr().out.splitlines() if "the run goes on although" in line]
    assert len(lines) == 2
    assert "rollout.n=3 leaves fewer than 2 guided rollouts" in lines[1]
    assert "reward.reward_manager.name=dapo" in lines[0]
    assert config.reward.custom_reward_function.reward_kwargs.w_verdict == 0.2


def test_options_of_realm_are_read_whatever_preflight_says(config: DictConfig) -> None:
    config.realm = {**config.realm, "preflight": "warn", "seed": "x"}
    assert "realm.seed: expected a whole number" in refused(config)


def test_a_checkpoint_of_another_world_size(config: DictConfig, tmp_path: Path) -> None:
    OmegaConf.set_struct(config, False)
    root = tmp_path / "run"
    actor = step_folder(root, 4) / "actor"
    actor.mkdir(parents=True)
    for rank in range(2):
        (actor / f"model_world_size_2_rank_{rank}.pt").write_bytes(b"x")
    (step_folder(root, 4) / "data.pt").write_bytes(b"x")
    mark_whole(root, 4, {})
    config.trainer.update({"default_local_dir": str(root), "resume_mode": "auto"})
    config.trainer.update({"nnodes": 1, "n_gpus_per_node": 1})
    assert "global_step_4 was saved by 2 training workers, and this run has 1" in refused(config)
    config.trainer.nnodes = 2
    check(config)
    config.trainer.update({"resume_mode": "resume_path", "resume_from_path": str(root / "global_step_4")})
    check(config)
    config.trainer.nnodes = 3
    assert "was saved by 2 training workers, and this run has 3" in refused(config)
    config.trainer.resume_from_path = str(root / "global_step_5")
    assert "global_step_5: no such folder" in refused(config)
    config.trainer.resume_mode = "disable"
    check(config)


def test_another_estimator_is_fine_where_no_route_is_shown(config: DictConfig, tmp_path: Path) -> None:
    config.algorithm.adv_estimator = "grpo"
    config.realm.schedule = {"kind": "constant", "start": 0.0}
    check(config)
    config.realm.schedule = {"kind": "linear", "fade_steps": 6}
    write(Path(config.data.train_files), [make_row(i, routes=[]) for i in range(8)])
    check(config)  # the validation rows have routes, but none of them is trained on


def test_adaptive_needs_a_state_of_the_same_step_and_the_same_data(
    config: DictConfig, tmp_path: Path
) -> None:
    OmegaConf.set_struct(config, False)
    config.realm.adaptive = {"kind": "per_question"}
    config.trainer.update({"default_local_dir": str(tmp_path / "run"), "resume_mode": "auto"})
    check(config)

    folder = step_folder(tmp_path / "run", 2)
    adaptive_store.save(folder, Levels(read_config(config).adaptive), [], 2, "other data")
    for name in ("actor/model.pt", "data.pt"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(b"x")
    mark_whole(tmp_path / "run", 2, {})
    config.actor_rollout_ref.actor = {"checkpoint": {"async_save": True}}
    message = refused(config)
    assert "data.train_files is not the data that the adaptive state" in message
    assert "async_save must be false" in message
    config.data.train_max_samples = 4
    assert "data.train_max_samples with data.seed=null draws other questions" in refused(config)
    config.data.seed = 1
    assert "draws other questions" not in refused(config)
    config.trainer.v1.trainer_mode = "realm_colocate_async"
    assert "the order in which outcomes arrive depends on timing" in refused(config)
    config.realm.unguided_floor = 0
    assert "per_question learns from unguided rollouts" in refused(config)


def test_carry_says_what_it_needs(config: DictConfig) -> None:
    OmegaConf.set_struct(config, False)
    config.realm.carry = 1
    check(config)
    config.realm.unguided_floor = 0
    config.algorithm.adv_estimator = "grpo"
    config.reward.custom_reward_function.path = "mine.py"
    config.distillation = {"enabled": True}
    text = refused(config)
    for words in ("set realm.unguided_floor", "adv_estimator=realm_grpo", "mine.py", "distillation.enabled"):
        assert words in text
