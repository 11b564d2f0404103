"""`realm_grpo` against advantages worked out by hand."""

import itertools

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
    """Guided: 1.4 - (1.2 + 1.0 + 0) / 3 and so on; a right unguided one: 1 - 0, a wrong one: 0 - 1 / 3."""
    found = centred(TOTALS, strata_of(UIDS, GUIDED, "separate"))
    assert found == pytest.approx([2 / 3, 0.4, 0.4 / 3, -1.2, 1.0, -1 / 3, -1 / 3, -1 / 3])


def test_separate_is_outcome_and_process_each_centred_on_their_own() -> None:
    outcome = np.array([1, 1, 1, 0, 1, 0, 0, 0], dtype=float)
    process = np.array([0.4, 0.2, 0, 0, 0, 0, 0, 0])
    by_regime = strata_of(UIDS, GUIDED, "separate")
    process_advantage = np.zeros(8)
    process_advantage[:4] = centred(process[:4], ["q"] * 4)
    assert centred(TOTALS, by_regime) == pytest.approx(centred(outcome, by_regime) + process_advantage)


def test_pool_by_hand() -> None:
    found = centred(TOTALS, strata_of(UIDS, GUIDED, "pool"))
    assert found == pytest.approx(TOTALS - (4.6 - TOTALS) / 7)


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
    """Pooled, a right unguided one earns 1.0 and the seven others (4 * 1.4 + 3 * 1.0) / 7."""
    all_right = np.array([1.4] * 4 + [1.0] * 4)
    assert centred(all_right, strata_of(UIDS, GUIDED, "pool"))[4:] == pytest.approx([1.0 - 8.6 / 7] * 4)
    assert centred(all_right, strata_of(UIDS, GUIDED, "separate")) == pytest.approx([0.0] * 8)


def test_a_stratum_of_one_gets_zero() -> None:
    found = centred(np.array([1.0, 0.0, 1.0]), strata_of(["q"] * 3, [True, True, False], "separate"))
    assert found == pytest.approx([1.0, -1.0, 0.0])


def expected_advantage(total: float, n: int, p: float) -> float:
    """Over all outcomes of the `n` - 1 others, each right (1) with probability `p`."""
    expected = 0.0
    for others in itertools.product((0.0, 1.0), repeat=n - 1):
        chance = p ** sum(others) * (1 - p) ** (n - 1 - sum(others))
        expected += chance * centred(np.array([total, *others]), ["q"] * n)[0]
    return expected


@pytest.mark.parametrize("n", [2, 3, 6, 8])
@pytest.mark.parametrize("p", [0.1, 0.3, 0.5, 0.9])
def test_a_rollout_weighs_the_same_in_a_stratum_of_any_size(n: int, p: float) -> None:
    """E[A | R] = R - mu: a right answer to a question solved one time in ten expects 0.9, whether 2 or 6 are compared."""
    assert expected_advantage(1.0, n, p) == pytest.approx(1 - p)
    assert expected_advantage(0.0, n, p) == pytest.approx(-p)


def test_a_moved_rollout_is_compared_with_those_it_joins_and_counts_among_those_it_left() -> None:
    """Three guided rollouts, the first carried to two unguided ones, one of them right."""
    now = strata_of(["q"] * 5, [False, True, True, False, False], "separate")
    totals = np.array([1.0, 1.0, 0.0, 1.0, 0.0])
    # guided: 1 - (2 + 0) / 2 and 0 - (2 + 1) / 2; unguided: 1 - 0 and 0 - 1; the carried one: 1 - (1 + 0) / 2
    found = centred(totals, now, moved={0: (("q", "guided"), 2.0)})
    assert found == pytest.approx([0.5, 0.0, -1.5, 1.0, -1.0])
    alone = strata_of(["q"] * 2, [False, True], "separate")
    # nobody was sampled unguided, so there is no mean to compare with; guided: 0.5 - 1.5
    assert centred(np.array([1.0, 0.5]), alone, moved={0: (("q", "guided"), 1.5)}) == pytest.approx(
        [0.0, -1.0]
    )


def test_a_moved_rollout_beside_a_single_unguided_one_is_compared_with_it() -> None:
    now = [("q", "unguided")] * 2
    assert centred(np.array([1.0, 0.0]), now, moved={0: (("q", "guided"), 1.5)}) == pytest.approx([1.0, 0.0])


def test_questions_are_apart() -> None:
    found = centred(np.array([1.0, 0.0, 5.0, 3.0]), strata_of(["a", "a", "b", "b"], [False] * 4, "pool"))
    assert found == pytest.approx([1.0, -1.0, 2.0, -2.0])


def test_division_by_std_on_request() -> None:
    found = centred(np.array([1.0, 0.0, 1.0, 0.0]), ["q"] * 4, divide_by_std=True)
    assert found == pytest.approx(np.array([2, -2, 2, -2]) / 3 / np.std([1, 0, 1, 0], ddof=1), rel=1e-5)
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
    assert advantages.tolist() == [[1.0, 1.0, 0.0], [-1.0, -1.0, -1.0], [0.0, 0.0, 0.0]]
    assert torch.equal(advantages, returns)


def test_a_punishment_comes_off_the_total_before_it_is_compared() -> None:
    rewards, mask = torch.tensor([[1.0, 0.0], [0.0, 1.0]]), torch.ones(2, 2)
    rows = strata_of(["q", "q"], [False] * 2, "separate")
    with strata(rows, punishments=np.array([0.0, 0.25])):
        advantages, _ = realm_grpo(rewards, mask, index=np.array(["q", "q"]))
    assert advantages.tolist() == [[0.25, 0.25], [-0.25, -0.25]]


def test_estimator_needs_the_trainer_mode() -> None:
    rewards, mask = torch.zeros(2, 1), torch.ones(2, 1)
    with pytest.raises(ValueError, match="trainer_mode=realm_sync"):
        realm_grpo(rewards, mask, index=np.array(["q", "q"]))
    with strata([("q", "all")]), pytest.raises(ValueError, match="2 rows but knows the regime of 1"):
        realm_grpo(rewards, mask, index=np.array(["q", "q"]))


def test_verl_finds_it() -> None:
    from verl.trainer.ppo.core_algos import get_adv_estimator_fn

    assert get_adv_estimator_fn("realm_grpo") is realm_grpo
