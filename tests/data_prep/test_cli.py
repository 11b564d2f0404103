"""`realm prep`: it writes its folder, prints what it kept and dropped, and its help has an example."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from data_prep.cli import prep
from data_prep.sources import SOURCES

SMALL = ["--n-base=6", "--n-sft=8", "--n-sft-val=2", "--n-train=5", "--n-val=3"]


def test_search_relevance(tmp_path: Path) -> None:
    result = CliRunner().invoke(prep, ["search-relevance", str(tmp_path / "out"), *SMALL])
    assert result.exit_code == 0, result.output
    assert f"kept\t6\t{tmp_path / 'out' / 'val.parquet'}" in result.stdout
    assert (tmp_path / "out" / "provenance.json").exists()


def test_gsm8k_routes_says_smoke_run_only(tmp_path: Path) -> None:
    line = '{"question": "1+1?", "ground_truth": "A: 2", "m": {"solution": "s\\nA: 2", "is_correct": true}}\n'
    (tmp_path / "in.jsonl").write_text(line + "x\n")
    result = CliRunner().invoke(prep, ["gsm8k-routes", str(tmp_path / "in.jsonl"), str(tmp_path / "out")])
    assert result.exit_code == 0, result.output
    assert "smoke run only, never a result" in " ".join(result.stderr.split())
    assert "dropped\t1\trow: not JSON" in result.stdout
    assert "note\t0 of 1 labels differ" in result.stdout


def test_table(tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text("text,label\nq1,yes\nq2,no\n")
    base = ["table", str(tmp_path / "in.csv"), str(tmp_path / "out"), "--map", "question=text,gold=label"]
    result = CliRunner().invoke(prep, [*base, "--domain", "logic", "--licence", "mit"])
    assert result.exit_code == 0, result.output
    assert f"kept\t2\t{tmp_path / 'out' / 'train.parquet'}" in result.stdout
    assert "license: mit" in (tmp_path / "out" / "README.md").read_text()
    for wrong in ("nonsense", "no.such.module"):
        result = CliRunner().invoke(prep, [*base, "--domain", wrong])
        assert result.exit_code == 1 and wrong in result.stderr and "Traceback" not in result.output


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("given", "out", "message"),
    [
        ("data/train.csv", "data", "holds data/train.csv, which is read"),
        ("data", "data", "is data, which is read"),
        ("data/train.csv", ".", "holds data/train.csv, which is read"),
        ("data/train.csv", "link", "holds data/train.csv, which is read"),
        ("data", "data/out", "lies in data, all of which is read"),
        ("../outside.csv", ".", "holds README.md, which realm did not write"),
        ("../outside.csv", "files", "holds train.parquet, which realm did not write"),
        ("../outside.csv", "done", "no column nope; the columns are text, label"),
        ("../outside.csv", "other", "no column nope; the columns are text, label"),
    ],
)
@pytest.mark.parametrize("columns", ["question=text,gold=label", "question=nope,gold=label"])
def test_a_command_that_is_refused_changes_nothing(
    given: str, out: str, message: str, columns: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = tmp_path / "project"
    for name in ("data/train.csv", "../outside.csv"):
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_text("text,label\nq1,yes\nq2,no\n")
    (project / "README.md").write_text("# My project")
    for name in ("files/train.parquet", "other/notes.txt"):
        (project / name).parent.mkdir()
        (project / name).write_text("mine")
    (project / "link").symlink_to("data")
    monkeypatch.chdir(project)
    options = ["--domain", "logic", "--map"]
    made = ["table", "../outside.csv", "done", *options, "question=text,gold=label"]
    assert CliRunner().invoke(prep, made).exit_code == 0
    before = contents(tmp_path)
    if "nope" in message:
        columns = "question=nope,gold=label"
    result = CliRunner().invoke(prep, ["table", given, out, *options, columns])
    assert result.exit_code == 1 and message in " ".join(result.stderr.split()), result.output
    assert contents(tmp_path) == before


def test_an_evaluation_set_in_the_output_is_refused(tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text("text,label\nq1,yes\n")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "test.jsonl").write_text('{"question": "q2"}\n')
    base = ["table", str(tmp_path / "in.csv"), str(tmp_path / "out"), "--map", "question=text,gold=label"]
    result = CliRunner().invoke(
        prep, [*base, "--domain", "logic", "--not-in", f"mine={tmp_path / 'out' / 'test.jsonl'}"]
    )
    assert result.exit_code == 1 and "which is read" in " ".join(result.stderr.split())


@pytest.mark.parametrize(
    ("split", "named"),
    [("train", "train"), ("routes", "train"), ("val", "validation"), ("validation", "validation"),
     ("dev", "validation"), ("test", "test"), ("mini", "mini")],
)  # fmt: skip
def test_the_card_names_the_split(split: str, named: str, tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text("text,label\nq1,yes\n")
    base = ["table", str(tmp_path / "in.csv"), str(tmp_path / "out"), "--map", "question=text,gold=label"]
    assert CliRunner().invoke(prep, [*base, "--domain", "logic", "--split", split]).exit_code == 0
    card = (tmp_path / "out" / "README.md").read_text()
    assert f"| `{split}.parquet` | `rl` | `{named}` | 1 |" in card


def test_a_curable_error_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_text("x\n")
    result = CliRunner().invoke(prep, ["gsm8k", str(tmp_path / "in.jsonl"), str(tmp_path / "out")])
    assert result.exit_code == 1
    assert "could be used" in " ".join(result.stderr.split()) and "Traceback" not in result.output


def test_help_lists_the_sources() -> None:
    result = CliRunner().invoke(prep, ["--help"])
    assert result.exit_code == 0 and all(name in result.stdout for name in SOURCES)


@pytest.mark.parametrize("command", ["search-relevance", "table", *SOURCES])
def test_help_has_an_example(command: str) -> None:
    result = CliRunner().invoke(prep, [command, "--help"])
    assert result.exit_code == 0 and f"realm prep {command}" in " ".join(result.stdout.split())
