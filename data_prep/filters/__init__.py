"""Filters of prepared rows: each says of one candidate why it is dropped, with the evidence, or lets it pass.

Serves design.md, section Guided CoT distillation, item 6. Filters see candidates one at a time and in a fixed order,
so that a pass over any number of rows needs no more memory than the filter's own index.
"""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Candidate:
    """A row before it is written.

    Attributes:
        uid: `data_prep.schema.content_uid` of the question.
        question: the bare question.
        text: the response or the route's steps, as it would be trained on.
        source: who wrote the text.
        truncated: whether the writer was cut off by its token limit.
    """

    uid: str
    question: str
    text: str
    source: str
    truncated: bool = False


@dataclass(frozen=True)
class Refusal:
    """Why a candidate is dropped: `reason` is the same text for each such case and is counted, `evidence` is this one's."""

    reason: str
    evidence: str


class Filter(Protocol):
    """One filter; `refuse` may remember what it let pass (duplicates), so a pass needs a new one."""

    def refuse(self, candidate: Candidate) -> Refusal | None:
        """Why the candidate is dropped; None lets it pass."""
        ...
