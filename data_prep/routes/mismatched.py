"""Routes of other questions in the place of a question's own: the control that any claim about contrast must beat.

Serves design.md, section MRPV, and the note on the paper ("mismatched drafts"). `data_prep.routes.select` says what
the labels of such routes are.
"""

import random
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from data_prep.routes.bank import Question
from data_prep.routes.picking import chars_of, pool_of
from reward_fns import domains
from reward_fns.routes import Route

_TRIED = 16

_Block = Sequence[tuple[list[dict[str, Any]], list[dict[str, Any]]]]
"""Questions, each as its RL rows and its rows of the bank."""


class Donors:
    """The routes of a block of questions, by domain, kind and source, in order of length."""

    def __init__(self, block: _Block, with_stale: bool = False) -> None:
        found: defaultdict[tuple[str, bool, str | None], list[tuple[int, str, int, Route]]] = defaultdict(
            list
        )
        for rows, bank in block:
            question = Question.of(rows[0])
            pool = pool_of(bank, domains.get(question.domain), with_stale=with_stale)
            for number, route in enumerate((*pool.right, *pool.wrong)):
                entry = (chars_of(route), question.uid, number, route)
                for source in (route.source, None):  # None: whatever the source
                    found[question.domain, route.label, source].append(entry)
        self._routes: Mapping[tuple[str, bool, str | None], list[tuple[int, str, int, Route]]] = {
            key: sorted(entries, key=lambda entry: entry[:3]) for key, entries in found.items()
        }

    def replace(self, question: Question, routes: Sequence[Route], rng: random.Random) -> list[Route]:
        """For each route one of another question: of its kind at home, its source where possible, and about its length.

        No donor question gives two routes; fewer come back where there are not enough.
        """
        used = {question.uid}
        chosen = []
        for route in routes:
            for source in (route.source, None):
                entry = self._near((question.domain, route.label, source), chars_of(route), used, rng)
                if entry is not None:
                    used.add(entry[1])
                    chosen.append(_judged_here(entry[3], question))
                    break
        return chosen

    def _near(
        self, key: tuple[str, bool, str | None], chars: int, used: set[str], rng: random.Random
    ) -> tuple[int, str, int, Route] | None:
        """One of the `_TRIED` nearest in length that are of no used question."""
        entries = self._routes.get(key, [])
        right = bisect_left(entries, chars, key=lambda entry: entry[0])
        left = right - 1
        near: list[tuple[int, str, int, Route]] = []
        while len(near) < _TRIED and (left >= 0 or right < len(entries)):
            take_left = left >= 0 and (
                right >= len(entries) or chars - entries[left][0] <= entries[right][0] - chars
            )
            entry = entries[left] if take_left else entries[right]
            left, right = (left - 1, right) if take_left else (left, right + 1)
            if entry[1] not in used:
                near.append(entry)
        return rng.choice(near) if near else None


def _judged_here(route: Route, question: Question) -> Route:
    domain = domains.get(question.domain)
    read = domain.extract(route.answer)
    label = read is not None and domain.equivalent(read, question.gold)
    return replace(route, label=label, sound=False, first_error=None)
