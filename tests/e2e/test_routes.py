"""The route bank on the real stack: sampled with vLLM from a checkpoint, labelled, composed, and fit to train on."""

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from data_prep.routes.bank import bank_files, read_bank
from data_prep.routes.fingerprint import writer_of
from data_prep.routes.sampling import read_footer
from tests.e2e.stack import Stack, realm

pytestmark = pytest.mark.timeout(900)
QUESTIONS, N = 12, 4


@pytest.fixture(scope="module")
def model(stack: Stack, data: Path) -> Path:
    """A demo model that has learned the grammar, and labels at random: right and wrong routes."""
    folder = stack.folder / "grammar"
    size = ("--hidden", 64, "--layers", 2, "--steps", 120)
    stack.must(realm("demo-model", data / "base.parquet", folder, *size), 600)
    return folder


def test_from_a_checkpoint_to_composed_rows(stack: Stack, data: Path, init: Path, model: Path) -> None:
    bank, composed = stack.folder / "bank", stack.folder / "composed"
    options = ("--model", model, "--n", N, "--limit", QUESTIONS, "--max-tokens", 160)
    out = stack.must(realm("routes", "sample", data / "train.parquet", bank, *options), 600).out
    assert f"asked\t{QUESTIONS * N}\treused\t0\t" in out
    shards = bank_files(bank)
    replies = [reply for shard in shards for reply in read_footer(shard)["replies"]]
    assert len({(uid, sample) for uid, sample, _ in replies}) == len(replies) == QUESTIONS * N
    rows = list(read_bank(bank))
    assert len(rows) == sum(outcome == "route" for *_, outcome in replies) > 0
    assert {row["writer"] for row in rows} == {writer_of(model)} and all(row["steps"] for row in rows)
    assert json.loads((bank / "provenance.json").read_text())["kept"]["routes"] == len(rows)

    again = stack.must(realm("routes", "sample", data / "train.parquet", bank, *options), 300).out
    assert f"asked\t0\treused\t{QUESTIONS * N}\t" in again

    labelled = stack.must(realm("routes", "label", bank, "--student", init), 120).out
    assert "turned right\t0" in labelled and f"stale\t{len(rows)}" in labelled
    assert "stale\t0" in stack.must(realm("routes", "label", bank, "--student", model), 120).out

    stack.must(realm("routes", "select", bank, data / "train.parquet", composed, "--k", 3), 120)
    table = pq.read_table(composed / "train.parquet").to_pylist()
    assert len(table) == pq.read_metadata(data / "train.parquet").num_rows
    assert sum(bool(row["extra_info"]["routes"]) for row in table) == len({row["uid"] for row in rows})
    stack.must(realm("check", composed / "train.parquet"), 120)
    stats = stack.must(realm("routes", "stats", bank), 120).out
    assert f"{len(rows)}" in stats and "student" in stats
