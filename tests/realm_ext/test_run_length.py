"""Steps, epochs and rows: a run does not end early without a word."""

from typing import Any

import pytest
from omegaconf import DictConfig, OmegaConf

from realm_ext.run_length import length_problems, training_steps


def config(steps: int | None, epochs: Any, batch: int = 128) -> DictConfig:
    return OmegaConf.create(
        {
            "data": {"train_batch_size": batch},
            "trainer": {"total_training_steps": steps, "total_epochs": epochs},
        }
    )


def test_epochs_that_end_a_run_early_are_refused() -> None:
    """300 rows in batches of 128 are 2 steps an epoch: 100 epochs end at step 200 of 250; 125 are needed."""
    (problem,) = length_problems(config(250, 100), 300)
    assert (
        "trainer.total_epochs=100 would end the run at step 200 of trainer.total_training_steps=250"
        in problem
    )
    assert "raise total_epochs to 125" in problem
    assert length_problems(config(250, 125), 300) == []
    assert length_problems(config(250, 100), 384) == []


def test_fewer_rows_than_a_batch_are_refused() -> None:
    for steps, epochs in ((250, 100), (None, 3)):
        (problem,) = length_problems(config(steps, epochs), 127)
        assert "127 rows, fewer than data.train_batch_size=128" in problem


@pytest.mark.parametrize("rows", [128, 200, 100_000])
def test_as_many_epochs_as_steps_are_always_enough(rows: int) -> None:
    """What the recipes say."""
    assert length_problems(config(250, "${trainer.total_training_steps}"), rows) == []


def test_neither_is_refused() -> None:
    (problem,) = length_problems(config(None, "${trainer.total_training_steps}"), 200)
    assert "both null" in problem


def test_epochs_alone_decide() -> None:
    assert length_problems(config(None, 3), 300) == []
    assert training_steps(config(None, 3), 300) == 6
    assert training_steps(config(None, 3), None) is None
    assert training_steps(config(7, 3), None) == 7


def test_an_unknown_number_of_rows_is_left_to_the_trainer() -> None:
    assert length_problems(config(250, 1), None) == []
