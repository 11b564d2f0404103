"""MRPV scoring: a parsed response becomes reward components, each with a fixed meaning and range.

Serves the section "MRPV" of the design. What its claim of chance correction means exactly; the benchmark
benchmarks/bench_judges.py prints it for judges of known skill on traces marked by people:

* `verdict`: with s the share of right routes among the judged slots and s inside `SHARE_RANGE`, a route is
  worth 1/(2s) if right, 1/(2(1-s)) if wrong. Over sets drawn so that a slot holds a right route with
  probability s, the always-right, the always-wrong and any random judge expect exactly 0, a perfect judge
  exactly 1. Sets of one kind belong to that average. *Within* sets of one kind alone this cannot hold: there
  the always-right judge and the perfect judge are the same judge.
* With s outside `SHARE_RANGE` the rarer kind keeps the value it has at the border, 1/0.7, and the commoner kind's
  is lowered in proportion: judges that do not look still expect exactly 0, a perfect one less than 1.
* `decisive`: a guess is measured against the rate of that very guess as a constant one, so that any judge that
  does not look at the steps expects exactly 0 over the bank that the rates were measured on.
* The consistency rule then only takes credit away, so after it such judges expect 0 or less.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from enum import IntEnum

from reward_fns.domains.base import Domain
from reward_fns.match import Match
from reward_fns.response import Response, Verdict
from reward_fns.routes import Route

SHARE_RANGE = (0.35, 0.65)
"""Outside of this the rarer kind is worth no more than at its border: no single verdict exceeds 1/0.7."""

MAX_GUESS_RATE = 0.5
"""Routes whose first error a constant guess finds more often than this say nothing about judging steps:
they stay out of `decisive`, which keeps it within [-1, 1]."""

MIN_ROUTES_FOR_RATE = 20
"""Fewer routes of one length than this give no measured guess rates."""

GuessRates = Mapping[int, Sequence[float]]
"""By number of steps: how often each step is the first error."""

MAX_ANSWERS = 8
"""More different `<answer>` blocks than this are not compared with each other: that is no answer."""


MIN_PASTED_CHARS = 20
"""A step that is longer than its route's answer by this much is recognised where an answer pastes it."""


class Reason(IntEnum):
    """Why `outcome` is what it is."""

    RIGHT = 0
    WRONG = 1
    NO_ANSWER = 2
    UNCLOSED_ANSWER = 3
    UNREADABLE_ANSWER = 4
    SEVERAL_ANSWERS = 5
    TOO_LONG = 6
    BAD_ROW = 7
    """The row, not the response, is at fault: its routes or `shown` cannot be read. Scored as unguided."""
    TIMEOUT = 8
    """Comparing with the gold answer took more than its budget: unknown, and scored as not right."""


_REASONS = {Match.SAME: Reason.RIGHT, Match.TIMEOUT: Reason.TIMEOUT}


@dataclass(frozen=True)
class Weights:
    """How much each component counts in `score`."""

    outcome: float = 1.0
    verdict: float = 0.2
    decisive: float = 0.2
    format: float = 0.05


@dataclass(frozen=True)
class Components:
    """The reward components of one response; None where a component is absent for the row.

    `verdict` and `decisive` are what was credited; the `raw_` values are before the consistency rule.
    """

    outcome: float
    verdict: float | None
    decisive: float | None
    format: float
    consistent: bool | None
    raw_verdict: float | None
    raw_decisive: float | None
    disputed: int
    reason: Reason
    prediction: str | None

    def score(self, weights: Weights) -> float:
        """The weighted sum; absent components count 0."""
        return (
            weights.outcome * self.outcome
            + weights.verdict * (self.verdict or 0.0)
            + weights.decisive * (self.decisive or 0.0)
            + weights.format * self.format
        )


