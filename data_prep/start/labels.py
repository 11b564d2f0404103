"""Labelled examples out of a file: one spelling a label, conflicts and repeats found, each with its row number.

A spelling counts as the label that it differs from in case, quotes, Markdown and blanks only.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from difflib import get_close_matches
from typing import Any

from data_prep.sources.base import is_unicode
from data_prep.sources.reading import Record, Unread
from data_prep.sources.table import join_columns, text_of
from data_prep.start.columns import Columns
from reward_fns.characters import PUNCTUATION

MAX_LABELS = 50
ALIKE = 0.85
DROP, MAJORITY = "drop", "majority"
_AROUND = " \t\n*`\"'“”‘’.,;:!"
_JOINT = re.compile(r"(?<=\w)[-_](?=\w)|\s+")


@dataclass(frozen=True)
class Example:
    """One label: its row in the file, the input's text, the label, and group and time where there are columns.

    `alike` are column and value of further things that it belongs to.
    """

    row: int
    text: str
    label: str
    group: str | None = None
    time: datetime | None = None
    alike: tuple[tuple[str, str], ...] = ()

    @property
    def key(self) -> str:
        """What two examples share that are the same input."""
        return " ".join(self.text.casefold().split())


@dataclass(frozen=True)
class Conflict:
    """Examples of one input with different labels, and the label that was kept, if any."""

    examples: tuple[Example, ...]
    kept: str | None


@dataclass
class Labels:
    """What a file holds.

    Attributes:
        names: the labels, most frequent first.
        synonyms: other names merged into a label by the user.
        spellings: other spellings found, by label.
        examples: each input once, in the order of the file.
        conflicts: inputs with different labels.
        refused: rows that are not used: row number, reason, text.
    """

    names: tuple[str, ...] = ()
    synonyms: dict[str, str] = field(default_factory=dict)
    spellings: dict[str, tuple[str, ...]] = field(default_factory=dict)
    examples: list[Example] = field(default_factory=list)
    conflicts: list[Conflict] = field(default_factory=list)
    refused: list[tuple[int, str, str]] = field(default_factory=list)

    def alike(self) -> list[tuple[str, str]]:
        """Pairs of labels that look like one label with a slip: (rare, frequent)."""
        pairs = []
        for place, name in enumerate(self.names):
            pairs += [(name, other) for other in get_close_matches(name, self.names[:place], 1, ALIKE)]
        return pairs


def spelling(text: str) -> str:
    """What spellings of one label share: case, quotes, Markdown, final stops, and `-`, `_` or blanks within."""
    plain = text.translate(PUNCTUATION).strip(_AROUND).casefold()
    return " ".join(_JOINT.sub(" ", plain).split())


def read_labels(
    records: Sequence[Record | Unread], columns: Columns, merged: Mapping[str, str], conflicts: str = DROP
) -> Labels:
    """Read the examples of a file.

    Args:
        records: what was read.
        columns: which column is what.
        merged: names of labels to take for other labels.
        conflicts: `drop` leaves inputs with different labels out, `majority` takes the label of more than half.

    Raises:
        ValueError: labels that are no closed set, a label to merge that is not there, or nothing left.
    """
    labels = Labels()
    examples = []
    for record in records:
        if isinstance(record, Unread):
            labels.refused.append((record.row, record.reason, record.text))
            continue
        try:
            examples.append(_example(record, columns))
        except ValueError as error:
            labels.refused.append((record.row, str(error), str(dict(record.value))))
    if not examples:
        reasons = Counter(reason for _, reason, _ in labels.refused)
        raise ValueError(f"no row can be used: {', '.join(f'{why} ({n})' for why, n in reasons.items())}")
    examples = _one_spelling(examples, labels, merged)
    _settle(examples, labels, conflicts)
    if len({example.label for example in labels.examples}) < 2:
        raise ValueError("fewer than two labels are left; the column map may be wrong (--map label=...)")
    return labels


def _example(record: Record, columns: Columns) -> Example:
    label = text_of(record.value.get(columns.label))
    if not spelling(label) or "\n" in label or not is_unicode(label):
        raise ValueError("no label")
    text = join_columns(record.value, columns.inputs)
    if columns.main and not text_of(record.value.get(columns.main)):
        raise ValueError(f"no text in {columns.main}")
    group = _key(record.value.get(columns.group)) if columns.group else ""
    time = _time(record.value.get(columns.time), columns.time) if columns.time else None
    alike = tuple((name, key) for name in columns.alike if (key := _key(record.value.get(name))))
    return Example(record.row, text, label, group or None, time, alike)


def _key(value: Any) -> str:
    """What two cells share that name the same thing."""
    return " ".join(text_of(value).casefold().split())


def _time(value: Any, column: str) -> datetime:
    try:
        if isinstance(value, date) and not isinstance(value, datetime):
            value = value.isoformat()
        read = value if isinstance(value, datetime) else datetime.fromisoformat(str(value).strip())
    except ValueError as error:
        raise ValueError(
            f"no time under {column}: write it as 2025-12-31 or 2025-12-31 13:05, or leave the column out (--map time=none)"
        ) from error
    return read.astimezone(UTC).replace(tzinfo=None) if read.tzinfo else read


def _one_spelling(examples: list[Example], labels: Labels, merged: Mapping[str, str]) -> list[Example]:
    """Give each label the name it has most often; fill names, spellings and synonyms."""
    names: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for example in examples:
        names[spelling(example.label)][example.label] += 1
    into = {spelling(old): spelling(new) for old, new in merged.items()}
    unknown = [name for name in (*into, *into.values()) if name not in names]
    chained = [name for name in into.values() if name in into]
    if unknown or chained:
        raise ValueError(
            f"--merge names {', '.join(unknown or chained)}, "
            + ("which is not a label here" if unknown else "which is itself merged into another")
            + f"; the labels are {', '.join(sorted(c.most_common(1)[0][0] for c in names.values()))}"
        )
    best = {key: min(found, key=lambda name: (-found[name], name)) for key, found in names.items()}
    canonical = {key: best[into.get(key, key)] for key in names}
    if len(set(canonical.values())) > min(MAX_LABELS, max(2, len(examples) // 2)):
        raise ValueError(
            f"{len(set(canonical.values()))} different labels in {len(examples)} rows are no closed set of labels; "
            "is it the right column (--map label=...)? For open answers see docs/add_a_domain.md"
        )
    counts = Counter(canonical[spelling(example.label)] for example in examples)
    labels.names = tuple(sorted(counts, key=lambda name: (-counts[name], name)))
    labels.synonyms = {key: canonical[key] for key in sorted(into)}
    for key, found in names.items():
        others = tuple(sorted(set(found) - {canonical[key]}))
        if others and key not in into:
            labels.spellings[canonical[key]] = others
    return [replace(example, label=canonical[spelling(example.label)]) for example in examples]


def _settle(examples: Sequence[Example], labels: Labels, conflicts: str) -> None:
    """Each input once: repeats left out, conflicts decided or left out."""
    by_input: defaultdict[str, list[Example]] = defaultdict(list)
    for example in examples:
        by_input[example.key].append(example)
    for same in by_input.values():
        counts = Counter(example.label for example in same)
        label, most = counts.most_common(1)[0]
        if len(counts) > 1:
            kept = label if conflicts == MAJORITY and 2 * most > len(same) else None
            labels.conflicts.append(Conflict(tuple(same), kept))
            for example in same:
                if example.label != kept:
                    labels.refused.append((example.row, "conflicting label", example.text))
            if kept is None:
                continue
        first, *repeats = [example for example in same if example.label == label]
        labels.examples.append(first)
        labels.refused += [(example.row, "repeats an earlier row", example.text) for example in repeats]
    labels.refused.sort()
