"""Checks of a run's config, model and data before Ray starts: every problem at once, in plain words.

`realm_ext.plugin` calls `check` ahead of verl's own validation; a config without a `realm:` section is none of its
business. A problem is what would end the run, or make it learn something else than it says; what is only slower, or
without effect, is a note. Rows are `realm_ext.preflight_data`'s matter, the model's size `realm_ext.preflight_model`'s.
"""

import re
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from realm_ext import accelerator, adaptive_store, attention, checkpoints, cluster
from realm_ext.config import RealmConfig, read_config
from realm_ext.engines import engine_problems
from realm_ext.loss import loss_problems
from realm_ext.overlong import overlong_problems
from realm_ext.preflight_data import REWARD, DataReport, read_data, train_paths
from realm_ext.preflight_model import bucket_problem, memory_faults, path_problem, read_size
from realm_ext.preflight_reward import complete_reward, reward_faults, right_share
from realm_ext.run_length import length_problems, training_steps
from realm_ext.schedule import build_schedule

TRAINER_MODE = "realm_sync"
ASYNC_MODE = "realm_colocate_async"
MODES = (TRAINER_MODE, ASYNC_MODE)
ESTIMATOR = "realm_grpo"
MANAGER = "realm_ext.agent_worker.RealmAgentLoopManager"
LATEST_FADE = 0.75
_HUB_ID = re.compile(r"[\w.-]+(/[\w.-]+)?\Z")


class ConfigError(ValueError):
    """The run cannot start as configured; the message lists every reason."""


def check(config: DictConfig) -> None:
    """Refuse a config that cannot train, and complete its reward options from the `realm:` section.

    Writes the weights, the share of right routes and the guess rates (the latter two measured on the training
    files unless given) into `reward.custom_reward_function.reward_kwargs`. With `realm.preflight=warn` problems are
    printed, and the run goes on.

    Raises:
        ConfigError: naming each problem, with what was given, expected, and to be done.
        ValueError: the Ray cluster to join cannot hold the run.
    """
    if OmegaConf.select(config, "realm") is None:
        return
    try:
        realm = read_config(config)
    except (TypeError, ValueError) as error:
        raise ConfigError(_listed([str(error)])) from error
    problems = _mode_problems(config)
    problems += _device_problems(config)
    problems += engine_problems(config)
    problems += attention.settle_rl(config)
    problems += loss_problems(config)
    no_model = _model_problems(config)
    problems += no_model
    tokenizer = str(
        config.actor_rollout_ref.model.get("tokenizer_path") or config.actor_rollout_ref.model.path
    )
    data = read_data(config, with_lengths=not no_model and "://" not in tokenizer)
    problems += data.problems
    notes = [*data.notes, *_unused(config, data)]
    for faults, told in (_agent_faults(config, data), reward_faults(config, realm, data)):
        problems += faults
        notes += told
    problems += _estimator_problems(config, realm, data)
    problems += _adaptive_problems(config, realm)
    problems += _carry_problems(config, realm)
    problems += _group_problems(config, realm, data)
    problems += _fade_problems(config, realm, data)
    problems += length_problems(config, data.n_train_rows)
    share = right_share(realm, data)
    problems += overlong_problems(config, realm.overlong, realm.weights, realm.max_routes, share)
    problems += _resume_problems(config)
    if not no_model:
        faults, told = _size_faults(config, realm)
        problems += faults
        notes += told
    if problems and realm.preflight == "strict":
        raise ConfigError(_listed(problems))
    for problem in problems:
        print(f"ReaLM: realm.preflight=warn, the run goes on although {problem}", flush=True)
    for note in [*notes, *_unchecked(config, data)]:
        print(f"ReaLM: {note}", flush=True)
    complete_reward(config, realm, data)
    cluster.attach(config)


def _listed(problems: list[str]) -> str:
    if len(problems) == 1:
        return f"the run cannot start: {problems[0]}"
    return "the run cannot start:\n" + "\n".join(f"  {i}. {text}" for i, text in enumerate(problems, start=1))


