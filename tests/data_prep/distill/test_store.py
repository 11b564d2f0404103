"""The request store: what is on disk counts, torn and damaged lines do not, and one process at a time."""

import os
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pytest

from data_prep.distill.requests import CHAIN, Failure, Parameters, Reply, Request, request_key
from data_prep.distill.store import Store, StoreInUse, read_entries

ONE, TWO, THREE = (f"{n:032x}" for n in (1, 2, 3))


def request(text: str = "q", attempt: int = 0) -> Request:
    return Request(CHAIN, "u", text, attempt, (("user", text),))


def ask(store: Store, key: str, text: str, cost: str = "0.5") -> None:
    store.sent(key, request(), Decimal(2))
    store.replied(key, Reply(text, "stop", 3, 4), Decimal(cost), 0.1)


def test_what_was_kept_is_there_again(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        ask(store, ONE, "älter\nund 𝔐")
        store.sent(TWO, request(), Decimal(1))
        store.erred(TWO, "HTTP 500", Decimal(0))
        store.failed(TWO, Failure("reply is empty", "x"))
        assert store.get(ONE) == Reply("älter\nund 𝔐", "stop", 3, 4)
    with Store(tmp_path) as store:
        assert store.get(ONE) == Reply("älter\nund 𝔐", "stop", 3, 4)
        assert store.get(TWO) == Failure("reply is empty", "x")
        assert store.get(THREE) is None and len(store) == 2
        assert store.spent == Decimal("0.5") and store.unsettled == 0 and not store.notices


def test_reasoning_is_kept_and_a_store_of_before_has_none(tmp_path: Path) -> None:
    reply = Reply("t", "stop", 1, 1, "1. so t")
    with Store(tmp_path) as store:
        store.sent(ONE, request(), Decimal(2))
        store.replied(ONE, reply, Decimal(1), 0.1)
        ask(store, TWO, "plain")
    (shard,) = tmp_path.glob("*.jsonl")
    text = shard.read_text()
    assert text.count('"reasoning": ""') == 1
    shard.write_text(text.replace(', "reasoning": ""', ""))
    with Store(tmp_path) as store:
        assert store.get(ONE) == reply and store.get(TWO) == Reply("plain", "stop", 3, 4)


def test_a_try_without_an_end_counts_at_its_worst(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        store.sent(ONE, request(), Decimal(2))
        store.sent(TWO, request(), Decimal(3))
        store.replied(TWO, Reply("t", "stop", 1, 1), Decimal(1), 0.1)
    with Store(tmp_path) as store:
        assert (store.spent, store.unsettled, store.in_flight) == (Decimal(1), Decimal(2), 1)
        ask(store, ONE, "later")  # the first try of it stays without an end
        assert (store.spent, store.unsettled, store.in_flight) == (Decimal("1.5"), Decimal(2), 1)


@pytest.mark.parametrize("cut", [1, 20])
def test_a_torn_last_line_is_dropped_with_a_notice(tmp_path: Path, cut: int) -> None:
    with Store(tmp_path) as store:
        ask(store, ONE, "whole")
        ask(store, TWO, "torn")
    (shard,) = tmp_path.glob("*.jsonl")
    os.truncate(shard, shard.stat().st_size - cut)
    with Store(tmp_path, read_only=True) as store:
        assert store.get(TWO) is None
    with Store(tmp_path) as store:
        assert store.get(ONE) == Reply("whole", "stop", 3, 4) and store.get(TWO) is None
        assert "torn last line" in store.notices[0]
        ask(store, TWO, "again")
    with Store(tmp_path) as store:
        assert store.get(TWO) == Reply("again", "stop", 3, 4) and not store.notices


@pytest.mark.parametrize(
    "line",
    [b"{", b"[]", b'{"t": "reply", "key": "zz"}', b'{"t": "x"}', b'{"t":"sent","key":"00","worst":"x"}'],
)
def test_a_damaged_line_costs_one_reply(tmp_path: Path, line: bytes) -> None:
    with Store(tmp_path) as store:
        ask(store, ONE, "one")
    (shard,) = tmp_path.glob("*.jsonl")
    shard.write_bytes(line + b"\n" + shard.read_bytes())
    with Store(tmp_path) as store:
        assert store.get(ONE) == Reply("one", "stop", 3, 4)
        assert "1 damaged lines" in store.notices[0]


def test_shards(tmp_path: Path) -> None:
    with Store(tmp_path, shard_bytes=500) as store:
        for number in range(20):
            ask(store, f"{number:032x}", f"reply {number}")
    assert len(list(tmp_path.glob("*.jsonl"))) > 5
    with Store(tmp_path, shard_bytes=500) as store:
        for number in range(20):
            assert store.get(f"{number:032x}") == Reply(f"reply {number}", "stop", 3, 4)
    assert sum(entry["t"] == "reply" for entry in read_entries(tmp_path)) == 20


def test_two_processes_cannot_write_to_one_store(tmp_path: Path) -> None:
    with Store(tmp_path):
        code = (
            "import sys; from pathlib import Path; from data_prep.distill.store import Store\n"
            f"try:\n    Store(Path({str(tmp_path)!r})).__enter__()\n"
            "except ValueError as error:\n    print(error)"
        )
        other = subprocess.run(
            [sys.executable, "-c", code], check=False, capture_output=True, text=True, timeout=60
        )
        assert f"in use by process {os.getpid()}" in other.stdout, other.stderr
        with pytest.raises(StoreInUse), Store(tmp_path):
            pass
    with Store(tmp_path) as store:
        assert len(store) == 0


def test_a_look_changes_nothing(tmp_path: Path) -> None:
    with Store(tmp_path / "none", read_only=True) as store:
        assert len(store) == 0
    assert not (tmp_path / "none").exists()


def test_the_key_is_the_content() -> None:
    def key(
        text: str = "q",
        attempt: int = 0,
        model: str = "m",
        version: str = "1",
        parameters: Parameters | None = None,
    ) -> str:
        return request_key(request(text, attempt), model, version, parameters or Parameters())

    assert key() == key()
    others = [
        key("p"),
        key(attempt=1),
        key(model="n"),
        key(version="2"),
        key(parameters=Parameters(max_tokens=5)),
    ]
    assert len({key(), *others}) == 6


def test_a_store_cut_at_any_byte_has_what_was_whole(tmp_path: Path) -> None:
    with Store(tmp_path / "whole") as store:
        for number in range(3):
            ask(store, f"{number:032x}", f"reply {number} ä")
    (shard,) = (tmp_path / "whole").glob("*.jsonl")
    data = shard.read_bytes()
    for size in range(0, len(data), 7):
        folder = tmp_path / f"{size}"
        folder.mkdir()
        (folder / shard.name).write_bytes(data[:size])
        whole = data[:size].count(b'"t": "reply"') - (b'"t": "reply"' in data[:size].rpartition(b"\n")[2])
        with Store(folder) as store:
            assert len(store) == whole
            ask(store, THREE, "after")
        with Store(folder) as store:
            assert len(store) == whole + 1 and not store.notices
