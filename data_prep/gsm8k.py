"""GSM8K as RL rows: the questions without routes, and the example model solutions as real routes.

Serves design.md, section Data. Lines that cannot be used are refused with line number and reason, counted,
and kept in `rejects.jsonl`. Source: openai/grade-school-math, MIT licence.
"""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from data_prep.outputs import (
    Card,
    Provenance,
    WrittenFile,
    finish_folder,
    hash_file,
    start_folder,
    write_parquet,
    write_rejects,
)
from data_prep.schema import RL_SCHEMA, rl_row
from reward_fns.domains.math import DOMAIN
from reward_fns.routes import Route

SMOKE_WARNING = "These are questions of GSM8K's test split: smoke run only, never a result."
_ANSWER_LINE = re.compile(r"(?:####|A:)\s*(\S.*)")
_LICENCE = "mit"


@dataclass(frozen=True)
class Converted:
    """What a conversion wrote, dropped (by reason) and noticed."""

    files: tuple[WrittenFile, ...]
    dropped: Mapping[str, int]
    notes: tuple[str, ...] = ()


@dataclass
class _Reading:
    """One pass over a file: what was refused, counted while reading."""

    rejects: list[dict[str, Any]] = field(default_factory=list)
    dropped: Counter[str] = field(default_factory=Counter)
    routes: Counter[str] = field(default_factory=Counter)
    disagreements: int = 0

    def refuse(self, line: int, what: str, reason: str, text: str) -> None:
        self.dropped[f"{what}: {reason}"] += 1
        self.rejects.append({"row": line, "reason": f"{what}: {reason}", "text": text})


def convert_questions(source: Path, folder: Path, split: str = "train") -> Converted:
    """GSM8K's `train.jsonl` or `test.jsonl` to `<split>.parquet`; rows of any split but `train` are unguided.

    Raises:
        ValueError: the split's name is no name, or not one line of the file could be used.
        OSError: the file cannot be read or the folder not written.
    """
    if not re.fullmatch(r"[A-Za-z0-9_]+", split):
        raise ValueError(f"a split's name is made of letters, digits and '_'; got {split!r}")
    regime = None if split == "train" else "unguided"

    def make(index: int, entry: Mapping[str, Any], reading: _Reading) -> dict[str, Any]:
        return rl_row(
            _text(entry, "question"),
            _gold(_text(entry, "answer")),
            domain=DOMAIN.name,
            index=index,
            split=split,
            regime=regime,
        )

    card = Card(
        title=f"GSM8K, {split} questions, for ReaLM",
        summary="Questions of GSM8K (openai/grade-school-math) in ReaLM's RL schema, without routes.",
        licence=_LICENCE,
        tags=("gsm8k", "math"),
    )
    return _convert(source, folder, split, make, card, f"realm prep gsm8k {source.name} OUT --split {split}")


def convert_solutions(source: Path, folder: Path) -> Converted:
    """`example_model_solutions.jsonl` to `routes.parquet`: each model's solution is a route.

    Steps are the lines before the answer line; labels come from the domain's verifier and are compared with
    the published `is_correct`. Soundness and first errors are unknown.

    Raises:
        ValueError: not one line of the file could be used.
        OSError: the file cannot be read or the folder not written.
    """

    def make(index: int, entry: Mapping[str, Any], reading: _Reading) -> dict[str, Any]:
        gold = _gold(_text(entry, "ground_truth"))
        question = _text(entry, "question")
        routes = list(_routes(entry, gold, index + 1, reading))
        if not routes:
            raise ValueError("no usable solution")
        return rl_row(question, gold, domain=DOMAIN.name, index=index, split="test", routes=routes)

    card = Card(
        title="GSM8K example model solutions as ReaLM routes",
        summary=(
            "Test questions of GSM8K with the published solutions of four models as a route bank "
            "(openai/grade-school-math). Labels are outcome based; soundness and first errors are unknown."
        ),
        licence=_LICENCE,
        tags=("gsm8k", "math"),
        warning=SMOKE_WARNING,
    )
    return _convert(source, folder, "routes", make, card, f"realm prep gsm8k-routes {source.name} OUT")


