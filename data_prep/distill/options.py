"""What a run of `realm distill` writes; how fast and how dear it comes about is `sender.Limits`.

Serves design.md, section Guided CoT distillation.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from data_prep.distill.flow import Plan
from data_prep.distill.shards import ROWS_PER_FILE
from data_prep.filters import Filter
from reward_fns.domains.base import Domain

PROGRAM, TEACHER, NONE = "program", "teacher", "none"
MAX_CHARS = 8000


@dataclass(frozen=True)
class Options:
    """All that the rows depend on besides questions, teacher and parameters.

    Attributes:
        contrast_from: who judges in contrast rows: `program` (the domain's expert), `teacher` or `none`.
        contrast_share: of the SFT rows.
        routes: in a contrast row, and in the sets of the expert, at most.
        keep_rules: share of SFT prompts that keep the rules.
        max_chars: of a chain; longer ones are dropped.
        seed: of all draws, and of the seeds sent to the teacher.
        send_seeds: whether requests carry a seed.
        filters: each SFT row goes through them in order; they may remember what they let pass, so a run needs new ones.
        similarity: SFT rows this much alike are dropped but for the first; None: none is.
        question_filters: for questions, before anything is asked; they see an empty text.
    """

    domain: Domain
    plan: Plan = field(default_factory=Plan)
    contrast_from: str = NONE
    contrast_share: float = 0.3
    routes: int = 4
    keep_rules: float = 0.0
    max_chars: int = MAX_CHARS
    seed: int = 0
    send_seeds: bool = True
    rows_per_file: int = ROWS_PER_FILE
    filters: Sequence[Filter] = ()
    similarity: float | None = None
    question_filters: Sequence[Filter] = ()

    def __post_init__(self) -> None:
        for name in ("contrast_share", "keep_rules"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} is a share of the rows, from 0 to 1; got {getattr(self, name)}")
        if self.contrast_from not in (PROGRAM, TEACHER, NONE):
            raise ValueError(f"contrast_from is {PROGRAM}, {TEACHER} or {NONE}; got {self.contrast_from!r}")
        for name in ("routes", "rows_per_file", "max_chars"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be 1 or more; got {getattr(self, name)}")


def json_object(option: str, text: str) -> Mapping[str, Any]:
    """What the text of a command's option holds.

    Raises:
        ValueError: it is no JSON object; names the option.
    """
    try:
        value = json.loads(text)
    except ValueError as error:
        raise ValueError(f"{option} is a JSON object; got {text!r} ({error})") from error
    if not isinstance(value, dict):
        raise ValueError(f"{option} is a JSON object; got {text!r}")  # noqa: TRY004  bad input, whatever its type
    return value