def _mode_problems(config: DictConfig) -> list[str]:
    problems = []
    mode, estimator = config.trainer.v1.trainer_mode, config.algorithm.adv_estimator
    needed = f"algorithm.adv_estimator={ESTIMATOR} needs trainer.v1.trainer_mode="
    if not config.trainer.get("use_v1", True):
        if mode in MODES or estimator == ESTIMATOR:
            problems.append("trainer.use_v1=false: ReaLM runs in verl's V1 trainer only; leave it true")
    elif mode not in MODES and not _is_verls(mode):
        problems.append(f"trainer.v1.trainer_mode={mode} is unknown here; use {TRAINER_MODE}")
    elif mode == "separate_async" and estimator == ESTIMATOR:
        problems.append(
            f"{needed}{TRAINER_MODE} or {ASYNC_MODE}, got {mode}, which needs GPUs for rollouts alone and knows nothing of "
            "routes"
        )
    elif mode not in MODES and estimator == ESTIMATOR:
        ours = ASYNC_MODE if mode == "colocate_async" else TRAINER_MODE
        problems.append(f"{needed}{TRAINER_MODE} or {ASYNC_MODE}, got {mode}; use {ours}")
    for name in MODES:
        interval = OmegaConf.select(config, f"trainer.v1.{name}.poll_interval")
        if interval is not None and (not isinstance(interval, (int, float)) or not 0.001 <= interval <= 60):
            problems.append(
                f"trainer.v1.{name}.poll_interval: expected seconds in [0.001, 60], got {interval!r}"
            )
    return problems


def _is_verls(mode: str) -> bool:
    """Whether verl knows a trainer of this name, one of the user's own included."""
    from verl.trainer.ppo.v1.trainer_base import TRAINER_REGISTRY

    return mode in ("sync", "colocate_async", "separate_async") or mode in TRAINER_REGISTRY


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
    if (problem := path_problem("path", path)) or "://" in path:
        return problem
    folder = Path(path)
    if folder.is_dir():
        return None if (folder / "config.json").is_file() else f"the model folder {path} has no config.json"
    parts = path.split("/")
    if _HUB_ID.match(path) and parts[0] not in (".", "..") and not Path(parts[0]).exists():
        return None
    return f"actor_rollout_ref.model.path={path}: no such folder; give an existing one or a Hugging Face id"


def _model_problems(config: DictConfig) -> list[str]:
    model = config.actor_rollout_ref.model
    others = [(name, model.get(name)) for name in ("tokenizer_path", "hf_config_path")]
    found = [model_problem(model.path), *(path_problem(name, path) for name, path in others if path)]
    return [problem for problem in found if problem]


def _size_faults(config: DictConfig, realm: RealmConfig) -> tuple[list[str], list[str]]:
    """The problems and the notes of what the model's own config tells; a note where it is not on this machine."""
    path = config.actor_rollout_ref.model.get("hf_config_path") or config.actor_rollout_ref.model.path
    if "://" in path:
        return [], []
    try:
        size = read_size(config)
    except Exception as error:  # noqa: BLE001 (a model's code and files raise anything; verl may have more luck)
        reason = (str(error) or repr(error)).splitlines()[0]
        return [], [
            f"weight sync and memory are not checked: the config of {path} cannot be read here: {reason}"
        ]
    problems, notes = memory_faults(config, size)
    if problem := bucket_problem(config, size):
        problems.append(problem)
    if size.sees and realm.carry:
        problems.append(
            f"realm.carry={realm.carry}: a rollout of a model with images cannot be written anew; set it to 0"
        )
    elif size.sees:
        notes.append(
            "the model takes images; the agent `realm` shows it text alone, and refuses rows with images"
        )
    return problems, notes


def _agent_faults(config: DictConfig, data: DataReport) -> tuple[list[str], list[str]]:
    """The problems and the notes of who hands out rows with routes."""
    if not data.has_routes:
        return [], []
    problems, notes = [], []
    name, manager = "actor_rollout_ref.rollout.agent.agent_loop_manager_class", MANAGER
    given = config.actor_rollout_ref.rollout.agent.get("agent_loop_manager_class")
    if not given:
        problems.append(
            f"rows of the agent `realm` need {name}={manager}, got {given}: validation rows without a mark would see routes"
        )
    elif given != manager:
        notes.append(f"{name}={given}: whether validation rows without a mark see routes is up to it")
    if config.trainer.v1.trainer_mode not in MODES:
        notes.append(
            f"trainer.v1.trainer_mode is not {TRAINER_MODE}: no realm/* metrics, traces or checks of a resume"
        )
    return problems, notes


