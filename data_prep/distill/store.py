"""The request store: every reply a teacher gave, kept under its content key before it counts.

Serves design.md, section Guided CoT distillation, item 3. A folder of JSONL shards that are only ever appended to.
JSONL rather than SQLite: SQLite's write-ahead log needs shared memory, which the network file systems of clusters
lack; a line can be read with `grep`, and a damaged one costs one reply, not the file. What makes it safe:

* a reply is one `write` of one line and flushed to disk (`fdatasync`) before anyone sees it;
* a last line without its newline was torn by a kill: it is cut off and reported;
* the lock on `lock` keeps a second process out, and goes with the process that holds it.

Four kinds of line: `sent` (a try begins, with the most it can cost), then `reply`, `error` (that try came to nothing)
or `failed` (given up for good). A `sent` that nothing closes was in flight at a kill: its worst cost counts as spent.
"""

import fcntl
import json
import os
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from decimal import Decimal
from pathlib import Path
from typing import IO, Any, Self

from data_prep.distill.requests import Failure, Reply, Request
from realm_ext.files import sync

SHARD_BYTES = 64 * 1024 * 1024


class StoreInUse(ValueError):
    """Another process has the store open."""


@dataclass(frozen=True)
class _Place:
    shard: int
    offset: int
    length: int


class Store:
    """Open with `with Store(folder) as store`. Memory: about 200 bytes a reply; texts stay on disk.

    `read_only` takes no lock and changes nothing: for a look at a store that may be in use, or not there yet.

    Raises:
        StoreInUse: another process holds the lock.
    """

    def __init__(self, folder: Path, read_only: bool = False, shard_bytes: int = SHARD_BYTES) -> None:
        self._folder = folder
        self._read_only = read_only
        self._shard_bytes = shard_bytes
        self._lock: IO[bytes] | None = None
        self._places: dict[bytes, _Place] = {}
        self._open: dict[str, list[Decimal]] = {}
        self._files: dict[int, IO[bytes]] = {}
        self._writer: IO[bytes] | None = None
        self._size = 0
        self._last = 0
        self.spent = Decimal(0)
        """Known cost of all tries, by the prices of their time."""
        self.notices: list[str] = []
        """What opening the store found amiss and did about it."""
        self.counts: Counter[str] = Counter()
        """Lines by kind, this process's included."""

    def __enter__(self) -> Self:
        if not self._read_only:
            self._lock = self._take_lock()
        try:
            self._load()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exception: object) -> None:
        for file in (*self._files.values(), self._writer):
            if file is not None:
                file.close()
        self._files, self._writer = {}, None
        if self._lock is not None:
            self._lock.close()

    def __len__(self) -> int:
        """Requests that need not be sent again."""
        return len(self._places)

    @property
    def unsettled(self) -> Decimal:
        """The most that tries without a known end can have cost: in flight now, or at a kill."""
        return sum((cost for costs in self._open.values() for cost in costs), Decimal(0))

    @property
    def in_flight(self) -> int:
        """Tries without a known end."""
        return sum(map(len, self._open.values()))

    def get(self, key: str) -> Reply | Failure | None:
        """What is known of a request; None: it has to be sent."""
        place = self._places.get(bytes.fromhex(key))
        if place is None:
            return None
        file = self._files.get(place.shard)
        if file is None:
            file = self._files[place.shard] = self._path(place.shard).open("rb")
        file.seek(place.offset)
        return _answer(json.loads(file.read(place.length)))

    def sent(self, key: str, request: Request, worst: Decimal) -> None:
        """A try begins. Survives the process's death, and is not waited for to reach the disk."""
        self._append({"t": "sent", "key": key, "kind": request.kind, "uid": request.uid, "worst": str(worst)})

    def replied(self, key: str, reply: Reply, cost: Decimal, seconds: float) -> None:
        """A reply; on disk when this returns."""
        line = {"t": "reply", "key": key, **asdict(reply), "cost": str(cost), "seconds": round(seconds, 3)}
        self._append(line, flush=True)

    def erred(self, key: str, reason: str, cost: Decimal) -> None:
        """A try came to nothing; `cost` is what it can have cost."""
        self._append({"t": "error", "key": key, "reason": reason, "cost": str(cost)})

    def failed(self, key: str, failure: Failure) -> None:
        """A request is given up for good; the error of its last try has been told before."""
        self._append({"t": "failed", "key": key, **asdict(failure)}, flush=True)

    def _take_lock(self) -> IO[bytes]:
        self._folder.mkdir(parents=True, exist_ok=True)
        lock = (self._folder / "lock").open("a+b")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            holder = lock.read().decode("utf-8", "replace").strip() or "unknown"
            lock.close()
            raise StoreInUse(
                f"the request store {self._folder} is in use by process {holder}; wait for it, or give another --store"
            ) from None
        lock.truncate(0)
        lock.write(str(os.getpid()).encode())
        lock.flush()
        return lock

    def _path(self, shard: int) -> Path:
        return self._folder / f"replies-{shard:05d}.jsonl"

    def _load(self) -> None:
        shards = sorted(int(path.stem.partition("-")[2]) for path in self._folder.glob("replies-*.jsonl"))
        for shard in shards:
            self._last = shard
            self._size = self._load_shard(shard)

    def _load_shard(self, shard: int) -> int:
        path, offset, bad = self._path(shard), 0, 0
        with path.open("rb") as file:
            for line in file:
                if not line.endswith(b"\n"):
                    break
                entry = _read_line(line)
                if entry is None:
                    bad += 1
                else:
                    self._note(entry, _Place(shard, offset, len(line)))
                offset += len(line)
        if torn := path.stat().st_size - offset:
            if not self._read_only:
                os.truncate(path, offset)
            self.notices.append(
                f"{path.name}: dropped a torn last line of {torn} bytes; its request is sent again"
            )
        if bad:
            self.notices.append(
                f"{path.name}: {bad} damaged lines are left out; their requests are sent again"
            )
        return offset

    def _note(self, entry: dict[str, Any], place: _Place) -> None:
        kind, key = entry["t"], entry["key"]
        self.counts[kind] += 1
        if kind == "sent":
            self._open.setdefault(key, []).append(Decimal(entry["worst"]))
            return
        if kind != "failed":
            waiting = self._open.get(key, [])
            if waiting:
                waiting.pop()
            if not waiting:
                self._open.pop(key, None)
            self.spent += Decimal(entry["cost"])
        if kind != "error":
            self._places.setdefault(bytes.fromhex(key), place)

    def _append(self, entry: dict[str, Any], flush: bool = False) -> None:
        line = (
            json.dumps({**entry, "at": round(time.time(), 3)}, ensure_ascii=False).encode("utf-8", "replace")
            + b"\n"
        )
        if self._writer is None or self._size + len(line) > self._shard_bytes:
            self._next_writer(len(line))
        assert self._writer is not None
        place = _Place(self._last, self._size, len(line))
        if self._writer.write(line) != len(line):
            raise OSError(f"{self._writer.name}: only a part of a line could be written; is the disk full?")
        if flush:
            os.fdatasync(self._writer.fileno())
        self._size += len(line)
        self._note(entry, place)

    def _next_writer(self, needed: int) -> None:
        if self._writer is not None:
            self._writer.close()
        if self._size and self._size + needed > self._shard_bytes:
            self._last, self._size = self._last + 1, 0
        self._writer = self._path(self._last).open("ab", buffering=0)
        sync(self._folder)


