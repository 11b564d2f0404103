"""Never half a file: not after an error, not after a kill; and the card and provenance say what is there."""

import json
import os
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
    check_apart,
    check_ours,
    filling,
    finish_folder,
    hash_file,
    hidden_folder,
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


def fill(folder: Path, *written: str, names: tuple[str, ...] = ("*.parquet",), count: int = 3) -> None:
    """A command that writes these parquet files."""
    with filling(folder, names) as new:
        files = tuple(
            write_parquet(new / name, rows(count), SCHEMA, config="c", split="s") for name in written
        )
        finish_folder(new, CARD, Provenance("realm x", {}, {}, {}, {}, files))


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("out", "given"),
    [
        ("a", "a/x.csv"),
        ("a", "a/b/x.csv"),
        ("a", "a"),
        ("a/b/..", "a/x.csv"),
        ("link", "a/x.csv"),
        ("a", "link/x.csv"),
        ("a", "a/into_c.csv"),
        ("c", "a/into_c.csv"),
        ("a/x.csv", "a/x.csv"),
        ("hard.csv", "a/x.csv"),
        (".", "a/x.csv"),
    ],
)
def test_an_output_that_is_or_holds_an_input_is_refused(
    out: str, given: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for file in ("a/x.csv", "a/b/x.csv", "c/real.csv"):
        Path(file).parent.mkdir(parents=True, exist_ok=True)
        Path(file).write_text("x")
    Path("link").symlink_to("a")
    Path("a/into_c.csv").symlink_to("../c/real.csv")
    Path("hard.csv").hardlink_to("a/x.csv")
    with pytest.raises(ValueError, match="which is read: write to a folder of its own"):
        check_apart(Path(out), Path("elsewhere"), Path(given))
    for apart in ("d", "a/b2", "a/x.csv2", "ab"):
        check_apart(Path(apart), Path("a/x.csv"), Path("a/b"))


@pytest.mark.parametrize("name", ["README.md", "x.parquet", "provenance.json", "rejects.jsonl"])
def test_a_file_that_is_not_ours_stays(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text("{}")
    with pytest.raises(ValueError, match=f"holds {name}, which realm did not write"):
        fill(tmp_path, "x.parquet")
    assert content(tmp_path) == {name: b"{}"}


@pytest.mark.parametrize("name", ["README.md", "x.parquet"])
def test_a_file_of_ours_that_was_changed_stays(name: str, tmp_path: Path) -> None:
    fill(tmp_path, "x.parquet")
    with (tmp_path / name).open("ab") as file:
        file.write(b"mine")
    before = content(tmp_path)
    with pytest.raises(ValueError, match=f"holds {name}, which realm did not write or which was changed"):
        fill(tmp_path, "x.parquet")
    assert content(tmp_path) == before


def test_our_files_are_replaced_and_others_stay(tmp_path: Path) -> None:
    fill(tmp_path, "x.parquet", "old.parquet")
    (tmp_path / "notes.txt").write_text("mine")
    fill(tmp_path, "x.parquet", count=4)
    assert set(content(tmp_path)) == {"README.md", "notes.txt", "provenance.json", "x.parquet"}
    assert pq.read_table(tmp_path / "x.parquet").num_rows == 4


def test_files_of_an_earlier_command_stay_ours(tmp_path: Path) -> None:
    fill(tmp_path, "train.parquet", names=("train.parquet",))
    fill(tmp_path, "test.parquet", names=("test.parquet",))
    assert (tmp_path / "train.parquet").exists()
    fill(tmp_path, "train.parquet", names=("train.parquet",), count=5)
    assert pq.read_table(tmp_path / "train.parquet").num_rows == 5


@pytest.mark.parametrize("there", [True, False])
def test_an_error_changes_nothing(tmp_path: Path, there: bool) -> None:
    folder = tmp_path / "new" / "folder"
    if there:
        fill(folder, "x.parquet")
        write_rejects(folder, [{"row": 1, "reason": "r", "text": "t"}])
    before = content(tmp_path)
    with pytest.raises(RuntimeError), filling(folder, ("*.parquet",)) as new:
        write_parquet(new / "x.parquet", rows(9), SCHEMA, config="c", split="s")
        raise RuntimeError
    assert content(tmp_path) == before
    assert there or list(tmp_path.iterdir()) == []


def test_an_unexpected_name_does_not_replace_a_file(tmp_path: Path) -> None:
    (tmp_path / "other.json").write_text("mine")
    with pytest.raises(ValueError, match=r"holds other\.json"), filling(tmp_path, ("x",)) as new:
        (new / "other.json").write_text("ours")
    assert content(tmp_path) == {"other.json": b"mine"}


def test_what_a_kill_left_is_removed_by_the_next_command_if_it_is_ours(tmp_path: Path) -> None:
    mine = (".x.parquet.part", "x.part", ".x.parquet.abcdefgh.part")
    for name in mine:
        (tmp_path / name).write_text("mine")
    (tmp_path / ".x.parquet.realm-abcdefgh.part").write_text("half")
    (tmp_path / ".new.realm-abcdefgh.part").mkdir()
    (tmp_path / ".new.realm-abcdefgh.part" / "x.parquet").write_text("half")
    with hidden_folder(tmp_path, "alive") as alive, replacing(tmp_path / "y") as file:
        fill(tmp_path, "x.parquet")
        assert alive.is_dir()
        file.write(b"y")
    assert set(content(tmp_path)) == {"README.md", "provenance.json", "x.parquet", "y", *mine}


def test_what_was_being_put_in_place_at_a_kill_is_put_in_place_by_the_next_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(tmp_path, "x.parquet", "y.parquet", "old.parquet")
    replace, placed = os.replace, []

    def dies(source: Path, target: Path) -> None:
        if Path(target).parent == tmp_path:
            placed.append(target)
            if len(placed) == 2:
                raise KeyboardInterrupt
        replace(source, target)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(os, "replace", dies)
        fill(tmp_path, "x.parquet", "y.parquet", count=7)
    assert not (tmp_path / "provenance.json").exists()
    check_ours(tmp_path)
    with pytest.raises(RuntimeError), filling(tmp_path, ("*.parquet",)):
        raise RuntimeError
    assert set(content(tmp_path)) == {"README.md", "provenance.json", "x.parquet", "y.parquet"}
    for name in ("x.parquet", "y.parquet"):
        assert pq.read_table(tmp_path / name).num_rows == 7
    check_ours(tmp_path, ("*.parquet",))
