"""Metrics of a step and of a validation."""

import pytest

from realm_ext.rollout_metrics import Rollout, lost_metrics, step_metrics, validation_metrics

TAG = {"response_len": 4}


def stored(
    key: str, guided: bool, score: float, dropped: int = 0, reward: dict[str, float] | None = None
) -> Rollout:
    shown = [2, 0] if guided else []
    return Rollout.from_stored(
        key,
        TAG,
        {
            "guided": guided,
            "exposure": 0.5,
            "shown": shown,
            "shown_steps": [3, 1][: len(shown)],
            "row_uid": "row",
            "routes_dropped": dropped,
            "reward_extra_info": {"score": score, "outcome": 1, "pred": "7", **(reward or {})},
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
    assert metrics["realm/steps_shown"] == 4.0
    assert metrics["realm/routes_dropped"] == 3.0
    assert metrics["realm/guided/score"] == pytest.approx(1.2)
    assert metrics["realm/unguided/score"] == 0.5
    assert metrics["realm/guided/response_length"] == 4.0
    assert "realm/guided/verdict" not in metrics
    assert all(isinstance(value, float) for value in metrics.values())


def test_lost_rollouts_and_groups_are_counted() -> None:
    """Of three groups of two: one is whole, one lost a rollout, one is gone."""
    there = [stored("a_0_0", True, 1.0), stored("a_1_0", True, 1.0), stored("b_1_0", False, 1.0)]
    assert lost_metrics(there, 3, 2) == {"realm/lost/rollouts": 3.0, "realm/lost/groups": 1.0}
    two_outputs = [stored("a_0_0", True, 1.0), stored("a_0_1", True, 1.0)]
    assert lost_metrics(two_outputs, 1, 1) == {"realm/lost/rollouts": 0.0, "realm/lost/groups": 0.0}


def test_names_do_not_change_how_verl_reduces_them() -> None:
    rollouts = [stored("a_0_0", True, 1.0), stored("a_1_0", False, 1.0)]
    names = [
        *step_metrics(rollouts),
        *lost_metrics(rollouts, 1, 2),
        *validation_metrics(["realm/math/guided"], [1.0], {}),
    ]
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


def test_absent_components_stay_out_of_the_means() -> None:
    both = {
        "verdict": 0.8,
        "has_verdict": 1,
        "decisive": 0.5,
        "has_decisive": 1,
        "guided": 1,
        "consistent": 1,
    }
    one = {"verdict": 0.4, "has_verdict": 1, "decisive": 0.0, "has_decisive": 0, "guided": 1, "consistent": 0}
    none = {"verdict": 0.0, "has_verdict": 0, "guided": 0, "consistent": 0}
    rewards = ((True, both), (True, one), (False, none))
    rollouts = [stored(f"a_{i}_0", guided, 1.0, reward=reward) for i, (guided, reward) in enumerate(rewards)]
    metrics = step_metrics(rollouts)
    assert metrics["realm/guided/verdict"] == pytest.approx(0.6)
    assert metrics["realm/guided/decisive"] == 0.5
    assert metrics["realm/guided/consistent"] == 0.5
    assert not {"realm/unguided/verdict", "realm/unguided/consistent"} & set(metrics)


def test_verdict_confusion() -> None:
    one: dict[str, float] = {"n_shown": 4, "n_disputed": 1, "right_judged_right": 1, "wrong_judged_right": 1}
    other: dict[str, float] = {"n_shown": 3, "right_judged_right": 1, "right_judged_wrong": 2}
    metrics = step_metrics([stored("a_0_0", True, 1.0, reward=one), stored("a_1_0", True, 1.0, reward=other)])
    found = {name: value for name, value in metrics.items() if name.startswith("realm/verdicts/")}
    assert found == {
        "realm/verdicts/right_judged_right": 0.5,
        "realm/verdicts/right_judged_wrong": 0.5,
        "realm/verdicts/wrong_judged_right": 1.0,
        "realm/verdicts/wrong_judged_wrong": 0.0,
        "realm/verdicts/missing": pytest.approx(1 / 6),
    }


def test_what_the_trainer_reads_of_a_rollout() -> None:
    found = stored("a-b_7_0", True, 1.0)
    assert (found.uid, found.session, found.row_uid, found.shown, found.shown_steps) == (
        "a-b",
        7,
        "row",
        (2, 0),
        (3, 1),
    )
    assert found.is_right is True
    assert Rollout.from_stored("a_0_0", TAG, {"reward_extra_info": {"acc": 0.0}}).is_right is False
    assert Rollout.from_stored("a_0_0", TAG, {}).is_right is None


def test_first_errors_named_stand_beside_the_best_constant_guess() -> None:
    one: dict[str, float] = {"first_errors": 3, "first_errors_named": 1, "first_errors_guessed": 1.5}
    other: dict[str, float] = {"first_errors": 1, "first_errors_named": 1, "first_errors_guessed": 0.5}
    metrics = step_metrics(
        [
            stored("a_0_0", True, 1.0, reward=one),
            stored("a_1_0", True, 1.0, reward=other),
            stored("a_2_0", False, 1.0),
        ]
    )
    assert (metrics["realm/first_error_acc"], metrics["realm/first_error_guess"]) == (0.5, 0.5)
    assert "realm/first_error_acc" not in step_metrics([stored("a_0_0", True, 1.0)])
