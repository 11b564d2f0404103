"""RL is killed with SIGKILL inside a save, resumed with another number of agent workers, merged, evaluated, reported.

One run of the real main_ppo serves all tests here: each looks at another side of it. What it decided is compared with a
run of the same configuration that was never killed. More kill points: test_resume_parity.py (`make test-long`).
"""

import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from realm_ext import traces
from realm_ext.checkpoints import TRACKER, find
from realm_ext.paths import Folder, find_folder
from realm_ext.report.scalars import EventFile, read_event_file, read_scalars
from realm_ext.schedule import build_schedule
from tests.e2e.conftest import Trained, Whole
from tests.e2e.parity import ADAPTIVE, STEPS, Kill, command, decisions, run_until
from tests.e2e.stack import Done, Stack, realm

pytestmark = pytest.mark.timeout(3000)

WHOLE, FADE_STEPS = 2, STEPS * 3 // 4
KILL = Kill(step=4, part="actor/optim_*.pt", delay=0.0)


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
def resumed(stack: Stack, data: Path, trained: Trained, drawn: dict[str, str]) -> Resumed:
    run = stack.folder / "run"
    root = run / "rl" / "checkpoints"
    one, two = (
        command(root, trained.model, data, *ADAPTIVE, "trainer.save_freq=2", workers=workers)
        for workers in (1, 2)
    )
    logs = drawn | {"TENSORBOARD_DIR": str(run / "rl" / "tensorboard")}
    run_until(stack, root, KILL, one, logs)
    assert not (root / f"global_step_{KILL.step}" / "data.pt").exists()
    # A kill between truncating and writing it, which verl does in place, cannot be timed.
    (root / TRACKER).write_text("")
    done = stack.must(two, 900, **logs)
    files = sorted((run / "rl" / "tensorboard").glob("events.*"), key=lambda path: path.stat().st_mtime)
    return Resumed(run, done, [read_event_file(path) for path in files])


def test_it_decides_as_one_that_was_never_killed(resumed: Resumed, never_killed: Whole) -> None:
    assert traces.steps(resumed.checkpoints) == list(range(1, STEPS + 1))
    assert decisions(resumed.checkpoints) == never_killed.decisions


def test_it_says_where_it_resumes_and_why(resumed: Resumed) -> None:
    (line,) = {
        line.partition("ReaLM: ")[2] for line in resumed.done.out.splitlines() if "resuming from" in line
    }
    assert line.startswith(f"resuming from step {WHOLE}, the last whole checkpoint in ")
    assert f"{TRACKER} is empty" in line
    assert f"global_step_{KILL.step} is half written" in line


def test_no_step_is_lost_and_none_is_done_twice(resumed: Resumed) -> None:
    second = resumed.events[-1]
    steps = [step for step, _ in second.points["training/global_step"]]
    assert steps == list(range(WHOLE + 1, STEPS + 1))
    assert second.whole


def test_it_ends_with_the_last_step_whole(resumed: Resumed) -> None:
    found = find(resumed.checkpoints)
    assert (found.step, found.incomplete, found.problems) == (STEPS, (), ())
    kept = {path.name for path in resumed.checkpoints.glob("global_step_*")}
    assert kept == {"global_step_6", "global_step_8"}  # max_actor_ckpt_to_keep: 2
    assert (resumed.checkpoints / TRACKER).read_text() == str(STEPS)
    assert (resumed.checkpoints / f"incomplete_global_step_{KILL.step}").is_dir()


def test_exposure_falls_to_nothing(resumed: Resumed) -> None:
    points = {name: dict(resumed.events[-1].points[f"realm/{name}"]) for name in ("schedule", "exposure")}
    ceiling = build_schedule({"kind": "linear", "fade_steps": FADE_STEPS})
    for step in range(WHOLE + 1, STEPS + 1):
        assert points["schedule"][step] == pytest.approx(ceiling(step))
        assert 0.0 <= points["exposure"][step] <= ceiling(step) + 1e-6
    assert points["exposure"][WHOLE + 1] > 0
    guided = dict(resumed.events[-1].points["realm/guided_share"])
    assert [guided[step] for step in range(FADE_STEPS, STEPS + 1)] == [0.0] * (STEPS - FADE_STEPS + 1)


def test_validation_in_both_regimes(resumed: Resumed) -> None:
    second = resumed.events[-1].points
    for regime in ("guided", "unguided"):
        steps = [step for step, _ in second[f"realm/val/{regime}_acc"]]
        assert steps == [4, 6, STEPS]  # every second step
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
