"""Steps from which little or nothing can be learnt: noticed after a few in a row, and said once, with an example and a way out.

GRPO learns from differences within a group. Where every rollout is cut off, malformed, or worth the same as the others
of its group, a run goes on for hours with a gradient of zero and no error.
"""

from collections.abc import Hashable, Sequence
from enum import Enum

from realm_ext.rollout_metrics import Rollout

EXAMPLE_CHARS = 300


class Stall(Enum):
    """Why a step has nothing to learn from, and what helps; the first that holds is said."""

    TRUNCATED = (
        "every rollout was cut off at data.max_response_length",
        "raise data.max_response_length, or do SFT first, so that the model ends its answers (docs/train.md)",
    )
    MALFORMED = (
        "every rollout was malformed (the prompt asks for <think> </think> and <answer> </answer>)",
        "do SFT first, which teaches the format (docs/train.md), and see that the model gets its own chat template",
    )
    ALIKE = (
        "no two rollouts of a group that are compared differed in their score, so every advantage was 0",
        "take questions that the model gets right sometimes, raise rollout.n or the temperature, or do SFT first",
    )


class Watch:
    """Counts steps in a row without anything to learn; the counts start anew with the process.

    Args:
        after: so many in a row are one warning; 0: never.
        max_response_length: tokens at which a response is cut off.
    """

    def __init__(self, after: int, max_response_length: int) -> None:
        self.after = after
        self.max_response_length = max_response_length
        self._in_a_row = dict.fromkeys(Stall, 0)
        self._is_said = False

    def step(self, rollouts: Sequence[Rollout], strata: Sequence[Hashable]) -> Stall | None:
        """Count one step; what to say now, which is at most one thing in the life of this object.

        Args:
            rollouts: of the step, padding left out.
            strata: [rollouts], which of them are compared with which.
        """
        if self.after == 0 or not rollouts:
            return None
        holds = {
            Stall.TRUNCATED: all(r.response_length >= self.max_response_length for r in rollouts),
            Stall.MALFORMED: all(r.components.get("format", 1.0) <= 0 for r in rollouts),
            Stall.ALIKE: _all_alike(rollouts, strata),
        }
        for stall, is_so in holds.items():
            self._in_a_row[stall] = self._in_a_row[stall] + 1 if is_so else 0
        due = next((stall for stall in Stall if self._in_a_row[stall] >= self.after), None)
        if due is None or self._is_said:
            return None
        self._is_said = True
        return due


def advice(stall: Stall, after: int, step: int, example: str) -> str:
    """The warning: since when, why, the end of an example, what helps, how to turn it off."""
    cause, help_ = stall.value
    end = example if len(example) <= EXAMPLE_CHARS else "..." + example[-EXAMPLE_CHARS:]
    return (
        f"for {after} steps in a row, up to step {step}, {cause}: there is little or nothing to learn from. A response ends with "
        f"{end!r}. What helps: {help_}. Said once; realm.warn_after=0 turns this off"
    )


def _all_alike(rollouts: Sequence[Rollout], strata: Sequence[Hashable]) -> bool:
    """Whether no stratum holds two different scores; False where the reward tells none."""
    scores: dict[Hashable, set[float]] = {}
    for rollout, stratum in zip(rollouts, strata, strict=True):
        score = rollout.components.get("score", rollout.components.get("acc"))
        if score is None:
            return False
        scores.setdefault(stratum, set()).add(round(score, 9))
    return all(len(values) == 1 for values in scores.values())
