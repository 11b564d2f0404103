"""Who of a question's rollouts sees which routes: the plan of one group.

Serves design section "EAAI" (`fade`, `unguided_floor`) and "MRPV" (what is shown is drawn from seed,
question and step, and shared by all guided rollouts of the question). Pure: the same arguments give the
same plan on every worker and after every resume.
"""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass

FADES = ("presence", "routes", "steps")
REGIMES = ("guided", "unguided")


@dataclass(frozen=True)
class GroupPlan:
    """What the rollouts of one question see.

    Attributes:
        exposure: the exposure that the plan was made for, in [0, 1].
        guided: one flag per rollout (index: verl's session id).
        shown: indexes into the question's routes in the order of numbering, the same for every guided
            rollout; empty when nobody is guided.
        shown_steps: how many first steps of each shown route are shown, parallel to `shown`. Fewer than the route
            has: it is cut, and neither its conclusion nor its answer is shown.
    """

    exposure: float
    guided: tuple[bool, ...]
    shown: tuple[int, ...]
    shown_steps: tuple[int, ...]


def check_fade(fade: Sequence[str]) -> None:
    """Refuse what cannot be faded.

    Raises:
        ValueError: `fade` is empty, repeats itself, or names something unknown.
    """
    if isinstance(fade, str) or not fade:
        raise ValueError(f"fade: expected a list with one or more of {', '.join(FADES)}, got {fade!r}")
    unknown = [name for name in fade if name not in FADES]
    if unknown:
        raise ValueError(f"fade: {unknown[0]!r} is unknown; use one or more of {', '.join(FADES)}")
    if len(set(fade)) != len(fade):
        raise ValueError(f"fade: {list(fade)} names the same thing twice")


def plan_group(
    *,
    seed: int,
    uid: str,
    step: int,
    exposure: float,
    n: int,
    route_steps: Sequence[int],
    fade: Sequence[str],
    unguided_floor: int,
    max_routes: int,
    regime: str | None,
) -> GroupPlan:
    """Plan the `n` rollouts of one question.

    With regime None the exposure decides: `presence` shrinks the number of guided rollouts to
    `exposure * (n - unguided_floor)` in expectation, never exactly 1; without it all but the floor are
    guided. `routes` shrinks the number of routes to `exposure * min(max_routes, len(route_steps))` in
    expectation. `steps` shrinks each shown route to `exposure` times its steps in expectation, its first ones; a
    route of which no step is left is not shown. No route left leaves the group unguided.

    A row marked "unguided" sees nothing. A row marked "guided" has all its rollouts see as many routes
    as allowed, at exposure 1, and the same ones at every step, so that validation curves compare.

    Args:
        seed: the run's `realm.seed`.
        uid: the row's own content hash (not verl's `uid`, which is random at each fetch).
        step: verl's global step.
        exposure: the ceiling at this step, times the adaptive part, in [0, 1].
        n: rollouts in the group.
        route_steps: number of steps of each route in the question's bank.
        fade: what shrinks, see `check_fade`.
        unguided_floor: rollouts that stay unguided whatever the exposure.
        max_routes: the most routes in one prompt.
        regime: "guided", "unguided", or None.

    Raises:
        ValueError: an argument is out of its bounds.
    """
    check_fade(fade)
    if not 0.0 <= exposure <= 1.0:
        raise ValueError(f"exposure must be in [0, 1], got {exposure}")
    if n < 1 or unguided_floor < 0 or max_routes < 0:
        raise ValueError(
            f"expected n >= 1 and unguided_floor, max_routes >= 0, got n={n}, unguided_floor={unguided_floor}, "
            f"max_routes={max_routes}"
        )
    if regime is not None and regime not in REGIMES:
        raise ValueError(f"regime must be guided, unguided or null, got {regime!r}")
    n_routes = len(route_steps)
    n_usable = min(n_routes, max_routes)
    if regime == "unguided":
        return _nobody(0.0, n)
    if regime == "guided":
        if n_usable == 0:
            return _nobody(1.0, n)
        shown = _draw(f"{seed}|{uid}|fixed", n_routes, n_usable)
        return GroupPlan(1.0, (True,) * n, shown, tuple(route_steps[i] for i in shown))
    key = f"{seed}|{uid}|{step}"
    n_shown = _round(exposure * n_usable, key + "|routes") if "routes" in fade else n_usable
    most = n - unguided_floor
    if most < 2:  # room for one guided rollout at most, and a group never has just one
        return _nobody(exposure, n)
    n_guided = _round_not_one(exposure * most, key + "|presence") if "presence" in fade else most
    steps = {i: route_steps[i] for i in _draw(key, n_routes, n_shown)}
    if "steps" in fade:
        left = {i: _steps_left(exposure, n_steps, f"{key}|steps|{i}") for i, n_steps in steps.items()}
        steps = {i: n_steps for i, n_steps in left.items() if n_steps is not None}
    if exposure == 0.0 or not steps or n_guided < 2:
        return _nobody(exposure, n)
    guided = (True,) * n_guided + (False,) * (n - n_guided)
    return GroupPlan(exposure, guided, tuple(steps), tuple(steps.values()))


def keep_routes(*, seed: int, uid: str, step: int, shown: Sequence[int], n_keep: int) -> tuple[int, ...]:
    """`n_keep` of `shown`, chosen by hash, in their old order: what a prompt over its budget keeps.

    Nested: the routes kept at a smaller number are among those kept at a larger one.
    """
    keep = set(sorted(shown, key=lambda i: _digest(f"{seed}|{uid}|{step}|budget|{i}"))[: max(0, n_keep)])
    return tuple(i for i in shown if i in keep)


def _nobody(exposure: float, n: int) -> GroupPlan:
    return GroupPlan(exposure, (False,) * n, (), ())


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()


def _unit(key: str) -> float:
    """A number in [0, 1) drawn by hash: 53 bits, all that a float holds."""
    return (int.from_bytes(_digest(key)[:8], "big") >> 11) / 2.0**53


def _draw(key: str, n_routes: int, n_shown: int) -> tuple[int, ...]:
    return tuple(sorted(range(n_routes), key=lambda i: _digest(f"{key}|route|{i}"))[:n_shown])


def _steps_left(exposure: float, n_steps: int, key: str) -> int | None:
    """How many first steps are shown; None: the route is not. One without steps is shown or not as a whole."""
    left = _round(exposure * max(1, n_steps), key)
    return min(left, n_steps) if left else None


def _round(value: float, key: str) -> int:
    """`value` to one of its two whole neighbours, so that the expectation is `value`."""
    whole = math.floor(value)
    return whole + (_unit(key) < value - whole)


def _round_not_one(value: float, key: str) -> int:
    """As `_round`, but 1 is never the answer: below 2 the choice is between 0 and 2."""
    if value < 2.0:
        return 2 * (_unit(key) < value / 2.0)
    return _round(value, key)
