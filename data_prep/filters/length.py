"""Texts that were cut off, and texts that are too long to train on.

Serves design.md, section Guided CoT distillation, item 6.
"""

from collections.abc import Callable

from data_prep.filters import Candidate, Refusal

_SHOWN = 80


class Truncated:
    """Refuses what its writer did not finish."""

    def refuse(self, candidate: Candidate) -> Refusal | None:
        """See `Filter`."""
        if not candidate.truncated:
            return None
        return Refusal("truncated", f"ends with {candidate.text[-_SHOWN:]!r}")


class TooLong:
    """Refuses texts of more than `limit` units: characters, or tokens if a `count` is given."""

    def __init__(self, limit: int, count: Callable[[str], int] = len) -> None:
        if limit < 1:
            raise ValueError(f"the longest text allowed must have 1 unit or more; got {limit}")
        self._limit = limit
        self._count = count
        self._unit = "characters" if count is len else "tokens"

    def refuse(self, candidate: Candidate) -> Refusal | None:
        """See `Filter`. A text of 16 characters or more for each token allowed is not counted in tokens at all."""
        text = candidate.text
        if self._count is not len and len(text) > 16 * self._limit:
            return Refusal("too long", f"{len(text)} characters, {self._limit} {self._unit} allowed")
        length = self._count(text)
        if length <= self._limit:
            return None
        return Refusal("too long", f"{length} {self._unit}, {self._limit} allowed")
