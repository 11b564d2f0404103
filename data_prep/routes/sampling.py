"""Sampling routes from a model into a bank: `realm routes sample`.

Serves design.md, section Guided CoT distillation (item 7). Each question is asked n times, unguided, in the words of the
one prompt renderer, every request with a seed of its own made from (seed, uid, sample). Replies become routes labelled
by the domain; those that cannot are counted by reason, and the first of each reason are kept.

A bank is a folder of shards, one parquet file for some hundred replies, written by rename. The footer of a shard says
which requests it answers, those that gave no route included, so that routes and the record of what is done cannot come
apart: killed at any moment, the next call asks for what is missing. Done is what a shard names for the same writer
(`fingerprint.writer_of`), question and sample. A shard is named after the requests that it answers, so that any number
of processes may sample into one bank.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

import pyarrow as pa

from data_prep.distill.ending import LEAST_USABLE, Yield
from data_prep.filters import EVIDENCE_CHARS, KEPT_EXAMPLES
from data_prep.outputs import WrittenFile, hash_file, hash_text, write_parquet
from data_prep.routes.bank import Question, open_parquet
from data_prep.routes.engine import Engine, Reply, Request, Sampling
from data_prep.routes.reading import read_route
from data_prep.schema import BANK_SCHEMA, bank_row
from realm_ext.prompt import render_messages
from reward_fns import domains

FOOTER = b"realm.sampled"
_KEPT = "route"


@dataclass(frozen=True)
class SamplePlan:
    """What is asked of whom: `n` samples a question from `writer`, whose routes get the source `source`."""

    writer: str
    source: str
    n: int
    seed: int
    sampling: Sampling
    shard_rows: int = 512
    min_usable: float = LEAST_USABLE


@dataclass
class Sampled:
    """What a call did, then what is in the bank, whoever wrote it: `right` routes, replies by outcome, examples, files."""

    asked: int = 0
    reused: int = 0
    tokens: int = 0
    right: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    rejects: list[dict[str, Any]] = field(default_factory=list)
    files: list[WrittenFile] = field(default_factory=list)


def sample_into(
    bank: Path,
    questions: Iterable[Question],
    plan: SamplePlan,
    make_engine: Callable[[], Engine],
    on_reply: Callable[[Reply], object] | None = None,
) -> Sampled:
    """Ask for every sample that the bank lacks, and write the replies as they come.

    Args:
        bank: the bank's folder.
        questions: each uid once or more; further ones of a uid are passed over.
        plan: see `SamplePlan`.
        make_engine: called only if there is something to ask.
        on_reply: called after each reply, for progress.

    Raises:
        ValueError: the bank has shards of this writer that were sampled otherwise; the engine did not answer
            each request once; or too few of the first replies are routes (what came so far is kept).
    """
    sampled = Sampled()
    open_questions: dict[str, _Open] = {}
    requests = _requests(questions, plan, done_by(bank, plan), open_questions, sampled)
    first = next(requests, None)
    if first is not None:
        writer = _ShardWriter(bank, plan, open_questions)
        usable = Yield("replies", plan.min_usable)
        for reply in make_engine()(chain([first], requests)):
            sampled.asked += 1
            sampled.tokens += reply.tokens
            if complaint := usable.count(writer.add(reply), reply.text[-EVIDENCE_CHARS:]):
                writer.flush()
                raise ValueError(complaint)
            if on_reply:
                on_reply(reply)
        writer.flush()
        if open_questions:
            raise ValueError(f"the engine left {len(open_questions)} questions without all their replies")
    for shard in shards_of(bank):
        _recount(shard, sampled)
    return sampled


def request_seed(seed: int, uid: str, sample: int) -> int:
    """The sampling seed of a request, from 0 to 2^31 - 1."""
    digest = hashlib.sha256(f"sample/{seed}/{uid}/{sample}".encode()).digest()
    return int.from_bytes(digest[:4], "big") >> 1


def shards_of(bank: Path, writer: str = "*") -> list[Path]:
    """The shards that a writer's samples are in, or everybody's, in order."""
    return sorted(bank.glob(f"sampled-{writer}-[0-9a-f]*.parquet"))


def read_footer(shard: Path) -> dict[str, Any]:
    """What a shard says of itself: `plan`, and for each reply [uid, sample, outcome], `kept` rows being `route`.

    Raises:
        ValueError: it says nothing; it is no shard of this command.
    """
    raw = (open_parquet(shard).schema_arrow.metadata or {}).get(FOOTER)
    if raw is None:
        raise ValueError(f"{shard} has the name of a shard, but no record of its requests; move it elsewhere")
    return dict(json.loads(raw))


@dataclass
class _Open:
    """A question of which samples are still out, as bits of a number."""

    question: Question
    samples: int


def done_by(bank: Path, plan: SamplePlan) -> dict[str, int]:
    """By uid the samples that the bank has of the plan's writer, as bits of a number.

    Raises:
        ValueError: they were sampled otherwise.
    """
    wanted = {"source": plan.source, "seed": plan.seed, **asdict(plan.sampling)}
    done: dict[str, int] = {}
    for shard in shards_of(bank, plan.writer):
        footer = read_footer(shard)
        if footer["plan"] != wanted:
            differing = [name for name in wanted if footer["plan"].get(name) != wanted[name]]
            raise ValueError(
                f"{shard.name} was sampled from this model with "
                + ", ".join(f"{name} {footer['plan'].get(name)}" for name in differing)
                + f", not {', '.join(str(wanted[name]) for name in differing)}: repeat that, or give another folder"
            )
        for uid, sample, _ in footer["replies"]:
            done[uid] = done.get(uid, 0) | 1 << sample
    return done


def _requests(
    questions: Iterable[Question],
    plan: SamplePlan,
    done: Mapping[str, int],
    open_questions: dict[str, _Open],
    sampled: Sampled,
) -> Iterator[Request]:
    """What the bank lacks, in order; a question stays in `open_questions` until its last reply has come."""
    seen: set[str] = set()
    for question in questions:
        if question.uid in seen:
            continue
        seen.add(question.uid)
        missing = [sample for sample in range(plan.n) if not done.get(question.uid, 0) >> sample & 1]
        sampled.reused += plan.n - len(missing)
        if not missing:
            continue
        open_questions[question.uid] = _Open(question, sum(1 << sample for sample in missing))
        messages = render_messages(question.messages, ())
        for sample in missing:
            yield Request(question.uid, sample, messages, request_seed(plan.seed, question.uid, sample))


class _ShardWriter:
    """Turns replies into routes and writes a shard for every `shard_rows` of them."""

    def __init__(self, bank: Path, plan: SamplePlan, open_questions: dict[str, _Open]) -> None:
        self._bank = bank
        self._plan = plan
        self._open = open_questions
        self._waiting: list[tuple[Reply, dict[str, Any] | str]] = []

    def add(self, reply: Reply) -> str | None:
        """Take a reply; gives the reason where it is no route.

        Raises:
            ValueError: nobody asked for it, or it came before.
        """
        entry = self._open.get(reply.uid)
        if entry is None or not entry.samples >> reply.sample & 1:
            raise ValueError(
                f"the engine answered uid {reply.uid}, sample {reply.sample}, which nobody waits for"
            )
        entry.samples &= ~(1 << reply.sample)
        if not entry.samples:
            del self._open[reply.uid]
        made = _row(reply, entry.question, self._plan)
        self._waiting.append((reply, made))
        if len(self._waiting) >= self._plan.shard_rows:
            self.flush()
        return made if isinstance(made, str) else None

    def flush(self) -> None:
        """Write what is waiting, if anything is."""
        if not self._waiting:
            return
        ordered = sorted(self._waiting, key=lambda pair: (pair[0].uid, pair[0].sample))
        rows, replies, rejects = [], [], []
        for reply, made in ordered:
            outcome = made if isinstance(made, str) else _KEPT
            replies.append([reply.uid, reply.sample, outcome])
            if isinstance(made, str):
                text = reply.text[-EVIDENCE_CHARS:].encode("utf-8", "replace").decode("utf-8")
                rejects.append({"row": reply.uid, "sample": reply.sample, "reason": made, "text": text})
            else:
                rows.append(made)
        plan = {"source": self._plan.source, "seed": self._plan.seed, **asdict(self._plan.sampling)}
        footer = {"plan": plan, "replies": replies, "rejects": _first_of_each(rejects)}
        schema: pa.Schema = BANK_SCHEMA.with_metadata({FOOTER: json.dumps(footer).encode()})
        answered = hash_text(*(f"{reply.uid}/{reply.sample}" for reply, _ in ordered))[:16]
        name = f"sampled-{self._plan.writer}-{answered}.parquet"
        write_parquet(self._bank / name, rows, schema, config="bank", split="train")
        self._waiting = []


def _row(reply: Reply, question: Question, plan: SamplePlan) -> dict[str, Any] | str:
    """The reply as a row of a bank, or why it gives none."""
    if reply.refused is not None:
        return reply.refused
    domain = domains.get(question.domain)
    route = read_route(reply.text, question.gold, domain, plan.source, truncated=reply.truncated)
    if isinstance(route, str):
        return route
    row = bank_row(question.text, question.gold, route, domain=question.domain, writer=plan.writer)
    return row | {"uid": question.uid}


def _first_of_each(rejects: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    counts: Counter[str] = Counter()
    kept = []
    for reject in rejects:
        counts[reject["reason"]] += 1
        if counts[reject["reason"]] <= KEPT_EXAMPLES:
            kept.append(reject)
    return kept


def _recount(shard: Path, sampled: Sampled) -> None:
    """Add what a shard holds to the counts."""
    footer = read_footer(shard)
    sampled.outcomes.update(outcome for _, _, outcome in footer["replies"])
    sampled.rejects = _first_of_each([*sampled.rejects, *footer["rejects"]])
    file = open_parquet(shard)
    sampled.right += sum(file.read(["label"])["label"].to_pylist())
    written = WrittenFile(shard.name, file.metadata.num_rows, hash_file(shard), "bank", "train")
    sampled.files.append(written)
