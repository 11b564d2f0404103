"""What adaptive exposure would do, at assumed rates of success: levels themselves cannot be known ahead.

Serves design section "EAAI". The state is the run's own (`realm_ext.adaptive.Levels`); assumed is only how often a visit
succeeds, the same for every question. Each question is visited once an epoch, as in the run.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from realm_ext.adaptive import Levels, Visit, bucket_of
from realm_ext.config import RealmConfig
from realm_ext.preview.sampling import Question
from realm_ext.schedule import build_schedule

RATES = {0.0: "never right alone", 0.5: "in half of the visits", 1.0: "always right alone"}


@dataclass(frozen=True)
class LevelView:
    """Mean exposure of all questions at the viewed steps, if a visit succeeds at `rate`."""

    rate: float
    exposure: tuple[float, ...]


def view_levels(
    questions: Sequence[Question], steps: Sequence[int], realm: RealmConfig, steps_per_epoch: int
) -> list[LevelView]:
    """One view for each of `RATES`; none where exposure does not adapt.

    Args:
        steps: the steps to view, rising.
        steps_per_epoch: after so many steps each question has been visited once more.
    """
    if realm.adaptive.kind == "none":
        return []
    adaptive = [question for question in questions if question.regime is None]
    return [_view(adaptive, steps, realm, steps_per_epoch, rate) for rate in RATES] if adaptive else []


def _view(
    questions: Sequence[Question], steps: Sequence[int], realm: RealmConfig, steps_per_epoch: int, rate: float
) -> LevelView:
    levels, ceiling = Levels(realm.adaptive), build_schedule(realm.schedule)
    buckets = {question.uid: bucket_of(question.data_source, question.routes) for question in questions}
    wanted, exposures = set(steps), []
    for step in range(1, steps[-1] + 1):
        if step in wanted:
            mean = sum(levels.level(uid, bucket) for uid, bucket in buckets.items()) / len(buckets)
            exposures.append(ceiling(step) * mean)
        levels.update(
            Visit(uid, buckets[uid], _share(f"{uid}|{step}|right") < rate)
            for uid in _visited(list(buckets), step, steps_per_epoch, realm.seed)
        )
    return LevelView(rate, tuple(exposures))


def _visited(uids: Sequence[str], step: int, steps_per_epoch: int, seed: int) -> list[str]:
    """The questions of a step: all of them once an epoch, in an order drawn for it."""
    epoch, position = divmod(step - 1, steps_per_epoch)
    return [uid for uid in uids if int(_share(f"{seed}|{uid}|{epoch}") * steps_per_epoch) == position]


def _share(key: str) -> float:
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:6], "big") / 2.0**48
