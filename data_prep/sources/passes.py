"""One pass over an input: each record made an item, proven by its domain, and told apart from those seen before.

Serves design.md, section Data. What fails is refused with file, row number and reason, counted, and kept as a reject.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Self

from data_prep.check import reason_of
from data_prep.filters import Candidate, Filter, Refusal
from data_prep.outputs import REJECTS, replacing
from data_prep.schema import rl_row
from data_prep.sources.base import TRAINING_SPLITS, Item, Ledger, Skipped, Source
from data_prep.sources.reading import Record, Unread
from reward_fns import domains
from reward_fns.content import content_uid

TELL_EVERY = 1000


class Rejects:
    """`rejects.jsonl`, written as rows are refused and only if one is; without a folder nothing is written."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._stack = ExitStack()
        self._file: IO[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def write(self, file: str, row: int, reason: str, text: str) -> None:
        """Keep one row, or one route of it; row 0 is the file itself."""
        if self._folder is None:
            return
        if self._file is None:
            self._file = self._stack.enter_context(replacing(self._folder / REJECTS))
        line = json.dumps({"file": file, "row": row, "reason": reason, "text": text}, ensure_ascii=False)
        self._file.write(line.encode("utf-8", "replace") + b"\n")


@dataclass
class Pass:
    """Iterating yields (index, item, uid) of the wanted records, each question once, and fills the counts.

    Attributes:
        read: the records.
        split: the split asked for.
        filters: makes the filters of this pass.
        on_rows: called with the number of records read since it was called last.
        rejects: where refused rows go.
        wanted: whether the question with this uid is asked for; the others are left out without being counted.
        disputed: questions with different answers, all of which are refused; a pass adds those that it finds, of which it
            has let the first one through.
        dropped: rows and routes refused, by reason.
        routes: routes of the items yielded, by label.
    """

    source: Source
    read: Callable[[], Iterator[Record | Unread]]
    split: str
    filters: Callable[[], Sequence[Filter]]
    on_rows: Callable[[int], object]
    rejects: Rejects
    wanted: Callable[[str], bool]
    disputed: set[int] = field(default_factory=set)
    dropped: Counter[str] = field(default_factory=Counter)
    routes: Counter[str] = field(default_factory=Counter)
    note: str = ""

    def __iter__(self) -> Iterator[tuple[int, Item, str]]:
        place: Record | None = None

        def refuse_route(reason: str, text: str) -> None:
            assert place is not None  # routes are refused while a record is made an item
            self._refuse(place, f"route: {reason}", text)

        ledger = Ledger(domains.get(self.source.domain), self.split, refuse_route)
        prover = _Prover(self.source, ledger, self.filters(), self.disputed, self.split in TRAINING_SPLITS)
        index = -1
        for index, record in enumerate(self.read()):
            if index % TELL_EVERY == TELL_EVERY - 1:
                self.on_rows(TELL_EVERY)
            if isinstance(record, Unread):
                self._refuse(record, f"row: {record.reason}", record.text)
                continue
            place = record
            try:
                item = self.source.make(record.value, ledger)
                uid = prover.prove(item)
            except Skipped as skipped:
                self.dropped[f"row: {skipped}"] += 1
            except _Filtered as filtered:
                said, counted = f"row: {filtered}", f"row: {filtered.refusal.reason}"
                self._refuse(record, said, _as_text(record.value), counted)
            except ValueError as error:
                self._refuse(record, f"row: {error}", _as_text(record.value))
            else:
                if self.wanted(uid):
                    self.routes.update("right" if route.label else "wrong" for route in item.routes)
                    yield index, item, uid
        self.on_rows((index + 1) % TELL_EVERY)
        if ledger.compared:
            self.note = f"{ledger.disagreements} of {ledger.compared} labels differ from the published ones"

    def _refuse(self, place: Record | Unread, reason: str, text: str, counted: str | None = None) -> None:
        self.dropped[counted or reason_of(reason)] += 1
        self.rejects.write(place.file, place.row, reason, text)


class _Filtered(ValueError):
    """An item that a filter refused."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(f"{refusal.reason} ({refusal.evidence!r})")
        self.refusal = refusal


class _Prover:
    """Tells whether an item is new, is read by its domain, and passes the filters."""

    def __init__(
        self,
        source: Source,
        ledger: Ledger,
        filters: Sequence[Filter],
        disputed: set[int],
        each_once: bool,
    ) -> None:
        self._source, self._ledger, self._filters = source, ledger, filters
        self._disputed, self._each_once = disputed, each_once
        self._answer_of: dict[int, int] = {}

    def prove(self, item: Item) -> str:
        """The question's uid.

        Raises:
            ValueError: the item cannot be used; says why.
        """
        row = next(rows_of(item, 0, TRAINING_SPLITS[0], self._source.domain))
        uid: str = row["extra_info"]["uid"]
        problems = self._ledger.domain.check_row(row)
        if problems:
            raise ValueError(problems[0])
        read = self._ledger.domain.extract(item.gold) or item.gold
        question, answer = (int(content_uid(item.question, text), 16) for text in ("", read))
        known = self._answer_of.get(question)
        if known not in (None, answer):
            self._disputed.add(question)
        if question in self._disputed:
            raise ValueError("question repeated with another answer")
        if known is not None and self._each_once:
            raise ValueError("question repeated")
        for one in self._filters:
            refusal = one.refuse(Candidate(uid, item.question, item.question, self._source.name))
            if refusal is not None:
                raise _Filtered(refusal)
        self._answer_of[question] = answer
        return uid


def rows_of(item: Item, index: int, split: str, domain: str) -> Iterator[dict[str, Any]]:
    """The RL rows of an item: one in a training split, else an unguided one, and a guided one if it has routes.

    Raises:
        ValueError: as `rl_row`.
    """
    regimes: tuple[str | None, ...] = (None,)
    if split not in TRAINING_SPLITS:
        regimes = ("unguided", "guided") if item.routes else ("unguided",)
    for regime in regimes:
        yield rl_row(
            item.question,
            item.gold,
            domain=domain,
            index=index,
            split=item.split or split,
            routes=item.routes,
            regime=regime,
        )


def _as_text(value: Mapping[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)