def score_response(
    response: Response,
    shown: Sequence[Route],
    gold: str | Sequence[str],
    domain: Domain,
    *,
    right_share: float = 0.5,
    guess_rates: GuessRates | None = None,
) -> Components:
    """Score one response to a prompt that showed the routes `shown`, in order of numbering.

    Args:
        response: parsed with `n_shown=len(shown)`.
        shown: empty for an unguided prompt.
        gold: the row's gold answer; of several any is right.
        domain: reads and compares answers.
        right_share: share of right routes among shown, undisputed ones (see `measured_right_share`).
        guess_rates: see `measured_guess_rates`; None: nothing is known, each step is as likely.
    """
    prediction, unread = read_answer(response, domain, shown)
    if prediction is None:
        reason = unread or Reason.UNREADABLE_ANSWER
    else:
        found = {domain.judge(prediction, one) for one in ((gold,) if isinstance(gold, str) else gold)}
        reason = next((_REASONS[match] for match in _REASONS if match in found), Reason.WRONG)
    raw_verdict = verdict_credit(shown, response.verdicts, right_share)
    raw_decisive = decisive_credit(shown, response.verdicts, guess_rates)
    consistent = is_consistent(shown, response.verdicts, prediction, domain) if shown else None
    return Components(
        outcome=float(reason is Reason.RIGHT),
        verdict=_credited(raw_verdict, consistent),
        decisive=_credited(raw_decisive, consistent),
        format=float(not response.problems),
        consistent=consistent,
        raw_verdict=raw_verdict,
        raw_decisive=raw_decisive,
        disputed=sum(route.disputed for route in shown),
        reason=reason,
        prediction=prediction,
    )


def read_answer(
    response: Response, domain: Domain, shown: Sequence[Route] = ()
) -> tuple[str | None, Reason | None]:
    """The one canonical answer of a response and None, or None and why there is no answer.

    Several `<answer>` blocks count as one answer when the domain says that they agree. A block that pastes a step
    of a shown route gives no answer: what it says was copied.
    """
    if not response.answers:
        for code, reason in (("too_long", Reason.TOO_LONG), ("unclosed_answer", Reason.UNCLOSED_ANSWER)):
            if code in response.problems:
                return None, reason
        return None, Reason.NO_ANSWER
    if len(response.answers) > MAX_ANSWERS:
        return None, Reason.SEVERAL_ANSWERS
    read = [domain.extract(text) for text in response.answers]
    last = read[-1]
    if last is None or any(_pastes_step(text, shown) for text in response.answers):
        return None, Reason.UNREADABLE_ANSWER
    if any(other is None or not domain.equivalent(other, last) for other in read[:-1]):
        return None, Reason.SEVERAL_ANSWERS
    return last, None


def verdict_credit(
    shown: Sequence[Route], verdicts: Sequence[Verdict | None], right_share: float
) -> float | None:
    """Mean over the undisputed shown routes of +1 or -1 over twice the share of the route's kind.

    A missing verdict is a wrong one. None when no undisputed route is shown.
    """
    value_right, value_wrong = _route_values(right_share)
    credits = [
        (1.0 if verdict is not None and verdict.right == route.label else -1.0)
        * (value_right if route.label else value_wrong)
        for route, verdict in zip(shown, verdicts, strict=True)
        if not route.disputed
    ]
    return sum(credits) / len(credits) if credits else None


def decisive_credit(
    shown: Sequence[Route],
    verdicts: Sequence[Verdict | None],
    guess_rates: GuessRates | None = None,
) -> float | None:
    """Mean of (hit - g) / (1 - g) over the negatives with a known first error that were judged wrong.

    g is the rate of the guess made: how often that step is the first error of a route of that length. Naming the
    first error each time gives 1; a constant step, a random one and no step at all expect 0. Left out are routes
    whose best constant guess has g over `MAX_GUESS_RATE`, and lengths that `guess_rates` does not know. None when
    no route counts.
    """
    credits = []
    for route, verdict in zip(shown, verdicts, strict=True):
        if route.label or route.disputed or route.first_error is None or verdict is None or verdict.right:
            continue
        rates = _rates_of(route, guess_rates)
        if not rates or max(rates) > MAX_GUESS_RATE:
            continue
        rate = rates[verdict.step] if verdict.step is not None and verdict.step < len(rates) else 0.0
        credits.append(((verdict.step == route.first_error) - rate) / (1 - rate))
    return sum(credits) / len(credits) if credits else None


