"""What math-verify misreads, in words that it reads.

Serves the section "Domains" of the design (one answer comparer).
"""

from __future__ import annotations

import re

from reward_fns.equations import renamed
from reward_fns.expressions import FUNCTIONS, GREEK
from reward_fns.numbers import without_unit
from reward_fns.ranges import read_range

_BARE_ARGUMENT = re.compile(
    rf"(\\(?:{'|'.join(sorted(FUNCTIONS))})(?![A-Za-z])(?: ?\^ ?(?:\{{[^{{}}]*\}}|[0-9]))?) ?"
    rf"((?:[0-9.]|[A-Za-z]|\\(?:pi|{'|'.join(sorted(GREEK))})(?![A-Za-z]))+)(?= ?(?:\\cdot|\\times|\*))"
)
_SUM_OVER = re.compile(r"\\(?:sum|prod) ?_ ?\{ ?([a-z]) ?=")
_BRACED = re.compile(r"([_^]) ?\{ ?([0-9A-Za-z]) ?\}(?! ?[0-9])")


def reworded(text: str) -> str:
    """A cleaned text for math-verify.

    Without its unit; ranges as unions of intervals; sums over `k`, because `i` is imaginary there; a sum's or a power's
    single signs without braces; `\\sin x \\cdot 2` with the brackets that it means.
    """
    found = read_range(text)
    if found is not None and found.sure:
        return str(found)
    indexes = set(_SUM_OVER.findall(text))
    if len(indexes) == 1 and "k" not in text:
        text = renamed(text, indexes.pop(), "k")
    text = _BRACED.sub(r"\1\2", text)
    return _BARE_ARGUMENT.sub(r"\1(\2)", without_unit(text)[0])
