"""Never half a file: not after an error, not after a kill; and the card and provenance say what is there."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from data_prep.outputs import (
    Card,
    Provenance,
    finish_folder,
    hash_file,
    replacing,
    start_folder,
    write_parquet,
    write_rejects,
)

SCHEMA = pa.schema([("a", pa.int64())])
CARD = Card("Title", "What it is.", "mit", tags=("t",), warning="Careful.")

SLOW_WRITER = """
import sys, time
from pathlib import Path
from data_prep.outputs import start_folder, write_parquet
import pyarrow as pa

def rows():
    for i in range(1_000_000):
        yield {"a": i}
        if i == 5_000:
            print("half", flush=True)
            time.sleep(60)

start_folder(Path(sys.argv[1]))
write_parquet(Path(sys.argv[1]) / "x.parquet", rows(), pa.schema([("a", pa.int64())]), config="c", split="s")
"""


def rows(n: int) -> Iterator[dict[str, Any]]:
    return ({"a": i} for i in range(n))


def test_parquet_in_chunks(tmp_path: Path) -> None:
    path = tmp_path / "new" / "x.parquet"
    written = write_parquet(path, rows(3000), SCHEMA, config="c", split="s")
    assert pq.read_table(path)["a"].to_pylist() == list(range(3000))
    assert (written.name, written.rows, written.sha256) == ("x.parquet", 3000, hash_file(path))
    assert [p.name for p in path.parent.iterdir()] == ["x.parquet"]
    assert pq.read_schema(write_empty(tmp_path)) == SCHEMA


def write_empty(folder: Path) -> Path:
    write_parquet(folder / "empty.parquet", [], SCHEMA, config="c", split="s")
    return folder / "empty.parquet"


@pytest.mark.parametrize("bad", [{"a": 1, "b": 2}, {}, {"a": "text"}])
def test_an_error_leaves_the_old_file(tmp_path: Path, bad: dict[str, Any]) -> None:
    path = tmp_path / "x.parquet"
    write_parquet(path, rows(5), SCHEMA, config="c", split="s")
    before = path.read_bytes()
    with pytest.raises((ValueError, pa.ArrowException)):
        write_parquet(path, [*rows(2000), bad], SCHEMA, config="c", split="s")
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["x.parquet"]


def test_wrong_columns_name_the_row(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"row 1500 for x.parquet has the columns b; expected a"):
        write_parquet(tmp_path / "x.parquet", [*rows(1500), {"b": 1}], SCHEMA, config="c", split="s")


def test_interrupt_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), replacing(tmp_path / "x") as file:
        file.write(b"half")
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


def test_a_kill_leaves_no_file_of_that_name_and_no_provenance(tmp_path: Path) -> None:
    finish_folder(tmp_path, CARD, Provenance("c", {}, {}, {}, {}, ()))
    with subprocess.Popen(
        [sys.executable, "-c", SLOW_WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "half\n"
        process.send_signal(signal.SIGKILL)
    assert not (tmp_path / "x.parquet").exists()
    assert not (tmp_path / "provenance.json").exists()
    write_parquet(tmp_path / "x.parquet", rows(3), SCHEMA, config="c", split="s")
    assert pq.read_table(tmp_path / "x.parquet").num_rows == 3


def test_card_and_provenance(tmp_path: Path) -> None:
    start_folder(tmp_path)
    files = tuple(
        write_parquet(tmp_path / f"{name}.parquet", rows(n), SCHEMA, config=config, split=name)
        for name, n, config in (("train", 3, "rl"), ("validation", 2, "rl"), ("other", 1, "sft"))
    )
    provenance = Provenance(
        "realm prep x OUT",
        {"n_train": 3},
        {"in": "ab"},
        {"train": 3},
        {"bad": 1},
        files,
        seed=4,
        notes=("A note.",),
    )
    finish_folder(tmp_path, CARD, provenance)
    content = json.loads((tmp_path / "provenance.json").read_text())
    assert (content["seed"], content["kept"], content["dropped"]) == (4, {"train": 3}, {"bad": 1})
    assert content["files"][0]["sha256"] == hash_file(tmp_path / "train.parquet")
    _, header, body = (tmp_path / "README.md").read_text().split("---\n", 2)
    metadata = yaml.safe_load(header)
    assert metadata["license"] == "mit"
    assert [c["config_name"] for c in metadata["configs"]] == ["rl", "sft"]
    assert metadata["configs"][0]["default"] and "default" not in metadata["configs"][1]
    for text in (
        "**Careful.**",
        "| `train.parquet` | `rl` | `train` | 3 |",
        "| dropped: bad | 1 |",
        "A note.",
    ):
        assert text in body
    assert "`realm prep x OUT --n-train 3`" in body


def test_rejects_survive_odd_text_and_go_with_the_next_run(tmp_path: Path) -> None:
    write_rejects(
        tmp_path, [{"row": 1, "reason": "r", "text": "ü \ud800"}, {"row": 2, "reason": "r", "text": "b"}]
    )
    lines = (tmp_path / "rejects.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["row"] for line in lines] == [1, 2]
    start_folder(tmp_path)
    assert not (tmp_path / "rejects.jsonl").exists()


def test_files_are_as_readable_as_others(tmp_path: Path) -> None:
    (tmp_path / "plain").write_text("")
    with replacing(tmp_path / "x") as file:
        file.write(b"1")
    assert (tmp_path / "x").stat().st_mode == (tmp_path / "plain").stat().st_mode
