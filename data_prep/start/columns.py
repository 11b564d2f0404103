"""Which column of a label file is what: read from `--map`, else guessed from names and values, and printed.

Serves design.md, section Domains. Nothing is asked interactively; a wrong guess is corrected with `--map`.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from data_prep.sources.table import read_map

ROLES = ("label", "input", "group", "time")
MAX_GUESSED_LABELS = 12

_LABEL = (
    "label",
    "gold",
    "target",
    "class",
    "category",
    "verdict",
    "relevance",
    "intent",
    "outcome",
    "decision",
)
_QUERY = ("query", "question", "search")
_GROUP = (
    "group",
    "customer",
    "client",
    "account",
    "user",
    "thread",
    "conversation",
    "case",
    "matter",
    "document",
)
_TIME = ("time", "date", "timestamp", "datetime", "created", "received", "opened", "closed", "day")
_LEFT_OUT = frozenset(
    [
        "id",
        "uuid",
        "index",
        "number",
        "annotator",
        "labeller",
        "labeler",
        "rater",
        "notes",
        "confidence",
        "score",
        "split",
        "url",
        "source",
    ]
)
_ID = re.compile(r"[^\s\d]*\d\S*")


@dataclass(frozen=True)
class Columns:
    """The columns used: `label`, the `inputs` a question is made of, and `group` and `time` where there are."""

    label: str
    inputs: tuple[str, ...]
    group: str | None = None
    time: str | None = None

    def describe(self, every: Sequence[str]) -> str:
        """The mapping in one line, with the columns that are not used."""
        used = {self.label, *self.inputs, self.group, self.time}
        parts = [f"label={self.label}", f"input={'+'.join(self.inputs)}"]
        parts += [f"{role}={name}" for role, name in (("group", self.group), ("time", self.time)) if name]
        unused = [name for name in every if name not in used]
        return ",".join(parts) + (f"   (not used: {', '.join(unused)})" if unused else "")


def find_columns(rows: Sequence[Mapping[str, Any]], given: str | None) -> Columns:
    """The columns named in `given`, the others guessed.

    Args:
        rows: the records of the file, at least one.
        given: `label=...,input=...+...,group=...,time=...`, any of them; `none` for a group or time that is not wanted.

    Raises:
        ValueError: a column does not exist, or label or inputs cannot be guessed.
    """
    every = list(dict.fromkeys(name for row in rows for name in row))
    mapped = read_map(given, ROLES) if given else {}
    for role, names in mapped.items():
        absent = [
            name for name in names if name not in every and not (names == ("none",) and role in ROLES[2:])
        ]
        if absent:
            raise ValueError(f"--map: no column {', '.join(absent)}; the columns are {', '.join(every)}")
        if role != "input" and len(names) > 1:
            raise ValueError(f"--map: {role} takes one column; got {'+'.join(names)}")
    label = mapped["label"][0] if "label" in mapped else _guess_label(rows, every)
    rest = [name for name in every if name != label]
    time = _chosen(mapped, "time", _named(rest, _TIME))
    query, owner = _named(rest, _QUERY), _named([name for name in rest if name != time], _GROUP)
    inputs = mapped.get("input") or tuple(
        name
        for name in rest
        if name not in (time, owner) and not _words(name) & _LEFT_OUT.union(_TIME) and not _is_id(rows, name)
    )
    if not inputs:
        raise ValueError(f"no column to make a question of; say --map input=... of {', '.join(every)}")
    group = _chosen(mapped, "group", owner or (query if len(inputs) > 1 else None))
    return Columns(label, inputs, group, time)


def _chosen(mapped: Mapping[str, tuple[str, ...]], role: str, guessed: str | None) -> str | None:
    if role not in mapped:
        return guessed
    return None if mapped[role] == ("none",) else mapped[role][0]


def _guess_label(rows: Sequence[Mapping[str, Any]], every: Sequence[str]) -> str:
    named = _named(every, _LABEL)
    if named:
        return named
    few = []
    for name in every:
        values = {str(row.get(name)) for row in rows}
        if 2 <= len(values) <= min(MAX_GUESSED_LABELS, len(rows) // 5):
            few.append(name)
    if len(few) == 1:
        return few[0]
    raise ValueError(f"cannot tell which column holds the label; say --map label=... of {', '.join(every)}")


def _named(columns: Sequence[str], names: Sequence[str]) -> str | None:
    """The column with the name that comes first in `names`, whole names before parts."""
    for test in (lambda column, name: column.lower() == name, lambda column, name: name in _words(column)):
        for name in names:
            found = next((column for column in columns if test(column, name)), None)
            if found:
                return found
    return None


def _is_id(rows: Sequence[Mapping[str, Any]], name: str) -> bool:
    """Whether a column numbers the rows: each value once, a single word with a digit in it."""
    values = [str(row.get(name)) for row in rows]
    return len(set(values)) == len(rows) > 1 and all(_ID.fullmatch(value) for value in values)


def _words(name: str) -> set[str]:
    return set(re.split(r"[\W_]+", name.lower()))
