"""Chains of reasoning with planted mistakes, and the sets of routes that are made of them.

Serves design.md, section MRPV ("Sets are composed ..."). A question's solver is run once as it should be and once for
each mistake, which it follows through to the end; the first error of a wrong chain is the first step in which it
differs from the right one. What a set must not give away, it does not: the length wanted of each slot is drawn
before anything is known of its route, all routes have one source, no text stands twice, and wrong routes agree on an
answer where they can, as right ones do.
"""

import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

from reward_fns.domains.base import Domain
from reward_fns.routes import Route

ROUTES_SHOWN = 3
SOURCE = "program/eval_sets"
ALL_WRONG_SHARE = 0.22
ALL_RIGHT_SHARE = 0.12


@dataclass(frozen=True)
class Step:
    """One step of a chain; a `spare` one may be left out where it is right."""

    text: str
    spare: bool = False


@dataclass(frozen=True)
class Chain:
    """A whole solution, right or wrong."""

    steps: tuple[Step, ...]
    answer: str


@dataclass(frozen=True)
class Problem:
    """A question, how it is solved, and the mistakes that the solver knows to make.

    `solve(None)` is the right chain. `rule` names what decides the question, `long_tail` whether that is rare.
    """

    question: str
    rule: str
    long_tail: bool
    solve: Callable[[str | None], Chain]
    mistakes: tuple[str, ...]


@dataclass(frozen=True)
class Bank:
    """The different routes of one problem."""

    gold: str
    right: tuple[Route, ...]
    wrong: tuple[Route, ...]

    @property
    def is_enough(self) -> bool:
        """Whether sets of every composition can be drawn: enough routes, and two wrong answers at least."""
        answers = {route.answer for route in self.wrong}
        return min(len(self.right), len(self.wrong)) >= ROUTES_SHOWN and len(answers) > 1


def make_bank(problem: Problem, domain: Domain) -> Bank:
    """All routes of a problem; a mistake that the domain judges to end in the right answer is left out.

    Raises:
        ValueError: the domain does not read the gold answer as equal to itself.
    """
    right = problem.solve(None)
    if not _is_right(right.answer, right.answer, domain):
        raise ValueError(f"{domain.name} does not read its own gold answer {right.answer!r}")
    wrong: list[Route] = []
    for mistake in problem.mistakes:
        chain = problem.solve(mistake)
        if not _is_right(chain.answer, right.answer, domain):
            wrong += _variants(chain, _first_difference(right, chain))
    distinct = {route.steps: route for route in reversed(wrong)}
    return Bank(right.answer, tuple(_variants(right, None)), tuple(distinct.values()))


def compose(bank: Bank, rng: random.Random) -> list[Route]:
    """`ROUTES_SHOWN` routes in random order: all wrong in about a fifth of the sets, all right in a tenth."""
    chance = rng.random()
    n_right = rng.randint(1, ROUTES_SHOWN - 1)
    if chance < ALL_WRONG_SHARE:
        n_right = 0
    elif chance > 1 - ALL_RIGHT_SHARE:
        n_right = ROUTES_SHOWN
    lengths = [len(rng.choice(bank.right).steps) for _ in range(ROUTES_SHOWN)]
    wrong: Sequence[Route] = bank.wrong
    if 0 < n_right or rng.random() < 0.5:
        wrong = _of_one_answer(bank.wrong, ROUTES_SHOWN - n_right, lengths[0], rng)
    chosen = [*_pick(bank.right, lengths[:n_right], rng), *_pick(wrong, lengths[n_right:], rng)]
    rng.shuffle(chosen)
    return chosen


def _is_right(answer: str, gold: str, domain: Domain) -> bool:
    read = domain.extract(answer)
    return read is not None and domain.equivalent(read, gold)


def _first_difference(right: Chain, wrong: Chain) -> int:
    pairs = zip(right.steps, wrong.steps, strict=False)
    return next(i for i, (a, b) in enumerate(pairs) if a.text != b.text)


def _variants(chain: Chain, first_error: int | None) -> Iterator[Route]:
    """The chain with up to two of its spare steps left out, never the one that holds the mistake."""
    spare = [i for i, step in enumerate(chain.steps) if step.spare and i != first_error]
    for count in range(min(2, len(spare)) + 1):
        for left_out in combinations(spare, count):
            kept = [i for i in range(len(chain.steps)) if i not in left_out]
            steps = tuple(chain.steps[i].text for i in kept)
            error = None if first_error is None else kept.index(first_error)
            yield Route(steps, chain.answer, error is None, error is None, error, SOURCE)


def _of_one_answer(wrong: Sequence[Route], count: int, length: int, rng: random.Random) -> Sequence[Route]:
    """The routes of one wrong answer that has at least `count` of them, else all.

    Of two answers drawn, the one with a route nearer to the wanted length.
    """
    answers = [route.answer for route in wrong]
    often = sorted({answer for answer in answers if answers.count(answer) >= count})
    if not often:
        return wrong
    drawn = [rng.choice(often) for _ in range(2)]

    def distance(answer: str) -> int:
        return min(abs(len(route.steps) - length) for route in wrong if route.answer == answer)

    answer = min(drawn, key=distance)
    return [route for route in wrong if route.answer == answer]


def _pick(routes: Sequence[Route], lengths: Iterable[int], rng: random.Random) -> Iterator[Route]:
    """A different route for each length wanted: one of the nearest length that is left."""
    left = list(routes)
    for wanted in lengths:
        nearest = min(abs(len(route.steps) - wanted) for route in left)
        chosen = rng.choice([route for route in left if abs(len(route.steps) - wanted) == nearest])
        left.remove(chosen)
        yield chosen
