"""ReaLM's own options: what stands under the top-level key `realm:` of a verl config.

Serves design section "EAAI" and "MRPV". One frozen value, read once and checked where it is read.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from omegaconf import DictConfig, OmegaConf

from realm_ext.adaptive import AdaptiveConfig, read_adaptive
from realm_ext.exposure import GroupPlan, check_fade, plan_group
from realm_ext.overlong import Overlong, read_overlong
from realm_ext.schedule import build_schedule, is_number
from reward_fns.routes import Route

ADVANTAGES = ("separate", "pool")
PREFLIGHTS = ("strict", "warn")
WEIGHTS: Mapping[str, float] = {"outcome": 1.0, "verdict": 0.2, "decisive": 0.2, "format": 0.05}


@dataclass(frozen=True)
class RealmConfig:
    """The options under `realm:`.

    Attributes:
        schedule: what `build_schedule` reads.
        seed: start of every draw of who sees what.
        fade: what shrinks with exposure: presence, routes, steps, or several of them.
        unguided_floor: rollouts of a group that never see a route.
        max_routes: the most routes in one prompt.
        show_answers: whether the shown routes end with their final answers.
        advantage: "separate" or "pool", see `realm_ext.advantages`.
        weights: weight of each reward component.
        right_share: share of right routes in the bank; None: measured on the training files.
        adaptive: how exposure follows each question, see `realm_ext.adaptive`.
        carry: how many right guided rollouts of a question, at most, train the unguided prompt, see `realm_ext.carry`.
        overlong: what happens to rollouts that run into the response budget, see `realm_ext.overlong`.
        traces: whether the trainer writes a line for each rollout, see `realm_ext.traces`.
        warn_after: steps in a row without anything to learn that bring a warning, see `realm_ext.stall`; 0: never.
        preflight: "strict" or "warn": whether a problem found before Ray ends the run, see `realm_ext.preflight`.
    """

    schedule: Mapping[str, Any]
    seed: int = 0
    fade: tuple[str, ...] = ("presence", "routes")
    unguided_floor: int = 2
    max_routes: int = 4
    show_answers: bool = True
    advantage: str = "separate"
    weights: Mapping[str, float] = field(default_factory=lambda: dict(WEIGHTS))
    right_share: float | None = None
    adaptive: AdaptiveConfig = field(default_factory=AdaptiveConfig)
    carry: int = 0
    overlong: Overlong = field(default_factory=Overlong)
    traces: bool = True
    warn_after: int = 3
    preflight: str = "strict"

    def plan(
        self, *, uid: str, step: int, exposure: float, n: int, routes: Sequence[Route], regime: str | None
    ) -> GroupPlan:
        """The plan of one question's group under these options, see `plan_group`."""
        return plan_group(
            seed=self.seed,
            uid=uid,
            step=step,
            exposure=exposure,
            n=n,
            route_steps=[len(route.steps) for route in routes],
            fade=self.fade,
            unguided_floor=self.unguided_floor,
            max_routes=self.max_routes,
            regime=regime,
        )


def read_config(config: DictConfig | Mapping[str, Any]) -> RealmConfig:
    """The options under `realm:` of a whole verl config.

    Raises:
        ValueError: no `realm:` section, an unknown key, or a value out of its bounds; one message names all.
    """
    section = OmegaConf.select(config, "realm") if isinstance(config, DictConfig) else config.get("realm")
    if section is None:
        raise ValueError("the config has no `realm:` section; start from one of ReaLM's configs or add one")
    plain = OmegaConf.to_container(section, resolve=True) if OmegaConf.is_config(section) else section
    if not isinstance(plain, Mapping):
        raise TypeError(f"realm: expected a mapping of options, got {plain!r}")
    known = [f.name for f in fields(RealmConfig)]
    unknown = sorted(set(map(str, plain)) - set(known))
    if unknown:
        raise ValueError(f"realm: unknown key {', '.join(unknown)}; known are {', '.join(known)}")
    options = dict(plain)
    if options.get("schedule") is None:
        raise ValueError("realm.schedule: missing; give at least `kind` and `fade_steps`")
    weights = options.get("weights") or {}
    if isinstance(weights, Mapping):
        options["weights"] = {**WEIGHTS, **weights}
    if isinstance(options.get("fade"), (list, tuple)):
        options["fade"] = tuple(options["fade"])
    problems = []
    try:
        options["adaptive"] = read_adaptive(options.get("adaptive"))
    except (TypeError, ValueError) as error:
        problems = [f"realm.{error}"]
        options["adaptive"] = AdaptiveConfig()  # so that the other options are checked too
    try:
        options["overlong"] = read_overlong(options.get("overlong"))
    except (TypeError, ValueError) as error:
        problems.append(f"realm.{error}")
        options["overlong"] = Overlong()
    result = RealmConfig(**options)
    problems += _problems(result)
    if problems:
        raise ValueError("; ".join(problems))
    return result


def _problems(config: RealmConfig) -> list[str]:
    found = []
    if not isinstance(config.schedule, Mapping):
        found.append(f"realm.schedule: expected a mapping, got {config.schedule!r}")
    else:
        found += _message_of(build_schedule, config.schedule)
    found += _message_of(check_fade, config.fade)
    for name, least in (
        ("seed", None),
        ("unguided_floor", 0),
        ("max_routes", 1),
        ("carry", 0),
        ("warn_after", 0),
    ):
        value = getattr(config, name)
        if isinstance(value, bool) or not isinstance(value, int) or (least is not None and value < least):
            at_least = "" if least is None else f" of at least {least}"
            found.append(f"{name}: expected a whole number{at_least}, got {value!r}")
    if config.unguided_floor == 1:
        found.append("unguided_floor: 1 leaves a rollout with nothing to compare it to; use 0, 2 or more")
    for name in ("show_answers", "traces"):
        if not isinstance(getattr(config, name), bool):
            found.append(f"{name}: expected true or false, got {getattr(config, name)!r}")
    if config.adaptive.kind == "per_question" and config.unguided_floor == 0:
        found.append(
            "adaptive.kind: per_question learns from unguided rollouts; set unguided_floor to 2 or more"
        )
    if config.carry and config.overlong.kind != "none":
        found.append(
            f"carry: not supported beside overlong.kind={config.overlong.kind}; set one of them to 0 or none"
        )
    for name, known in (("advantage", ADVANTAGES), ("preflight", PREFLIGHTS)):
        if getattr(config, name) not in known:
            found.append(f"{name}: {getattr(config, name)!r} is unknown; use one of {', '.join(known)}")
    found += _weight_problems(config.weights)
    share = config.right_share
    if share is not None and (not is_number(share) or not 0.0 <= share <= 1.0):
        found.append(f"right_share: expected null or a number in [0, 1], got {share!r}")
    return [problem if problem.startswith("realm.") else f"realm.{problem}" for problem in found]


def _weight_problems(weights: Any) -> list[str]:
    if not isinstance(weights, Mapping):
        return [f"weights: expected a mapping of {', '.join(WEIGHTS)}, got {weights!r}"]
    unknown = sorted(set(map(str, weights)) - set(WEIGHTS))
    found = [f"weights: unknown key {', '.join(unknown)}; known are {', '.join(WEIGHTS)}"] if unknown else []
    for name, value in weights.items():
        if name in WEIGHTS and (not is_number(value) or value < 0):
            found.append(f"weights.{name}: expected a number of at least 0, got {value!r}")
    return found


def _message_of(check: Callable[[Any], object], value: Any) -> list[str]:
    try:
        check(value)
    except (TypeError, ValueError) as error:
        return [str(error)]
    return []
