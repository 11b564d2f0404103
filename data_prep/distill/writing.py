"""The output folder: SFT rows, the route bank and RL rows, from the questions and what the store holds.

Serves design.md, section Guided CoT distillation, items 4 to 6. One pass in the order of the questions; nothing written
depends on when or in which order replies came.
"""

import random
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from data_prep.distill.chains import Drop
from data_prep.distill.contrast import Contrast
from data_prep.distill.flow import Outcome
from data_prep.distill.prompts import rules_for_student
from data_prep.distill.questions import Question, Reject
from data_prep.distill.requests import Reply
from data_prep.distill.shards import ROWS_PER_FILE, ShardedParquet
from data_prep.filters import Candidate, Filter, FilterReport
from data_prep.filters.near_duplicates import without_near_duplicates
from data_prep.on_disk import SCRATCH_PREFIX, RowWriter, read_rows, remove_scratch
from data_prep.outputs import WrittenFile, start_folder
from data_prep.schema import BANK_SCHEMA, RL_SCHEMA, SFT_SCHEMA, bank_row, rl_row, sft_row
from data_prep.steps import numbered
from realm_ext.prompt import render_messages
from reward_fns.domains.base import Domain
from reward_fns.response import render_response
from reward_fns.routes import Route

EXAMPLES = 20
"""Dropped replies and rows kept as examples in `rejects.jsonl`, for each reason. Refused questions are all kept."""
GIVEN = "given"
"""Writer of routes that came with the questions."""
_SFT_WAITING = pa.schema(
    [*SFT_SCHEMA, ("question", pa.string()), ("gold", pa.string()), ("index", pa.int64())]
)
KEPT = ("sft chain", "sft contrast", "sft rationalised", "bank right", "bank wrong", "train")


@dataclass
class Tally:
    """What was kept and dropped, and what the replies behind it came to."""

    kept: Counter[str] = field(default_factory=Counter)
    dropped: Counter[str] = field(default_factory=Counter)
    examples: list[Reject] = field(default_factory=list)
    requests: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    without_usage: int = 0

    def drop(self, what: str, row: int, drop: Drop, all_kept: bool = False) -> None:
        """Count a drop, and keep it as an example while there are few."""
        reason = f"{what}: {drop.reason}"
        self.dropped[reason] += 1
        if all_kept or self.dropped[reason] <= EXAMPLES:
            self.examples.append(Reject(row, reason, drop.evidence))

    def bill(self, replies: Sequence[Reply]) -> None:
        """Count replies and their tokens."""
        for reply in replies:
            self.requests += 1
            self.prompt_tokens += reply.prompt_tokens or 0
            self.completion_tokens += reply.completion_tokens or 0
            self.without_usage += reply.prompt_tokens is None or reply.completion_tokens is None


@dataclass(frozen=True)
class Layout:
    """How rows are written.

    Attributes:
        keep_rules: share of SFT prompts with the rules in front of the question.
        writer: fingerprint of the teacher, for the bank.
        filters: each SFT row goes through them in order; they may remember what they let pass.
        similarity: SFT rows of one gold answer that are this much alike, question and response together, are dropped
            but for the first; None: none is.
    """

    domain: Domain
    writer: str
    seed: int = 0
    keep_rules: float = 0.0
    rows_per_file: int = ROWS_PER_FILE
    filters: Sequence[Filter] = ()
    similarity: float | None = None


