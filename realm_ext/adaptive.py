"""Adaptive exposure, `per_question`: a level for each question, times the schedule's ceiling.

Serves design section "EAAI". A question's level falls after a success without routes and rises again after two
visits in which every unguided rollout failed. A visit is a question in a training step, seen through its unguided
rollouts; a visit without any says nothing. Below three visits a question has the mean level of its difficulty bucket.

Pure: the same visits in the same steps give the same levels, in whatever order they arrived. Both the work of a
step and what a checkpoint writes (`realm_ext.adaptive_store`) grow with the questions touched, not with the data.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from realm_ext.schedule import is_number
from reward_fns.routes import Route

KINDS = ("none", "per_question")
POOLED_BELOW = 3
FAILURES_TO_RAISE = 2
BUCKETS = 4


@dataclass(frozen=True)
class AdaptiveConfig:
    """The options under `realm.adaptive`.

    Attributes:
        kind: "none" (every level is 1) or "per_question".
        start: level of a question before its first visit, in [0, 1].
        raise_by: what a level gains after two failed visits in a row, at most up to 1.
        lower_by: what a level loses after a success, at most down to 0.
    """

    kind: str = "none"
    start: float = 1.0
    raise_by: float = 0.25
    lower_by: float = 0.25


def read_adaptive(value: Any) -> AdaptiveConfig:
    """Read and check `realm.adaptive`; None stands for the defaults.

    Raises:
        TypeError: not a mapping.
        ValueError: an unknown key or kind, or a number out of its bounds; the message names it.
    """
    if isinstance(value, AdaptiveConfig):
        return value
    if not isinstance(value, Mapping | None):
        raise TypeError(f"adaptive: expected a mapping, got {value!r}")
    known = [f.name for f in fields(AdaptiveConfig)]
    unknown = sorted(set(map(str, value or {})) - set(known))
    if unknown:
        raise ValueError(f"adaptive: unknown key {', '.join(unknown)}; known are {', '.join(known)}")
    config = AdaptiveConfig(**{str(key): given for key, given in (value or {}).items()})
    if config.kind not in KINDS:
        raise ValueError(f"adaptive.kind: {config.kind!r} is unknown; use one of {', '.join(KINDS)}")
    for name in ("start", "raise_by", "lower_by"):
        number = getattr(config, name)
        if not is_number(number) or not 0.0 <= number <= 1.0:
            raise ValueError(f"adaptive.{name}: expected a number in [0, 1], got {number!r}")
    return config


def bucket_of(data_source: str, routes: Sequence[Route]) -> str:
    """The difficulty bucket of a question: its domain, and in which quarter its share of right routes lies.

    The routes are attempts at the question, so their share of right ones says how hard it is. Where route sets were
    composed to a fixed share it says less, and the bucket is simply wider.
    """
    domain = "/".join(str(data_source).split("/")[:2])
    share = sum(route.label for route in routes) / len(routes) if routes else 0.0
    return f"{domain}/{min(BUCKETS - 1, int(share * BUCKETS))}"


@dataclass(frozen=True, slots=True)
class Visit:
    """One question in one training step: whether any, or none, of its unguided rollouts was right."""

    uid: str
    bucket: str
    success: bool


@dataclass(frozen=True, slots=True)
class QuestionState:
    """What is known of one question: its own level, failed visits in a row, visits so far, and its bucket.

    Slots, as a million of these must fit: 72 bytes each instead of 112.
    """

    level: float
    failures: int
    visits: int
    bucket: str


@dataclass
class Levels:
    """The state of the whole run, held by the trainer.

    Attributes:
        config: how levels move.
        questions: by uid, the questions visited so far.
        buckets: by name, how many questions it holds and the total of their levels.
        touched: uids that changed since the last checkpoint.
    """

    config: AdaptiveConfig
    questions: dict[str, QuestionState] = field(default_factory=dict)
    buckets: dict[str, tuple[int, float]] = field(default_factory=dict)
    touched: set[str] = field(default_factory=set)

    def level(self, uid: str, bucket: str) -> float:
        """The level of a question, in [0, 1]: its own, or its bucket's below three visits."""
        known = self.questions.get(uid)
        if known is not None and known.visits >= POOLED_BELOW:
            return known.level
        n, total = self.buckets.get(bucket, (0, 0.0))
        return min(1.0, max(0.0, total / n)) if n else self.config.start

    def update(self, visits: Iterable[Visit]) -> None:
        """Take in the visits of one step, each question at most once, in sorted order.

        Raises:
            ValueError: a question comes twice.
        """
        ordered = sorted(visits, key=lambda visit: visit.uid)
        for before, visit in zip([None, *ordered], ordered, strict=False):
            if before is not None and before.uid == visit.uid:
                raise ValueError(f"question {visit.uid} has two visits in one step; merge them")
            self._visit(visit)

    def _visit(self, visit: Visit) -> None:
        old = self.questions.get(visit.uid)
        level = self.config.start if old is None else old.level
        bucket = visit.bucket if old is None else old.bucket
        failures = 0 if visit.success else (old.failures if old else 0) + 1
        new_level = level
        if visit.success:
            new_level = max(0.0, level - self.config.lower_by)
        elif failures == FAILURES_TO_RAISE:
            new_level, failures = min(1.0, level + self.config.raise_by), 0
        n, total = self.buckets.get(bucket, (0, 0.0))
        self.buckets[bucket] = (n + 1, total + new_level) if old is None else (n, total + (new_level - level))
        self.questions[visit.uid] = QuestionState(new_level, failures, (old.visits if old else 0) + 1, bucket)
        self.touched.add(visit.uid)
