"""Which routes of a question go into its set, once it is known how many right and wrong ones.

Serves design.md, section MRPV. Neither source nor length may tell the kinds apart: for each place in the set a source
and a length are drawn from the question's routes before the kind of that place is known, each kind as likely, and the
place then gets the route of its kind that is nearest to them. Drawn are those of the half of each kind that has the
nearest counterparts in the other: a length that only one kind has would tell. Of the wrong routes those with a frequent wrong answer
go first: an answer that many samples reach is the one that is hard to see through.
"""

import math
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from data_prep.filters.exact import normal_text
from data_prep.routes.composition import Mix
from reward_fns.domains import Domain
from reward_fns.routes import Route, route_from_mapping

OTHER_SOURCE = 1.0
"""How far apart two sources are, in units of the logarithm of the lengths' ratio."""


@dataclass(frozen=True)
class Pool:
    """The usable routes of one question, texts distinct, in an order that depends on their content alone.

    `frequency` says of each wrong route how many samples reached its answer. `left_out` counts the others by reason.
    """

    right: tuple[Route, ...]
    wrong: tuple[Route, ...]
    frequency: Mapping[Route, int]
    left_out: Mapping[str, int]


def pool_of(rows: Sequence[Mapping[str, Any]], domain: Domain, *, with_stale: bool = False) -> Pool:
    """What of a question's rows of the bank can go into its set.

    Left out are stale routes unless asked for, disputed ones (they do not count for verdicts), and a text that stands
    there already, case and blanks aside. An answer's frequency counts texts that stand twice.
    """
    left_out: Counter[str] = Counter()
    usable = []
    for row in rows:
        route = route_from_mapping(row)
        if row["stale"] and not with_stale:
            left_out["stale"] += 1
        elif route.disputed:
            left_out["label and soundness differ"] += 1
        elif not route.steps:
            left_out["no steps"] += 1
        else:
            usable.append(route)
    usable.sort(key=_content)
    wrong_answers = Counter(route.answer for route in usable if not route.label)
    canonical = {text: domain.extract(text) or normal_text(text) for text in wrong_answers}
    reached: Counter[str] = Counter()
    for text, count in wrong_answers.items():
        reached[canonical[text]] += count
    distinct: dict[str, Route] = {}
    for route in usable:
        if distinct.setdefault(normal_text("\n".join(route.steps)), route) is not route:
            left_out["text stands there already"] += 1
    right = tuple(route for route in distinct.values() if route.label)
    wrong = tuple(route for route in distinct.values() if not route.label)
    return Pool(right, wrong, {route: reached[canonical[route.answer]] for route in wrong}, left_out)


def pick(pool: Pool, mix: Mix, rng: random.Random) -> list[Route]:
    """The routes of a set in random order: `mix` right and wrong ones."""
    kinds = [True] * mix[0] + [False] * mix[1]
    rng.shuffle(kinds)
    left = {True: list(pool.right), False: list(pool.wrong)}
    models = [
        routes for routes in (_matched(pool.right, pool.wrong), _matched(pool.wrong, pool.right)) if routes
    ]
    profiles = [_profile(rng.choice(rng.choice(models))) for _ in kinds]
    chosen = []
    for kind, profile in zip(kinds, profiles, strict=True):
        choice = left[kind] if kind else _most_frequent(left[kind], pool.frequency)
        route = min(choice, key=lambda route: _distance(route, profile))
        left[kind].remove(route)
        chosen.append(route)
    return chosen


def chars_of(route: Route) -> int:
    """The length of a route's steps, at least 1."""
    return max(1, sum(map(len, route.steps)))


def _content(route: Route) -> tuple[Any, ...]:
    """An order by content, in which of equal texts the one with a known first error comes first."""
    known = (route.first_error is None, route.first_error or 0, str(route.sound))
    return route.steps, route.answer, route.label, *known, route.source


def _matched(routes: Sequence[Route], others: Sequence[Route]) -> Sequence[Route]:
    """The half of the routes that is nearest to any of the other kind; all where there is no other kind."""
    if not others:
        return routes
    nearest = [
        (min(_distance(other, _profile(route)) for other in others), n) for n, route in enumerate(routes)
    ]
    return [routes[n] for _, n in sorted(nearest)[: -(-len(routes) // 2)]]


def _profile(route: Route) -> tuple[str, int]:
    return route.source, chars_of(route)


def _most_frequent(routes: Sequence[Route], frequency: Mapping[Route, int]) -> list[Route]:
    most = max(frequency[route] for route in routes)
    return [route for route in routes if frequency[route] == most]


def _distance(route: Route, profile: tuple[str, int]) -> float:
    source, chars = profile
    return OTHER_SOURCE * (route.source != source) + abs(math.log(chars_of(route) / chars))
