"""Metrics of a step and of a validation."""

import pytest

from realm_ext.rollout_metrics import Rollout, step_metrics, validation_metrics

TAG = {"response_len": 4}


def stored(key: str, guided: bool, score: float, dropped: int = 0) -> Rollout:
    shown = [2, 0] if guided else []
    return Rollout.from_stored(
        key,
        TAG,
        {
            "guided": guided,
            "exposure": 0.5,
            "shown": shown,
            "routes_dropped": dropped,
            "reward_extra_info": {"score": score, "outcome": 1, "pred": "7"},
        },
    )


def test_step_metrics() -> None:
    rollouts = [
        stored("a-b_c_0_0".replace("_c", ""), True, 1.4, 1),
        stored("a-b_1_0", True, 1.0, 1),
        stored("a-b_2_0", False, 0.0, 1),
        stored("x_0_0", False, 1.0, 2),
    ]
    metrics = step_metrics(rollouts)
    assert metrics["realm/exposure"] == 0.5
    assert metrics["realm/guided_share"] == 0.5
    assert metrics["realm/routes_shown"] == 2.0
    assert metrics["realm/routes_dropped"] == 3.0
    assert metrics["realm/guided/score"] == pytest.approx(1.2)
    assert metrics["realm/unguided/score"] == 0.5
    assert metrics["realm/guided/response_length"] == 4.0
    assert "realm/guided/verdict" not in metrics
    assert all(isinstance(value, float) for value in metrics.values())


def test_names_do_not_change_how_verl_reduces_them() -> None:
    rollouts = [stored("a_0_0", True, 1.0), stored("a_1_0", False, 1.0)]
    names = [*step_metrics(rollouts), *validation_metrics(["realm/math/guided"], [1.0], {})]
    assert not [name for name in names for word in ("max", "min", "sum", "total") if word in name]


def test_rollouts_of_other_agents_say_nothing() -> None:
    other = Rollout.from_stored("a_0_0", TAG, {"reward_extra_info": {"acc": 1.0}})
    assert step_metrics([other]) == {}
    assert step_metrics([]) == {}
    assert step_metrics([stored("a_0_0", False, 1.0)])["realm/routes_shown"] == 0.0


def test_validation_counts_lost_rollouts_as_wrong() -> None:
    sources = ["realm/math/guided", "realm/math/guided", "realm/search/unguided", "other/guided"]
    expected = {("realm/math/guided", "u"): 2, ("realm/search/unguided", "v"): 2, ("other/guided", "w"): 1}
    assert validation_metrics(sources, [1.0, 0.0, 1.0, 1.0], expected) == {
        "realm/val/guided_acc": 0.5,
        "realm/val/unguided_acc": 0.5,
        "realm/val/gap": 0.0,
    }
    assert validation_metrics(["realm/math/guided"], [None], {}) == {"realm/val/guided_acc": 0.0}
