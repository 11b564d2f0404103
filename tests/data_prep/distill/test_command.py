"""`realm distill`: what it prints, its exit codes, and the bill beforehand."""

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from data_prep.distill import command
from data_prep.distill.store import Store
from data_prep.search_relevance.datasets import teach
from data_prep.search_relevance.generator import make_item
from reward_fns.domains.search_relevance.engine import LABELS
from tests.data_prep.distill.fault_server import FaultServer, question_in, serving

pytest.importorskip("openai")
APP = typer.Typer()
APP.command()(command.distill)


def distill(folder: Path, *options: object, code: int = 0) -> Result:
    arguments = [folder / "q.jsonl", folder / "out", "--domain", "search_relevance", *options]
    result = CliRunner().invoke(APP, list(map(str, arguments)))
    assert result.exit_code == code, f"{result.output}\n{result.exception!r}"
    return result


def openai(server: FaultServer) -> list[object]:
    prices = ["--price-in", 1, "--price-out", 2]
    return ["--teacher", "openai", "--model", "m", "--base-url", server.url, "--max-tokens", 100, *prices]


def table(result: Result) -> dict[str, list[str]]:
    return {name: rest for name, *rest in (line.split("\t") for line in result.stdout.splitlines())}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    items = [make_item(3, "test", index) for index in range(6)]
    lines = [json.dumps({"question": item.question, "gold": item.decision.label}) for item in items]
    (tmp_path / "q.jsonl").write_text("\n".join([*lines, "{"]))
    return tmp_path


def test_program(folder: Path) -> None:
    result = distill(folder, "--teacher", "program")
    assert f"kept\t6\t{folder / 'out' / 'sft.parquet'}" in result.stdout
    assert "dropped\t1\tquestion: not JSON" in result.stdout
    assert not (folder / "out.store").exists()
    assert "sends nothing" in distill(folder, "--teacher", "program", "--dry-run").stdout


def test_openai_and_again(folder: Path) -> None:
    with serving() as server:
        first = distill(folder, *openai(server), "--contrast-from", "teacher")
        said = first.stdout
        assert f"sent\t{sum(server.asked.values())}\treplies" in said and "by replies and tries" in said
        before = (folder / "out" / "provenance.json").read_bytes()
        again = distill(folder, *openai(server), "--contrast-from", "teacher")
        assert "sent" not in again.stdout and before == (folder / "out" / "provenance.json").read_bytes()
        assert set(server.asked.values()) == {1}


def test_dry_run(folder: Path) -> None:
    with serving() as server:
        options = [*openai(server), "--attempts", 3, "--contrast-from", "teacher", "--dry-run"]
        told = table(distill(folder, *options, "--max-cost", "0.0001"))
        assert not server.asked and not (folder / "out.store").exists()
        assert told["questions"] == ["6", "finished 0"] and told["in the store"][0] == "0"
        assert told["requests"] == [str(6 + 2), str(18 + 6)]
        least, most = map(float, told["cost"])
        tokens = [list(map(int, told[f"{name} tokens"])) for name in ("prompt", "completion")]
        assert least == pytest.approx((tokens[0][0] + 2 * tokens[1][0]) / 1e6, abs=1e-4)
        assert (
            most == pytest.approx((tokens[0][1] + 2 * tokens[1][1]) / 1e6, abs=1e-4)
            and tokens[1][1] == 24 * 100
        )
        assert "the ceiling of 0.0001 would end" in distill(folder, *options, "--max-cost", "0.0001").stdout
        distill(folder, *options[:-1], "--limit", 4)
        told = table(distill(folder, *options))
        assert told["questions"] == ["6", "finished 4"] and told["requests"][0] in ("2", "3", "4")
        distill(folder, *options[:-1])
        assert table(distill(folder, *options))["requests"][0] == "0"


def test_the_ceiling_has_an_exit_code_of_its_own(folder: Path) -> None:
    with serving() as server:
        result = distill(folder, *openai(server), "--max-cost", "0.006", code=3)
        assert "ceiling is reached" in " ".join(result.stderr.split()) and "not finished" in result.stdout
        assert (folder / "out" / "provenance.json").exists()


def test_a_refusal_is_one_line(folder: Path) -> None:
    with serving() as server:
        server.refuse_with = 401
        result = distill(folder, *openai(server), code=1)
    assert result.stderr.count("HTTP 401") == 1 and "Traceback" not in result.output
    assert not (folder / "out").exists()


