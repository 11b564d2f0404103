"""A table of the user's own: JSONL, CSV or parquet with any column names.

Serves design.md, section Data. A column map names the columns of the question and the gold answer, and optionally that of
the routes: a list (in a CSV: its JSON) of objects with `steps` (a list, or a text with one step a line) and `answer`, and
where known `label`, `sound`, `first_error` (0-based) and `source`. Labels are the domain verifier's all the same.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from data_prep.sources.base import Item, Ledger, Refused, Source, is_unicode
from reward_fns.routes import Route, route_from_mapping

ROLES = ("question", "gold", "routes")
MISSING = frozenset(["nan", "NaN", "<NA>", "NaT"])
"""How pandas and numpy write that there is no value. No answer and no label is read from them."""


def read_map(text: str, roles: Sequence[str] = ROLES) -> dict[str, tuple[str, ...]]:
    """A column map: `question=text,gold=label`; `+` joins several columns, as in `question=title+body`.

    Raises:
        ValueError: not of that form, an unknown role, or one given twice.
    """
    mapped: dict[str, tuple[str, ...]] = {}
    for part in text.split(","):
        role, _, columns = (piece.strip() for piece in part.partition("="))
        names = tuple(name.strip() for name in columns.split("+"))
        if role not in roles or role in mapped or not all(names):
            raise ValueError(
                f"a column map is role=column, separated by commas, each role once, of {', '.join(roles)}; got {part!r}"
            )
        mapped[role] = names
    return mapped


def join_columns(record: Mapping[str, Any], columns: Sequence[str]) -> str:
    """The text of one column, or `column: text` lines of several, blank ones left out.

    Raises:
        Refused: a column is missing (the message lists those there are), holds bytes, or there is no text.
    """
    missing = [name for name in columns if name not in record]
    if missing:
        raise Refused(f"no column {', '.join(missing)}; the columns are {', '.join(map(str, record))}")
    binary = [name for name in columns if isinstance(record[name], bytes)]
    if binary:
        raise Refused(f"no text in {', '.join(binary)}: it holds bytes, not text")
    texts = {name: text_of(record[name]) for name in columns}
    filled = {name: text for name, text in texts.items() if text}
    if not filled or not all(map(is_unicode, filled.values())):
        raise Refused(f"no text in {', '.join(columns)}")
    if len(columns) == 1:
        return next(iter(filled.values()))
    return "\n".join(f"{name}: {text}" for name, text in filled.items())


def table_source(mapped: Mapping[str, tuple[str, ...]], domain: str, licence: str) -> Source:
    """The source for one column map.

    Raises:
        ValueError: the map lacks the question or the gold answer.
    """
    if not {"question", "gold"} <= mapped.keys():
        raise ValueError(f"the column map needs question and gold; got {', '.join(mapped)}")
    return Source(
        name="table",
        title="A table",
        summary=f"Rows of a table in ReaLM's RL schema, judged by the domain {domain}.",
        domain=domain,
        licence=licence,
        example="table.csv",
        hub="",
        make=_maker(mapped),
    )


def _maker(mapped: Mapping[str, tuple[str, ...]]) -> Callable[[Mapping[str, Any], Ledger], Item]:
    def make(record: Mapping[str, Any], ledger: Ledger) -> Item:
        gold = join_columns(record, mapped["gold"])
        routes = record.get(mapped["routes"][0]) if "routes" in mapped else None
        return Item(join_columns(record, mapped["question"]), gold, tuple(_routes(routes, gold, ledger)))

    return make


def _routes(value: Any, gold: str, ledger: Ledger) -> Iterator[Route]:
    """The usable routes; the others are refused one by one."""
    if isinstance(value, str) and value.strip():
        try:
            value = json.loads(value)
        except json.JSONDecodeError as error:
            raise Refused("the routes are no JSON") from error
    if not isinstance(value, Sequence) or isinstance(value, str):
        if value in (None, ""):
            return
        raise Refused(f"the routes are no list; got {type(value).__name__}")
    for number, one in enumerate(value):
        try:
            yield _route(one, gold, ledger)
        except ValueError as error:
            ledger.refuse(str(error), f"{number}: {one}")


def _route(value: Any, gold: str, ledger: Ledger) -> Route:
    if not isinstance(value, Mapping):
        raise Refused(f"no object; got {type(value).__name__}")
    published, steps = value.get("label"), value.get("steps")
    if isinstance(steps, str):
        steps = [line.strip() for line in steps.split("\n") if line.strip()]
    read = route_from_mapping({**value, "steps": steps, "label": False})
    if not read.steps:
        raise Refused("no steps")
    return ledger.route(
        gold,
        read.steps,
        read.answer,
        read.source or "table",
        published=published if isinstance(published, bool) else None,
        sound=read.sound,
        first_error=read.first_error,
    )


def text_of(value: Any) -> str:
    """A cell as text; blank for what is missing, also as pandas writes it, and for lists, objects and bytes."""
    text = "" if value is None or isinstance(value, dict | list | bytes) else str(value).strip()
    return "" if text in MISSING else text
