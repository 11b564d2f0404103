"""RL is killed with SIGKILL in the middle, left as a kill while saving leaves it, resumed, merged, evaluated, reported.

One run of the real main_ppo serves all tests here: each looks at another side of it.
"""

import os
import shutil
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from realm_ext.checkpoints import MARKER, TRACKER, find
from realm_ext.paths import Folder, find_folder
from realm_ext.report.scalars import EventFile, read_event_file, read_scalars
from tests.e2e.conftest import Trained
from tests.e2e.stack import Done, Stack, realm, rl

pytestmark = pytest.mark.timeout(3000)

STEPS, FADE_STEPS, KILLED_AFTER, TORN = 6, 4, 2, 4


@dataclass(frozen=True)
class Resumed:
    """A run folder as `realm report` reads it, the killed attempt's metrics and how the second attempt ended."""

    run: Path
    done: Done
    events: list[EventFile]

    @property
    def checkpoints(self) -> Path:
        return self.run / "rl" / "checkpoints"


@pytest.fixture(scope="module")
def resumed(stack: Stack, data: Path, trained: Trained) -> Resumed:
    run = stack.folder / "run"
    root = run / "rl" / "checkpoints"
    command = rl(
        root,
        trained.model,
        data / "train.parquet",
        data / "val.parquet",
        "realm.schedule.kind=linear",
        f"realm.schedule.fade_steps={FADE_STEPS}",
        f"trainer.total_training_steps={STEPS}",
        "trainer.save_freq=2",
        "trainer.test_freq=3",
    )
    logs = {"TENSORBOARD_DIR": str(run / "rl" / "tensorboard")}

    process = stack.start(command, **logs)
    try:
        whole = root / f"global_step_{KILLED_AFTER}" / MARKER
        stack.wait_for(process, whole.exists, 900)
        stack.wait_for(process, lambda: f"step:{KILLED_AFTER} - " in stack.printed(process), 300)
        os.killpg(process.pid, signal.SIGKILL)
        assert process.wait(60) == -signal.SIGKILL
        # Ray's own processes are in other groups: left alone, they would go on writing beside the resumed run
        end = time.monotonic() + 120
        while still := stack.running():
            assert time.monotonic() < end, f"outlived the kill: {still}"
            time.sleep(0.5)
    finally:
        stack.end(process)
    leave_as_killed_while_saving(root)

    done = stack.must(command, 900, **logs)
    files = sorted((run / "rl" / "tensorboard").glob("events.*"), key=lambda path: path.stat().st_mtime)
    return Resumed(run, done, [read_event_file(path) for path in files])


