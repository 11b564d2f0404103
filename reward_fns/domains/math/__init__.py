"""The domain `math`: GSM8K, MATH and other open mathematical answers.

Serves the section "Domains" of the design. Answers are exact: numbers are compared as rationals, without a
tolerance. Units: a unit on one side only is ignored, a percent sign may be left out or written as a
fraction of 1 (see `reward_fns.answers`). Gold answers may be bare (`18`), GSM8K solutions ending in
`#### 18` or `A: 18`, or MATH solutions with a `\\boxed{}`.
"""

from __future__ import annotations

from functools import cached_property
from typing import ClassVar

from reward_fns import answers
from reward_fns.domains.base import Domain, Rule, rules_beside
from reward_fns.domains.math.extract import final_answer
from reward_fns.match import Match


class MathDomain(Domain):
    """Open mathematical answers."""

    name: ClassVar[str] = "math"

    @cached_property
    def rules(self) -> tuple[Rule, ...]:
        return rules_beside(__package__)

    def extract(self, answer_text: str) -> str | None:
        return final_answer(answer_text)

    def equivalent(self, prediction: str, gold: str) -> bool:
        return self.judge(prediction, gold) is Match.SAME

    def judge(self, prediction: str, gold: str) -> Match:
        read = final_answer(gold)
        return Match.DIFFERENT if read is None else answers.judge(prediction, read)


DOMAIN = MathDomain()
