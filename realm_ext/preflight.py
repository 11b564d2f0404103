"""Checks of a run's config and data before Ray starts: every problem at once, in plain words.

Serves issue "Bad input" of the quickstart and design section "MRPV" (weights for which a wrong answer could outrank
a right one are refused). `realm_ext.plugin` calls `check` ahead of verl's own validation; a config without a
`realm:` section is none of its business.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf, open_dict

from realm_ext import accelerator, adaptive_store, attention, checkpoints
from realm_ext.config import RealmConfig, read_config
from realm_ext.engines import engine_problems
from realm_ext.loss import loss_problems
from realm_ext.overlong import overlong_problems
from realm_ext.preflight_data import DataReport, read_data, train_paths
from realm_ext.run_length import length_problems, training_steps
from realm_ext.schedule import build_schedule
from reward_fns.mrpv import Weights, check_weights

TRAINER_MODE = "realm_sync"
ASYNC_MODE = "realm_colocate_async"
MODES = (TRAINER_MODE, ASYNC_MODE)
ESTIMATOR = "realm_grpo"
MANAGER = "realm_ext.agent_worker.RealmAgentLoopManager"
REWARD = "pkg://reward_fns"
LATEST_FADE = 0.75
_HUB_ID = re.compile(r"[\w.-]+(/[\w.-]+)?\Z")


class ConfigError(ValueError):
    """The run cannot start as configured; the message lists every reason."""


def check(config: DictConfig) -> None:
    """Refuse a config that cannot train, and complete its reward options from the `realm:` section.

    Writes the weights, the share of right routes and the guess rates (the latter two measured on the training
    files unless given) into `reward.custom_reward_function.reward_kwargs`.

    Raises:
        ConfigError: naming each problem, with what was given, expected, and to be done.
    """
    if OmegaConf.select(config, "realm") is None:
        return
    problems: list[str] = []
    try:
        realm = read_config(config)
    except (TypeError, ValueError) as error:
        raise ConfigError(_listed([str(error)])) from error
    problems += _mode_problems(config)
    problems += _device_problems(config)
    problems += engine_problems(config)
    problems += attention.settle_rl(config)
    problems += loss_problems(config)
    no_model = model_problem(config.actor_rollout_ref.model.path)
    problems += [no_model] if no_model else []
    data = read_data(config, realm, with_lengths=not no_model)
    problems += data.problems
    problems += _agent_problems(config, data)
    problems += _unsupported(config, realm, data)
    problems += _adaptive_problems(config, realm)
    problems += _carry_problems(config, realm)
    problems += _group_problems(config, realm)
    problems += _fade_problems(config, realm, data)
    problems += length_problems(config, data.n_train_rows)
    share = realm.right_share if realm.right_share is not None else data.right_share
    problems += _reward_problems(config, realm, data, share)
    problems += overlong_problems(config, realm.overlong, realm.weights, realm.max_routes, share)
    if problems:
        raise ConfigError(_listed(problems))
    for note in data.notes:
        print(f"ReaLM: {note}", flush=True)
    _complete_reward(config, realm, data, share)


def _listed(problems: list[str]) -> str:
    if len(problems) == 1:
        return f"the run cannot start: {problems[0]}"
    return "the run cannot start:\n" + "\n".join(f"  {i}. {text}" for i, text in enumerate(problems, start=1))


def _mode_problems(config: DictConfig) -> list[str]:
    problems = []
    mode = config.trainer.v1.trainer_mode
    if not config.trainer.get("use_v1", True):
        problems.append("trainer.use_v1=false: ReaLM runs in verl's V1 trainer only; leave it true")
    elif mode == "separate_async":
        problems.append(
            "trainer.v1.trainer_mode=separate_async: not supported. It needs GPUs for rollouts alone, and was never tried "
            f"with routes; use {TRAINER_MODE}, or {ASYNC_MODE}"
        )
    elif mode == "colocate_async":
        problems.append(
            f"trainer.v1.trainer_mode=colocate_async: not supported, since that mode of verl knows nothing of routes; use "
            f"{ASYNC_MODE}, which is built on it"
        )
    elif mode not in ("sync", *MODES):
        problems.append(f"trainer.v1.trainer_mode={mode} is unknown here; use {TRAINER_MODE}")
    elif mode == "sync" and config.algorithm.adv_estimator == ESTIMATOR:
        problems.append(
            f"algorithm.adv_estimator={ESTIMATOR} needs trainer.v1.trainer_mode={TRAINER_MODE}, got {mode}"
        )
    for name in MODES:
        interval = OmegaConf.select(config, f"trainer.v1.{name}.poll_interval")
        if interval is not None and (not isinstance(interval, (int, float)) or not 0.001 <= interval <= 60):
            problems.append(
                f"trainer.v1.{name}.poll_interval: expected seconds in [0.001, 60], got {interval!r}"
            )
    return problems


def _device_problems(config: DictConfig) -> list[str]:
    if config.trainer.get("device") != accelerator.NAME or not accelerator.is_gpu_stack():
        return []
    problem = (
        "trainer.device=cpu, but torch and vLLM here are built for GPUs (`make setup-gpu`): use the environment of "
        "`make setup`, or a recipe for GPUs"
    )
    return [problem]


def model_problem(path: Any) -> str | None:
    """What is wrong with `actor_rollout_ref.model.path`; None: it is a model's folder, or may be a Hub id."""
    if not isinstance(path, str) or not path:
        return f"actor_rollout_ref.model.path: expected a folder or a Hugging Face id, got {path!r}"
    if "://" in path:
        return None
    folder = Path(path).expanduser()
    if folder.is_dir():
        return None if (folder / "config.json").is_file() else f"the model folder {path} has no config.json"
    parts = path.split("/")
    if _HUB_ID.match(path) and parts[0] not in (".", "..") and not Path(parts[0]).exists():
        return None
    return f"actor_rollout_ref.model.path={path}: no such folder; give an existing one or a Hugging Face id"


