"""`realm routes`: what is printed and written, folders that are whole, exit codes, one line for each error."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from data_prep.outputs import PROVENANCE, REJECTS, hash_file, write_parquet
from data_prep.routes import cli
from data_prep.routes.cli import routes
from data_prep.routes.engine import Reply, Request
from data_prep.routes.harvest import replayed
from data_prep.schema import RL_SCHEMA, SFT_SCHEMA
from tests.data_prep.routes.banks import bank_rows, question_of, rl_rows, write_bank, write_rl
from tests.data_prep.routes.test_harvest import OWN, ROUTES, prompt_text, response, write_dump


def run(*arguments: object) -> tuple[int, str, str]:
    result = CliRunner().invoke(routes, list(map(str, arguments)))
    return result.exit_code, result.stdout, result.stderr


@pytest.fixture
def bank(tmp_path: Path) -> Path:
    return write_bank(tmp_path / "bank.parquet", bank_rows(40))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_rl(tmp_path / "train.parquet", rl_rows(40))


@pytest.mark.parametrize("command", ["sample", "label", "first-errors", "select", "stats", "harvest"])
def test_help_has_an_example(command: str) -> None:
    code, out, _ = run(command, "--help")
    assert code == 0 and f"Example: realm routes {command}" in " ".join(out.split())


def test_select_writes_a_whole_folder(bank: Path, data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    code, printed, _ = run("select", bank, data, out, "--k", 3, "--seed", 5)
    assert code == 0
    assert "questions\t40\troutes asked for each\t3" in printed and "\tasked 22.0%" in printed
    written = json.loads((out / PROVENANCE).read_text())
    assert written["parameters"] == {"k": 3, "seed": 5} and written["seed"] == 5
    assert written["inputs"] == {"bank/bank.parquet": hash_file(bank), "train.parquet": hash_file(data)}
    assert written["files"][0]["sha256"] == hash_file(out / "train.parquet")
    assert pq.read_schema(out / "train.parquet").equals(RL_SCHEMA)
    first = (out / "train.parquet").read_bytes()
    assert run("select", bank, data, out, "--k", 3, "--seed", 5)[0] == 0
    assert (out / "train.parquet").read_bytes() == first
    assert {path.name for path in out.iterdir()} == {"train.parquet", "README.md", PROVENANCE}
    code, printed, _ = run("select", bank, data, out, "--mismatched", "--similarity", 1)
    assert code == 0 and "routes of other questions" in printed
    assert "a control, not training data" in (out / "README.md").read_text()
    assert json.loads((out / PROVENANCE).read_text())["parameters"] == {"mismatched": True, "similarity": 1}
    code, _, err = run("select", bank, data, out, "--similarity", 1.1)
    assert code == 2 and "should be less than or equal to 1" in err


@pytest.mark.parametrize(
    ("command", "name"),
    [
        ("select", "README.md"),
        ("select", "train.parquet"),
        ("harvest", "README.md"),
        ("harvest", "sft.parquet"),
    ],
)
def test_files_of_anothers_stay(command: str, name: str, bank: Path, data: Path, tmp_path: Path) -> None:
    dump = tmp_path / "dump"
    write_dump(dump, 1, [(prompt_text(question_of(7)[0], ROUTES), response("Route 1 is right. " + OWN))])
    out = tmp_path / "out"
    out.mkdir()
    (out / name).write_text("mine")
    given = (bank, data, out) if command == "select" else (dump, out, "--data", data)
    code, _, err = run(command, *given)
    assert code == 1 and f"holds {name}, which realm did not write" in " ".join(err.split())
    assert [(path.name, path.read_text()) for path in out.iterdir()] == [(name, "mine")]


def test_a_select_that_fails_leaves_the_folder(bank: Path, data: Path, tmp_path: Path) -> None:
    assert run("select", bank, data, tmp_path / "out")[0] == 0
    before = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    code, _, err = run("select", bank, bank, tmp_path / "out")
    assert code == 1 and "the prompt has no user message" in err
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == before


def test_label_and_stats(bank: Path, tmp_path: Path) -> None:
    code, out, _ = run("label", bank)
    assert code == 0 and "routes\t320" in out and "turned right\t0" in out
    code, out, _ = run("stats", bank)
    assert code == 0 and "surface probe on 320 routes of 40 questions" in out
    given_away = [row | {"source": "right" if row["label"] else "wrong"} for row in bank_rows(40)]
    write_bank(tmp_path / "given_away.parquet", given_away)
    assert run("stats", tmp_path / "given_away.parquet")[0] == 0
    code, out, _ = run("stats", tmp_path / "given_away.parquet", "--strict")
    assert code == 1 and "above 0.2: tells right from wrong routes" in " ".join(out.split())


def test_harvest_of_rollouts(data: Path, tmp_path: Path) -> None:
    write_dump(
        tmp_path / "dump", 1, [(prompt_text(question_of(7)[0], ROUTES), response("Route 1 is right. " + OWN))]
    )
    code, _, err = run("harvest", tmp_path / "dump", tmp_path / "out")
    assert code == 1 and "--data" in err
    code, out, _ = run("harvest", tmp_path / "dump", tmp_path / "out", "--data", data)
    assert code == 0 and "kept\t1\t" in out
    provenance = json.loads((tmp_path / "out" / PROVENANCE).read_text())
    assert provenance["kept"] == {"rows": 1} and set(provenance["inputs"]) == {"1.jsonl", "train.parquet"}


def test_replay_brings_as_many_contrast_rows_and_no_bare_question(data: Path, tmp_path: Path) -> None:
    write_dump(tmp_path / "dump", 1, [(prompt_text(question_of(7)[0], ROUTES), response("So. " + OWN))])
    rows = [
        {
            "messages": [{"role": "user", "content": f"{n}?"}, {"role": "assistant", "content": "5"}],
            "source": "program/full",
            "kind": "contrast" if n % 2 else "chain",
            "uid": f"{n}",
        }
        for n in range(8)
    ]
    for name, chosen in (("sft", rows), ("bare", rows[::2]), ("reversed", rows[::-1])):
        write_parquet(tmp_path / f"{name}.parquet", chosen, SFT_SCHEMA, config="sft", split="train")
    given = ("harvest", tmp_path / "dump", tmp_path / "out", "--data", data, "--replay")
    code, out, _ = run(*given, tmp_path / "sft.parquet")
    assert code == 0 and "replayed\t1\t" in out
    (kept,) = pq.read_table(tmp_path / "out" / "replay.parquet").to_pylist()
    assert kept["kind"] == "contrast"
    provenance = json.loads((tmp_path / "out" / PROVENANCE).read_text())
    assert provenance["kept"] == {"rows": 1, "replayed": 1} and "sft.parquet" in provenance["inputs"]
    assert replayed(tmp_path / "sft.parquet", 3) == replayed(tmp_path / "reversed.parquet", 3)
    assert len(replayed(tmp_path / "sft.parquet", 9)) == 4
    code, _, err = run(*given, tmp_path / "bare.parquet")
    assert code == 1 and "no row of kind contrast" in " ".join(err.split())
    code, _, err = run(*given, data)
    assert code == 1 and "not an SFT parquet" in " ".join(err.split())


def test_samples_of_an_evaluation_need_a_word(tmp_path: Path) -> None:
    (tmp_path / "samples_x_1.jsonl").write_text("{}\n")
    code, _, err = run("harvest", tmp_path, tmp_path / "out")
    assert code == 1 and "--from-evaluation" in err and not (tmp_path / "out").exists()
    code, out, err = run("harvest", tmp_path, tmp_path / "out", "--from-evaluation")
    assert (
        code == 1 and "dropped\t1\tline not readable" in out and "no chain was left" in " ".join(err.split())
    )


class Echo:
    """Stands in for vLLM: every second reply is a right route."""

    def __init__(self, folder: Path, sampling: object, options: dict[str, Any]) -> None:
        self.options = options

    def __call__(self, requests: Iterable[Request]) -> Iterator[Reply]:
        for request in requests:
            gold = 2 * int(request.messages[-1]["content"].split()[2])
            text = f"<think> 1. {self.options} {request.sample}\n2. so </think> <answer> {gold} </answer>"
            yield Reply(request.uid, request.sample, text if request.sample % 2 else "no route", 5)


def test_sample_then_label_for_another_student(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cli, "VllmEngine", Echo)
    for name in ("old", "new"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "model.safetensors").write_bytes(name.encode())
    out = tmp_path / "bank"
    options = ("--model", tmp_path / "old", "--n", 2, "--limit", 5, "--engine", "max_model_len=64")
    code, printed, _ = run("sample", data, out, *options)
    assert code == 0 and "asked\t10\treused\t0\ttokens\t50" in printed
    assert "kept\t5\troutes" in printed and "dropped\t5\tno answer" in printed
    assert run("sample", data, out, *options)[1].startswith("asked\t0\treused\t10")
    shard = next(out.glob("*.parquet"))
    assert pq.read_table(shard)["steps"].to_pylist()[0] == ["{'max_model_len': 64} 1", "so"]
    provenance = json.loads((out / PROVENANCE).read_text())
    assert provenance["dropped"] == {"no answer": 5} and (out / REJECTS).is_file()
    code, printed, _ = run("label", out, "--student", tmp_path / "old")
    assert "stale\t0" in printed
    code, printed, _ = run("label", out, "--student", tmp_path / "new")
    assert "stale\t5" in printed
    provenance = json.loads((out / PROVENANCE).read_text())
    assert provenance["files"][0]["sha256"] == hash_file(shard) and "Stale" in provenance["notes"][-1]
    code, printed, _ = run("select", out, data, tmp_path / "composed")
    assert code == 0 and "left out\t5\troutes: stale" in printed


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("select", "{bank}", "{data}", "{out}", "--all-wrong", 0.9, "--all-right", 0.9),
            "together at most 1",
        ),
        (
            ("select", "{bank}", "{data}", "{out}", "--similarity", 0.99),
            "at most 0.98 (as an option, 1 is off)",
        ),
        (("select", "{bank}", "{bank}", "{out}"), "the prompt has no user message"),
        (("select", "{bank}", "{data}", "{folder}"), "which is read: write to a folder of its own"),
        (("stats", "{bank}", "--domain", "no_such_module_here"), "no_such_module_here"),
        (("label", "{data}"), "is an RL parquet, not a bank"),
        (("sample", "{data}", "{out}", "--model", "/no/such/model"), "is no folder, and no id of the Hub"),
        (("sample", "{data}", "{out}", "--model", "{out}", "--top-p", 0), "sampling needs"),
        (("label", "{bank}", "--student", "/no/such"), "is no folder"),
    ],
)
def test_one_clear_error(
    arguments: tuple[object, ...], message: str, bank: Path, data: Path, tmp_path: Path
) -> None:
    places = {"bank": bank, "data": data, "out": tmp_path / "out", "folder": tmp_path}
    code, out, err = run(*(str(a).format(**places) for a in arguments))
    assert code == 1 and message in " ".join(err.split()) and "Traceback" not in out + err