def test_a_store_in_use_is_one_line(folder: Path) -> None:
    with serving() as server, Store(folder / "out.store"):
        assert "in use by process" in " ".join(distill(folder, *openai(server), code=1).stderr.split())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--teacher", "openai"], "needs --model"),
        (["--teacher", "program", "--keep-rationalised"], "writes chains only"),
        (["--teacher", "openai", "--model", "m", "--base-url", "x"], "is an address"),
        (
            ["--teacher", "openai", "--model", "m", "--base-url", "http://x", "--max-cost", "1"],
            "needs --price-in",
        ),
        (["--teacher", "openai", "--model", "m", "--extra-body", "[]"], "is a JSON object"),
        (
            ["--teacher", "openai", "--model", "m", "--base-url", "http://x", "--limit-name", "n"],
            "max_completion_tokens",
        ),
        (["--teacher", "program", "--domain", "math"], "has no expert"),
        (["--teacher", "program", "--domain", "nothing"], "unknown domain"),
        (["--teacher", "program", "--expert", "json"], "package.module:NAME"),
        (["--teacher", "program", "--similarity", "0.99"], "at most 0.98 (as an option, 1 is off)"),
    ],
)
def test_what_is_asked_wrongly(folder: Path, options: list[str], message: str) -> None:
    result = distill(folder, *options, code=1)
    assert message in " ".join(result.stderr.split()) and "Traceback" not in result.output


def test_help_has_an_example_that_runs_offline() -> None:
    text = " ".join(CliRunner().invoke(APP, ["--help"]).stdout.split())
    assert (
        "Example, offline: realm distill data/train.parquet data/distilled --domain search_relevance" in text
    )


def test_questions_of_an_evaluation_set_are_left_out(folder: Path) -> None:
    first = (folder / "q.jsonl").read_text().splitlines()[0]
    (folder / "test.jsonl").write_text(first)
    result = distill(folder, "--teacher", "program", "--not-in", f"held_out={folder / 'test.jsonl'}")
    assert "dropped\t1\tquestion: overlap with the evaluation set held_out" in result.stdout
    assert f"kept\t5\t{folder / 'out' / 'sft.parquet'}" in result.stdout
    missing = distill(folder, "--teacher", "program", "--not-in", folder / "none.jsonl", code=1)
    assert "none.jsonl" in "".join(missing.stderr.split())


def test_near_duplicates_are_left_out(folder: Path) -> None:
    row = json.loads((folder / "q.jsonl").read_text().splitlines()[0])
    filler = "Take your time with this one, as there is no hurry at all today, and say what you think. " * 20
    rows = [{**row, "question": f"{filler}({number})\n{row['question']}"} for number in range(2)]
    (folder / "q.jsonl").write_text("\n".join(map(json.dumps, rows)))
    options = ("--teacher", "program", "--contrast-from", "none")
    found = distill(folder, *options).stdout
    assert (
        "dropped\t1\trow: near duplicate" in found and f"kept\t1\t{folder / 'out' / 'sft.parquet'}" in found
    )
    assert not list((folder / "out").glob(".realm_scratch*"))
    assert "near duplicate" not in distill(folder, *options, "--similarity", 1).stdout
    parameters = json.loads((folder / "out" / "provenance.json").read_text())["parameters"]
    assert parameters["similarity"] == 1
    assert (
        "should be less than or equal to 1" in distill(folder, *options, "--similarity", 1.1, code=2).stderr
    )


def many(folder: Path, n: int) -> None:
    items = [make_item(3, "test", index) for index in range(n)]
    lines = [json.dumps({"question": item.question, "gold": item.decision.label}) for item in items]
    (folder / "q.jsonl").write_text("\n".join(lines))


def unreadable(prompt: str, draw: int) -> tuple[str, str]:
    return "As a language model I cannot say.", "stop"


def test_a_paid_run_that_yields_nothing_stops(folder: Path) -> None:
    many(folder, 90)
    with serving(unreadable) as server:
        result = distill(folder, *openai(server), "--concurrency", 4, code=4)
        said = " ".join(result.stderr.split())
        assert "0 of the first 50 chains can be used" in said
        assert "unparsable: no_answer (50), such as 'As a language model I cannot say.'" in said
        assert 50 <= sum(server.asked.values()) <= 54, "those in flight may finish, no more are sent"
        assert not (folder / "out").exists()
        asked = sum(server.asked.values())
        distill(folder, *openai(server), "--concurrency", 4, code=4)
        assert sum(server.asked.values()) <= asked + 4, "the same command is told from the store"
        result = distill(folder, *openai(server), "--min-usable", 0, "--attempts", 1, code=4)
        assert "no SFT row was made. Most often: reply: unparsable: no_answer (90)" in " ".join(
            result.stderr.split()
        )


def test_a_teacher_that_is_always_wrong_stops_the_run_too(folder: Path) -> None:
    many(folder, 90)

    def wrong(prompt: str, draw: int) -> tuple[str, str]:
        right = teach(question_in(prompt), "full").answer
        label = LABELS[(LABELS.index(right) + 1) % len(LABELS)]
        return f"<think>\n1. so it is [R1]\n</think>\n<answer> {label} </answer>", "stop"

    with serving(wrong) as server:
        said = " ".join(distill(folder, *openai(server), code=4).stderr.split())
        assert (
            "0 of the first 50 chains can be used. Most often: another answer than the gold one (50)" in said
        )


def test_few_questions_that_yield_nothing_are_no_success(folder: Path) -> None:
    with serving(unreadable) as server:
        assert "no SFT row was made" in " ".join(distill(folder, *openai(server), code=4).stderr.split())