def _agent_problems(config: DictConfig, data: DataReport) -> list[str]:
    agent = config.actor_rollout_ref.rollout.agent
    if not data.has_realm_agent and agent.get("default_agent_loop") != "realm":
        return []
    problems = []
    if agent.get("agent_loop_manager_class") != MANAGER:
        problems.append(
            "rows of the agent `realm` need actor_rollout_ref.rollout.agent.agent_loop_manager_class="
            f"{MANAGER}, got {agent.get('agent_loop_manager_class')}"
        )
    if config.trainer.v1.trainer_mode == "sync":
        problems.append(f"rows of the agent `realm` need trainer.v1.trainer_mode={TRAINER_MODE}, got sync")
    return problems


def _unsupported(config: DictConfig, realm: RealmConfig, data: DataReport) -> list[str]:
    """Parts of verl that would run beside rows with routes, but take their meaning away."""
    if not data.has_routes:
        return []
    one_turn = "the agent `realm` asks once and calls no tools"
    reasons = {
        "algorithm.filter_groups.enable": "it drops questions whose rollouts all score alike, guided and unguided "
        "taken together, and with them those that every rollout fails",
        "actor_rollout_ref.rollout.multi_turn.enable": one_turn,
        "actor_rollout_ref.rollout.multi_turn.tool_config_path": one_turn,
        "actor_rollout_ref.rollout.multi_turn.function_tool_path": one_turn,
        "reward.reward_model.enable": "a reward model says nothing about verdicts",
    }
    problems = [
        f"{key}={str(value).lower() if value is True else value}: not supported where the data holds routes: "
        f"{reason}; set it to {'false' if value is True else 'null'}"
        for key, reason in reasons.items()
        if (value := OmegaConf.select(config, key))
    ]
    estimator = config.algorithm.adv_estimator
    if data.trains_on_routes and realm.schedule.get("start", 1.0) != 0 and estimator != ESTIMATOR:
        problems.append(
            f"algorithm.adv_estimator={estimator}: not supported where routes are shown: it would compare guided "
            f"rollouts with unguided ones, or was never tried beside them; use {ESTIMATOR} (with "
            "realm.advantage=pool as the control), or realm.schedule.start=0 to show none"
        )
    return problems


def _adaptive_problems(config: DictConfig, realm: RealmConfig) -> list[str]:
    if realm.adaptive.kind == "none":
        return []
    problems = []
    if config.trainer.v1.trainer_mode == ASYNC_MODE:
        problems.append(
            f"realm.adaptive.kind=per_question: trainer.v1.trainer_mode={ASYNC_MODE} is not supported, since there the order "
            f"in which outcomes arrive depends on timing, and with it every level; use {TRAINER_MODE}"
        )
    if OmegaConf.select(config, "actor_rollout_ref.actor.checkpoint.async_save"):
        problems.append(
            "realm.adaptive.kind=per_question: actor_rollout_ref.actor.checkpoint.async_save must be false, so that "
            "the state and the weights of a checkpoint are of one step"
        )
    is_drawn = (config.data.get("train_max_samples") or -1) > 0 and config.data.get("shuffle", True)
    if is_drawn and config.data.get("seed") is None:
        problems.append(
            "realm.adaptive.kind=per_question: data.train_max_samples with data.seed=null draws other questions at each "
            "start, so a resumed run would not know its questions; set data.seed to a number"
        )
    root = OmegaConf.select(config, "trainer.default_local_dir")
    if root and OmegaConf.select(config, "trainer.resume_mode") == "auto":
        folder = Path(root).absolute()
        step = checkpoints.find(folder, adaptive_store.fault).step
        if step is not None:
            fingerprint = adaptive_store.data_fingerprint(train_paths(config))
            try:
                adaptive_store.check_data(checkpoints.step_folder(folder, step), fingerprint)
            except ValueError as error:
                problems.append(str(error))
    return problems


