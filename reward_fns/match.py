"""What a comparison of two answers can say."""

from __future__ import annotations

from enum import Enum


class Match(Enum):
    """The verdict on two answers; only `SAME` earns the reward."""

    SAME = "same"
    DIFFERENT = "different"
    UNSURE = "unsure"
    """Not decided here: the next tier may know."""
    AMBIGUOUS = "ambiguous"
    """Not comparable by policy (two units, words, a number in another base): nobody is asked."""
    TIMEOUT = "timeout"
    """The time for this answer was used up."""