def read_entries(folder: Path) -> Iterator[dict[str, Any]]:
    """All readable lines of a store, in order, for reports and tests; needs no lock."""
    for path in sorted(folder.glob("replies-*.jsonl")):
        with path.open("rb") as file:
            for line in file:
                if (entry := _read_line(line)) is not None:
                    yield entry


_MONEY = {"sent": "worst", "reply": "cost", "error": "cost", "failed": None}
_TEXTS: dict[str, tuple[str, ...]] = {
    "sent": (),
    "reply": ("text", "finish", "prompt_tokens", "completion_tokens"),
    "error": ("reason",),
    "failed": ("reason", "evidence"),
}


def _read_line(line: bytes) -> dict[str, Any] | None:
    """The entry in a line; None where the line is damaged."""
    try:
        entry = json.loads(line)
        bytes.fromhex(entry["key"])
        kind = entry["t"]
        if (money := _MONEY[kind]) is not None:
            Decimal(entry[money])
        return entry if all(name in entry for name in _TEXTS[kind]) else None
    except (ValueError, KeyError, TypeError, ArithmeticError):
        return None


def _answer(entry: dict[str, Any]) -> Reply | Failure:
    if entry["t"] == "failed":
        return Failure(entry["reason"], entry["evidence"])
    return Reply(
        entry["text"],
        entry["finish"],
        entry["prompt_tokens"],
        entry["completion_tokens"],
        entry.get("reasoning", ""),  # stores of 0.1 have none
    )
