"""Routes: chains of thought with their labels, as the rest of ReaLM passes them around.

Serves the sections "Words" and "Data" of the design. A route travels through parquet, pandas, numpy,
Ray and JSON before it is scored, so reading one tolerates what those make of it (object arrays, numpy
scalars, NaN for null) and nothing else. No numpy is imported for that.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

FIELDS = ("steps", "answer", "label", "sound", "first_error", "source")


@dataclass(frozen=True)
class Route:
    """One chain of thought for a question.

    `label` says whether the final answer is right, `sound` whether the reasoning holds (None: unknown),
    `first_error` is the 0-based index of the first wrong step (None: unknown or none). `cut` says that only the
    first steps of it were shown (`reward_fns.cut`); routes in data are whole.
    """

    steps: tuple[str, ...]
    answer: str
    label: bool
    sound: bool | None
    first_error: int | None
    source: str
    cut: bool = False

    def __post_init__(self) -> None:
        if self.first_error is not None and not 0 <= self.first_error < len(self.steps):
            raise ValueError(
                f"route has first_error={self.first_error} but {len(self.steps)} steps; "
                "give a 0-based index into steps, or None"
            )

    @property
    def disputed(self) -> bool:
        """The reasoning is known and says something else than the answer: not scored as a verdict."""
        return self.sound is not None and self.sound != self.label

    @property
    def is_located(self) -> bool:
        """A wrong route whose first wrong step is known: one that can be asked for it."""
        return not self.label and not self.disputed and self.first_error is not None


def route_from_mapping(m: Mapping[str, Any]) -> Route:
    """Read one route from a parquet/JSON struct.

    Raises:
        ValueError: a field is missing or of the wrong type; the message names the field and the value.
    """
    if not isinstance(m, Mapping):
        _refuse(f"a route must be a mapping with keys {', '.join(FIELDS)}; got {type(m).__name__}")
    missing = [key for key in ("steps", "answer", "label") if _plain(m.get(key)) is None]
    if missing:
        raise ValueError(f"route lacks {', '.join(missing)}; it has {', '.join(map(str, m)) or 'nothing'}")
    steps = _plain(m["steps"])
    if isinstance(steps, str) or not isinstance(steps, list | tuple):
        _refuse(f"route steps must be a list of texts; got {type(m['steps']).__name__}")
    bad = [step for step in steps if not isinstance(step, str)]
    if bad:
        _refuse(f"route steps must be texts; got {_short(bad[0])}")
    answer, source = _plain(m["answer"]), _plain(m.get("source"))
    if not isinstance(answer, str):
        _refuse(f"route answer must be a text; got {_short(answer)}")
    label = _as_bool(m["label"], "label")
    if label is None:
        raise ValueError("route label must be true or false; got null")
    return Route(
        steps=tuple(steps),
        answer=answer,
        label=label,
        sound=_as_bool(m.get("sound"), "sound"),
        first_error=_as_int(m.get("first_error"), "first_error"),
        source="" if source is None else str(source),
    )


def routes_from(value: Any) -> tuple[Route, ...]:
    """Read a route list as a row carries it.

    Takes None (no routes), any iterable of mappings (lists, numpy object arrays) and the column form
    that some readers make of a list of structs (`{"steps": [...], "answer": [...], ...}`).

    Raises:
        ValueError: as `route_from_mapping`, with the index of the route.
    """
    return tuple(route_at(value, i) for i in range(route_count(value)))


def route_count(value: Any) -> int:
    """How many routes a row's `routes` value holds, in any of the forms of `routes_from`."""
    if value is None:
        return 0
    if isinstance(value, Mapping):
        return len(value["answer"]) if "answer" in value else 0
    if isinstance(value, str | bytes) or not hasattr(value, "__len__"):
        _refuse(f"routes must be a list of mappings; got {type(value).__name__}")
    return len(value)


def route_at(value: Any, index: int) -> Route:
    """Read the route at `index` (0-based) of a row's `routes` value, in any of the forms of `routes_from`."""
    count = route_count(value)
    if not 0 <= index < count:
        raise ValueError(f"route {index} asked for, but the row has {count} routes")
    item = (
        {key: column[index] for key, column in value.items()} if isinstance(value, Mapping) else value[index]
    )
    try:
        return route_from_mapping(item)
    except ValueError as error:
        raise ValueError(f"route {index}: {error}") from error


def route_to_mapping(r: Route) -> dict[str, Any]:
    """The route as plain lists and scalars, in the design's column order."""
    return {
        "steps": list(r.steps),
        "answer": r.answer,
        "label": r.label,
        "sound": r.sound,
        "first_error": r.first_error,
        "source": r.source,
    }


def counts_from(value: Any) -> tuple[int, ...] | None:
    """Read `extra_info["shown_steps"]`: whole numbers, one for each shown route; None where it is absent.

    Raises:
        ValueError: not a list of whole numbers.
    """
    if value is None:
        return None
    if isinstance(value, str | bytes) or not isinstance(value, Iterable):
        _refuse(f"shown_steps must be a list of whole numbers; got {_short(value)}")
    counts = tuple(_as_int(item, "shown_steps") for item in value)
    if None in counts:
        raise ValueError(f"shown_steps must hold whole numbers; got {_short(counts)}")
    return tuple(count for count in counts if count is not None)


def indexes_from(value: Any, count: int) -> tuple[int, ...]:
    """Read `extra_info["shown"]`: 0-based indexes into `count` routes, each at most once.

    Raises:
        ValueError: not whole numbers, out of range, or repeated.
    """
    if value is None:
        return ()
    if isinstance(value, str | bytes) or not isinstance(value, Iterable):
        _refuse(f"shown must be a list of route indexes; got {_short(value)}")
    indexes = tuple(_as_int(item, "shown") for item in value)
    for index in indexes:
        if index is None or not 0 <= index < count:
            raise ValueError(f"shown holds {index}, but the row has {count} routes, numbered from 0")
    if len(set(indexes)) != len(indexes):
        raise ValueError(f"shown repeats a route: {list(indexes)}")
    return tuple(index for index in indexes if index is not None)


def _plain(value: Any) -> Any:
    """Undo numpy: arrays become lists, scalars Python scalars, NaN None."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, float) and math.isnan(value):
        return None
    return value


def _as_bool(value: Any, field: str) -> bool | None:
    value = _plain(value)
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int | float) and value in (0, 1):
        return bool(value)
    raise ValueError(f"route {field} must be true, false or null; got {_short(value)}")


def _as_int(value: Any, field: str) -> int | None:
    value = _plain(value)
    if value is None:
        return None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        _refuse(f"{field} must be a whole number or null; got {_short(value)}")
    return value


def _refuse(message: str) -> NoReturn:
    """Bad data is a ValueError throughout, wrong types included: it comes from a file, not from code."""
    raise ValueError(message)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