def is_consistent(
    shown: Sequence[Route], verdicts: Sequence[Verdict | None], prediction: str | None, domain: Domain
) -> bool:
    """Whether the final answer agrees with the response's own verdicts.

    The routes judged right share one answer; if there is one, the final answer equals it; it equals that of
    no route judged wrong. Without a readable final answer nothing agrees. Disputed routes are left
    out: to reject flawed steps and keep their right answer is no contradiction.
    """
    if prediction is None:
        return False
    for route, verdict in zip(shown, verdicts, strict=True):
        if verdict is None or route.disputed or route.cut:
            continue
        read = domain.extract(route.answer)
        same = read is not None and domain.equivalent(prediction, route.answer)
        if same != verdict.right:
            return False
    return True


def measured_guess_rates(
    routes: Iterable[Route], min_routes: int = MIN_ROUTES_FOR_RATE
) -> dict[int, tuple[float, ...]]:
    """How often each step is the first error, by number of steps, over negative routes.

    Lengths with fewer than `min_routes` routes are left out.
    """
    positions: defaultdict[int, Counter[int]] = defaultdict(Counter)
    for route in routes:
        if route.is_located and route.first_error is not None:
            positions[len(route.steps)][route.first_error] += 1
    return {
        steps: tuple(counts[step] / counts.total() for step in range(steps))
        for steps, counts in sorted(positions.items())
        if counts.total() >= min_routes
    }


def best_constant_guesses(routes: Iterable[Route]) -> dict[int, int]:
    """By number of steps: the step (0-based) that is the first error of most of these routes, the earliest of equals.

    What a judge who does not read would answer at best; in hindsight, as it is measured on the routes it is used for.
    """
    rates = measured_guess_rates(routes, min_routes=1)
    return {steps: shares.index(max(shares)) for steps, shares in rates.items()}


def measured_right_share(banks: Iterable[Sequence[Route]]) -> float | None:
    """The share of right routes that a slot of a shown set holds, over questions with these route banks.

    The mean over questions of each bank's own share, disputed routes left out, because each question is
    shown as often as another, whatever the size of its bank. None when no bank holds a route that counts.
    """
    shares = []
    for bank in banks:
        labels = [route.label for route in bank if not route.disputed]
        if labels:
            shares.append(sum(labels) / len(labels))
    return sum(shares) / len(shares) if shares else None


def process_range(weights: Weights, right_share: float, max_routes: int = 4) -> tuple[float, float]:
    """The lowest and highest that verdict, decisive and format together can add to a score.

    Goes through every composition of a set of up to `max_routes` shown routes and every way to judge it.
    A verdict on a route is worth up to 1/0.7 either way; decisive lies in [-1, 1] and counts only where
    a wrong route was judged wrong, which the verdict rewards. The unguided range is part of it.
    """
    value_right, value_wrong = _route_values(right_share)
    low, high = 0.0, weights.format
    for n in range(1, max_routes + 1):
        for wrong in range(n + 1):
            right = n - wrong
            perfect = (right * value_right + wrong * value_wrong) / n
            high = max(
                high, weights.format + weights.verdict * perfect + weights.decisive * (1 if wrong else 0)
            )
            for found in range(wrong + 1):  # wrong routes judged wrong, at the wrong step
                verdict = ((2 * found - wrong) * value_wrong - right * value_right) / n
                low = min(low, weights.verdict * min(verdict, 0.0) - weights.decisive * (1 if found else 0))
    return low, high


