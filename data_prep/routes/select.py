"""Composing k routes for each question into RL rows: `realm routes select`.

Serves design.md, sections MRPV and Guided CoT distillation (item 7). Questions and bank are brought into one order on
disk and joined; a first pass filters routes and counts what questions have, then the sets are planned, and a second
pass picks. Memory holds a bucket of `on_disk` and the questions of one block, whatever the number of rows. The same
inputs, options and seed give the same file, byte for byte, in whatever order the bank's rows come.

`mismatched` is the control: each question gets the routes that a question like it would get, of *other* questions of
its domain. Their number, lengths and sources follow the set that the question would have had. Labels are outcome
based as everywhere, so a route is labelled by this question's gold answer; its reasoning is about something else, so
`sound` is false and no step of it is the decisive one. One that is right by chance is thus disputed and not scored.
"""

import random
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa

from data_prep.filters import Candidate, Filter, FilterReport, run_filters
from data_prep.filters.length import TooLong
from data_prep.filters.near_duplicates import NearDuplicate
from data_prep.on_disk import SCRATCH_PREFIX, RowWriter, key_at, key_of, read_rows, sort_on_disk
from data_prep.routes.bank import Question, bank_files, by_question, open_parquet, read_bank, rows_of, size_of
from data_prep.routes.composition import Cell, Drawer, Mix, Targets, cell_of, kind_of, mix_of, plan_sets
from data_prep.routes.mismatched import Donors
from data_prep.routes.picking import pick, pool_of
from data_prep.schema import AGENT_NAME, BANK_SCHEMA, RL_SCHEMA
from reward_fns import domains
from reward_fns.routes import Route, route_to_mapping

BLOCK = 512
"""Questions whose routes may stand in for each other in a mismatched control."""

_POSITION = pa.field("position", pa.int64())
_UID = pa.field("uid", pa.string())
_ROWS = RL_SCHEMA.append(_POSITION).append(_UID)


@dataclass(frozen=True)
class SelectOptions:
    """What `realm routes select` is asked for.

    Attributes:
        k: routes for each question.
        seed: of all draws.
        targets: shares of sets of one kind.
        max_chars: longer routes are left out.
        similarity: near duplicates from this on are left out, among routes of one question with one answer; None: none.
        student: fingerprint of the present student; its routes with another one count as stale.
        with_stale: whether stale routes are used.
        mismatched: routes of other questions.
        drop_bare: whether questions that end without routes are left out; otherwise they stay, unguided.
    """

    k: int = 4
    seed: int = 0
    targets: Targets = field(default_factory=Targets)
    max_chars: int = 20_000
    similarity: float | None = 0.9
    student: str | None = None
    with_stale: bool = False
    mismatched: bool = False
    drop_bare: bool = False


@dataclass
class Selected:
    """What came of it; complete when the rows have been read.

    `kinds` counts sets by kind, `sizes` by number of routes. `fewer` says why sets have less than k, by reason;
    `left_out` why routes of the bank were not to be had; `unmatched` counts questions of the bank that the data lacks.
    """

    questions: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    sizes: Counter[int] = field(default_factory=Counter)
    labels: Counter[str] = field(default_factory=Counter)
    fewer: Counter[str] = field(default_factory=Counter)
    left_out: Counter[str] = field(default_factory=Counter)
    filters: FilterReport = field(default_factory=FilterReport)
    unmatched: int = 0
    dropped: int = 0


def select_rows(
    bank: Path, data: Path, options: SelectOptions, selected: Selected, *, scratch: Path | None = None
) -> Iterator[dict[str, Any]]:
    """Rows of `RL_SCHEMA` for the questions of `data`, in its order, with routes of `bank` in the place of their own.

    Args:
        bank: what `bank.read_bank` reads.
        data: an RL parquet.
        selected: filled while the rows are read.
        scratch: where temporary files go, about twice the size of both inputs; by default the system's place.

    Raises:
        ValueError: an input cannot be read; says where.
    """
    n_rows = open_parquet(data).metadata.num_rows
    with tempfile.TemporaryDirectory(dir=scratch, prefix=SCRATCH_PREFIX) as name:
        work = Path(name)
        cells = _join(bank, data, options, selected, work)
        plan = plan_sets(cells, options.k, options.targets)
        composed = _compose(work, Drawer(plan, options.seed), options, selected)
        size = size_of([data]) + 500 * options.k * n_rows
        ordered = sort_on_disk(
            composed,
            _ROWS,
            lambda row: key_at(row["position"], n_rows),
            scratch=work / "output",
            size=size,
        )
        for row in ordered:
            del row["position"], row["uid"]
            yield row


def _join(bank: Path, data: Path, options: SelectOptions, selected: Selected, work: Path) -> Counter[Cell]:
    """Write the questions and their usable routes side by side, in one order; count the cells of the questions."""
    files = bank_files(bank)
    groups = by_question(
        _with_staleness(read_bank(bank), options.student),
        BANK_SCHEMA,
        scratch=work / "bank",
        size=size_of(files),
    )
    questions = by_question(_numbered(data), _ROWS, scratch=work / "data", size=size_of([data]))
    cells: Counter[Cell] = Counter()
    group: tuple[str, list[dict[str, Any]]] | None = next(groups, None)
    with (
        RowWriter(work / "routes.arrow", BANK_SCHEMA) as routes,
        RowWriter(work / "rows.arrow", _ROWS) as rows,
    ):
        for uid, same in questions:
            while group is not None and key_of(group[0]) < key_of(uid):
                selected.unmatched += 1
                group = next(groups, None)
            found: list[dict[str, Any]] = []
            if group is not None and group[0] == uid:
                found, group = _filtered(group[1], options, selected.filters), next(groups, None)
            domain = Question.of(same[0]).domain
            pool = pool_of(found, domains.get(domain), with_stale=options.with_stale)
            selected.left_out.update(pool.left_out)
            cells[cell_of(len(pool.right), len(pool.wrong), options.k)] += 1
            for row in same:
                rows.write_one(row)
            for row in found:
                routes.write_one(row)
    selected.unmatched += (group is not None) + sum(1 for _ in groups)
    return cells