def leave_as_killed_while_saving(root: Path) -> None:
    """verl truncates its tracker before it writes it; a checkpoint's files come one after the other."""
    (root / TRACKER).write_text("")
    whole, half = (root / f"global_step_{step}" for step in (KILLED_AFTER, TORN))
    shutil.rmtree(half, ignore_errors=True)
    shutil.copytree(whole, half)
    (half / MARKER).unlink()
    (half / "data.pt").unlink()
    weights = max((half / "actor").iterdir(), key=lambda path: path.stat().st_size)
    weights.write_bytes(weights.read_bytes()[: weights.stat().st_size // 2])


def test_it_says_where_it_resumes_and_why(resumed: Resumed) -> None:
    (line,) = {
        line.partition("ReaLM: ")[2] for line in resumed.done.out.splitlines() if "resuming from" in line
    }
    assert line.startswith(f"resuming from step {KILLED_AFTER}, the last whole checkpoint in ")
    assert f"{TRACKER} is empty" in line
    assert f"global_step_{TORN} is half written" in line


def test_no_step_is_lost_and_none_is_done_twice(resumed: Resumed) -> None:
    second = resumed.events[-1]
    steps = [step for step, _ in second.points["training/global_step"]]
    assert steps == list(range(KILLED_AFTER + 1, STEPS + 1))
    assert second.whole


def test_it_ends_with_the_last_step_whole(resumed: Resumed) -> None:
    found = find(resumed.checkpoints)
    assert (found.step, found.incomplete, found.problems) == (STEPS, (), ())
    kept = {path.name for path in resumed.checkpoints.glob("global_step_*")}
    assert kept == {"global_step_4", "global_step_6"}  # max_actor_ckpt_to_keep: 2
    assert (resumed.checkpoints / TRACKER).read_text() == str(STEPS)
    assert (resumed.checkpoints / f"incomplete_global_step_{TORN}").is_dir()


def test_exposure_falls_to_nothing(resumed: Resumed) -> None:
    found = dict(resumed.events[-1].points["realm/exposure"])
    assert found[KILLED_AFTER + 1] == pytest.approx(1 - (KILLED_AFTER + 1) / FADE_STEPS, abs=0.01)
    assert [found[step] for step in range(FADE_STEPS, STEPS + 1)] == [0.0] * (STEPS - FADE_STEPS + 1)
    guided = dict(resumed.events[-1].points["realm/guided_share"])
    assert [guided[step] for step in range(FADE_STEPS, STEPS + 1)] == [0.0] * (STEPS - FADE_STEPS + 1)


def test_validation_in_both_regimes(resumed: Resumed) -> None:
    second = resumed.events[-1].points
    for regime in ("guided", "unguided"):
        steps = [step for step, _ in second[f"realm/val/{regime}_acc"]]
        assert steps == [KILLED_AFTER, 3, STEPS]  # before training, then every third step
    for step, gap in second["realm/val/gap"]:
        of = {regime: dict(second[f"realm/val/{regime}_acc"])[step] for regime in ("guided", "unguided")}
        assert gap == pytest.approx(of["guided"] - of["unguided"])


def test_metrics_of_both_attempts_are_one_curve(resumed: Resumed) -> None:
    """What was measured up to the checkpoint survives the kill: the resumed run does not measure it again."""
    series, _ = read_scalars(resumed.run / "rl" / "tensorboard")
    assert series["realm/exposure"].steps == tuple(range(1, STEPS + 1))


@pytest.fixture(scope="module")
def merged(stack: Stack, resumed: Resumed) -> Path:
    target = resumed.run / "rl" / "huggingface"
    local = resumed.checkpoints / f"global_step_{STEPS}" / "actor"
    command = [
        *(sys.executable, "-m", "verl.model_merger", "merge", "--backend", "fsdp"),
        *("--local_dir", str(local), "--target_dir", str(target)),
    ]
    stack.must(command, 300)
    return target


def test_the_checkpoint_merges_to_a_model_that_loads(merged: Path, trained: Trained) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    before = AutoModelForCausalLM.from_pretrained(trained.model)
    model, tokenizer = AutoModelForCausalLM.from_pretrained(merged), AutoTokenizer.from_pretrained(merged)
    assert {k: v.shape for k, v in model.state_dict().items()} == {
        k: v.shape for k, v in before.state_dict().items()
    }
    ids = tokenizer("<|im_start|>user\nwho?<|im_end|>\n", return_tensors="pt")["input_ids"]
    assert torch.isfinite(model(ids).logits).all()


def test_the_model_is_evaluated_and_reported(stack: Stack, resumed: Resumed, merged: Path) -> None:
    evaluate = [
        *(sys.executable, "-m", "lm_eval", "run", "--model", "hf", "--device", "cpu"),
        *("--model_args", f"pretrained={merged},dtype=float32", "--batch_size", "8", "--limit", "8"),
        *("--tasks", "realm_search_relevance,realm_search_relevance_guided"),
        *("--include_path", str(find_folder(Folder.EVAL_TASKS)), "--apply_chat_template"),
        *("--gen_kwargs", "max_gen_toks=32"),
        *("--output_path", str(resumed.run / "eval" / "rl"), "--log_samples"),
    ]
    stack.must(evaluate, 600)
    printed = stack.must(realm("report", resumed.run), 300).out
    assert "guided" in printed and "unguided" in printed
    page = (resumed.run / "report" / "index.html").read_text(encoding="utf-8")
    assert "exposure" in page.lower() and "<svg" in page.lower() or "<img" in page.lower()
    pictures = {path.stem for path in (resumed.run / "report").glob("*.png")}
    assert len(pictures) >= 5, pictures
