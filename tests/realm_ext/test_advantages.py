"""`realm_grpo` against advantages worked out by hand."""

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf

from realm_ext.advantages import centred, realm_grpo, strata, strata_of

# One question, four guided (three right, with process credit) and four unguided (one right) rollouts.
UIDS = ["q"] * 8
GUIDED = [True] * 4 + [False] * 4
TOTALS = np.array([1.4, 1.2, 1.0, 0.0, 1.0, 0.0, 0.0, 0.0])


def test_separate_by_hand() -> None:
    found = centred(TOTALS, strata_of(UIDS, GUIDED, "separate"))
    assert found == pytest.approx([0.5, 0.3, 0.1, -0.9, 0.75, -0.25, -0.25, -0.25])


def test_separate_is_outcome_and_process_each_centred_on_their_own() -> None:
    outcome = np.array([1, 1, 1, 0, 1, 0, 0, 0], dtype=float)
    process = np.array([0.4, 0.2, 0, 0, 0, 0, 0, 0])
    by_regime = strata_of(UIDS, GUIDED, "separate")
    process_advantage = np.zeros(8)
    process_advantage[:4] = process[:4] - process[:4].mean()
    assert centred(TOTALS, by_regime) == pytest.approx(centred(outcome, by_regime) + process_advantage)


def test_pool_by_hand() -> None:
    found = centred(TOTALS, strata_of(UIDS, GUIDED, "pool"))
    assert found == pytest.approx(TOTALS - 4.6 / 8)


@pytest.mark.parametrize(("p_guided", "p_unguided"), [(0.9, 0.3), (0.7, 0.7), (1.0, 1.0)])
def test_over_many_questions_pooling_takes_from_right_unguided_answers(
    p_guided: float, p_unguided: float
) -> None:
    """A simulation: `separate` never pushes one down, `pool` pays each less (see benchmarks/bench_pooling.py)."""
    draw = np.random.default_rng(0)
    right = draw.random((2000, 8)) < np.repeat([p_guided, p_unguided], 4)
    process = draw.random((2000, 8)) * np.repeat([0.4, 0.0], 4)
    totals = (right + process).ravel()
    uids = [str(i) for i in range(2000) for _ in range(8)]
    kept = right.ravel() & ~np.tile(GUIDED, 2000)
    found = {
        kind: centred(totals, strata_of(uids, GUIDED * 2000, kind))[kept] for kind in ("separate", "pool")
    }
    assert found["separate"].min() >= 0
    assert found["pool"].min() < 0
    assert found["pool"].mean() < found["separate"].mean() - 0.05


def test_pooling_punishes_right_unguided_answers_and_separate_does_not() -> None:
    all_right = np.array([1.4] * 4 + [1.0] * 4)
    assert centred(all_right, strata_of(UIDS, GUIDED, "pool"))[4:] == pytest.approx([-0.2] * 4)
    assert centred(all_right, strata_of(UIDS, GUIDED, "separate")) == pytest.approx([0.0] * 8)


def test_a_stratum_of_one_gets_zero() -> None:
    found = centred(np.array([1.0, 0.0, 1.0]), strata_of(["q"] * 3, [True, True, False], "separate"))
    assert found == pytest.approx([0.5, -0.5, 0.0])


def test_a_moved_rollout_is_compared_with_those_it_joins_and_counts_among_those_it_left() -> None:
    """Three guided rollouts, the first carried to two unguided ones, one of them right."""
    now = strata_of(["q"] * 5, [False, True, True, False, False], "separate")
    totals = np.array([1.0, 1.0, 0.0, 1.0, 0.0])
    found = centred(totals, now, moved={0: (("q", "guided"), 2.0)})
    assert found == pytest.approx([0.5, 0.0, -1.0, 0.5, -0.5])
    alone = strata_of(["q"] * 2, [False, True], "separate")
    assert centred(np.array([1.0, 0.5]), alone, moved={0: (("q", "guided"), 1.5)}) == pytest.approx(
        [0.0, -0.5]
    )


def test_a_moved_rollout_beside_a_single_unguided_one_is_compared_with_it() -> None:
    now = [("q", "unguided")] * 2
    assert centred(np.array([1.0, 0.0]), now, moved={0: (("q", "guided"), 1.5)}) == pytest.approx([1.0, 0.0])


def test_questions_are_apart() -> None:
    found = centred(np.array([1.0, 0.0, 5.0, 3.0]), strata_of(["a", "a", "b", "b"], [False] * 4, "pool"))
    assert found == pytest.approx([0.5, -0.5, 1.0, -1.0])


def test_division_by_std_on_request() -> None:
    found = centred(np.array([1.0, 0.0, 1.0, 0.0]), ["q"] * 4, divide_by_std=True)
    assert found == pytest.approx(np.array([0.5, -0.5, 0.5, -0.5]) / np.std([1, 0, 1, 0], ddof=1), rel=1e-5)
    assert centred(np.ones(3), ["q"] * 3, divide_by_std=True) == pytest.approx([0.0] * 3)


def test_lengths_must_agree() -> None:
    with pytest.raises(ValueError, match="2 totals but 1 strata"):
        centred(np.ones(2), ["q"])


def test_estimator_spreads_over_the_response_and_skips_padding() -> None:
    rewards = torch.tensor([[0.0, 1.0, 0.0], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
    mask = torch.tensor([[1, 1, 0], [1, 1, 1], [0, 0, 0]])
    config = OmegaConf.create({"norm_adv_by_std_in_grpo": False})
    with strata(strata_of(["q", "q", "padding 2"], [False] * 3, "separate")):
        advantages, returns = realm_grpo(rewards, mask, index=np.array(["q", "q", "p"]), config=config)
    assert advantages.tolist() == [[0.5, 0.5, 0.0], [-0.5, -0.5, -0.5], [0.0, 0.0, 0.0]]
    assert torch.equal(advantages, returns)


def test_estimator_needs_the_trainer_mode() -> None:
    rewards, mask = torch.zeros(2, 1), torch.ones(2, 1)
    with pytest.raises(ValueError, match="trainer_mode=realm_sync"):
        realm_grpo(rewards, mask, index=np.array(["q", "q"]))
    with strata([("q", "all")]), pytest.raises(ValueError, match="2 rows but knows the regime of 1"):
        realm_grpo(rewards, mask, index=np.array(["q", "q"]))


def test_verl_finds_it() -> None:
    from verl.trainer.ppo.core_algos import get_adv_estimator_fn

    assert get_adv_estimator_fn("realm_grpo") is realm_grpo
