"""The questions to distil: read from an RL parquet or a JSONL file, bad rows refused with their number and reason.

Serves design.md, section Guided CoT distillation. A JSONL line is an object with `question` and `gold`, and may have
`routes` as in design.md, section Data. Routes that come with a question go on into the bank and the RL file.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from data_prep.on_disk import stream_parquet
from data_prep.sources.reading import Unread, read_file
from reward_fns.content import content_uid
from reward_fns.domains.base import Domain
from reward_fns.match import Match
from reward_fns.routes import Route, routes_from

TEXT_CHARS = 200
DISPUTED = "question repeated with another answer"


@dataclass(frozen=True)
class Question:
    """One question with its gold answer; `index` is its row number in the source, from 0."""

    uid: str
    text: str
    gold: str
    index: int
    split: str
    routes: tuple[Route, ...] = ()


@dataclass(frozen=True)
class Reject:
    """A row that is not used, or a reply that is not trained on: `reason` is counted, `text` is this one's."""

    row: int
    reason: str
    text: str


@dataclass(frozen=True)
class Read:
    """What a file holds."""

    questions: tuple[Question, ...]
    rejects: tuple[Reject, ...]


def read_questions(path: Path, domain: Domain, limit: int | None = None) -> Read:
    """Read the questions of a domain, each once; of one with different answers no row is kept.

    Args:
        path: `.parquet` in the RL schema, or JSONL.
        domain: reads the gold answers and checks the labels of routes.
        limit: use only the first so many rows.

    Raises:
        ValueError: the file cannot be read, or none of its rows can be used.
    """
    questions: dict[str, Question] = {}
    rejects: list[Reject] = []
    disputed: set[str] = set()
    for row, entry in enumerate(_entries(path)):
        if limit is not None and row >= limit:
            break
        made = entry if isinstance(entry, str) else _question(entry, row, domain)
        if isinstance(made, Question) and made.text in disputed:
            made = DISPUTED
        elif isinstance(made, Question) and (first := questions.get(made.text)) is not None:
            if first.uid == made.uid or label_of(made.gold, first.gold, domain) is Match.SAME:
                made = "question repeated"
            else:
                disputed.add(made.text)
                rejects.append(Reject(first.index, DISPUTED, first.text[:TEXT_CHARS]))
                del questions[made.text]
                made = DISPUTED
        if isinstance(made, str):
            rejects.append(Reject(row, made, _excerpt(entry)))
            continue
        questions[made.text] = made
    if not questions:
        reasons = ", ".join(sorted({reject.reason for reject in rejects})) or "it has no rows"
        raise ValueError(
            f"{path}: no row could be used ({reasons}); rows have `question` and `gold`, and `realm prep table` makes "
            "them of other columns"
        )
    return Read(tuple(questions.values()), tuple(sorted(rejects, key=lambda reject: reject.row)))


def _entries(path: Path) -> Iterator[Mapping[str, Any] | str]:
    """Rows as mappings with `question`, `gold`, `split` and `routes`, or the reason why a row is none."""
    if path.suffix == ".parquet":
        yield from _parquet_entries(path)
        return
    for record in read_file(path, path.name):
        yield record.reason if isinstance(record, Unread) else record.value


def _parquet_entries(path: Path) -> Iterator[Mapping[str, Any] | str]:
    try:
        file = stream_parquet(path)
    except pa.ArrowException as error:
        raise ValueError(f"{path} is not a parquet file: {error}") from error
    columns = ["prompt", "reward_model", "extra_info"]
    if missing := {"prompt", "reward_model"} - set(file.schema_arrow.names):
        raise ValueError(
            f"{path} lacks the columns {', '.join(sorted(missing))}; expected the RL schema (docs/distil.md)"
        )
    present = [name for name in columns if name in file.schema_arrow.names]
    for batch in file.iter_batches(columns=present):
        for row in batch.to_pylist():
            messages = row["prompt"] or []
            if [message.get("role") for message in messages] != ["user"]:
                yield "the prompt is not one user message"
                continue
            info = row.get("extra_info") or {}
            yield {
                "question": messages[0]["content"],
                "gold": (row["reward_model"] or {}).get("ground_truth"),
                "split": info.get("split"),
                "routes": info.get("routes"),
            }


def _question(entry: Mapping[str, Any], row: int, domain: Domain) -> Question | str:
    """The question in an entry, or the reason why there is none."""
    text, gold = entry.get("question"), entry.get("gold")
    if not isinstance(text, str) or not text.strip():
        return "no question"
    if not isinstance(gold, str | int | float) or isinstance(gold, bool) or not str(gold).strip():
        return "no gold answer"
    problems = domain.check_row({"reward_model": {"ground_truth": str(gold)}})
    if problems:
        return f"the domain {domain.name} refuses the gold answer"
    try:
        routes = routes_from(entry.get("routes"))
    except ValueError:
        return "routes cannot be read"
    if any((label_of(route.answer, str(gold), domain) is Match.SAME) != route.label for route in routes):
        return "a route's label is not what its answer says"
    split = entry.get("split")
    return Question(
        content_uid(text, str(gold)),
        text,
        str(gold),
        row,
        split if isinstance(split, str) else "train",
        routes,
    )


def label_of(answer: str, gold: str, domain: Domain) -> Match:
    """The verdict of the domain's own verifier on an answer's text; an unreadable one is not comparable."""
    read = domain.extract(answer)
    return Match.AMBIGUOUS if read is None else domain.judge(read, gold)


def _excerpt(entry: Mapping[str, Any] | str) -> str:
    text = entry if isinstance(entry, str) else json.dumps(entry, ensure_ascii=False, default=str)
    return text[:TEXT_CHARS]
