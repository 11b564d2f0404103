"""What a training step and a validation say about exposure: pure functions from rollouts to verl's metrics.

Serves design section "EAAI" (both regimes logged side by side). verl reduces a metric by the words in its name
(max, min, sum, total), so no name here holds one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

COMPONENTS = (
    "score",
    "outcome",
    "verdict",
    "decisive",
    "raw_verdict",
    "raw_decisive",
    "format",
    "consistent",
)
# A component that a row does not have is 0 there and says so in this companion; such rows stay out of its mean.
COMPANIONS = {
    "verdict": "has_verdict",
    "raw_verdict": "has_verdict",
    "decisive": "has_decisive",
    "raw_decisive": "has_decisive",
    "consistent": "guided",
}
KINDS = ("right", "wrong")
CONFUSION = tuple(f"{kind}_judged_{says}" for kind in KINDS for says in KINDS)
FIRST_ERRORS = ("first_errors", "first_errors_named", "first_errors_guessed")
READ = (
    *(*COMPONENTS, "acc", "n_shown", "n_disputed"),
    *(*sorted(set(COMPANIONS.values())), *CONFUSION, *FIRST_ERRORS),
)


@dataclass(frozen=True)
class Rollout:
    """One stored training rollout.

    Attributes:
        uid: verl's group id.
        session: its number within the group.
        row_uid: the row's content hash; empty for a row without routes.
        guided: whether it saw routes.
        exposure: of its group; None for a rollout of another agent.
        shown: indexes of the routes in its prompt.
        shown_steps: steps shown of each.
        planned_step: the step it was planned in; None for a rollout of another agent.
        n_dropped: routes left out of its group's prompt by the length budget.
        response_length: tokens.
        components: numbers the reward function returned, by name.
        cut: whether the response was ended by its budget.
        carried: whether it trains the unguided prompt, see `realm_ext.carry`.
    """

    uid: str
    session: int
    row_uid: str
    guided: bool
    exposure: float | None
    shown: tuple[int, ...]
    shown_steps: tuple[int, ...]
    planned_step: int | None
    n_dropped: int
    response_length: int
    components: Mapping[str, float]
    cut: bool = False
    carried: bool = False

    @classmethod
    def from_stored(
        cls,
        key: str,
        tag: Mapping[str, Any],
        extra_fields: Mapping[str, Any] | None,
        carried: bool = False,
    ) -> "Rollout":
        """Read what the agent loop and the reward left: `key` is `{uid}_{session}_{index}`."""
        extra = extra_fields or {}
        info = extra.get("reward_extra_info") or {}
        exposure = extra.get("exposure")
        planned = extra.get("train_step")
        uid, session, _ = key.rsplit("_", 2)
        return cls(
            uid=uid,
            session=int(session),
            row_uid=str(extra.get("row_uid") or ""),
            guided=bool(extra.get("guided", False)),
            exposure=None if exposure is None else float(exposure),
            shown=tuple(extra.get("shown") or ()),
            shown_steps=tuple(extra.get("shown_steps") or ()),
            planned_step=None if planned is None else int(planned),
            n_dropped=int(extra.get("routes_dropped") or 0),
            response_length=int(tag["response_len"]),
            cut=bool(extra.get("cut", False)),
            components={name: float(info[name]) for name in READ if isinstance(info.get(name), (int, float))},
            carried=carried,
        )

    @property
    def is_right(self) -> bool | None:
        """Whether the answer was right; None when the reward returned neither `outcome` nor `acc`."""
        value = self.components.get("outcome", self.components.get("acc"))
        return None if value is None else value > 0.5


def step_metrics(rollouts: Sequence[Rollout]) -> dict[str, float]:
    """Metrics of one training batch, padding left out; a regime that has no rollout has no entry."""
    ours = [r for r in rollouts if r.exposure is not None]
    if not ours:
        return {}
    guided = [r for r in ours if r.guided]
    groups = {r.uid: r.n_dropped for r in ours}
    metrics = {
        "realm/exposure": _mean([r.exposure or 0.0 for r in ours]),
        "realm/guided_share": len(guided) / len(ours),
        "realm/routes_shown": _mean([len(r.shown) for r in guided]),
        "realm/steps_shown": _mean([sum(r.shown_steps) for r in guided]),
        "realm/routes_dropped": float(sum(groups.values())),
        **confusion_metrics(guided),
        **first_error_metrics(guided),
    }
    for regime, members in (("guided", guided), ("unguided", [r for r in ours if not r.guided])):
        if not members:
            continue
        metrics[f"realm/{regime}/response_length"] = _mean([r.response_length for r in members])
        metrics[f"realm/{regime}/cut"] = _mean([r.cut for r in members])
        for name in COMPONENTS:
            has = COMPANIONS.get(name, "")
            values = [
                r.components[name] for r in members if name in r.components and r.components.get(has, 1)
            ]
            if values:
                metrics[f"realm/{regime}/{name}"] = _mean(values)
    return metrics


def lost_metrics(rollouts: Sequence[Rollout], n_groups: int, n: int) -> dict[str, float]:
    """How many of a step's rollouts, and of its groups wholly, failed and are missing from the batch.

    Args:
        rollouts: those that are there, padding left out.
        n_groups: questions of a step.
        n: rollouts of each.
    """
    there = {(r.uid, r.session) for r in rollouts}
    return {
        "realm/lost/rollouts": float(max(0, n_groups * n - len(there))),
        "realm/lost/groups": float(max(0, n_groups - len({uid for uid, _ in there}))),
    }


def confusion_metrics(guided: Sequence[Rollout]) -> dict[str, float]:
    """Of the right and of the wrong routes shown and judged, the share judged right and wrong."""
    counts = {name: _total([r.components.get(name, 0.0) for r in guided]) for name in CONFUSION}
    metrics: dict[str, float] = {}
    for kind in KINDS:
        names = [f"{kind}_judged_{says}" for says in KINDS]
        n = _total([counts[name] for name in names])
        if n:
            metrics |= {f"realm/verdicts/{name}": counts[name] / n for name in names}
    n_scored = _total([r.components.get("n_shown", 0) - r.components.get("n_disputed", 0) for r in guided])
    if n_scored:
        metrics["realm/verdicts/missing"] = 1.0 - _total(list(counts.values())) / n_scored
    return metrics


def first_error_metrics(guided: Sequence[Rollout]) -> dict[str, float]:
    """Of the wrong routes shown, the share whose first error was named, and what the best constant guess would reach."""
    n, named, guessed = (_total([r.components.get(name, 0.0) for r in guided]) for name in FIRST_ERRORS)
    return {"realm/first_error_acc": named / n, "realm/first_error_guess": guessed / n} if n else {}


def validation_metrics(
    data_sources: Sequence[str], scores: Sequence[float | None], expected: Mapping[tuple[str, str], int]
) -> dict[str, float]:
    """Accuracy by regime, over all domains, and guided minus unguided.

    Args:
        data_sources: [rollouts]; the regime is the last part of `realm/<domain>/<regime>`.
        scores: [rollouts], 0 to 1; None counts as 0.
        expected: rollouts by (data source, uid); a lost rollout counts as 0, as in verl's own accuracy.
    """
    metrics: dict[str, float] = {}
    for regime in ("guided", "unguided"):
        values = [
            score or 0.0 for source, score in zip(data_sources, scores, strict=True) if _is(source, regime)
        ]
        n = sum(count for (source, _), count in expected.items() if _is(source, regime)) or len(values)
        if n:
            metrics[f"realm/val/{regime}_acc"] = float(sum(values)) / n
    if len(metrics) == 2:
        metrics["realm/val/gap"] = metrics["realm/val/guided_acc"] - metrics["realm/val/unguided_acc"]
    return metrics


def _is(data_source: str, regime: str) -> bool:
    parts = str(data_source).split("/")
    return len(parts) == 3 and parts[0] == "realm" and parts[2] == regime


def _mean(values: Sequence[float]) -> float:
    return _total(values) / len(values) if values else 0.0


def _total(values: Sequence[float]) -> float:
    return float(sum(values))
