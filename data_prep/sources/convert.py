"""From any source's records to a finished folder: split, sampled, counted, with card, provenance and rejects.

Serves design.md, section Data. A training split leaves the regime to the schedule; any other gets an unguided row for
each question, and a guided one too where there are routes.

Everything streams. What grows with the number of rows is the index of questions seen (64 bits of a hash each, about
150 bytes in Python). A subsample and a validation share take another pass over the input instead of memory, and depend
on the questions' content and the seed alone.
"""

import hashlib
import heapq
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

from data_prep.filters import Filter
from data_prep.outputs import (
    REJECTS,
    Card,
    Provenance,
    WrittenFile,
    filling,
    finish_folder,
    hash_file,
    write_parquet,
)
from data_prep.schema import RL_SCHEMA
from data_prep.sources.base import TRAINING_SPLITS, Source
from data_prep.sources.hub import HUB_ID, find_set, read_set
from data_prep.sources.passes import Pass, Rejects, rows_of
from data_prep.sources.reading import SUFFIXES, Record, Unread, find_files, notes_of, read_file

_VALIDATION = ("val", "valid", "validation", "dev")
_SPLIT_NAME = re.compile(r"[A-Za-z0-9_]+")


@dataclass(frozen=True)
class Options:
    """How to convert.

    Attributes:
        split: the split to read where the input knows of splits, and the name of the file; None: the source's own.
        val_share: share of the questions of the split train that go into val.parquet instead.
        limit: at most so many questions; None: all.
        seed: of the subsample and the validation share.
    """

    split: str | None = None
    val_share: float = 0.0
    limit: int | None = None
    seed: int = 0


@dataclass(frozen=True)
class Converted:
    """What a conversion wrote, dropped (by reason) and noticed."""

    files: tuple[WrittenFile, ...]
    dropped: Mapping[str, int]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Input:
    """An input that can be read more than once: its records, its hashes by name, the licence it states itself, notes."""

    read: Callable[[], Iterator[Record | Unread]]
    hashes: Mapping[str, str]
    licence: str | None = None
    notes: tuple[str, ...] = ()


def open_input(given: str, split: str) -> Input:
    """A local file or folder, else a data set of the Hub.

    Raises:
        ValueError: there is neither, or a table's encoding is not known; says what to do.
    """
    path = Path(given)
    if not path.exists() and HUB_ID.fullmatch(given) and path.suffix not in SUFFIXES:
        found = find_set(given)
        return Input(lambda: read_set(found, split), {f"hub:{given}": found.revision}, found.licence)
    files = find_files(path)
    names = {file: file.name if file == path else file.relative_to(path).as_posix() for file in files}
    return Input(
        lambda: chain.from_iterable(read_file(file, name) for file, name in names.items()),
        {name: hash_file(file) for file, name in names.items()},
        notes=notes_of(files),
    )


def convert(
    source: Source,
    given: str,
    folder: Path,
    options: Options | None = None,
    *,
    parameters: Mapping[str, Any] | None = None,
    filters: Callable[[], Sequence[Filter]] = tuple,
    on_rows: Callable[[int], object] = lambda count: None,
) -> Converted:
    """Convert an input to `<split>.parquet` (and `val.parquet`), with card, provenance and rejects.

    Args:
        source: what the input holds.
        given: a file, a folder, or a Hub id.
        folder: where to write, with `filling`: an error changes nothing there. A folder that was not there keeps the
            rejects of an input of which nothing could be used.
        options: split and sampling; the defaults, if not given.
        parameters: further options of the command, for the provenance.
        filters: makes the filters of one pass; what they refuse is counted and kept as a reject.
        on_rows: called with the number of records read since it was called last.

    Raises:
        ValueError: a bad option, no such input, a table that cannot be trusted, not one row could be used, or a file in
            `folder` that is not ours.
        OSError: a file cannot be opened or the folder not written.
    """
    options = options or Options()
    split = options.split or source.split
    _check_options(split, options)
    opened = open_input(given, split)
    if Path(given).is_dir() and Path(given).resolve() in folder.resolve().parents:
        raise ValueError(f"{folder} lies in {given}, all of which is read: write to a folder outside it")
    disputed: set[int] = set()
    new_pass = partial(Pass, source, opened.read, split, filters, on_rows, disputed=disputed)
    names = (split, "val") if options.val_share else (split,)
    inputs = (Path(given),) if Path(given).exists() else ()
    was_there = folder.exists()
    with filling(folder, [f"{name}.parquet" for name in names], *inputs) as new:
        known = -1
        while len(disputed) > known:  # of a question with different answers the first was let through
            known = len(disputed)
            written, current, routes = _write_all(new, new_pass, names, options, source)
        if len(written) < len(names):
            if not was_there and (new / REJECTS).exists():
                (new / REJECTS).rename(folder / REJECTS)
            reasons = ", ".join(f"{reason} ({count})" for reason, count in current.dropped.items())
            name = f"{names[len(written)]}.parquet"
            raise ValueError(f"no row of {given} could be used for {name}: {reasons or 'there is none'}")
        notes = (*opened.notes, *((current.note,) if current.note else ()))
        dropped = dict(current.dropped)
        finish_folder(
            new,
            Card(
                title=f"{source.title}, for ReaLM",
                summary=source.summary,
                licence=opened.licence or source.licence,
                tags=tuple(dict.fromkeys((source.domain, source.name, *source.tags))),
                warning=source.warning or None,
            ),
            Provenance(
                command=f"realm prep {source.name} {Path(given).name if Path(given).exists() else given} OUT",
                parameters={"split": split, **_sampling(options), **(parameters or {})},
                inputs=opened.hashes,
                kept={
                    **{f"rows of {file.name}": file.rows for file in written},
                    **{f"routes, {kind}": count for kind, count in sorted(routes.items())},
                },
                dropped=dropped,
                files=written,
                seed=options.seed if _sampling(options) else None,
                notes=notes,
            ),
        )
    return Converted(tuple(written), dropped, notes)