def _unused(config: DictConfig, data: DataReport) -> list[str]:
    """Parts of verl that run beside rows with routes and have no say in them."""
    if not data.has_routes:
        return []
    one_turn = "rows of the agent `realm` are asked once and call no tools"
    reasons = {
        "algorithm.filter_groups.enable": "questions whose rollouts all have one value are left out, guided and unguided "
        "taken together",
        "actor_rollout_ref.rollout.multi_turn.enable": one_turn,
        "actor_rollout_ref.rollout.multi_turn.tool_config_path": one_turn,
        "actor_rollout_ref.rollout.multi_turn.function_tool_path": one_turn,
        "reward.reward_model.enable": f"{REWARD} does not ask a reward model",
    }
    return [f"{key}: {reason}" for key, reason in reasons.items() if OmegaConf.select(config, key)]


def _unchecked(config: DictConfig, data: DataReport) -> list[str]:
    """One line on what was let through unseen."""
    model = config.actor_rollout_ref.model
    named = {name: str(model.get(name) or "") for name in ("path", "tokenizer_path", "hf_config_path")}
    found = [f"actor_rollout_ref.model.{name}={path}" for name, path in named.items() if "://" in path]
    found += data.unchecked
    if not found:
        return []
    seen = "not checked before Ray, since verl fetches or makes it"
    return [f"{seen}: {'; '.join(found)}. What is measured of routes is measured on the other files alone"]


def _estimator_problems(config: DictConfig, realm: RealmConfig, data: DataReport) -> list[str]:
    estimator = config.algorithm.adv_estimator
    if not data.trains_on_routes or realm.schedule.get("start", 1.0) == 0 or estimator == ESTIMATOR:
        return []
    problem = (
        f"algorithm.adv_estimator={estimator}: not supported where routes are shown: it would compare guided "
        f"rollouts with unguided ones, or was never tried beside them; use {ESTIMATOR} (with "
        "realm.advantage=pool as the control), or realm.schedule.start=0 to show none"
    )
    return [problem]


def _resume_problems(config: DictConfig) -> list[str]:
    """What is wrong with the checkpoint to go on from; `realm_ext.resume` looks again where it is loaded."""
    trainer = config.trainer
    mode, root = trainer.get("resume_mode"), trainer.get("default_local_dir")
    if mode == "resume_path":
        given = trainer.get("resume_from_path")
        if not isinstance(given, str) or "global_step_" not in given or not Path(given).is_dir():
            return [
                f"trainer.resume_from_path={given}: no such folder; give a checkpoint's global_step_N folder"
            ]
        folder = Path(given).absolute()
    elif mode == "auto" and root:
        found = checkpoints.find(Path(root).absolute())
        try:
            checkpoints.refuse_split(Path(root).absolute(), found)
        except checkpoints.NotSharedError as error:
            return [str(error)]
        if found.step is None:
            return []
        folder = checkpoints.step_folder(Path(root).absolute(), found.step)
    else:
        return []
    other = checkpoints.other_world_size(folder, trainer.get("nnodes", 1) * trainer.get("n_gpus_per_node", 1))
    return [other] if other else []


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


def _group_problems(config: DictConfig, realm: RealmConfig, data: DataReport) -> list[str]:
    n = config.actor_rollout_ref.rollout.n
    shows_none = realm.schedule.get("start", 1.0) == 0 or not data.may_train_on_routes
    if shows_none or n - realm.unguided_floor >= 2:
        return []
    problem = (
        f"actor_rollout_ref.rollout.n={n} leaves fewer than 2 guided rollouts beside realm.unguided_floor="
        f"{realm.unguided_floor}: raise n to at least {realm.unguided_floor + 2}, or lower the floor"
    )
    return [problem]


def _fade_problems(config: DictConfig, realm: RealmConfig, data: DataReport) -> list[str]:
    fade_steps = realm.schedule.get("fade_steps")
    build_schedule(realm.schedule)
    if realm.schedule.get("kind") == "constant" or fade_steps is None or not data.may_train_on_routes:
        return []
    steps = training_steps(config, data.n_train_rows)
    if steps is None or fade_steps <= LATEST_FADE * steps:
        return []
    problem = (
        f"realm.schedule.fade_steps={fade_steps} is more than 75% of the {steps} training steps: the last quarter "
        f"must be unguided; use at most {int(LATEST_FADE * steps)}, or train longer"
    )
    return [problem]
