"""Filters of prepared rows: each says of one candidate why it is dropped, with the evidence, or lets it pass.

Serves design.md, section Guided CoT distillation, item 6. Filters see candidates one at a time and in a fixed order,
so that a pass over any number of rows needs no more memory than the filter's own index. `run_filters` is the pass;
`near_duplicates.without_near_duplicates` is the one stage that has to look at all rows twice, and does so on disk.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

KEPT_EXAMPLES = 20
EVIDENCE_CHARS = 1000


@dataclass(frozen=True)
class Candidate:
    """A row before it is written.

    Attributes:
        uid: `reward_fns.content.content_uid` of the question.
        question: the bare question.
        text: the response or the route's steps, as it would be trained on.
        source: who wrote the text.
        truncated: whether the writer was cut off by its token limit.
        answer: what the text concludes; texts with different answers are no duplicates, however alike: the few words
            that differ are what there is to see.
    """

    uid: str
    question: str
    text: str
    source: str
    truncated: bool = False
    answer: str = ""


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


@dataclass
class FilterReport:
    """What a pass has seen so far; complete when the pass has ended.

    `examples` holds the first `KEPT_EXAMPLES` rejects of each reason, as `data_prep.outputs.write_rejects` takes them.
    """

    seen: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    examples: list[dict[str, Any]] = field(default_factory=list)

    @property
    def kept(self) -> int:
        """Rows that passed."""
        return self.seen - self.dropped.total()

    def count(self, row: int, refusal: Refusal, candidate: Candidate) -> None:
        """Note that the row of that number (from 0) was dropped."""
        self.dropped[refusal.reason] += 1
        if self.dropped[refusal.reason] <= KEPT_EXAMPLES:
            self.examples.append(
                {
                    "row": row,
                    "reason": refusal.reason,
                    "text": candidate.text[:EVIDENCE_CHARS],
                    "evidence": refusal.evidence[:EVIDENCE_CHARS],
                    "uid": candidate.uid,
                    "source": candidate.source,
                }
            )


Row = TypeVar("Row")


def run_filters(
    rows: Iterable[Row],
    filters: Sequence[Filter],
    report: FilterReport,
    candidate_of: Callable[[Row], Candidate],
) -> Iterator[Row]:
    """Give back the rows that every filter lets pass, one at a time; the first refusal of a row is the one counted.

    Args:
        rows: of any kind. Filters that look for duplicates expect those of one question one after the other.
        filters: new ones, in the order in which a row goes through them; put the cheap ones first.
        report: filled while the result is read.
        candidate_of: what the filters see of a row.
    """
    for row in rows:
        number = report.seen
        report.seen += 1
        candidate = candidate_of(row)
        refusals = (filter_.refuse(candidate) for filter_ in filters)
        refusal = next((refusal for refusal in refusals if refusal is not None), None)
        if refusal is None:
            yield row
        else:
            report.count(number, refusal, candidate)
