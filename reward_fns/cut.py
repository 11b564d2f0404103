"""Routes of which a prompt showed only the first steps: what their verdicts count for.

Serves the section "EAAI" of the design (`fade: steps`) under the rules of "MRPV". A cut route ends without its
conclusion and its answer, and is judged by the steps that are shown: right where none of them is wrong.

* A wrong route whose first error is cut off, or unknown, may look right for good reason: no verdict on it is scored.
* A wrong route whose first error is shown is scored as ever, and the step named counts for `decisive`. The best
  constant guess there is taken as 1 / shown steps: the measured rates are those of whole routes.
* If every right route counted, always saying "right" would pay, the more so the less is shown. So a right route
  counts as often as a wrong one does: the right routes of a question are paired with its wrong ones in turn, and
  one counts where its pair's first error would be shown by the same share of steps. A bank of one kind alone has
  no pairs: its cut routes are not scored.
* `consistent` leaves cut routes out: their answers were not in sight.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from reward_fns.routes import Route


def cut_routes(bank: Sequence[Route], shown: Sequence[int], shown_steps: Sequence[int]) -> tuple[Route, ...]:
    """The shown routes as the prompt showed them.

    A route that is not scored comes back as disputed, which is what keeps it out of every component.

    Args:
        bank: all routes of the question.
        shown: indexes into `bank` in the order of numbering.
        shown_steps: how many first steps of each were shown; all of them: the route is whole.

    Raises:
        ValueError: the lengths differ, or a route has not that many steps.
    """
    if len(shown_steps) != len(shown):
        raise ValueError(
            f"shown_steps has {len(shown_steps)} entries, shown has {len(shown)}; one each is needed"
        )
    pairs = _pairs(bank)
    return tuple(
        _cut(bank[index], n_steps, pairs.get(index))
        for index, n_steps in zip(shown, shown_steps, strict=True)
    )


def _pairs(bank: Sequence[Route]) -> dict[int, Route]:
    """By index, the wrong route whose first error says from where on a cut route counts: a wrong one's own."""
    wrong = [i for i, route in enumerate(bank) if not route.label and not route.disputed]
    right = [i for i, route in enumerate(bank) if route.label and not route.disputed]
    if not wrong or not right:
        return {}
    return {i: bank[i] for i in wrong} | {i: bank[wrong[n % len(wrong)]] for n, i in enumerate(right)}


def _cut(route: Route, n_steps: int, pair: Route | None) -> Route:
    if not 0 <= n_steps <= len(route.steps):
        raise ValueError(f"shown_steps holds {n_steps}, but the route has {len(route.steps)} steps")
    if n_steps == len(route.steps):
        return route
    counts = pair is not None and _error_is_shown(pair, n_steps, len(route.steps))
    return replace(
        route,
        steps=route.steps[:n_steps],
        first_error=route.first_error if counts else None,
        sound=route.sound if counts else not route.label,
        cut=True,
    )


def _error_is_shown(pair: Route, n_steps: int, of: int) -> bool:
    """Whether `n_steps` of `of` steps, as a share of the steps of `pair`, reach its first error."""
    return pair.first_error is not None and (pair.first_error + 1) * of <= n_steps * len(pair.steps)
