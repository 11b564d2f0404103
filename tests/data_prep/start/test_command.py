"""`realm start` as a user meets it: what it prints, what the folder holds, and what it refuses."""

import csv
import json
import random
import re
import subprocess
import sys
from pathlib import Path
from textwrap import dedent
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from typer.testing import CliRunner, Result

from data_prep.check import check_file, describe
from data_prep.schema import RL_SCHEMA
from data_prep.start.command import start
from data_prep.start.folder import _literal, load_module
from data_prep.start.labels import spelling
from realm_ext.cli import app
from reward_fns import domains
from tests.data_prep.start.support_case import write_case
from tests.test_docs import check_realm, commands_in

CLI = CliRunner()
KEPT = 239


def run(*arguments: object) -> Result:
    return CLI.invoke(app, ["start", *map(str, arguments)])


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A started folder, and what was printed."""
    folder = tmp_path_factory.mktemp("start")
    result = run(*write_case(folder), "--out", folder / "desk", "--name", "help desk")
    assert result.exit_code == 0, result.output
    return folder / "desk", result.stdout


def test_it_says_what_it_found(started: tuple[Path, str]) -> None:
    folder, printed = started
    assert "columns    label=label,input=message   (not used: ticket_id)" in printed
    assert (
        f"rows       243 read, {KEPT + 1} different inputs kept" in printed or f"{KEPT} different" in printed
    )
    assert "1 left out: repeats an earlier row" in printed and "1 left out: no label" in printed
    assert "(also spelt BILLING, Billing.)" in printed and "<- under" not in printed
    assert "conflicts  1 inputs with different labels, 2 rows; all left out (data/conflicts.csv)" in printed
    assert "leakage    none" in printed and "rules      3\n" in printed
    assert printed.rstrip().endswith("&& python -m pytest --quiet tests && realm check data/*.parquet")
    assert f"next       cd {folder} && python -m pip install" in printed


def test_the_folder_is_whole(started: tuple[Path, str]) -> None:
    folder, _ = started
    files = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert files == {
        "README.md",
        "pyproject.toml",
        "help_desk_domain/__init__.py",
        "help_desk_domain/rules.yaml",
        "tests/test_help_desk.py",
        "recipes/rl.yaml",
        "recipes/sft.yaml",
        "eval/help_desk.yaml",
        "eval/test_set.py",
        *(f"data/{name}.parquet" for name in ("train", "val", "test")),
        "data/README.md",
        "data/provenance.json",
        "data/rejects.jsonl",
        "data/conflicts.csv",
    }
    assert not any(
        "$" in path.read_text().replace("$PWD", "")
        for path in folder.rglob("*")
        if path.suffix in (".md", ".py", ".yaml")
    )
    assert [path for path in folder.parent.iterdir() if path.name.startswith(".")] == []
    assert len((folder / "help_desk_domain" / "__init__.py").read_text().splitlines()) < 60


def test_the_data_is_judged_by_the_domain_and_split_without_overlap(started: tuple[Path, str]) -> None:
    folder, _ = started
    domain = load_module(folder / "help_desk_domain" / "__init__.py", "help_desk").DOMAIN
    assert set(domain.labels) == {"Billing", "Shipping", "Technical"}
    questions: list[set[str]] = []
    for side, regime in (("train", None), ("val", "unguided"), ("test", "unguided")):
        table = pq.read_table(folder / "data" / f"{side}.parquet")
        assert table.schema == RL_SCHEMA
        rows = table.to_pylist()
        assert all(domain.check_row(row) == [] for row in rows)
        assert {(r["extra_info"]["regime"], r["extra_info"]["split"]) for r in rows} == {(regime, side)}
        assert all(
            r["prompt"][0]["content"].endswith("?") and "\n\nWhich label fits: " in r["prompt"][0]["content"]
            for r in rows
        )
        questions.append({row["prompt"][0]["content"] for row in rows})
    assert sum(map(len, questions)) == len(set().union(*questions)) == KEPT
    provenance = json.loads((folder / "data" / "provenance.json").read_text())
    assert set(provenance["inputs"]) == {"support.csv", "rules.yaml"}
    assert provenance["dropped"] == {"conflicting label": 2, "no label": 1, "repeats an earlier row": 1}


def test_conflicts_are_listed_with_their_rows(started: tuple[Path, str]) -> None:
    lines = (started[0] / "data" / "conflicts.csv").read_text().splitlines()
    assert lines[0] == "conflict,row,label,kept,input" and len(lines) == 3
    assert lines[1].startswith("1,2,") and lines[2].startswith("1,242,")


def test_the_module_spells_as_the_command_does(started: tuple[Path, str]) -> None:
    module = vars(load_module(started[0] / "help_desk_domain" / "__init__.py", "help_desk"))
    module_spelling = module["_spelling"]
    for text in (
        "-1",
        "C++",
        "tech-support",
        " Tech_Support. ",
        "**a b**",
        "a\n b",
        "_x_",
        "naïve",
        "A/B",
        '"yes"',
        "",
    ):
        assert module_spelling(text) == spelling(text)


def test_the_files_are_sound(started: tuple[Path, str]) -> None:
    folder, _ = started
    for options in (["check"], ["format", "--check"]):
        command = [sys.executable, "-m", "ruff", *options, "--isolated", "."]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 0, done.stdout
    for name in ("rl", "sft"):
        recipe = yaml.safe_load((folder / "recipes" / f"{name}.yaml").read_text())
        assert (
            recipe["defaults"][-1] == "_self_"
            and "$PWD/recipes" in (folder / "recipes" / f"{name}.yaml").read_text()
        )


def test_the_commands_to_come_exist(started: tuple[Path, str]) -> None:
    blocks = re.findall(r"```bash\n(.*?)```", (started[0] / "README.md").read_text(), re.DOTALL)
    called = [words[1:] for block in blocks for words in commands_in(dedent(block)) if words[0] == "realm"]
    assert {words[0] for words in called} == {"check", "distill", "routes", "preview"}
    for words in called:
        check_realm(words, whole=False)


def test_the_same_input_gives_the_same_folder_and_nothing_is_overwritten(tmp_path: Path) -> None:
    case = write_case(tmp_path)
    for out in ("a", "b"):
        assert run(*case, "--out", tmp_path / out).exit_code == 0
    files = [path.relative_to(tmp_path / "a") for path in (tmp_path / "a").rglob("*") if path.is_file()]
    assert all((tmp_path / "a" / f).read_bytes() == (tmp_path / "b" / f).read_bytes() for f in files)
    (tmp_path / "a" / "mine.txt").write_text("work")
    refused = run(*case, "--out", tmp_path / "a")
    assert refused.exit_code == 1 and "is there already" in refused.stderr and "--force" in refused.stderr
    assert run(*case, "--out", tmp_path / "a", "--force").exit_code == 0
    assert (tmp_path / "a.1" / "mine.txt").read_text() == "work" and not (
        tmp_path / "a" / "mine.txt"
    ).exists()


def test_a_failure_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("data_prep.start.folder.finish_folder", fail)
    case = write_case(tmp_path)
    result = run(*case, "--out", tmp_path / "out")
    assert result.exit_code == 1 and "disk full" in result.stderr
    assert {path.name for path in tmp_path.iterdir()} == {"support.csv", "rules.yaml"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (["--name", "math"], "built in"),
        (["--name", "123"], "gives no name for a domain"),
        (["--conflicts", "guess"], "drop or majority"),
        (["--merge", "a"], "OLD=NEW"),
        (["--merge", "a=b"], "not a label here"),
        (["--map", "label=ticket_id"], "no closed set"),
        (["--map", "label=nope"], "no column nope; the columns are ticket_id, message, label"),
        (["--map", "time=ticket_id"], "no row can be used"),
    ],
)
def test_bad_options_are_one_line(tmp_path: Path, change: list[str], message: str) -> None:
    result = run(*write_case(tmp_path), "--out", tmp_path / "out", *change)
    assert result.exit_code == 1 and message in result.stderr and "Traceback" not in result.output
    assert not (tmp_path / "out").exists()


def test_bad_files_are_one_line(tmp_path: Path) -> None:
    labels, rules = write_case(tmp_path)
    rules.write_text("- id: A\n")
    assert "rules.yaml, line 1: a rule has exactly the fields" in run(labels, rules).stderr
    (tmp_path / "empty.csv").write_text("a,b\n")
    assert "holds no row that can be read" in run(tmp_path / "empty.csv", rules).stderr
    (tmp_path / "latin.jsonl").write_bytes('{"a": "é"}\n'.encode("cp1252"))
    assert "holds no row that can be read: not UTF-8 (1)" in run(tmp_path / "latin.jsonl", rules).stderr
    assert "does not exist" in run(tmp_path / "none.csv", rules).stderr
    assert "is a folder; give one file" in run(tmp_path, rules).stderr


def test_every_form_of_the_labels_gives_the_same_rows(tmp_path: Path) -> None:
    labels, rules = write_case(tmp_path)
    header, *lines = (line.split(",") for line in labels.read_text().splitlines())
    rows = [dict(zip(header, cells, strict=True)) for cells in lines]
    (tmp_path / "support.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    for source in (labels, tmp_path / "support.jsonl"):
        assert run(source, rules, "--out", tmp_path / source.suffix[1:]).exit_code == 0
    one, other = (
        pq.read_table(tmp_path / form / "data" / "train.parquet").to_pylist() for form in ("csv", "jsonl")
    )
    assert [row["prompt"] for row in one] == [row["prompt"] for row in other]


def test_a_query_groups_its_products_and_few_labels_are_named(tmp_path: Path) -> None:
    _, rules = write_case(tmp_path)
    lines = ["query,title,verdict"]
    lines += [f"query {i // 3},product {i},{'Good' if i % 3 else 'Bad'}" for i in range(180)]
    lines += ["query x,product y,Rare"]
    (tmp_path / "search.csv").write_text("\n".join(lines))
    result = run(tmp_path / "search.csv", rules, "--out", tmp_path / "out", "--ask", "Good or Bad?")
    assert result.exit_code == 0, result.output
    assert "label=verdict,input=query+title,group=query" in result.stdout
    assert "Rare: 1, 1%  <- under 20" in result.stdout and "none speaks of Good, Bad, Rare" in result.stdout
    rows = pq.read_table(tmp_path / "out" / "data" / "train.parquet").to_pylist()
    assert rows[0]["prompt"][0]["content"].endswith("\n\nGood or Bad?")
    assert rows[0]["prompt"][0]["content"].startswith("query: query ")


def write_table(path: Path, rows: list[dict[str, Any]], encoding: str = "utf-8") -> Path:
    with path.open("w", newline="", encoding=encoding) as file:
        table = csv.DictWriter(file, rows[0])
        table.writeheader()
        table.writerows(rows)
    return path


def clauses(n: int = 120) -> list[dict[str, Any]]:
    """Clauses with a comment that tells the label, a queue that does, and the contract that they come from."""
    rng = random.Random(0)
    letters = "abcdefghij"
    return [
        {
            "contract": f"MSA_{i % 25}.docx",
            "clause": " ".join("".join(rng.choices(letters, k=4)) for _ in range(30)),
            "comment": f"clearly {i % 3}",
            "queue": f"team {'ABC'[i % 3]}",
            "label": ("Liability", "Payment", "Term")[i % 3],
        }
        for i in range(n)
    ]


def test_what_would_flatter_is_found_and_said(tmp_path: Path) -> None:
    _, rules = write_case(tmp_path)
    rows = clauses()
    rows[5]["clause"] = ""
    rows[6]["clause"] = "word " * 2600  # 13,000 characters: about 3,260 tokens
    result = run(write_table(tmp_path / "desk.csv", rows), rules, "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    for line in (
        "columns    label=label,input=clause,group=contract   (not used: comment, queue)",
        "comment left out: by its name it may tell the answer; --map input=... takes it in",
        "queue left out: its value tells the label in 100% of the rows held out; --map input=... takes it in",
        "1 left out: no text in clause",
        "leakage    none: no group, no text and no near duplicate of one stands in two splits",
        "length     1 of 119 texts are longer than about 3,072 tokens (recipes/rl.yaml)",
    ):
        assert line in result.stdout
    assert "4,096" not in result.stdout
    contracts = []
    for side in ("train", "val", "test"):
        asked = [
            row["prompt"][0]["content"]
            for row in pq.read_table(tmp_path / "out" / "data" / f"{side}.parquet").to_pylist()
        ]
        contracts.append(
            {
                rows_of["contract"]
                for rows_of in rows
                for text in asked
                if rows_of["clause"] and rows_of["clause"].strip() in text
            }
        )
    assert not contracts[0] & contracts[1] | contracts[0] & contracts[2] | contracts[1] & contracts[2]


def test_what_stands_on_two_sides_all_the_same_is_counted(tmp_path: Path) -> None:
    _, rules = write_case(tmp_path)
    options = ("--map", "label=label,input=clause+comment,group=none")
    labels = write_table(tmp_path / "desk.csv", clauses())
    result = run(labels, rules, "--out", tmp_path / "out", *options)
    assert result.exit_code == 0, result.output
    assert "comment: by its name it may tell the answer  <- it is in the question" in result.stdout
    assert re.search(
        r"leakage    \d+ of \d+ val rows, \d+ of \d+ test rows have their contract in common with train  "
        r"<- --map group=contract keeps them apart",
        result.stdout,
    )
    assert "leakage    none" not in result.stdout
    rng = random.Random(1)
    text = " ".join("".join(rng.choices("abcdef", k=5)) for _ in range(60))
    rows = [
        {"clause": f"{text} {'pqrstuvw'[i % 8]} {'abcdefgh'[i // 8]}", "label": "Good" if i % 2 else "Bad"}
        for i in range(64)
    ]
    result = run(write_table(tmp_path / "near.csv", rows), rules, "--out", tmp_path / "near")
    assert result.exit_code == 0, result.output
    assert re.search(
        r"leakage    (\d+) of \1 val texts, (\d+) of \2 test texts have a near duplicate in train",
        result.stdout,
    )


@pytest.mark.parametrize(
    ("encoding", "said"),
    [
        ("cp1252", "desk.csv is read as cp1252 (Windows), with words such as 'Numéro'"),
        ("utf-16", "read as UTF-16"),
    ],
    ids=["E3", "E4"],
)
def test_an_encoding_is_found_and_said(tmp_path: Path, encoding: str, said: str) -> None:
    _, rules = write_case(tmp_path)
    rows = [
        {"Numéro": i, "message": f"Où est l’ordre {i} ?", "label": ("Bien", "Réglé")[i % 2]}
        for i in range(90)
    ]
    result = run(write_table(tmp_path / "desk.csv", rows, encoding), rules, "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert "encoding   " in result.stdout and said in result.stdout
    assert "columns    label=label,input=message   (not used: Numéro)" in result.stdout
    assert "rows       90 read, 90 different inputs kept" in result.stdout


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(
            b"question,gold,gold\nIs it?,yes,reviewer 2\n", "the header names gold more than once", id="E2"
        ),
        pytest.param(
            "вопрос,метка\nгде мой заказ,да\n".encode("cp1251"), "neither UTF-8 nor UTF-16", id="E3"
        ),
        pytest.param(
            b'text,label\n"a,yes\n' + b"b,no\n" * 9, "lines 2 to 11: a quoted cell takes in the 9", id="E7"
        ),
        pytest.param(b"Labels of 2024,\ntext,label\na,yes\n", "'Labels of 2024' is no header", id="title"),
        pytest.param(b"PK\x03\x04", "is a spreadsheet or ZIP file, whatever its name says", id="xlsx"),
    ],
)
def test_a_table_that_cannot_be_trusted_is_one_line(tmp_path: Path, content: bytes, message: str) -> None:
    _, rules = write_case(tmp_path)
    (tmp_path / "desk.csv").write_bytes(content)
    result = run(tmp_path / "desk.csv", rules, "--out", tmp_path / "out")
    assert result.exit_code == 1 and message in result.stderr and "Traceback" not in result.output
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("form", ["jsonl", "parquet"])
def test_missing_labels_are_no_class(tmp_path: Path, form: str) -> None:
    """E5: 24 of 90 labels are NaN, the others numbers."""
    _, rules = write_case(tmp_path)
    labels = [float("nan") if i < 24 else float(i % 2) for i in range(90)]
    path = tmp_path / f"desk.{form}"
    if form == "jsonl":
        lines = (json.dumps({"text": f"text {i}", "label": label}) for i, label in enumerate(labels))
        path.write_text("\n".join(lines))
    else:
        pq.write_table(pa.table({"text": [f"text {i}" for i in range(90)], "label": labels}), path)
    result = run(path, rules, "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert "24 left out: no label" in result.stdout and "label      nan" not in result.stdout
    assert "label      0.0: 33, 50%" in result.stdout and "label      1.0: 33, 50%" in result.stdout


@pytest.mark.parametrize("force", [(), ("--force",)])
def test_a_folder_that_holds_the_labels_is_refused(tmp_path: Path, force: tuple[str, ...]) -> None:
    (tmp_path / "mine").mkdir()
    labels, rules = write_case(tmp_path / "mine")
    result = run(labels, rules, "--out", tmp_path / "mine", *force)
    assert result.exit_code == 1 and "which is read: write to a folder of its own" in result.stderr
    assert {path.name for path in (tmp_path / "mine").iterdir()} == {"support.csv", "rules.yaml"}


def test_what_a_kill_left_is_removed(tmp_path: Path) -> None:
    case = write_case(tmp_path)
    (tmp_path / ".out.realm-abcdefgh.part").mkdir()
    (tmp_path / ".mine.part").mkdir()
    assert run(*case, "--out", tmp_path / "out").exit_code == 0
    assert {path.name for path in tmp_path.iterdir()} == {"support.csv", "rules.yaml", "out", ".mine.part"}


def test_labels_as_python_source() -> None:
    assert _literal(("a", 'b"\\', "ü")) == '("a", "b\\"\\\\", "ü")'
    assert _literal(("x" * 50, "y" * 50)).count("\n") == 3


def test_realm_check_reads_the_data(started: tuple[Path, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The domain is registered by hand here; tests/e2e/test_start.py installs it as a user does."""
    domain = load_module(started[0] / "help_desk_domain" / "__init__.py", "help_desk").DOMAIN
    monkeypatch.setitem(domains._registered, "help_desk", domain)
    lines = describe(check_file(started[0] / "data" / "train.parquet"))
    assert lines[0].endswith("bad 0") and "classes:" in lines[1]


def test_help_has_an_example() -> None:
    result = run("--help")
    assert result.exit_code == 0 and "realm start support.csv rules.yaml" in " ".join(result.stdout.split())
    assert (start.__doc__ or "").splitlines()[0].endswith(".")
