"""Which texts of a label file are nearly the same: they share most of their runs of three words.

Digits, case and punctuation do not count in texts of `MIN_WORDS` words or more. Of shorter ones only case and
punctuation do not, and only the same text is near: they often differ in nothing but a number.
"""

import re
from collections.abc import Iterator, Sequence

from datasketch import MinHash, MinHashLSH

from data_prep.filters.minhash import PERMUTATIONS, bands_and_rows, signature

SIMILARITY = 0.7
MIN_WORDS = 8
COMPARED = 64
"""A text is compared with so many of those that may be near it."""

_WORD = re.compile(r"[^\W\d_]+")
_WORD_OR_NUMBER = re.compile(r"\w+")


def bare(text: str) -> str:
    """What is left of a text without what does not count; the text itself where nothing else is."""
    words = _WORD.findall(text.casefold())
    if len(words) < MIN_WORDS:
        words = _WORD_OR_NUMBER.findall(text.casefold())
    return " ".join(words) or " ".join(text.casefold().split())


class Likeness:
    """The texts that are near each other, by their numbers; each different bare text is compared once."""

    def __init__(self, texts: Sequence[str]) -> None:
        self._bare = [bare(text) for text in texts]
        self._signatures: dict[str, MinHash] = {
            text: signature(text) for text in dict.fromkeys(self._bare) if len(text.split()) >= MIN_WORDS
        }

    def pairs(self) -> Iterator[tuple[int, int]]:
        """Pairs (later, earlier) that connect all texts that are near each other, directly or by others."""
        first: dict[str, int] = {}
        index = self._new_index()
        for number, text in enumerate(self._bare):
            if text in first:
                yield number, first[text]
                continue
            first[text] = number
            if text in self._signatures:
                yield from ((number, first[other]) for other in self._near(text, index))
                index.insert(text, self._signatures[text])

    def near(self, some: Sequence[int], others: Sequence[int]) -> list[int]:
        """Those of `some` that are near one of `others`."""
        texts = {self._bare[number] for number in others}
        index = self._new_index()
        for text in texts & self._signatures.keys():
            index.insert(text, self._signatures[text])
        return [
            number
            for number in some
            if (text := self._bare[number]) in texts
            or (text in self._signatures and next(self._near(text, index), None) is not None)
        ]

    def _near(self, text: str, index: MinHashLSH) -> Iterator[str]:
        made = self._signatures[text]
        for other in sorted(index.query(made))[:COMPARED]:
            if made.jaccard(self._signatures[other]) >= SIMILARITY:
                yield other

    def _new_index(self) -> MinHashLSH:
        return MinHashLSH(num_perm=PERMUTATIONS, params=bands_and_rows(SIMILARITY))