def _carry_problems(config: DictConfig, realm: RealmConfig) -> list[str]:
    """Carry writes rollouts anew, so it must know all that verl keeps of them and what a right one is worth."""
    if not realm.carry:
        return []
    given = f"realm.carry={realm.carry}"
    problems = []
    if realm.unguided_floor == 0:
        problems.append(
            f"{given}: needs unguided rollouts to be carried to; set realm.unguided_floor to 2 or more"
        )
    if config.algorithm.adv_estimator != ESTIMATOR:
        problems.append(f"{given}: needs algorithm.adv_estimator={ESTIMATOR}")
    if (path := OmegaConf.select(config, "reward.custom_reward_function.path")) != REWARD:
        problems.append(
            f"{given}: knows what a right answer is worth only with ReaLM's reward ({REWARD}, a domain of your own "
            f"included); reward.custom_reward_function.path is {path}"
        )
    for key, off in (
        ("actor_rollout_ref.actor.router_replay.mode", "disabled"),
        ("distillation.enabled", False),
    ):
        if OmegaConf.select(config, key) not in (None, off):
            problems.append(
                f"{given}: {key} must be {str(off).lower()}: it keeps more of each token than carry can write anew"
            )
    return problems


def _group_problems(config: DictConfig, realm: RealmConfig) -> list[str]:
    n = config.actor_rollout_ref.rollout.n
    if realm.schedule.get("start", 1.0) == 0 or n - realm.unguided_floor >= 2:
        return []
    problem = (
        f"actor_rollout_ref.rollout.n={n} leaves fewer than 2 guided rollouts beside realm.unguided_floor="
        f"{realm.unguided_floor}: raise n to at least {realm.unguided_floor + 2}, or lower the floor"
    )
    return [problem]


def _fade_problems(config: DictConfig, realm: RealmConfig, data: DataReport) -> list[str]:
    fade_steps = realm.schedule.get("fade_steps")
    build_schedule(realm.schedule)
    if realm.schedule.get("kind") == "constant" or fade_steps is None:
        return []
    steps = training_steps(config, data.n_train_rows)
    if steps is None or fade_steps <= LATEST_FADE * steps:
        return []
    problem = (
        f"realm.schedule.fade_steps={fade_steps} is more than 75% of the {steps} training steps: the last quarter "
        f"must be unguided; use at most {int(LATEST_FADE * steps)}, or train longer"
    )
    return [problem]


def _reward_problems(
    config: DictConfig, realm: RealmConfig, data: DataReport, share: float | None
) -> list[str]:
    problems = []
    reward = config.reward
    path = reward.custom_reward_function.path
    if path != REWARD:
        if data.has_routes:
            problems.append(
                f"the data holds routes, so reward.custom_reward_function.path must be {REWARD}, got {path}"
            )
        return problems
    if reward.reward_manager.name != "naive":
        problems.append(
            f"reward.reward_manager.name={reward.reward_manager.name}: only `naive` tells the reward which routes "
            "were shown; use that"
        )
    given = _reward_kwargs(config)
    wanted = _weight_kwargs(realm)
    for key, value in wanted.items():
        if key in given and given[key] != value:
            name = f"realm.weights.{key.removeprefix('w_')}"
            problems.append(
                f"reward_kwargs.{key}={given[key]} contradicts {name}={value}; set only the latter"
            )
    try:
        check_weights(Weights(**realm.weights), 0.5 if share is None else share, realm.max_routes)
    except ValueError as error:
        problems.append(f"realm.weights: {error}")
    return problems


def _complete_reward(config: DictConfig, realm: RealmConfig, data: DataReport, share: float | None) -> None:
    if config.reward.custom_reward_function.path != REWARD:
        return
    kwargs = {**_reward_kwargs(config), **_weight_kwargs(realm)}
    if share is not None:
        kwargs["right_share"] = share
    if data.guess_rates:
        kwargs.setdefault("guess_rates", {str(n): list(rates) for n, rates in data.guess_rates.items()})
    with open_dict(config.reward.custom_reward_function):
        config.reward.custom_reward_function.reward_kwargs = kwargs


def _reward_kwargs(config: DictConfig) -> dict[str, Any]:
    kwargs = config.reward.custom_reward_function.get("reward_kwargs")
    if kwargs is None:
        return {}
    plain = OmegaConf.to_container(kwargs, resolve=True) if OmegaConf.is_config(kwargs) else kwargs
    return {str(key): value for key, value in plain.items()} if isinstance(plain, Mapping) else {}


def _weight_kwargs(realm: RealmConfig) -> dict[str, float]:
    return {f"w_{name}": float(value) for name, value in realm.weights.items()}