def _write_all(
    folder: Path, new_pass: Callable[..., Pass], names: Sequence[str], options: Options, source: Source
) -> tuple[list[WrittenFile], Pass, Counter[str]]:
    """The files, up to the first without a row; the last pass; and the routes by label."""
    sampled = _sampler(new_pass, options)
    written: list[WrittenFile] = []
    routes: Counter[str] = Counter()
    for name in names:

        def wanted(uid: str, to_val: bool = name == "val" and options.val_share > 0) -> bool:
            in_val = _draw(uid, options.seed, "val") < options.val_share * 2**64
            return sampled(uid) and in_val == to_val

        with Rejects(None if written else folder) as rejects:  # each pass refuses the same rows
            current = new_pass(rejects, wanted)
            file = _write(folder / f"{name}.parquet", current, source, name)
        if file is None:
            break
        written.append(file)
        routes += current.routes
    return written, current, routes


def _check_options(split: str, options: Options) -> None:
    if not _SPLIT_NAME.fullmatch(split):
        raise ValueError(f"a split's name is made of letters, digits and '_'; got {split!r}")
    if not 0 <= options.val_share < 1 or (options.val_share and split != "train"):
        raise ValueError(
            f"a validation share is below 1 and is taken from the split train; got {options.val_share} of {split}"
        )
    if options.limit is not None and options.limit < 1:
        raise ValueError(f"the limit is a number of questions, 1 or more; got {options.limit}")


def _sampling(options: Options) -> dict[str, Any]:
    """The options that choose questions, where they were given."""
    given = {"val_share": options.val_share or None, "limit": options.limit}
    chosen = {name: value for name, value in given.items() if value is not None}
    return {**chosen, "seed": options.seed} if chosen else {}


def _draw(uid: str, seed: int, what: str) -> int:
    """64 bits that depend on the question, the seed and what they decide."""
    return int.from_bytes(hashlib.sha256(f"{what}/{seed}/{uid}".encode()).digest()[:8], "big")


def _sampler(new_pass: Callable[..., Pass], options: Options) -> Callable[[str], bool]:
    """Whether a question belongs to the subsample: those with the smallest draws, whatever their order."""
    if options.limit is None:
        return lambda uid: True
    with Rejects(None) as rejects:
        every = new_pass(rejects, lambda uid: True)
        smallest = heapq.nsmallest(options.limit, (_draw(uid, options.seed, "limit") for _, _, uid in every))
    last = smallest[-1] if smallest else -1
    return lambda uid: _draw(uid, options.seed, "limit") <= last


def _write(path: Path, items: Pass, source: Source, split: str) -> WrittenFile | None:
    """The file of these items; None where there is no item."""
    rows = (row for index, item, _ in items for row in rows_of(item, index, split, source.domain))
    first = next(rows, None)
    if first is None:
        return None
    return write_parquet(path, chain([first], rows), RL_SCHEMA, config="rl", split=_card_split(split))


def _card_split(split: str) -> str:
    """The split's name on the card, in the words of the Hub."""
    if split in TRAINING_SPLITS:
        return "train"
    return "validation" if split in _VALIDATION else split
