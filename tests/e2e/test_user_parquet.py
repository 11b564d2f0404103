"""A verl parquet of a user's own, without routes, with a reward file of their own, runs as it is."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from realm_ext.report.scalars import read_scalars
from tests.e2e.conftest import Trained
from tests.e2e.stack import Stack, rl

pytestmark = pytest.mark.timeout(1500)

REWARD = '''"""A user's reward: what verl loads from a file may import by absolute names alone."""

from fractions import Fraction

from reward_fns.response import parse_response


def my_score(data_source, solution_str, ground_truth, extra_info=None, bonus=0.0):
    assert data_source == "mine/sums" and extra_info["note"] == "as it is"
    answered = parse_response(solution_str, 0).answer == ground_truth
    return float(Fraction(1, 4)) + bonus + answered
'''


def write_rows(path: Path, n: int) -> Path:
    """verl's own columns, as in its examples: no agent, no routes."""
    rows = [
        {
            "data_source": "mine/sums",
            "prompt": [{"role": "user", "content": f"What is {i}+{i}?"}],
            "ability": "math",
            "reward_model": {"style": "rule", "ground_truth": str(2 * i)},
            "extra_info": {"index": i, "split": "train", "note": "as it is"},
        }
        for i in range(n)
    ]
    pq.write_table(pa.Table.from_pylist(rows), path)
    return path


def test_a_users_own_parquet_and_reward_run(stack: Stack, trained: Trained) -> None:
    folder = stack.folder / "mine"
    folder.mkdir()
    reward = folder / "my_reward.py"
    reward.write_text(REWARD)
    command = rl(
        folder / "checkpoints",
        trained.model,
        write_rows(folder / "train.parquet", 8),
        write_rows(folder / "val.parquet", 4),
        f"reward.custom_reward_function.path={reward}",
        "reward.custom_reward_function.name=my_score",
        "+reward.custom_reward_function.reward_kwargs.bonus=0.5",
        "realm.schedule.fade_steps=1",
        "trainer.total_training_steps=2",
        "trainer.save_freq=-1",
        "trainer.test_freq=2",
        "trainer.val_before_train=false",
    )
    stack.must(command, 900, TENSORBOARD_DIR=str(folder / "tensorboard"))
    series, _ = read_scalars(folder / "tensorboard")
    assert series["training/global_step"].steps == (1, 2)
    scores = series["critic/score/mean"].values
    assert all(score >= 0.75 and (score * 16) % 1 == 0 for score in scores)
    assert not [name for name in series if name.startswith("realm/guided/")]
    assert set(series["realm/guided_share"].values) == {0.0}
    assert [name for name in series if name.startswith("val-") and "mine/sums" in name]
