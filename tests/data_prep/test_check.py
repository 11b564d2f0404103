"""`realm check`: counts by reason with row numbers, what a file holds, and one clear error for a broken file."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import typer
from typer.testing import CliRunner

from data_prep.check import check, check_file, reason_of, surface
from data_prep.outputs import write_parquet
from data_prep.schema import RL_SCHEMA, rl_row
from reward_fns.routes import Route

app = typer.Typer()
app.command()(check)


def run(*arguments: object) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, list(map(str, arguments)))
    return result.exit_code, result.stdout, result.stderr


def route(
    answer: str, label: bool, source: str = "a", steps: int = 3, first_error: int | None = None
) -> Route:
    return Route(tuple("step" for _ in range(steps)), answer, label, None, first_error, source)


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    write_parquet(path, rows, RL_SCHEMA, config="rl", split="train")
    return path


def row(index: int, gold: str = "18", domain: str = "math", routes: tuple[Route, ...] = ()) -> dict[str, Any]:
    return rl_row(f"question {index}", gold, domain=domain, index=index, split="train", routes=routes)


def test_good_rows(tmp_path: Path) -> None:
    bank = (route("18", True), route("7", False, "b", steps=4, first_error=1))
    path = write(tmp_path / "a.parquet", [row(i, routes=bank) for i in range(30)])
    code, out, err = run(path)
    assert (code, err) == (0, "")
    assert "rows 30, bad 0" in out
    assert "routes: 60 in 30 rows, 2 to 2 each, 0 disputed" in out
    assert "share of right routes: 0.500" in out
    assert "banks: majority tied 100%" in out
    assert "first errors known: 30, of which 0 can count as decisive" in out
    assert "informedness of source: 1.00  <- tells right from wrong routes" in out


def test_bad_rows_are_counted_by_reason_with_their_numbers(tmp_path: Path) -> None:
    rows = [
        row(0),
        *(row(i, gold=f"{i} or {i + 1}") for i in range(1, 9)),
        row(9, routes=(route("7", True),)),
    ]
    rows += [row(10, domain="cooking"), row(11, gold="maybe", domain="choice")]
    path = write(tmp_path / "a.parquet", rows)
    good = write(tmp_path / "b.parquet", [row(0)])
    code, out, _ = run(good, path)
    assert code == 1
    assert "rows 1, bad 0" in out and "rows 12, bad 11" in out
    assert "8 x the domain math cannot read the gold answer ... (rows 1, 2, 3, 4, 5, ...)" in out
    assert "1 x route # is labelled right, but its answer ... says otherwise (rows 9)" in out
    assert "1 x unknown domain ..." in out and "(rows 10)" in out
    assert "1 x the domain choice cannot read the gold answer ... (rows 11)" in out


def test_classes(tmp_path: Path) -> None:
    rows = [row(i, gold="ABA"[i % 3], domain="choice") for i in range(9)]
    _, out, _ = run(write(tmp_path / "a.parquet", rows))
    assert "classes: A 67%, B 33%" in out and "routes: none that count" in out


def test_a_domain_of_ones_own_that_raises(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "raising_domain.py").write_text(
        "from reward_fns.domains import Domain\n"
        "class Raising(Domain):\n"
        "    name = 'raising'\n"
        "    def extract(self, answer_text):\n        raise KeyError('x')\n"
        "    def equivalent(self, prediction, gold):\n        return False\n"
        "DOMAIN = Raising()\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    path = write(tmp_path / "a.parquet", [row(0, domain="raising"), row(1)])
    code, out, _ = run(path, "--domain", "raising_domain")
    assert code == 1 and "1 x check_row of the domain raising raises KeyError: ... (rows 0)" in out


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: None, "does not exist"),
        (lambda path: path.write_bytes(b"PAR1 torn"), "cannot be read as parquet"),
        (lambda path: path.write_bytes(b""), "cannot be read as parquet"),
        (lambda path: path.write_bytes(whole(path)[:-200]), "cannot be read as parquet"),
        (
            lambda path: pq.write_table(pa.table({"prompt": ["x"]}), path),
            "column data_source, reward_model is missing",
        ),
    ],
)
def test_one_clear_error(tmp_path: Path, make: Any, message: str) -> None:
    path = tmp_path / "a.parquet"
    make(path)
    code, out, err = run(path)
    assert code == 1 and message in err and str(path) in err
    assert len(err.splitlines()) == 1 and "Traceback" not in out + err


def whole(path: Path) -> bytes:
    return write(path, [row(i) for i in range(50)]).read_bytes()


def test_a_file_without_rows_is_no_success(tmp_path: Path) -> None:
    code, out, _ = run(write(tmp_path / "a.parquet", []))
    assert code == 1 and "rows 0" in out


def test_an_unknown_module_is_one_line(tmp_path: Path) -> None:
    code, _, err = run(write(tmp_path / "a.parquet", [row(0)]), "--domain", "no_such_module_here")
    assert code == 1 and "no_such_module_here" in err


def test_plain_verl_rows_without_extra_info(tmp_path: Path) -> None:
    rows = [{"data_source": "openai/gsm8k", "reward_model": {"ground_truth": "18"}}]
    path = tmp_path / "a.parquet"
    pq.write_table(pa.Table.from_pylist(rows), path)
    assert check_file(path).bad_rows == 0


def test_reasons() -> None:
    assert reason_of("route 3 has \"it's\" and 'a\\'b'\nmore") == "route # has ... and ..."


def test_surface() -> None:
    routes = [route("x", i % 2 == 0, "ab"[i % 4 == 0], steps=3 + i % 2) for i in range(40)]
    assert surface(routes) == {"length": 1.0, "number of steps": 1.0, "source": pytest.approx(0.5)}
    assert surface(routes[:1]) == {}


def test_gold_answers_in_lists_are_read_and_empty_ones_counted(tmp_path: Path) -> None:
    golds = [["8"], ["8", "eight"], [], None, ["8", ""]]
    table = {
        "data_source": ["realm/math"] * len(golds),
        "reward_model": [{"style": "rule", "ground_truth": gold} for gold in golds],
    }
    pq.write_table(pa.table(table), tmp_path / "lists.parquet")
    code, out, _ = run(tmp_path / "lists.parquet")
    assert code == 1
    assert "rows 5, bad 3" in out
    assert "1 x ground_truth is an empty list" in out and "(rows 2)" in out
    assert "classes: 8 20%, 8 or eight 20%" in out
