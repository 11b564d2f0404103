"""Reasoning that cites a rule which the domain's rule book does not have.

Serves design.md, section Guided CoT distillation, item 6.
"""

import re
from collections.abc import Collection

from data_prep.filters import Candidate, Refusal

CITATION = re.compile(r"\[([A-Z]{1,4}\d{1,4})\]")
"""How a step cites a rule: `[R7]`."""

_AROUND = 40


class UnknownRule:
    """Refuses texts that cite an id outside of `known`; texts that cite nothing pass."""

    def __init__(self, known: Collection[str]) -> None:
        self._known = frozenset(known)

    def refuse(self, candidate: Candidate) -> Refusal | None:
        """See `Filter`."""
        for match in CITATION.finditer(candidate.text):
            if match[1] not in self._known:
                around = candidate.text[max(0, match.start() - _AROUND) : match.end() + _AROUND]
                return Refusal("unknown rule cited", f"{match[1]} in {around!r}")
        return None
