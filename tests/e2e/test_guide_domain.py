"""The domain of docs/add_a_domain.md, installed and trained for two steps from the page's own files."""

import sys
from pathlib import Path

import pytest

from realm_ext.report.scalars import read_scalars
from tests.e2e.stack import Stack, install, realm, rl
from tests.test_docs import REPOSITORY, fences_of

pytestmark = pytest.mark.timeout(1500)


def write_files(folder: Path) -> None:
    """Every file that the page gives."""
    for fence in fences_of(REPOSITORY / "docs" / "add_a_domain.md"):
        if fence.mark.startswith("file: "):
            path = folder / fence.mark.removeprefix("file: ")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(fence.text, encoding="utf-8")


def test_the_domain_of_the_guide_trains(stack: Stack) -> None:
    write_files(stack.folder)
    folder = stack.folder / "triage"
    site = stack.folder / "site"
    stack.must(install(folder, site), 300)
    installed = {"PYTHONPATH": str(site)}
    stack.must([sys.executable, "triage/make_data.py"], 300, **installed)
    data = folder / "data"
    assert "rows 120, bad 0" in stack.must(realm("check", data / "train.parquet"), 300, **installed).out

    model = folder / "init"
    stack.must(realm("demo-model", data / "train.parquet", model, "--hidden", 64, "--layers", 2), 600)
    command = rl(
        folder / "checkpoints",
        model,
        data / "train.parquet",
        data / "val.parquet",
        "realm.schedule.fade_steps=1",
        "trainer.total_training_steps=2",
        "trainer.save_freq=-1",
        "trainer.test_freq=2",
        "trainer.val_before_train=false",
    )
    stack.must(command, 1200, TENSORBOARD_DIR=str(folder / "tensorboard"), **installed)

    series, _ = read_scalars(folder / "tensorboard")
    assert series["training/global_step"].steps == (1, 2)
    for regime in ("guided", "unguided"):
        assert [name for name in series if name.startswith("val-") and f"realm/triage/{regime}" in name]
