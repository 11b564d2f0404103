"""The gold answers of a row: the one reader of `ground_truth` for reward, preflight, `realm check` and evaluation.

A row's `ground_truth` travels through parquet, pandas, numpy and JSON, and other people's data hold it as a list.
Read are a text, a number, a list of these (each of them is a right answer, as verl's QA rewards take it) and such a
list under the one key `target`. Everything else is refused: its text would be no answer that anyone could give.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

EXPECTED = "expected a text, a number, a list of these, or {'target': ...} around one"
MAX_SHOWN_CHARS = 80


def golds(value: Any) -> tuple[str, ...]:
    """The gold answers that a row's `ground_truth` holds, at least one, each not blank; any of them is right.

    Raises:
        ValueError: it holds none, or something that is no answer; says what was given.
    """
    if isinstance(value, Mapping):
        value = _target(value)
    items = _plain(value)
    if not isinstance(items, list | tuple):
        return (_text(items),)
    if not items:
        raise ValueError(f"ground_truth is an empty list; {EXPECTED}")
    return tuple(dict.fromkeys(_text(_plain(item)) for item in items))


def _target(value: Mapping[str, Any]) -> Any:
    """What stands under the one key; others beside it may say that it is no answer, as `numbers` does for countdown."""
    others = [key for key, item in value.items() if key != "target" and item is not None]
    if others or "target" not in value or isinstance(value["target"], Mapping):
        raise ValueError(f"ground_truth is {_short(value)}; {EXPECTED}")
    return value["target"]


def _text(value: Any) -> str:
    if value is None:
        raise ValueError(f"ground_truth is missing or empty; {EXPECTED}")
    if isinstance(value, float | Decimal) and not math.isfinite(value):
        raise ValueError(f"ground_truth is the number {value}; {EXPECTED}")
    text = str(value).strip() if isinstance(value, str | int | float | Decimal) else None
    if text is None:
        raise ValueError(f"ground_truth holds {_short(value)}, {type(value).__name__}; {EXPECTED}")
    if not text:
        raise ValueError(f"ground_truth is blank; {EXPECTED}")
    return text


def _plain(value: Any) -> Any:
    """Without numpy: arrays as lists, scalars as Python's own."""
    return value.tolist() if hasattr(value, "tolist") else value


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= MAX_SHOWN_CHARS else text[: MAX_SHOWN_CHARS - 3] + "..."