def _filtered(
    rows: list[dict[str, Any]], options: SelectOptions, report: FilterReport
) -> list[dict[str, Any]]:
    """A question's routes without those that are too long or nearly the same as another with the same answer.

    A right and a wrong route that differ in one word stay: that word is what there is to see.
    """
    filters: list[Filter] = [TooLong(options.max_chars)]
    if options.similarity is not None:
        filters.append(NearDuplicate(options.similarity))
    return list(run_filters(sorted(rows, key=_content), filters, report, _candidate))


def _content(row: Mapping[str, Any]) -> tuple[Any, ...]:
    """An order of a question's rows by what they hold, in which those of one answer stand together."""
    known = str((row["first_error"], row["sound"], row["label"], row["writer"]))
    return row["answer"], row["stale"], row["steps"], row["source"], known


def _candidate(row: Mapping[str, Any]) -> Candidate:
    text = "\n".join(row["steps"])
    return Candidate(row["uid"], row["question"], text, row["source"], answer=row["answer"])


def _compose(
    work: Path, drawer: Drawer, options: SelectOptions, selected: Selected
) -> Iterator[dict[str, Any]]:
    """The rows with their routes, in the order of the join."""
    questions = _joined(work)
    while block := list(islice(questions, BLOCK)):
        entries = [
            (rows, pool_of(found, domains.get(Question.of(rows[0]).domain), with_stale=options.with_stale))
            for rows, found in block
        ]
        donors = Donors(block, options.with_stale) if options.mismatched else None
        for rows, pool in entries:
            question = Question.of(rows[0])
            cell = cell_of(len(pool.right), len(pool.wrong), options.k)
            mix = drawer.draw(cell) if any(cell) else (0, 0)
            rng = random.Random(f"select/{options.seed}/{question.uid}")
            routes = pick(pool, mix, rng)
            if donors is not None:
                routes = donors.replace(question, routes, rng)
            _note(selected, cell, mix, routes, options)
            if not routes and options.drop_bare:
                selected.dropped += 1
                continue
            for row in rows:
                yield _with_routes(row, routes)


def _note(selected: Selected, cell: Cell, mix: Mix, routes: list[Route], options: SelectOptions) -> None:
    selected.questions += 1
    selected.sizes[len(routes)] += 1
    selected.labels.update(
        "disputed" if route.disputed else "right" if route.label else "wrong" for route in routes
    )
    selected.kinds[kind_of(mix_of(routes))] += 1
    if len(routes) < sum(mix):
        selected.fewer["no other question of the domain nearby had a route to give"] += 1
    elif not any(cell):
        selected.fewer["no usable route in the bank"] += 1
    elif sum(cell) < options.k:
        selected.fewer[f"fewer than {options.k} usable routes in the bank"] += 1
    elif len(routes) < options.k:
        selected.fewer["too few of one kind for the mix that the plan needed"] += 1


def _joined(work: Path) -> Iterator[tuple[list[dict[str, Any]], list[dict[str, Any]]]]:
    """Questions, each as its rows and its routes, read side by side."""
    routes = read_rows(work / "routes.arrow")
    route = next(routes, None)
    rows = read_rows(work / "rows.arrow")
    row = next(rows, None)
    while row is not None:
        uid, same, found = row["uid"], [], []
        while row is not None and row["uid"] == uid:
            same.append(row)
            row = next(rows, None)
        while route is not None and route["uid"] == uid:
            found.append(route)
            route = next(routes, None)
        yield same, found


def _numbered(data: Path) -> Iterator[dict[str, Any]]:
    """The rows of an RL parquet in the columns of `RL_SCHEMA`, their own routes left behind, numbered."""
    for position, row in enumerate(rows_of(data)):
        try:
            question = Question.of(row)
        except (ValueError, ImportError) as error:
            raise ValueError(f"{data}: row {position}: {error}") from error
        info = row.get("extra_info") or {}
        index = info.get("index")
        yield {
            "data_source": row["data_source"],
            "prompt": [{"role": m["role"], "content": m["content"]} for m in question.messages],
            "ability": row.get("ability") or question.domain,
            "reward_model": {"style": "rule", "ground_truth": question.gold},
            "extra_info": {
                "uid": question.uid,
                "index": position if index is None else int(index),
                "split": info.get("split") or data.stem,
                "regime": info.get("regime"),
                "routes": [],
            },
            "agent_name": row.get("agent_name") or AGENT_NAME,
            "position": position,
            "uid": question.uid,
        }


def _with_routes(row: dict[str, Any], routes: list[Route]) -> dict[str, Any]:
    info = row["extra_info"] | {"routes": [route_to_mapping(route) for route in routes]}
    return row | {"extra_info": info}


def _with_staleness(rows: Iterator[dict[str, Any]], student: str | None) -> Iterator[dict[str, Any]]:
    from data_prep.routes.labels import is_stale

    for row in rows:
        yield row if student is None else row | {"stale": is_stale(row, student)}
