"""The ceiling of exposure as a pure function of verl's global step.

Serves design section "EAAI". Purity is what makes resume exact: nothing is stored, the step says it all.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

KINDS = ("constant", "linear", "cosine", "exponential", "staged")
KEYS = ("kind", "start", "fade_steps", "rate", "stages")
MAX_RATE = 100.0


@dataclass(frozen=True)
class Schedule:
    """Exposure by step: `start` at step 0, exactly 0 from `fade_steps` on (`constant`: `start` for ever)."""

    kind: str
    start: float
    fade_steps: int | None
    rate: float
    stages: tuple[tuple[int, float], ...]

    def __call__(self, step: int) -> float:
        """Exposure in [0, 1] at `step` (verl's `global_steps`, 0 before training).

        Raises:
            ValueError: the step is negative.
        """
        if step < 0:
            raise ValueError(f"a step cannot be negative, got {step}")
        if self.kind == "constant" or self.fade_steps is None:
            return self.start
        if step >= self.fade_steps:
            return 0.0
        return self.start * self._left(step) if self.kind != "staged" else self._stage(step)

    def _left(self, step: int) -> float:
        assert self.fade_steps is not None
        done = step / self.fade_steps
        if self.kind == "linear":
            return 1.0 - done
        if self.kind == "cosine":
            return 0.5 * (1.0 + math.cos(math.pi * done))
        # (exp(-r t/T) - exp(-r)) / (1 - exp(-r)), in the form that keeps its digits for a small rate
        return math.expm1(self.rate * (1.0 - done)) / math.expm1(self.rate)

    def _stage(self, step: int) -> float:
        exposure = self.start
        for first_step, value in self.stages:
            if step >= first_step:
                exposure = value
        return exposure


def build_schedule(config: Mapping[str, Any]) -> Callable[[int], float]:
    """The schedule that `config` (the key `realm.schedule`) describes.

    Args:
        config: `kind` (constant, linear, cosine, exponential or staged; default linear), `start` (exposure at step 0,
            default 1.0), `fade_steps` (the step from which exposure is exactly 0; needed unless constant),
            `rate` (exponential only, default 5.0), `stages` (staged only: pairs of first step and exposure
            after the first stage, which is `start`; default four equal stages). A key that the kind does not
            read is checked all the same, so that an overlay can switch the kind alone.

    Returns:
        A pure, picklable function of the step.

    Raises:
        TypeError: no mapping.
        ValueError: an unknown key or kind, or a value out of its bounds; the message names it.
    """
    if not isinstance(config, Mapping):
        raise TypeError(f"schedule: expected a mapping with at least `kind` and `fade_steps`, got {config!r}")
    unknown = sorted(set(map(str, config)) - set(KEYS))
    if unknown:
        raise ValueError(f"schedule: unknown key {', '.join(unknown)}; known are {', '.join(KEYS)}")
    kind = config.get("kind", "linear")
    if kind not in KINDS:
        raise ValueError(f"schedule.kind: {kind!r} is unknown; use one of {', '.join(KINDS)}")
    start = _number("start", config.get("start"), 1.0)
    if not 0.0 <= start <= 1.0:
        raise ValueError(f"schedule.start: {start} is outside [0, 1]")
    rate = _number("rate", config.get("rate"), 5.0)
    if not 0.0 < rate <= MAX_RATE:
        raise ValueError(f"schedule.rate: {rate} is outside (0, {MAX_RATE:g}]")
    fade_steps = config.get("fade_steps")
    if fade_steps is None:
        if kind != "constant":
            raise ValueError(
                f"schedule.fade_steps: needed for kind {kind} (the step from which exposure is 0)"
            )
    elif isinstance(fade_steps, bool) or not isinstance(fade_steps, int) or fade_steps < 1:
        raise ValueError(f"schedule.fade_steps: expected a whole number above 0, got {fade_steps!r}")
    stages: tuple[tuple[int, float], ...] = ()
    if kind == "staged":
        assert fade_steps is not None
        stages = _stages(config.get("stages"), start, fade_steps)
    return Schedule(kind=kind, start=start, fade_steps=fade_steps, rate=rate, stages=stages)


def is_number(value: Any) -> bool:
    """Whether an option's value is a finite number; true and false are none."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _number(key: str, value: Any, default: float) -> float:
    if value is None:
        return default
    if not is_number(value):
        raise ValueError(f"schedule.{key}: expected a number, got {value!r}")
    return float(value)


def _stages(value: Any, start: float, fade_steps: int) -> tuple[tuple[int, float], ...]:
    if value is None:
        quarters = (math.ceil(fade_steps * part / 4) for part in (1, 2, 3))
        levels = (start * 0.75, start * 0.5, start * 0.25)
        return tuple(zip(quarters, levels, strict=True))
    if isinstance(value, str) or not isinstance(value, Sequence) or not value:
        raise ValueError(f"schedule.stages: expected pairs of first step and exposure, got {value!r}")
    stages: list[tuple[int, float]] = []
    last_step, last_level = 0, start
    for pair in value:
        if isinstance(pair, str) or not isinstance(pair, Sequence) or len(pair) != 2:
            raise ValueError(f"schedule.stages: expected a pair of first step and exposure, got {pair!r}")
        step, level = pair[0], _number("stages", pair[1], math.nan)
        if isinstance(step, bool) or not isinstance(step, int) or not last_step < step < fade_steps:
            raise ValueError(
                f"schedule.stages: first steps must rise and lie between 0 and fade_steps {fade_steps}, got {step!r}"
            )
        if not 0.0 <= level <= last_level:
            raise ValueError(
                f"schedule.stages: exposure must fall from {last_level} and stay in [0, 1], got {level}"
            )
        stages.append((step, level))
        last_step, last_level = step, level
    return tuple(stages)
