"""The option `--similarity`: from where on two texts are near duplicates, and how the search is turned off.

Serves design.md, section Guided CoT distillation, item 6. Equal texts are no matter of it: they are found exactly.
"""

from typing import Annotated

import typer

from data_prep.filters.minhash import MAX_THRESHOLD, bands_and_rows

OFF = 1.0
Similarity = Annotated[
    float,
    typer.Option(
        min=0.5,
        max=OFF,
        help=f"Of two texts at least this much alike (0.5 to {MAX_THRESHOLD}) the later is left out; 1: off.",
    ),
]


def threshold_of(similarity: float) -> float | None:
    """What the option asks for as a threshold; None: near duplicates stay.

    Raises:
        ValueError: it is neither 1 nor a threshold for which a search can be set up.
    """
    if similarity == OFF:
        return None
    bands_and_rows(similarity)
    return similarity


def option_of(threshold: float | None) -> float:
    """How a command is asked for a threshold."""
    return OFF if threshold is None else threshold
