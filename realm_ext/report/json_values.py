"""Values from JSON files that others wrote: read without trusting their shape.

Serves `realm report` and `realm compare`: what is missing or torn becomes a line in the notes, never an error.
"""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def load_json(path: Path, where: str, notes: list[str]) -> Any:
    """The content of a JSON file; None, and a line in `notes`, when there is none."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:  # torn or not UTF-8
        notes.append(f"{where} is torn or not JSON ({clean(str(error))}): left out")
        return None
    if content is None:
        notes.append(f"{where} holds null: left out")
    return content


def mapping(value: Any) -> Mapping[str, Any]:
    """The value if it is a mapping, else an empty one."""
    return value if isinstance(value, dict) else {}


def finite(value: Any) -> float | None:
    """The value as a number; None for anything else, infinite and NaN included."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        return None
    return float(value)


def clean(text: str) -> str:
    """Printable characters alone: names from files go to a terminal."""
    return "".join(character if character.isprintable() else " " for character in text)