def check_weights(weights: Weights, right_share: float = 0.5, max_routes: int = 4) -> tuple[float, float]:
    """Refuse weights for which a wrong answer could outrank a right one; gives back `process_range`.

    Args:
        weights: as configured.
        right_share: as given to the reward.
        max_routes: the most routes that a prompt shows.

    Raises:
        ValueError: a weight is negative or not finite, `right_share` or `max_routes` is out of range, or
            the process components move the score by as much as a right answer earns.
    """
    for field in fields(weights):
        value = getattr(weights, field.name)
        if not math.isfinite(value) or value < 0:
            raise ValueError(f"weight {field.name} is {value}; weights are finite and not negative")
    if not 0 <= right_share <= 1:
        raise ValueError(f"right_share is {right_share}; it is a share of routes, between 0 and 1")
    if not 0 <= max_routes <= 64:
        raise ValueError(f"max_routes is {max_routes}; expected 0 to 64")
    low, high = process_range(weights, right_share, max_routes)
    if weights.outcome <= high - low:
        raise ValueError(
            f"verdict, decisive and format can move the score from {low:+.3f} to {high:+.3f}, "
            f"{high - low:.3f} in all, while a right answer earns {weights.outcome:g} (right_share "
            f"{right_share:g}, up to {max_routes} routes): a wrong answer could outrank a right one. "
            "Lower the verdict, decisive and format weights, or raise the outcome weight"
        )
    return low, high


def verdict_confusion(shown: Sequence[Route], verdicts: Sequence[Verdict | None]) -> dict[str, int]:
    """How many undisputed right and wrong routes were judged right and wrong; a missing verdict is neither."""
    counts = Counter(
        (route.label, verdict.right)
        for route, verdict in zip(shown, verdicts, strict=True)
        if verdict is not None and not route.disputed
    )
    words = ((True, "right"), (False, "wrong"))
    return {f"{kind}_judged_{says}": counts[label, said] for label, kind in words for said, says in words}


def first_error_counts(
    shown: Sequence[Route], verdicts: Sequence[Verdict | None], guess_rates: GuessRates | None = None
) -> dict[str, float]:
    """Shown wrong routes whose first error is known, of how many it was named, and would be by the best constant guess.

    `first_errors_guessed` is what naming the likeliest step of each length would hit on average. Lengths that
    `guess_rates` does not know are left out of all three.
    """
    counts = {"first_errors": 0.0, "first_errors_named": 0.0, "first_errors_guessed": 0.0}
    for route, verdict in zip(shown, verdicts, strict=True):
        rates = _rates_of(route, guess_rates) if route.is_located else ()
        if not rates:
            continue
        counts["first_errors"] += 1
        counts["first_errors_named"] += verdict is not None and verdict.step == route.first_error
        counts["first_errors_guessed"] += max(rates)
    return counts


def best_guess_rate(routes: Iterable[Route]) -> float | None:
    """Of the wrong routes with a known first error, the share that the best constant guess for each length hits.

    Measured on these very routes. None without any.
    """
    located = [route for route in routes if route.is_located]
    guesses = best_constant_guesses(located)
    hits = sum(route.first_error == guesses[len(route.steps)] for route in located)
    return hits / len(located) if located else None


def _rates_of(route: Route, guess_rates: GuessRates | None) -> Sequence[float]:
    """How often each step of such a route is the first error; empty where it is not known."""
    n_steps = len(route.steps)
    if guess_rates is None or route.cut:  # the bank's rates are those of whole routes
        return (1 / n_steps,) * n_steps
    return guess_rates.get(n_steps, ())


def _route_values(right_share: float) -> tuple[float, float]:
    """What the verdict on a right route and on a wrong route is worth."""
    low, high = SHARE_RANGE
    if right_share < low:
        rare = 1 / (2 * low)
        return rare, rare * right_share / (1 - right_share)
    if right_share > high:
        rare = 1 / (2 * (1 - high))
        return rare * (1 - right_share) / right_share, rare
    return 1 / (2 * right_share), 1 / (2 * (1 - right_share))


def _pastes_step(text: str, shown: Sequence[Route]) -> bool:
    """Whether an answer holds a whole step of a shown route, blanks aside; steps that are the answer do not count."""
    if len(text) < MIN_PASTED_CHARS:
        return False
    text = " ".join(text.split())
    return any(
        len(step) >= MIN_PASTED_CHARS + len(route.answer) and " ".join(step.split()) in text
        for route in shown
        for step in route.steps
    )


def _credited(raw: float | None, consistent: bool | None) -> float | None:
    return raw if raw is None or consistent else min(raw, 0.0)
