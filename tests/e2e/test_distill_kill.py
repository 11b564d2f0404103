"""`realm distill` killed ten times: nothing that was stored is asked for again, and the output shows no trace."""

import json
import os
import random
import signal
import subprocess
import time
from pathlib import Path

import pytest

from data_prep.distill.store import Store, read_entries
from data_prep.search_relevance.generator import make_item
from tests.data_prep.distill.fault_server import FaultServer, expert_says, often_at_first, serving
from tests.e2e.stack import realm

pytestmark = pytest.mark.timeout(600)
pytest.importorskip("openai")
KILLS, CONCURRENCY, QUESTIONS = 10, 6, 45
OPTIONS = (
    "--samples",
    2,
    "--attempts",
    3,
    "--contrast-from",
    "teacher",
    "--keep-rationalised",
    "--price-in",
    1,
)


def numbered(prompt: str, draw: int) -> tuple[str, str]:
    """As the expert says, with the request's number in front, by which the store's replies are told apart."""
    text, finish = expert_says(prompt, draw)
    return f"(request {draw})\n{text}", finish


def start(folder: Path, name: str, url: str) -> "subprocess.Popen[bytes]":
    command = realm(
        *(
            "distill",
            folder / "q.jsonl",
            folder / name,
            "--domain",
            "search_relevance",
            "--teacher",
            "openai",
        ),
        *("--model", "m", "--base-url", url, "--concurrency", CONCURRENCY, *OPTIONS),
    )
    with (folder / f"{name}.log").open("ab") as log:
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        return subprocess.Popen(command, stdout=log, stderr=log, env=environment, start_new_session=True)


def end(process: "subprocess.Popen[bytes]", folder: Path, name: str) -> None:
    code = process.wait(timeout=180)
    assert code == 0, (folder / f"{name}.log").read_text()[-4000:]


def stored(folder: Path) -> set[int]:
    """Numbers of the requests whose reply is in the store."""
    return {
        int(entry["text"].split(")")[0].removeprefix("(request "))
        for entry in read_entries(folder)
        if entry["t"] == "reply"
    }


def asked(server: FaultServer) -> dict[int, int]:
    with server.lock:
        return {int(key[8:16], 16): count for key, count in server.asked.items()}


def test_ten_kills(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rng = random.Random(7)
    items = [make_item(11, "kill", index) for index in range(QUESTIONS)]
    lines = [json.dumps({"question": item.question, "gold": item.decision.label}) for item in items]
    (tmp_path / "q.jsonl").write_text("\n".join(lines))
    in_flight = 0
    with serving(numbered, often_at_first, seconds=0.1) as server:
        for _ in range(KILLS):
            before = sum(asked(server).values())
            process = start(tmp_path, "killed", server.url)
            wanted, deadline = before + rng.randint(4, 12), time.monotonic() + 120
            while sum(asked(server).values()) < wanted:
                assert process.poll() is None, (tmp_path / "killed.log").read_text()[-4000:]
                assert time.monotonic() < deadline
                time.sleep(0.002)
            time.sleep(rng.uniform(0, 0.15))
            os.killpg(process.pid, signal.SIGKILL)
            assert process.wait() == -signal.SIGKILL
            time.sleep(0.3)  # what the server had begun, it ends
            settled = {number: asked(server)[number] for number in stored(tmp_path / "killed.store")}
            with Store(tmp_path / "killed.store", read_only=True) as store:
                in_flight = store.in_flight
            (tmp_path / f"settled.{process.pid}").write_text(json.dumps(sorted(settled.items())))
        end(start(tmp_path, "killed", server.url), tmp_path, "killed")
        counts = asked(server)
        for path in tmp_path.glob("settled.*"):
            for number, count in json.loads(path.read_text()):
                assert counts[number] == count, "a stored reply was asked for again"
        repeats = sum(count - 1 for count in server.served.values())
        assert repeats <= in_flight <= KILLS * CONCURRENCY
        tries, replies = sum(counts.values()), len(counts)

        for counter in (server.asked, server.served, server.faults):
            counter.clear()
        end(start(tmp_path, "undisturbed", server.url), tmp_path, "undisturbed")
        assert len(asked(server)) == replies and set(server.served.values()) == {1}

    killed, undisturbed = (
        {path.name: path.read_bytes() for path in (tmp_path / name).iterdir()}
        for name in ("killed", "undisturbed")
    )
    assert killed == undisturbed and {"sft.parquet", "bank.parquet", "provenance.json"} < killed.keys()
    with capsys.disabled():
        print(
            f"\n{KILLS} SIGKILLs: {replies} requests, {tries} tries, {repeats} replies made again, "
            f"{in_flight} tries in flight at the kills; {len(killed)} files, the same bytes"
        )


def test_a_second_ctrl_c_does_not_wait(tmp_path: Path) -> None:
    item = make_item(12, "kill", 0)
    (tmp_path / "q.jsonl").write_text(json.dumps({"question": item.question, "gold": item.decision.label}))
    with serving(numbered, seconds=20.0) as server:
        process = start(tmp_path, "out", server.url)
        deadline = time.monotonic() + 120
        while not asked(server):
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        while "waiting for what is in flight" not in (tmp_path / "out.log").read_text():
            assert time.monotonic() < deadline
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=15) == 130
        said = (tmp_path / "out.log").read_text()
        assert "ended at once" in said and "Traceback" not in said
        with Store(tmp_path / "out.store", read_only=True) as store:
            assert store.in_flight == 1 and store.unsettled > 0


def test_one_ctrl_c_keeps_what_is_in_flight(tmp_path: Path) -> None:
    items = [make_item(12, "kill", index) for index in range(12)]
    lines = [json.dumps({"question": item.question, "gold": item.decision.label}) for item in items]
    (tmp_path / "q.jsonl").write_text("\n".join(lines))
    with serving(numbered, seconds=1.0) as server:
        process = start(tmp_path, "out", server.url)
        deadline = time.monotonic() + 120
        while len(asked(server)) < CONCURRENCY:
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=60) == 130
        said = (tmp_path / "out.log").read_text()
        assert "waiting for what is in flight" in said and "run the same command again" in said
        assert len(stored(tmp_path / "out.store")) == CONCURRENCY == len(asked(server))
        assert not (tmp_path / "out").exists() and "Traceback" not in said
        end(start(tmp_path, "out", server.url), tmp_path, "out")
        assert set(server.asked.values()) == {1} and (tmp_path / "out" / "sft.parquet").exists()