def _convert(
    source: Path,
    folder: Path,
    name: str,
    make: Callable[[int, Mapping[str, Any], _Reading], dict[str, Any]],
    card: Card,
    command: str,
) -> Converted:
    reading = _Reading()
    start_folder(folder)
    rows = _rows(source, make, reading)
    first = next(rows, None)
    if first is None:
        write_rejects(folder, reading.rejects)
        reasons = ", ".join(f"{reason} ({count})" for reason, count in reading.dropped.items())
        raise ValueError(f"no line of {source} could be used: {reasons or 'it is empty'}")
    split = {"train": "train", "val": "validation"}.get(name, "test")
    written = write_parquet(
        folder / f"{name}.parquet", _chain(first, rows), RL_SCHEMA, config="rl", split=split
    )
    if reading.rejects:
        write_rejects(folder, reading.rejects)
    kept = {"rows": written.rows, **{f"routes, {kind}": n for kind, n in sorted(reading.routes.items())}}
    notes = []
    if reading.routes:
        notes.append(
            f"{reading.disagreements} of {sum(reading.routes.values())} labels differ from "
            "the published is_correct"
        )
    provenance = Provenance(
        command=command,
        parameters={},
        inputs={source.name: hash_file(source)},
        kept=kept,
        dropped=dict(reading.dropped),
        files=(written,),
        notes=notes,
    )
    finish_folder(folder, card, provenance)
    return Converted((written,), dict(reading.dropped), tuple(notes))


def _chain(first: dict[str, Any], rest: Iterator[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    yield first
    yield from rest


def _rows(
    source: Path,
    make: Callable[[int, Mapping[str, Any], _Reading], dict[str, Any]],
    reading: _Reading,
) -> Iterator[dict[str, Any]]:
    """Rows of the usable lines, each question once; the others go to `reading`."""
    seen: set[str] = set()
    with source.open("rb") as file:
        for index, raw in enumerate(file):
            text = raw.decode("utf-8", "replace").strip()
            if not text:
                continue
            try:
                row = make(index, _entry(raw), reading)
            except UnicodeDecodeError:
                reading.refuse(index + 1, "row", "not UTF-8", text)
            except json.JSONDecodeError:
                reading.refuse(index + 1, "row", "not JSON", text)
            except ValueError as error:
                reading.refuse(index + 1, "row", str(error), text)
            else:
                if row["prompt"][0]["content"] in seen:
                    reading.refuse(index + 1, "row", "question repeated", text)
                    continue
                seen.add(row["prompt"][0]["content"])
                yield row


def _routes(entry: Mapping[str, Any], gold: str, line: int, reading: _Reading) -> Iterator[Route]:
    """The usable solutions of one question, each text once."""
    texts: set[str] = set()
    for model, published in entry.items():
        if not isinstance(published, dict):
            continue
        solution = published.get("solution")
        steps, answer, reason = _split(solution, texts)
        if reason:
            reading.refuse(line, "route", reason, f"{model}: {solution}")
            continue
        texts.add(str(solution))
        read = DOMAIN.extract(answer)
        label = read is not None and DOMAIN.equivalent(read, gold)
        reading.routes["right" if label else "wrong"] += 1
        if isinstance(published.get("is_correct"), bool):
            reading.disagreements += label != published["is_correct"]
        yield Route(steps, answer, label, None, None, model)


def _split(solution: object, seen: set[str]) -> tuple[tuple[str, ...], str, str | None]:
    """Steps and final answer of a solution, and the reason why it is refused, if it is."""
    if not isinstance(solution, str) or not _is_unicode(solution):
        return (), "", "no text under `solution`"
    if solution in seen:
        return (), "", "text of another route"
    lines = [line.strip() for line in solution.splitlines() if line.strip()]
    last = _ANSWER_LINE.fullmatch(lines[-1]) if lines else None
    if last is None:
        return (), "", "no answer line (`A: N` or `#### N`) at the end"
    if len(lines) == 1:
        return (), "", "no step before the answer line"
    return tuple(lines[:-1]), last[1], None


def _entry(raw: bytes) -> dict[str, Any]:
    entry = json.loads(raw)
    if isinstance(entry, dict):
        return entry
    raise ValueError("not a JSON object")


def _text(entry: Mapping[str, Any], key: str) -> str:
    value = entry.get(key)
    if isinstance(value, str) and value.strip() and _is_unicode(value):
        return value
    raise ValueError(f"no text under `{key}`")


def _is_unicode(text: str) -> bool:
    """Whether the text can be written: JSON may escape half a surrogate pair."""
    return text.isascii() or not any("\ud800" <= character <= "\udfff" for character in text)


def _gold(solution: str) -> str:
    """The canonical answer of a reference solution that ends in `#### N` or `A: N`."""
    lines = solution.strip().splitlines()
    last = _ANSWER_LINE.fullmatch(lines[-1].strip())
    gold = DOMAIN.extract(last[1]) if last else None
    if gold is None:
        raise ValueError("no readable gold answer (`#### N` or `A: N`) at the end")
    return gold
