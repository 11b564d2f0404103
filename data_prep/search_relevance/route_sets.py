"""Sets of routes for `search_relevance` questions, composed as MRPV asks.

Serves design.md, section MRPV ("Sets are composed ..."). Training data, contrast rows and the bundled test
set all take their sets from `compose_routes`, so that what is learned and what is measured are one thing.

Between the expert's two styles, `partial` chains leave out some of the checks that do not matter; they give
a question enough different right chains. With `detail` "short" nobody writes all of it down: chains are `brief`, or
`short`, which names one more check; so are the summaries that many services give in place of a model's reasoning.
What a set must not give away, it does not:

* The styles of a set are drawn before anything is known of its routes, so neither length nor source tells.
* No text stands twice in a set: only right chains would be scarce enough to repeat.
* In a mixed set the wrong chains share one answer where they can, as the right ones do; in half of the
  all-wrong sets too. Answers that agree are thus no sign of being right.
* The size of a set depends on the question, never on what is drawn.
"""

import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from data_prep.search_relevance.expert import STYLES, right_route, with_names, wrong_routes
from data_prep.search_relevance.generator import Item
from reward_fns.routes import Route

# A set whose question has too few chains of one kind for these becomes a mixed one.
ALL_WRONG_SHARE = 0.22
ALL_RIGHT_SHARE = 0.12
SET_STYLES = {"any": (*STYLES, "partial"), "short": ("brief", "short")}
DETAILS = tuple(SET_STYLES)


@dataclass(frozen=True)
class _Bank:
    """The different chains of one question."""

    right: tuple[Route, ...]
    wrong: tuple[Route, ...]


def compose_routes(item: Item, k: int, rng: random.Random, detail: str = "any") -> list[Route]:
    """Up to `k` routes with different texts, in random order, rule ids turned into the rules' short names.

    All wrong in about 20% of the sets, all right in about 10%; among the others a majority of right routes is
    as frequent as one of wrong routes. A question with few chains of one kind gets a smaller set, and one on
    which no mistake leads to another label gets a right route alone.

    Args:
        detail: how much the routes write down, one of `DETAILS`.

    Raises:
        ValueError: `k` is below 1, or `detail` is unknown.
    """
    if k < 1:
        raise ValueError(f"a set needs at least one route; got k={k}")
    if detail not in SET_STYLES:
        raise ValueError(f"detail is one of {', '.join(DETAILS)}; got {detail!r}")
    bank = _fill_bank(item, k, rng, detail)
    if not bank.wrong:
        return [with_names(rng.choice(bank.right))]
    size = min(k, 2 * min(len(bank.right), len(bank.wrong)))
    n_right = _draw_right(bank, size, rng)
    together = 0 < n_right or rng.random() < 0.5
    styles = _draw_styles(SET_STYLES[detail], size, rng)
    chosen = [
        *_pick(bank.right, styles[:n_right], rng),
        *_pick(_by_answer(bank.wrong, size - n_right) if together else bank.wrong, styles[n_right:], rng),
    ]
    rng.shuffle(chosen)
    return [with_names(route) for route in chosen]


def _draw_right(bank: _Bank, size: int, rng: random.Random) -> int:
    """How many routes of a set of `size` are right."""
    chance = rng.random()
    if chance < ALL_WRONG_SHARE and len(bank.wrong) >= size:
        return 0
    if chance > 1 - ALL_RIGHT_SHARE and len(bank.right) >= size:
        return size
    most = min(len(bank.right), len(bank.wrong), size - 1)
    return rng.randint(size - most, most) if size > 1 else rng.randint(0, 1)


def _draw_styles(styles: Sequence[str], size: int, rng: random.Random) -> list[str]:
    """Styles for `size` routes, each style as often as another."""
    rounds = -(-size // len(styles))
    return [style for _ in range(rounds) for style in rng.sample(styles, len(styles))][:size]


def _pick(routes: Iterable[Route], styles: Iterable[str], rng: random.Random) -> Iterator[Route]:
    """A different route for each style, of that style where one is left; earlier routes are not preferred."""
    left = list(routes)
    for style in styles:
        route = rng.choice([r for r in left if r.source.endswith(style)] or left)
        left.remove(route)
        yield route


def _by_answer(wrong: tuple[Route, ...], count: int) -> tuple[Route, ...]:
    """The routes of the most common wrong answer if there are `count` of them, else all."""
    answers = [route.answer for route in wrong]
    common = max(sorted(set(answers)), key=answers.count)
    same = tuple(route for route in wrong if route.answer == common)
    return same if len(same) >= count else wrong


def _fill_bank(item: Item, k: int, rng: random.Random, detail: str) -> _Bank:
    """All different chains of the expert, and up to `k` partial (or short) ones for each full one."""
    seed = rng.random()
    # One seed for both styles: the mistakes come in the same order, so chains of one mistake pair up.
    full, brief = (
        [right_route(item, style), *wrong_routes(item, style, random.Random(seed))] for style in STYLES
    )
    pairs = list(zip(full, brief, strict=True))
    rng.shuffle(pairs)
    is_short = detail == "short"
    every = [
        route
        for full_route, brief_route in pairs
        for route in (
            *(() if is_short else (full_route,)),
            brief_route,
            *_partials(full_route, brief_route, k, rng, is_short),
        )
    ]
    distinct = {route.steps: route for route in reversed(every)}.values()
    return _Bank(tuple(r for r in distinct if r.label), tuple(r for r in distinct if not r.label))


def _partials(full: Route, brief: Route, count: int, rng: random.Random, is_short: bool) -> Iterator[Route]:
    """`count` times the full chain without some of the checks that neither decide nor hold the mistake.

    Nothing where leaving one out would leave no more than the brief chain. Short ones keep one of these checks, or
    none where the mistake stands in a check of its own.
    """
    last = len(full.steps) - 1
    kept = {last, full.steps.index(brief.steps[0])}
    if full.first_error is not None:
        kept.add(full.first_error)
    spare = [i for i in range(last) if i not in kept]
    if len(full.steps) < 4 or not spare:
        return
    for _ in range(count):
        least = int(len(kept) < 3)
        positions = sorted(
            kept | set(rng.sample(spare, least if is_short else rng.randint(least, len(spare) - 1)))
        )
        first = None if full.first_error is None else positions.index(full.first_error)
        steps = tuple(full.steps[i] for i in positions)
        yield replace(
            full, steps=steps, first_error=first, source=f"program/{'short' if is_short else 'partial'}"
        )
