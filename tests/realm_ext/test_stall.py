"""Steps without anything to learn: which count, when it is said, and that it is said once."""

import pytest

from realm_ext.rollout_metrics import Rollout
from realm_ext.stall import EXAMPLE_CHARS, Stall, Watch, advice

LIMIT = 8


def rollout(session: int, score: float | None, well_formed: bool = True, length: int = 4) -> Rollout:
    reward = {"format": float(well_formed)} | ({} if score is None else {"score": score})
    extra = {"exposure": 0.5, "reward_extra_info": reward}
    return Rollout.from_stored(f"u_{session}_0", {"response_len": length}, extra)


GOOD = [rollout(0, 1.0), rollout(1, 0.0)]
ALIKE = [rollout(0, 1.0), rollout(1, 1.0)]
MALFORMED = [rollout(0, 0.1, False), rollout(1, 0.0, False)]
TRUNCATED = [rollout(0, 0.0, False, LIMIT), rollout(1, 0.0, False, LIMIT)]
ONE_GROUP = ["g", "g"]


def said(watch: Watch, *steps: list[Rollout]) -> list[Stall | None]:
    return [watch.step(step, ONE_GROUP) for step in steps]


@pytest.mark.parametrize(
    ("step", "stall"),
    [(ALIKE, Stall.ALIKE), (MALFORMED, Stall.MALFORMED), (TRUNCATED, Stall.TRUNCATED)],
)
def test_three_in_a_row_are_said_once(step: list[Rollout], stall: Stall) -> None:
    assert said(Watch(3, LIMIT), *[step] * 7) == [None, None, stall, None, None, None, None]


def test_a_step_with_something_to_learn_starts_the_count_anew() -> None:
    assert said(Watch(2, LIMIT), ALIKE, GOOD, ALIKE, MALFORMED, ALIKE) == [None] * 5
    assert said(Watch(2, LIMIT), ALIKE, GOOD, ALIKE, ALIKE)[-1] is Stall.ALIKE


def test_nothing_is_said_where_it_is_off_or_a_step_is_empty() -> None:
    assert said(Watch(0, LIMIT), *[MALFORMED] * 4) == [None] * 4
    assert said(Watch(1, LIMIT), []) == [None]


def test_rollouts_are_compared_within_their_stratum() -> None:
    """Guided ones earn 1, unguided ones 0: as one group they differ, as two strata neither does."""
    rollouts = [rollout(0, 1.0), rollout(1, 1.0), rollout(2, 0.0), rollout(3, 0.0)]
    assert Watch(1, LIMIT).step(rollouts, ["a", "a", "b", "b"]) is Stall.ALIKE
    assert Watch(1, LIMIT).step(rollouts, ["a", "a", "a", "a"]) is None


def test_a_reward_without_these_numbers_tells_nothing() -> None:
    untold = [Rollout.from_stored("u_0_0", {"response_len": 4}, {})] * 2
    assert said(Watch(1, LIMIT), untold) == [None]


def test_one_good_rollout_is_enough() -> None:
    assert said(Watch(1, LIMIT), [*MALFORMED, rollout(2, 1.0)][1:]) == [None]
    assert said(Watch(1, LIMIT), [TRUNCATED[0], rollout(1, 1.0)]) == [None]


def test_the_warning_shows_the_end_of_a_response_and_what_helps() -> None:
    text = advice(Stall.MALFORMED, 3, 6, "a" * 1000 + "the end")
    assert "for 3 steps in a row, up to step 6, every rollout was malformed" in text
    assert "the end'" in text and "..." in text and len(text) < EXAMPLE_CHARS + 500
    assert "SFT" in text and "realm.warn_after=0" in text
    assert "\n" not in advice(Stall.ALIKE, 3, 6, "two\nlines")
