"""The reward of a run before it starts: weights for which a wrong answer could outrank a right one are refused."""

from collections.abc import Mapping
from typing import Any

from omegaconf import DictConfig, OmegaConf, open_dict

from realm_ext.config import RealmConfig
from realm_ext.preflight_data import REWARD, DataReport
from reward_fns.mrpv import Weights, check_weights

TELLING_MANAGERS = ("naive", "remote", "rate_limited")
"""verl's reward managers that hand on what the agent loop says of a rollout; `dapo` and `gdpo` drop it."""


def reward_faults(config: DictConfig, realm: RealmConfig, data: DataReport) -> tuple[list[str], list[str]]:
    """The problems and the notes of the reward function, its manager and its weights."""
    problems, notes = [], []
    path, manager = config.reward.custom_reward_function.path, config.reward.reward_manager
    if path is None and data.has_routes:
        problems.append(
            f"the data holds routes, so reward.custom_reward_function.path must be {REWARD}, or a function of yours; got "
            "null, and verl's own scores know no routes"
        )
    elif path != REWARD and data.has_routes:
        notes.append(f"{path} scores: realm.weights have no effect, and verdicts count only if it reads them")
    if data.has_routes and manager.get("source", "register") != "register":
        notes.append(
            f"reward.reward_manager.name={manager.name}: verdicts are rewarded only if it hands `tool_extra_fields` on in "
            "`extra_info`, as verl's `naive` does"
        )
    elif data.has_routes and manager.name not in TELLING_MANAGERS:
        problems.append(
            f"reward.reward_manager.name={manager.name}: only `naive` (or {', '.join(TELLING_MANAGERS[1:])}) tells the "
            "reward which routes were shown; use that"
        )
    if path != REWARD:
        return problems, notes
    given = _reward_kwargs(config)
    wanted = _weight_kwargs(realm)
    for key, value in wanted.items():
        if key in given and given[key] != value:
            name = f"realm.weights.{key.removeprefix('w_')}"
            problems.append(
                f"reward_kwargs.{key}={given[key]} contradicts {name}={value}; set only the latter"
            )
    share = right_share(realm, data)
    try:
        check_weights(Weights(**realm.weights), 0.5 if share is None else share, realm.max_routes)
    except ValueError as error:
        problems.append(f"realm.weights: {error}")
    return problems, notes


def complete_reward(config: DictConfig, realm: RealmConfig, data: DataReport) -> None:
    """Write weights, share of right routes and guess rates where the reward function is handed them."""
    if config.reward.custom_reward_function.path != REWARD:
        return
    kwargs = {**_reward_kwargs(config), **_weight_kwargs(realm)}
    if (share := right_share(realm, data)) is not None:
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


def right_share(realm: RealmConfig, data: DataReport) -> float | None:
    """The share of right routes that the config gives, or else the training files hold; None: neither."""
    return realm.right_share if realm.right_share is not None else data.right_share
