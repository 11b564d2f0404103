"""MinHash signatures of texts, as both searches for near duplicates use them.

Serves design.md, section Guided CoT distillation, item 6. A text is the set of its runs of `SHINGLE` words, numbers and
signs included (case and blanks aside). Signatures and the choice of bands are datasketch's.
"""

import zlib
from functools import cache
from typing import Any

import numpy as np
from datasketch import MinHash, MinHashLSH

from data_prep.filters.exact import normal_text

SHINGLE = 3
PERMUTATIONS = 128
MAX_THRESHOLD = 0.98
MAX_CHARS = 100_000
"""Of longer texts only the beginning is compared."""


def shingles(text: str) -> set[bytes]:
    """All runs of `SHINGLE` words; the whole text where it has fewer."""
    words = normal_text(text[:MAX_CHARS]).encode("utf-8", "replace").split(b" ")
    runs = zip(*(words[start:] for start in range(SHINGLE)), strict=False)
    return {b" ".join(run) for run in runs} or {b" ".join(words)}


def signature(text: str) -> MinHash:
    """The MinHash of a text; the same on every machine and in every process."""
    made = _empty().copy()
    made.update_batch(shingles(text))
    return made


@cache
def bands_and_rows(threshold: float) -> tuple[int, int]:
    """How many bands of how many rows find pairs of this similarity; what is found is compared, so few may be missed.

    At 0.9 a pair of similarity 0.9 is found with probability 0.81, one of 0.95 with 0.99.

    Raises:
        ValueError: the threshold is not between 0 and `MAX_THRESHOLD`.
    """
    if not 0 < threshold <= MAX_THRESHOLD:
        raise ValueError(
            f"the similarity of near duplicates is above 0 and at most {MAX_THRESHOLD} (as an option, 1 is off); "
            f"got {threshold}"
        )
    lsh = MinHashLSH(threshold=threshold, num_perm=PERMUTATIONS, weights=(0.1, 0.9))
    return int(lsh.b), int(lsh.r)


def jaccard(one: "np.ndarray[Any, Any]", others: "np.ndarray[Any, Any]") -> "np.ndarray[Any, Any]":
    """Estimated similarity of one signature, shape (PERMUTATIONS,), to others, shape (n, PERMUTATIONS)."""
    return np.mean(others == one, axis=1)


@cache
def _empty() -> MinHash:
    # CRC-32 is enough here: datasketch mixes it before it permutes, and it is ten times as fast as SHA-1.
    return MinHash(num_perm=PERMUTATIONS, hashfunc=zlib.crc32)
