"""Overlong responses: the punishment by hand, what is left out, and what is refused."""

from typing import Any

import numpy as np
import pytest
from omegaconf import DictConfig, OmegaConf

from realm_ext.advantages import centred, strata_of
from realm_ext.config import WEIGHTS
from realm_ext.overlong import Overlong, overlong_problems, read_overlong


def test_the_punishment_grows_over_the_buffer() -> None:
    """Budget 100, the last 20 tokens: nothing up to 80, half of 0.2 at 90, all of it at 100."""
    found = Overlong(kind="punish").punishments([1, 80, 85, 90, 100], 100)
    assert found == pytest.approx([0.0, 0.0, 0.05, 0.1, 0.2])


def test_daposs_own_values() -> None:
    """Equation 13 of arXiv 2503.14476 with a budget of 20,480 tokens and a buffer of 4,096: -(y - 16,384) / 4,096."""
    found = Overlong(kind="punish", weight=1.0).punishments([16384, 17408, 20480], 20480)
    assert found == pytest.approx([0.0, 0.25, 1.0])


@pytest.mark.parametrize("kind", ["none", "mask"])
def test_other_kinds_take_nothing(kind: str) -> None:
    assert Overlong(kind=kind).punishments([100, 100], 100).tolist() == [0.0, 0.0]


def test_only_what_was_cut_is_left_out_and_only_on_request() -> None:
    assert [Overlong(kind=kind).leaves_out(True) for kind in ("none", "mask", "punish")] == [
        False,
        True,
        False,
    ]
    assert not Overlong(kind="mask").leaves_out(False)


def test_a_rollout_that_is_left_out_changes_nobodys_mean() -> None:
    """A question's three unguided rollouts, right, wrong and cut: as if there were two."""
    uids = ["q", "q", "alone 2"]
    found = centred(np.array([1.0, 0.0, 0.0]), strata_of(uids, [False] * 3, "separate"))
    assert found.tolist() == [1.0, -1.0, 0.0]


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ("mask", "overlong: expected a mapping"),
        ({"kind": "shape"}, "overlong.kind: 'shape' is unknown; use one of none, mask, punish"),
        ({"penalty": 1}, "overlong: unknown key penalty"),
        ({"buffer": 0}, "overlong.buffer: expected a share"),
        ({"buffer": 512}, "overlong.buffer: expected a share"),
        ({"weight": -0.1}, "overlong.weight: expected a number of at least 0"),
        ({"weight": True}, "overlong.weight: expected a number of at least 0"),
    ],
)
def test_bad_options_are_refused(options: Any, text: str) -> None:
    with pytest.raises((TypeError, ValueError), match=text):
        read_overlong(options)


def test_null_is_none_of_it() -> None:
    assert read_overlong(None) == read_overlong({}) == Overlong("none")


def config(estimator: str = "realm_grpo", path: str | None = "pkg://reward_fns") -> DictConfig:
    return OmegaConf.create(
        {
            "algorithm": {"adv_estimator": estimator},
            "reward": {"custom_reward_function": {"path": path}},
        }
    )


def problems(overlong: Overlong, made: DictConfig | None = None) -> list[str]:
    return overlong_problems(made or config(), overlong, WEIGHTS, 4, 0.5)


def test_a_punishment_never_turns_right_and_wrong_round() -> None:
    """Verdict, decisive and format move a score by 0.75, so a punishment below 0.25 leaves a right answer (1.0) ahead."""
    assert problems(Overlong("punish", weight=0.2)) == problems(Overlong("punish", weight=0.249)) == []
    (problem,) = problems(Overlong("punish", weight=0.25))
    assert "a short wrong answer could outrank a long right one" in problem
    assert problems(Overlong("punish", weight=1.0), config(path=None)) == [], (
        "a reward function of the user's own"
    )
    assert problems(Overlong("mask", weight=1.0)) == []


@pytest.mark.parametrize("kind", ["mask", "punish"])
def test_estimators_that_know_nothing_of_it_are_refused(kind: str) -> None:
    (problem,) = problems(Overlong(kind), config("grpo"))
    assert f"realm.overlong.kind={kind}: needs algorithm.adv_estimator=realm_grpo, got grpo" in problem
    assert problems(Overlong(), config("grpo")) == []
