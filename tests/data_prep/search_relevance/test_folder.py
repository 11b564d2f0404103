"""The data folder: the same bytes each time, splits without common questions, loadable by `datasets`."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from data_prep.schema import RL_SCHEMA, SFT_SCHEMA
from data_prep.search_relevance.datasets import DistilOptions
from data_prep.search_relevance.folder import Sizes, write_folder
from data_prep.search_relevance.test_set import TEST_ROWS, held_out_rows

SIZES = Sizes(base=40, sft=30, sft_val=5, train=25, val=10)


def ignored(split: str, total: int) -> Callable[[], object]:
    return lambda: None


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data")
    write_folder(path, 5, SIZES, 4, DistilOptions(), ignored)
    return path


def bare_questions(folder: Path, name: str) -> set[str]:
    rows: list[dict[str, Any]] = pq.read_table(folder / f"{name}.parquet").to_pylist()
    texts = [(row.get("messages") or row["prompt"])[0]["content"] for row in rows]
    return {text.partition("Irrelevant?")[0] + "Irrelevant?" for text in texts}


def test_same_bytes_again(folder: Path, tmp_path: Path) -> None:
    write_folder(tmp_path, 5, SIZES, 4, DistilOptions(), ignored)
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {path.name for path in folder.iterdir()}
    assert names == {
        *(f"{name}.parquet" for name in ("base", "sft", "sft_val", "train", "val")),
        "README.md",
        "provenance.json",
    }
    for name in names:
        assert (tmp_path / name).read_bytes() == (folder / name).read_bytes()


def test_splits_share_no_question(folder: Path) -> None:
    names = ("base", "sft", "sft_val", "train", "val")
    questions = {name: bare_questions(folder, name) for name in names}
    questions["test"] = {row["question"] for row in held_out_rows()}
    assert sum(map(len, questions.values())) == len(set().union(*questions.values()))
    assert {name: len(found) for name, found in questions.items()} == {
        "base": 40, "sft": 30, "sft_val": 5, "train": 25, "val": 10, "test": TEST_ROWS,
    }  # fmt: skip


def test_one_schema_for_each_kind(folder: Path) -> None:
    for name in ("train", "val"):
        assert pq.read_schema(folder / f"{name}.parquet") == RL_SCHEMA
    for name in ("base", "sft", "sft_val"):
        assert pq.read_schema(folder / f"{name}.parquet") == SFT_SCHEMA


def test_validation_questions_stand_in_both_regimes(folder: Path) -> None:
    rows = pq.read_table(folder / "val.parquet").to_pylist()
    by_regime = {
        regime: [r["extra_info"]["uid"] for r in rows if r["extra_info"]["regime"] == regime]
        for regime in ("unguided", "guided")
    }
    assert by_regime["unguided"] == by_regime["guided"] and len(by_regime["guided"]) == SIZES.val


def test_datasets_loads_it_offline(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_OFFLINE", True)
    for config, splits in {
        "rl": {"train": 25, "validation": 20},
        "sft": {"train": 30, "validation": 5},
        "base": {"train": 40},
    }.items():
        loaded = datasets.load_dataset(str(folder), config, cache_dir=str(tmp_path))
        assert {name: split.num_rows for name, split in loaded.items()} == splits
    default = datasets.load_dataset(str(folder), cache_dir=str(tmp_path))["train"]
    assert default[0]["extra_info"]["routes"][0]["steps"]


def test_provenance(folder: Path, tmp_path: Path) -> None:
    content = json.loads((folder / "provenance.json").read_text())
    assert content["kept"]["train"] == 25 and content["seed"] == 5
    assert content["teacher"]["kind"] == "program" and len(content["inputs"]["rules.yaml"]) == 64
    assert content["parameters"]["n_sft"] == 30


def test_a_split_without_rows_leaves_no_old_file(tmp_path: Path) -> None:
    write_folder(tmp_path, 5, Sizes(2, 1, 1, 1, 1), 4, DistilOptions(), ignored)
    assert (tmp_path / "sft.parquet").exists()
    written = write_folder(tmp_path, 5, Sizes(2, 0, 1, 1, 1), 4, DistilOptions(), ignored)
    assert not (tmp_path / "sft.parquet").exists()
    assert [file.name for file in written.files] == [
        f"{n}.parquet" for n in ("train", "val", "sft_val", "base")
    ]


def test_a_file_of_the_users_stays(tmp_path: Path) -> None:
    (tmp_path / "sft.parquet").write_bytes(b"mine")
    with pytest.raises(ValueError, match=r"holds sft\.parquet, which realm did not write"):
        write_folder(tmp_path, 5, Sizes(2, 0, 1, 1, 1), 4, DistilOptions(), ignored)
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("sft.parquet", b"mine")]