class Folder:
    """Takes the questions one by one, in order, and writes all files of the folder but card and provenance.

    SFT rows wait on disk until all are there: near duplicates are found among all of them.
    """

    def __init__(self, path: Path, layout: Layout, tally: Tally) -> None:
        self._layout = layout
        self._tally = tally
        start_folder(path)
        rows = layout.rows_per_file
        self._sft = ShardedParquet(path, "sft", SFT_SCHEMA, config="sft", split="train", rows_per_file=rows)
        self._train = ShardedParquet(path, "train", RL_SCHEMA, config="rl", split="train", rows_per_file=rows)
        self._bank = ShardedParquet(
            path, "bank", BANK_SCHEMA, config="bank", split="train", rows_per_file=rows
        )
        remove_scratch(path)
        self._scratch = path / f"{SCRATCH_PREFIX}sft"
        self._scratch.mkdir()
        self._waiting = RowWriter(self._scratch / "waiting.arrow", _SFT_WAITING)

    def add(
        self,
        question: Question,
        outcome: Outcome,
        contrast: Contrast | None,
        written: Sequence[Route],
        shown: Sequence[Route],
    ) -> None:
        """One question: its SFT row if a chain was taken, its routes, its RL row.

        Args:
            contrast: stands in place of the plain row.
            written: routes for the bank, besides the outcome's and the question's own.
            shown: the routes of the RL row.
        """
        layout, tally = self._layout, self._tally
        for drop in outcome.drops:
            tally.drop("reply", question.index, drop)
        tally.bill(outcome.replies)
        if outcome.taken is None:
            tally.drop("question", question.index, Drop("no chain taken", question.text[:200]))
        else:
            self._add_sft(question, outcome.taken, outcome.rationalised, contrast)
        made = [(route, layout.writer) for route in (*written, *outcome.routes)]
        given = [(route, GIVEN) for route in question.routes]
        distinct = {
            (route.steps, route.answer): (route, writer) for route, writer in reversed([*given, *made])
        }
        bank = list(reversed(distinct.values()))
        for route, writer in bank:
            self._bank.add(
                bank_row(question.text, question.gold, route, domain=layout.domain.name, writer=writer)
            )
            tally.kept["bank right" if route.label else "bank wrong"] += 1
        self._train.add(
            rl_row(
                question.text,
                question.gold,
                domain=layout.domain.name,
                index=question.index,
                split=question.split,
                routes=shown,
            )
        )
        tally.kept["train"] += 1

    def close(self) -> list[WrittenFile]:
        """Put the files in their place."""
        self._waiting.close()
        for row in self._distinct(read_rows(self._scratch / "waiting.arrow")):
            self._sft.add({name: row[name] for name in SFT_SCHEMA.names})
            self._tally.kept[f"sft {row['kind']}"] += 1
        shutil.rmtree(self._scratch)
        return [file for shards in (self._sft, self._train, self._bank) for file in shards.close()]

    def abandon(self) -> None:
        """Leave no half-written file behind."""
        for shards in (self._sft, self._train, self._bank):
            shards.abandon()
        shutil.rmtree(self._scratch, ignore_errors=True)

    def _distinct(self, rows: Iterator[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        """The rows without near duplicates, which are counted."""
        if self._layout.similarity is None:
            yield from rows
            return
        report = FilterReport()
        yield from without_near_duplicates(
            rows,
            _SFT_WAITING,
            report,
            _candidate,
            scratch=self._scratch / "near",
            threshold=self._layout.similarity,
        )
        for reason, number in report.dropped.items():
            self._tally.dropped[f"row: {reason}"] += number
        for example in report.examples:
            self._tally.examples.append(
                Reject(example["row"], f"row: {example['reason']}", example["evidence"])
            )

    def _add_sft(
        self, question: Question, taken: Route, rationalised: bool, contrast: Contrast | None
    ) -> None:
        row = self._sft_row(question, taken, rationalised, contrast)
        row |= {"question": question.text, "gold": question.gold, "index": question.index}
        candidate = _candidate(row)
        for filter_ in self._layout.filters:
            if (refusal := filter_.refuse(candidate)) is not None:
                self._tally.drop("row", question.index, Drop(refusal.reason, refusal.evidence))
                return
        self._waiting.write_one(row)

    def _sft_row(
        self, question: Question, taken: Route, rationalised: bool, contrast: Contrast | None
    ) -> dict[str, Any]:
        layout = self._layout
        keeps = random.Random(f"rules/{layout.seed}/{question.uid}").random() < layout.keep_rules
        before = rules_for_student(layout.domain.rules) if keeps else ""
        prompt = [{"role": "user", "content": before + question.text}]
        if contrast is None:
            response = render_response(numbered(taken.steps), [], taken.answer)
            kind = "rationalised" if rationalised else "chain"
            return sft_row(
                render_messages(prompt, []), response, source=taken.source, kind=kind, uid=question.uid
            )
        response = render_response(contrast.critique, contrast.verdicts, contrast.answer)
        return sft_row(
            render_messages(prompt, contrast.routes),
            response,
            source=contrast.source,
            kind="contrast",
            uid=question.uid,
        )


def _candidate(row: Mapping[str, Any]) -> Candidate:
    text = row["messages"][-1]["content"]
    return Candidate(row["uid"], row["question"], text, row["source"], answer=row["gold"])


def ordered(counts: Mapping[str, int], names: Sequence[str] = ()) -> dict[str, int]:
    """Counts with `names` first, zeros included, then the others by name."""
    return {name: counts[name] for name in names} | {
        name: counts[name] for name in sorted(counts) if name not in names
    }
