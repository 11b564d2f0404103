"""`realm routes first-errors` over real HTTP: faults, nothing paid twice, the ceiling, refusals and interruptions."""

import os
import signal
from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from data_prep.outputs import PROVENANCE, hash_file
from data_prep.routes.cli import routes
from tests.data_prep.distill.fault_server import FaultServer, often_at_first, serving
from tests.data_prep.routes.banks import bank_rows, rl_rows, write_bank, write_rl

pytest.importorskip("openai")


def knows(prompt: str, draw: int) -> tuple[str, str]:
    """A teacher that finds the second step wrong wherever the answer is."""
    gold, theirs = (prompt.partition(f"{who} answer: ")[2].partition("\n")[0] for who in ("Right", "Their"))
    return f"Step by step.\nFirst wrong step: {'none' if gold == theirs else 2}", "stop"


def ask(bank: Path, server: FaultServer, *options: object, code: int = 0) -> tuple[str, str]:
    arguments = ["first-errors", bank, "--teacher", "openai", "--model", "m", "--base-url", server.url]
    result = CliRunner().invoke(routes, list(map(str, [*arguments, *options])))
    assert result.exit_code == code, f"{result.output}\n{result.exception!r}"
    return result.stdout, " ".join(result.stderr.split())


@pytest.fixture
def bank(tmp_path: Path) -> Path:
    return write_bank(tmp_path / "bank.parquet", bank_rows(3, n_routes=4))


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("data_prep.distill.sender.backoff", lambda failed, key: 0.01)


def test_in_spite_of_faults_and_never_twice(bank: Path, tmp_path: Path) -> None:
    before = bank.read_bytes()
    with serving(knows, often_at_first) as server:
        out, _ = ask(bank, server)
        rows = pq.read_table(bank).to_pylist()
        for row in rows:
            assert (row["sound"], row["first_error"]) == ((True, None) if row["label"] else (False, 1))
        wrong = sum(not row["label"] for row in rows)
        assert 0 < wrong < len(rows) == 12
        assert f"were not known\t12\nasked about\t{wrong}\tfirst error found" in out
        assert f"first error known\t{wrong}\nsoundness known\t12" in out
        assert server.faults.keys() > {"ok"}, "no fault was met"
        assert len(server.served) == 36 and set(server.served.values()) == {1}
        tries = sum(server.asked.values())
        out, _ = ask(bank, server)
        assert "were not known\t0" in out
        made = bank.read_bytes()
        bank.write_bytes(before)
        ask(bank, server)
        assert bank.read_bytes() == made
        assert sum(server.asked.values()) == tries, "what the store has was asked again"


def test_at_the_ceiling_what_was_paid_for_is_used(bank: Path) -> None:
    prices = ("--price-in", 1, "--price-out", 1, "--max-tokens", 100, "--concurrency", 1)
    with serving(knows) as server:
        out, err = ask(bank, server, *prices, "--max-cost", 0.003, code=3)
        assert "ceiling is reached" in err
        some = pq.read_table(bank)["sound"].null_count
        assert 0 < some < 12 and "no majority" in out
        ask(bank, server, *prices, "--max-cost", 1)
        assert pq.read_table(bank)["sound"].null_count == 0
        assert set(server.asked.values()) == {1}
        # Of the route at the ceiling two equal replies of three may be there: the third is not needed any more.
        assert 35 <= len(server.served) <= 36


def test_a_refusal_leaves_the_bank_as_it_was(bank: Path) -> None:
    before = bank.read_bytes()
    with serving(knows) as server:
        server.refuse_with = 401
        _, err = ask(bank, server, code=1)
    assert err.count("HTTP 401") == 1 and bank.read_bytes() == before


def test_an_interrupted_run_goes_on(tmp_path: Path) -> None:
    folder = tmp_path / "bank"
    folder.mkdir()
    file = write_bank(folder / "a.parquet", bank_rows(3, n_routes=4))
    (folder / PROVENANCE).write_text('{"files": [{"name": "a.parquet", "sha256": ""}], "notes": []}')
    before, told = file.read_bytes(), Counter[str]()

    def interrupts(prompt: str, draw: int) -> tuple[str, str]:
        told["prompts"] += 1
        if told["prompts"] == 7:
            os.kill(os.getpid(), signal.SIGINT)
        return knows(prompt, draw)

    with serving(interrupts) as server:
        _, err = ask(folder, server, "--concurrency", 2, code=130)
        assert "run the same command again" in err and file.read_bytes() == before
        assert 7 <= len(server.served) < 36
        ask(folder, server)
        assert len(server.served) == 36 and set(server.asked.values()) == {1}
    assert pq.read_table(file)["sound"].null_count == 0
    assert hash_file(file) in (folder / PROVENANCE).read_text()
    assert (tmp_path / "bank.store").is_dir()


def test_replies_that_say_nothing_stop_the_run(tmp_path: Path) -> None:
    bank = write_bank(tmp_path / "bank.parquet", bank_rows(9, n_routes=4))
    before = bank.read_bytes()
    with serving(lambda prompt, draw: ("I cannot tell.", "stop")) as server:
        _, err = ask(bank, server, "--concurrency", 4, code=4)
        assert "0 of the first 50 replies can be used" in err
        assert "no line `first wrong step: ...` (50), such as 'I cannot tell.'" in err
        assert 50 <= len(server.served) <= 54 and bank.read_bytes() == before
        out, _ = ask(bank, server, "--min-usable", 0)
        assert "asked about\t36\tno majority" in out and len(server.served) == 108


def test_replies_in_other_words_are_read(bank: Path) -> None:
    with serving(lambda prompt, draw: (knows(prompt, draw)[0], "end_turn")) as server:
        out, _ = ask(bank, server)
    assert "without a usable reply\t0\tsamples" in out and pq.read_table(bank)["sound"].null_count == 0


def test_bad_input_is_one_line(bank: Path, tmp_path: Path) -> None:
    with serving(knows) as server:
        data = write_rl(tmp_path / "train.parquet", rl_rows(2))
        assert "is an RL parquet, not a bank" in ask(data, server, code=1)[1]
        assert "needs --price-in" in ask(bank, server, "--max-cost", 1, code=1)[1]
        assert "holds no API key" in ask(bank, server, "--api-key-env", "NO_SUCH_KEY", code=1)[1]
        assert not server.asked and not (tmp_path / "bank.parquet.store").exists()
