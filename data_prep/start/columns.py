"""Which column of a label file is what: read from `--map`, else guessed from names and values, and printed.

Nothing is asked interactively; a wrong guess is corrected with `--map`. What may tell the answer is no input unless it
is mapped: columns with a name such as `comment`, other columns of labels, and columns whose values give the label away.
"""

import hashlib
import json
import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from data_prep.sources.table import read_map, text_of

ROLES = ("label", "input", "group", "time")
MAX_GUESSED_LABELS = 12
MAX_TELLING_VALUES = 50
TELLING = 0.98
"""A column of at most so many values tells the label where the commonest label of each is right so often."""
MIN_HELD_OUT = 30
MIN_GROUPS = 10
TEXT_WORDS = 8
"""Values of more words on average are a text, not the name of a group."""

_LABEL = (
    "label",
    "gold",
    "verdict",
    "target",
    "class",
    "category",
    "relevance",
    "intent",
    "outcome",
    "decision",
)
_SURELY_LABEL = frozenset(["label", "gold", "verdict"])
_QUERY = ("query", "question", "search")
_GROUP = (
    *(
        "group",
        "customer",
        "client",
        "patient",
        "account",
        "user",
        "author",
        "thread",
        "conversation",
        "session",
    ),
    *("case", "matter", "contract", "agreement", "document", "doc", "file", "filename", "claim", "policy"),
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
        "confidence",
        "score",
        "split",
    ]
    + ["url", "source"]
)
_TELLING = frozenset(
    ["reason", "reasons", "reasoning", "rationale", "explanation", "explanations", "justification", "comment"]
    + ["comments", "remark", "remarks", "note", "notes", "annotation", "prediction", "predicted"]
)
_ID = re.compile(r"[^\s\d]*\d\S*")


@dataclass(frozen=True)
class Columns:
    """The columns used.

    Attributes:
        label: of the answer.
        inputs: what a question is made of.
        group, time: where there are such columns.
        main: the input without which there is nothing to judge; None where no one stands out.
        alike: further columns whose values name what rows belong to; `joined`: rows of one value belong together, as
            nobody named another group.
        telling: columns that may tell the answer, and why; left out, unless they were mapped or there is no other input.
    """

    label: str
    inputs: tuple[str, ...]
    group: str | None = None
    time: str | None = None
    main: str | None = field(default=None, compare=False)
    alike: tuple[str, ...] = field(default=(), compare=False)
    joined: bool = field(default=True, compare=False)
    telling: Mapping[str, str] = field(default_factory=dict, compare=False)

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
    values = {name: [text_of(row.get(name)) for row in rows] for name in every}
    time = _chosen(mapped, "time", _named(rest, _TIME))
    query = _named(rest, _QUERY)
    owners = [
        name for name in rest if name != time and _words(name) & set(_GROUP) and not _is_text(values[name])
    ]
    owner = _named(owners, _GROUP)
    inputs = mapped.get("input") or tuple(
        name
        for name in rest
        if name not in (time, *owners)
        and not _words(name) & _LEFT_OUT.union(_TIME)
        and not _is_id(values[name])
    )
    telling = {name: why for name in inputs if (why := _tells(name, values[name], values[label]))}
    if "input" not in mapped:  # where all of them tell, what the rows say is still all there is to ask
        inputs = tuple(name for name in inputs if name not in telling) or inputs
    if not inputs:
        raise ValueError(f"no column to make a question of; say --map input=... of {', '.join(every)}")
    group = _chosen(mapped, "group", owner or (query if len(inputs) > 1 else None))
    alike = [name for name in rest if name in owners or (name != time and _names_groups(values[name]))]
    return Columns(
        label,
        inputs,
        group,
        time,
        main=None if "input" in mapped else _main(inputs, values),
        alike=tuple(name for name in alike if name != group),
        joined="group" not in mapped,
        telling=telling,
    )


def _chosen(mapped: Mapping[str, tuple[str, ...]], role: str, guessed: str | None) -> str | None:
    if role not in mapped:
        return guessed
    return None if mapped[role] == ("none",) else mapped[role][0]


def _guess_label(rows: Sequence[Mapping[str, Any]], every: Sequence[str]) -> str:
    named = _named(every, _LABEL[:3]) or _named(every, _LABEL[3:])
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


def _is_id(values: Sequence[str]) -> bool:
    """Whether a column numbers the rows: each value once, a single word with a digit in it."""
    return len(set(values)) == len(values) > 1 and all(_ID.fullmatch(value) for value in values)


def _is_text(values: Sequence[str]) -> bool:
    return sum(len(value.split()) for value in values) > TEXT_WORDS * len(values)


def _names_groups(values: Sequence[str]) -> bool:
    """Whether values name what several rows belong to, by the look of them: few for the rows, and texts or marks.

    A text that several rows share, a file name or a number with letters does; a word that describes does not.
    """
    found = Counter(value for value in values if value)
    if not MIN_GROUPS <= len(found) <= sum(found.values()) / 2:
        return False
    names = [
        v for v in found if len(v.split()) > 2 or (re.search(r"\d|\w\.\w", v) and re.search(r"[^\W\d]", v))
    ]
    return 2 * len(names) > len(found)


def _main(inputs: Sequence[str], values: Mapping[str, Sequence[str]]) -> str | None:
    """The input that has most of the text by far."""
    lengths = sorted(((sum(map(len, values[name])), name) for name in inputs), reverse=True)
    return lengths[0][1] if len(lengths) == 1 or lengths[0][0] > 2 * lengths[1][0] else None


def _tells(name: str, values: Sequence[str], labels: Sequence[str]) -> str:
    """Why a column may tell the answer; empty where nothing says so."""
    words = _words(name)
    if words & _TELLING:
        return "by its name it may tell the answer"
    if words & _SURELY_LABEL:
        return "by its name it is a label"
    share = _share_told(values, labels)
    return f"its value tells the label in {share:.0%} of the rows held out" if share >= TELLING else ""


def _share_told(values: Sequence[str], labels: Sequence[str]) -> float:
    """How often the commonest label of a value, in one half of the rows, is right in the other; 0 where this says nothing.

    It says nothing of a column with many values, and of one that does no better than always the commonest label.
    """
    if len(set(values)) > MAX_TELLING_VALUES:
        return 0.0
    known: defaultdict[str, Counter[str]] = defaultdict(Counter)
    held_out = []
    for number, (value, label) in enumerate(zip(values, labels, strict=True)):
        label = label.casefold()
        if not label:
            continue
        if hashlib.sha256(json.dumps([number, label]).encode()).digest()[0] % 2:
            known[value][label] += 1
        else:
            held_out.append((value, label))
    if len(held_out) < MIN_HELD_OUT or not known:
        return 0.0
    always = sum(known.values(), Counter()).most_common(1)[0][0]
    told = {value: counts.most_common(1)[0][0] for value, counts in known.items()}
    right = sum(told.get(value) == label for value, label in held_out)
    return right / len(held_out) if right > sum(label == always for _, label in held_out) else 0.0


def _words(name: str) -> set[str]:
    return set(re.split(r"[\W_]+", name.lower()))
