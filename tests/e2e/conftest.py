"""What the end-to-end tests share: a short private folder, a little data, a demo model trained for a few steps."""

import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from realm_ext.accelerator import accelerator_present
from tests.e2e.parity import ADAPTIVE, SITECUSTOMIZE, Decisions, command, decisions
from tests.e2e.stack import Done, Stack, realm, sft

SFT_STEPS = 8


@dataclass(frozen=True)
class Trained:
    """The Hugging Face folder that verl's SFT trainer wrote, and how its command ended."""

    model: Path
    done: Done


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    """Skips without the training stack, and where a GPU would make verl take another path."""
    for name in ("verl", "vllm", "ray"):
        pytest.importorskip(name)
    if accelerator_present():
        pytest.skip("runs the CPU recipes; this machine has an accelerator")
    # pytest's own temporary folders are too long: the path of a Unix socket below it has to stay under 108 bytes
    folder = Path(tempfile.mkdtemp(prefix="rl"))
    running = Stack(folder)
    yield running
    running.end_all()
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def data(stack: Stack) -> Path:
    """A folder of `realm prep`: a few dozen rows of each split."""
    folder = stack.folder / "data"
    sizes = {"base": 200, "sft": 160, "sft-val": 8, "train": 48, "val": 8}
    options = [option for name, size in sizes.items() for option in (f"--n-{name}", size)]
    stack.must(realm("prep", "search-relevance", folder, *options, "--routes", 3), 300)
    return folder


@pytest.fixture(scope="session")
def init(stack: Stack, data: Path) -> Path:
    """A small demo model with random weights."""
    folder = stack.folder / "init"
    stack.must(realm("demo-model", data / "base.parquet", folder, "--hidden", 64, "--layers", 2), 300)
    return folder


@pytest.fixture(scope="session")
def trained(stack: Stack, data: Path, init: Path) -> Trained:
    """The demo model after a few steps of verl's SFT trainer: it still answers badly, but loads anywhere."""
    out = stack.folder / "sft"
    done = stack.must(sft(out, init, data / "sft.parquet", SFT_STEPS), 600)
    return Trained(out / f"global_step_{SFT_STEPS}" / "huggingface", done)


@pytest.fixture(scope="session")
def drawn(stack: Stack) -> dict[str, str]:
    """Environment in which the reward is drawn by hash, see `tests.e2e.parity`."""
    folder = stack.folder / "drawn"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(SITECUSTOMIZE)
    return {"PYTHONPATH": str(folder)}


@dataclass(frozen=True)
class Whole:
    """What a run with adaptive exposure decided that was never killed, and its TensorBoard folder."""

    decisions: Decisions
    tensorboard: Path


@pytest.fixture(scope="session")
def never_killed(stack: Stack, data: Path, trained: Trained, drawn: dict[str, str]) -> Whole:
    """One run for every test that compares an interrupted run with one that was not."""
    root, logs = stack.folder / "never_killed", stack.folder / "never_killed_logs"
    run = command(root, trained.model, data, *ADAPTIVE, "trainer.save_freq=-1", workers=1)
    stack.must(run, 900, **drawn, TENSORBOARD_DIR=str(logs))
    return Whole(decisions(root), logs)
