"""The model's own right guided chains as SFT rows without routes: `realm routes harvest`.

Serves design.md, section EAAI. Each guided response is read by the one parser and judged by its domain; from a right
one everything that speaks of routes is stripped (`stripping` has the rules), and what is left is judged again as the
unguided response that it now is. What passes goes through the filters of SFT rows and becomes a row with the unguided
prompt. Its worth is to be judged against a run without it, and against the same with chains that never saw a route
(regime "unguided": rejection sampling), which are taken as they are.
"""

import heapq
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa

from data_prep.filters import Candidate, Filter, FilterReport, Refusal, run_filters
from data_prep.filters.exact import ExactDuplicate
from data_prep.filters.length import TooLong
from data_prep.filters.near_duplicates import NearDuplicate
from data_prep.filters.rules import UnknownRule
from data_prep.on_disk import SCRATCH_PREFIX, stream_parquet
from data_prep.routes.bank import Question, by_question
from data_prep.routes.responses import Found, Unusable, read_responses
from data_prep.schema import SFT_SCHEMA, sft_row
from realm_ext.prompt import render_messages
from reward_fns import domains
from reward_fns.content import content_uid
from reward_fns.critique import without_critique
from reward_fns.domains import Domain
from reward_fns.mrpv import read_answer
from reward_fns.response import parse_response, render_response
from reward_fns.stripping import strip_routes

KIND = "harvest"
SOURCE = "student"

_ROW = SFT_SCHEMA.append(pa.field("question", pa.string())).append(pa.field("domain", pa.string()))


@dataclass(frozen=True)
class HarvestOptions:
    """What is taken.

    Attributes:
        per_question: most chains of a question.
        max_chars: longer ones are left out.
        similarity: near duplicates from this on are left out.
        regime: "guided", or "unguided": of responses whose prompts showed no route.
        most: most chains in all, drawn by their content; None: all.
    """

    per_question: int = 4
    max_chars: int = 20_000
    similarity: float = 0.9
    regime: str = "guided"
    most: int | None = None


@dataclass
class Harvested:
    """What came of it; complete when the rows have been read.

    `unusable` counts lines that hold no response of the regime, by reason. `read` counts the others and why they gave no
    chain, `filtered` the chains and why they were left out. `replayed` counts rows of an earlier SFT file that come along.
    """

    lines: int = 0
    unusable: Counter[str] = field(default_factory=Counter)
    read: FilterReport = field(default_factory=FilterReport)
    filtered: FilterReport = field(default_factory=FilterReport)
    sentences_removed: int = 0
    replayed: int = 0


def harvest_rows(
    files: Iterable[Path],
    questions: Mapping[str, Question],
    options: HarvestOptions,
    harvested: Harvested,
    *,
    scratch: Path | None = None,
) -> Iterator[dict[str, Any]]:
    """Rows of `SFT_SCHEMA`, question by question, in the order of `on_disk.key_of`.

    Args:
        files: as `responses.response_files` finds them.
        questions: see `responses.questions_by_text`; held in memory, unlike the responses.
        harvested: filled while the rows are read.
        scratch: where temporary files go; by default the system's place.
    """
    files = list(files)
    with tempfile.TemporaryDirectory(dir=scratch, prefix=SCRATCH_PREFIX) as name:
        rows = _stripped_rows(files, questions, options.regime, harvested)
        size = sum(file.stat().st_size for file in files)
        for _, same in by_question(rows, _ROW, scratch=Path(name) / "rows", size=size):
            domain = domains.get(same[0]["domain"])
            passed = list(run_filters(same, _filters(domain, options), harvested.filtered, _candidate))
            surplus = len(passed) - options.per_question
            if surplus > 0:
                harvested.filtered.dropped[f"more than {options.per_question} chains of a question"] += (
                    surplus
                )
            for row in islice(passed, options.per_question):
                yield {column: row[column] for column in SFT_SCHEMA.names}


def drawn(rows: Iterable[dict[str, Any]], n: int) -> list[dict[str, Any]]:
    """`n` of the SFT rows, fewer where there are fewer, by a hash of question and response."""
    return heapq.nsmallest(n, rows, key=lambda row: content_uid(row["uid"], row["messages"][-1]["content"]))


def replayed(sft: Path, n: int) -> list[dict[str, Any]]:
    """`n` contrast rows of an SFT file, fewer where it has fewer, drawn by their content.

    A round of SFT on unguided chains alone would cost the skill of judging routes. Bare questions do not come again: what
    they were answered with is what the chains are to replace.

    Raises:
        ValueError: the file cannot be read, or has no contrast row.
    """
    try:
        batches = stream_parquet(sft).iter_batches(columns=SFT_SCHEMA.names)
        rows = (row for batch in batches for row in batch.to_pylist() if row["kind"] == "contrast")
        chosen = drawn(rows, n)
    except (pa.ArrowException, OSError, KeyError) as error:
        raise ValueError(f"{sft}: not an SFT parquet of ReaLM ({error})") from error
    if n and not chosen:
        raise ValueError(f"{sft} has no row of kind contrast to keep in mind")
    return chosen


def harvest_one(found: Found) -> tuple[dict[str, Any], int] | Refusal:
    """A response as a row (with `question` and `domain` beside the columns of SFT) and the sentences it lost."""
    question = found.question
    domain = domains.get(question.domain)
    response = parse_response(found.text, len(found.shown))
    answer, why = read_answer(response, domain, found.shown)
    if answer is None:
        return Refusal("no readable answer", f"{why.name if why else ''}: {found.text[-300:]}")
    if not domain.equivalent(answer, question.gold):
        return Refusal("wrong answer", f"{answer} for {question.gold}")
    if response.problems:
        return Refusal("grammar not kept", ", ".join(response.problems))
    if not response.think:
        return Refusal("no reasoning", found.text[-300:])
    chain, n_removed = response.think, 0
    if found.shown:
        stripped = strip_routes(without_critique(response.think), question.text, found.shown)
        if stripped.refused:
            return Refusal(stripped.refused, stripped.evidence)
        chain, n_removed = stripped.text, stripped.removed
    text = render_response(chain, (), answer)
    again = parse_response(text, 0)
    read, _ = read_answer(again, domain)
    if again.problems or read is None or not domain.equivalent(read, question.gold):
        return Refusal("not right once stripped", text[-300:])
    prompt = render_messages(question.messages, ())
    row = sft_row(prompt, text, source=SOURCE, kind=KIND, uid=question.uid)
    return row | {"question": question.text, "domain": question.domain}, n_removed


def _stripped_rows(
    files: Iterable[Path], questions: Mapping[str, Question], regime: str, harvested: Harvested
) -> Iterator[dict[str, Any]]:
    for file in files:
        for found in read_responses(file, questions, regime):
            harvested.lines += 1
            if isinstance(found, Unusable):
                harvested.unusable[found.reason] += 1
                continue
            number = harvested.read.seen
            harvested.read.seen += 1
            made = harvest_one(found)
            if isinstance(made, Refusal):
                question = found.question
                candidate = Candidate(question.uid, question.text, found.text, f"{SOURCE} {found.where}")
                harvested.read.count(number, made, candidate)
            else:
                harvested.sentences_removed += made[1]
                yield made[0]


def _filters(domain: Domain, options: HarvestOptions) -> list[Filter]:
    return [
        UnknownRule([rule.id for rule in domain.rules]),
        TooLong(options.max_chars),
        ExactDuplicate(),
        NearDuplicate(options.similarity),
    ]


def _candidate(row: Mapping[str, Any]) -> Candidate:
    return Candidate(row["uid"], row["question"], row["messages"][-1]["content"], row["source"])
