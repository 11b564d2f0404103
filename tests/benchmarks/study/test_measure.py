"""What a row takes from the folders of a run."""

from pathlib import Path
from statistics import fmean
from typing import Any

from torch.utils.tensorboard import SummaryWriter

from benchmarks.study import measure


def write_round(folder: Path, steps: int, accuracy: float) -> Path:
    writer = SummaryWriter(str(folder))
    for step in range(1, steps + 1):
        writer.add_scalar("prompt_length/mean", 10.5, step)
        writer.add_scalar("response_length/mean", 4.0, step)
    for step in (0, steps):
        writer.add_scalar("realm/val/unguided_acc", accuracy + step / 10, step)
        writer.add_scalar("realm/val/guided_acc", 0.75, step)
    writer.close()
    return folder


def test_rounds_are_one_training(tmp_path: Path) -> None:
    rounds = [write_round(tmp_path / "a", 2, 0.25), write_round(tmp_path / "b", 3, 0.5)]
    curve, tokens, steps = measure.training(rounds, rollouts_a_step=8)
    assert steps == 5 and tokens == {"prompt": 5 * 84, "response": 5 * 32}
    assert [point[0] for point in curve] == [0, 2, 2, 5]
    assert [round(point[1], 3) for point in curve] == [0.25, 0.45, 0.5, 0.8]
    assert {point[2] for point in curve} == {0.75}
    alone, spent, done = measure.training(rounds[1:], rollouts_a_step=8)
    assert (done, spent["prompt"], alone[0][0]) == (3, 3 * 84, 0)


def test_tokens_of_sft_are_those_of_its_steps_each_counted_once(tmp_path: Path) -> None:
    log = tmp_path / "sft.log"
    line = "Epoch 1/100: 4it/s]step:{} - perf/x:0.8 - train/loss:0.03 - train/global_tokens:{} - train/total_tokens(B):1e-05\n"
    log.write_text(
        "step:9 of something else\n"
        + "".join(line.format(*pair) for pair in ((1, 100), (2, 50), (1, 100), (2, 60)))
    )
    assert measure.sft_tokens(log) == 160


def test_a_tie_of_votes_is_broken_by_hash() -> None:
    def document(index: int, *answers: str) -> dict[str, Any]:
        return {"question": f"q{index}", "gold": "Exact", "routes": [{"answer": a} for a in answers]}

    assert measure.vote([document(0, "Exact", "Irrelevant", "Exact")]) == [1.0]
    assert measure.vote([document(0, "Exact", "Irrelevant", "Irrelevant")]) == [0.0]
    ties = [document(i, "Exact", "Substitute", "Irrelevant") for i in range(600)]
    scores = measure.vote(ties)
    assert set(scores) == {0.0, 1.0} and 0.25 < fmean(scores) < 0.42
    turned = [doc | {"routes": doc["routes"][::-1]} for doc in ties]
    assert measure.vote(turned) == scores, "the order of the routes does not vote"
