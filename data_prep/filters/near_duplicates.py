"""Nearly the same text twice: within one question (`NearDuplicate`), or anywhere (`without_near_duplicates`).

Serves design.md, section Guided CoT distillation, item 6. The index of a usual MinHash search grows with every row
kept (about 5 KB each). Neither search here needs one:

* Routes are compared within their question, where they stand side by side in a prompt. The index holds one question.
* SFT rows are compared across questions, question and text together, so that one template with other facts in it is
  no duplicate. Signatures and band hashes lie on disk; the hashes are read bucket by bucket, so that memory holds one
  of `BUCKETS` parts of 16 bytes for each row and band, and a byte for each row (at 10 million rows together about 25 MB,
  and copies of the part while it is sorted).
"""

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from typing import IO, Any, NamedTuple, TypeVar

import numpy as np
import pyarrow as pa
from datasketch import MinHash, MinHashLSH

from data_prep.filters import KEPT_EXAMPLES, Candidate, FilterReport, Refusal
from data_prep.filters.minhash import PERMUTATIONS, bands_and_rows, jaccard, signature
from data_prep.on_disk import RowWriter, read_rows

REASON = "near duplicate"
BUCKETS = 256
COMPARED = 32
"""A row is compared with this many of the earliest rows that share a band with it."""

_BATCH = 256
_ENTRY: Any = np.dtype([("hash", "<u8"), ("position", "<u8")])
_SIGNATURE_BYTES = 4 * PERMUTATIONS
_Row = TypeVar("_Row", bound=Mapping[str, Any])


class _Pair(NamedTuple):
    """Two rows that are nearly the same, by their numbers."""

    later: int
    earlier: int
    similarity: float


class _Found:
    """Which rows are later ones of pairs.

    Attributes:
        is_later: [count] booleans.
        first: a pair for each of the first `KEPT_EXAMPLES` of these rows.
    """

    def __init__(self, count: int, pairs: Iterable[_Pair]) -> None:
        self.is_later: np.ndarray[Any, Any] = np.zeros(count, bool)
        self.first: dict[int, _Pair] = {}
        for pair in pairs:
            self.is_later[pair.later] = True
            self.first.setdefault(pair.later, pair)
            if len(self.first) > KEPT_EXAMPLES:
                del self.first[max(self.first)]


class NearDuplicate:
    """Refuses a text whose estimated Jaccard similarity to one let pass before is `threshold` or more.

    Compared are texts of one uid and answer, which have to come one after the other.
    """

    def __init__(self, threshold: float = 0.9) -> None:
        self._threshold = threshold
        self._bands = bands_and_rows(threshold)
        self._of: tuple[str, str] | None = None
        self._passed: list[tuple[MinHash, str]] = []
        self._index = self._new_index()

    def refuse(self, candidate: Candidate) -> Refusal | None:
        """See `Filter`."""
        of = (candidate.uid, candidate.answer)
        if of != self._of:
            self._of, self._passed, self._index = of, [], self._new_index()
        made = signature(candidate.text)
        for number in sorted(self._index.query(made)):
            other, text = self._passed[number]
            similarity = made.jaccard(other)
            if similarity >= self._threshold:
                return Refusal(REASON, f"similarity {similarity:.2f} to: {text}")
        self._index.insert(len(self._passed), made)
        self._passed.append((made, candidate.text))
        return None

    def _new_index(self) -> MinHashLSH:
        return MinHashLSH(num_perm=PERMUTATIONS, params=self._bands)


def without_near_duplicates(
    rows: Iterable[_Row],
    schema: pa.Schema,
    report: FilterReport,
    candidate_of: Callable[[Mapping[str, Any]], Candidate],
    *,
    scratch: Path,
    threshold: float = 0.9,
) -> Iterator[dict[str, Any]]:
    """The rows in their order, without those nearly the same as an earlier one of their answer, question and text together.

    An earlier row counts even if it is dropped itself, so that of a chain of likenesses the first remains.

    Args:
        rows: of the columns of `schema`; all are read before the first is given back.
        report: gets the drops, not `seen`: chain this after `run_filters` with the same report. `row` in its examples is
            the number among the rows that came here.
        scratch: an empty folder for what lies on disk: about 0.7 KB a row, and the rows themselves.
    """
    bands, band_rows = bands_and_rows(threshold)
    scratch.mkdir(parents=True, exist_ok=True)
    spilled, signatures = scratch / "rows.arrow", scratch / "signatures.bin"
    buckets = [scratch / f"bands_{number:03d}.bin" for number in range(BUCKETS)]
    with ExitStack() as files:
        out = files.enter_context(RowWriter(spilled, schema))
        signature_file = files.enter_context(signatures.open("wb"))
        bucket_files = [files.enter_context(path.open("wb")) for path in buckets]
        source, count = iter(rows), 0
        while chunk := list(islice(source, _BATCH)):
            candidates = [candidate_of(row) for row in chunk]
            found = np.stack([signature(_whole(candidate)).hashvalues for candidate in candidates])
            found = found.astype("<u4")
            signature_file.write(found.tobytes())
            answers = np.array([_hash(candidate.answer) for candidate in candidates], np.uint64)
            _append_hashes(bucket_files, found, answers, count, bands, band_rows)
            for row in chunk:
                out.write_one(row)
            count += len(chunk)
    with signatures.open("rb") as written:
        pairs = (pair for path in buckets for pair in _pairs_of(path, written, threshold))
        found = _Found(count, pairs)
    yield from _drop(read_rows(spilled), found, report, candidate_of)
    for path in (spilled, signatures, *buckets):
        path.unlink()


def _whole(candidate: Candidate) -> str:
    return f"{candidate.question}\n{candidate.text}"


def _hash(text: str) -> int:
    return int.from_bytes(
        hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big"
    )


def _append_hashes(
    files: Sequence[IO[bytes]],
    signatures: "np.ndarray[Any, Any]",
    answers: "np.ndarray[Any, Any]",
    first: int,
    bands: int,
    band_rows: int,
) -> None:
    """Write a hash for each row and band to its bucket; rows of different bands or answers do not meet."""
    n = len(signatures)
    words: Any = signatures[:, : bands * band_rows].reshape(n, bands, band_rows).astype(np.uint64)
    mixed = np.full((n, bands), 0x9E3779B97F4A7C15, np.uint64) * np.arange(1, bands + 1, dtype=np.uint64)
    mixed ^= answers[:, None]
    for i in range(band_rows):  # FNV-1a on whole words, then one more mix: wrapping is meant
        mixed = (mixed ^ words[:, :, i]) * np.uint64(0x100000001B3)
        mixed ^= mixed >> np.uint64(29)
    mixed = mixed * np.uint64(0xBF58476D1CE4E5B9)
    mixed ^= mixed >> np.uint64(32)
    entries = np.empty((n, bands), _ENTRY)
    entries["hash"] = mixed
    entries["position"] = np.arange(first, first + n, dtype=np.uint64)[:, None]
    flat = entries.reshape(-1)
    into = (flat["hash"] % np.uint64(len(files))).astype(np.int64)
    flat = flat[np.argsort(into)]
    ends = np.cumsum(np.bincount(into, minlength=len(files))).tolist()
    for file, start, end in zip(files, [0, *ends], ends, strict=False):
        file.write(flat[start:end].tobytes())


def _pairs_of(path: Path, signatures: IO[bytes], threshold: float) -> Iterator[_Pair]:
    """Similar pairs among the rows that share a hash of this bucket."""
    entries = np.sort(np.fromfile(path, _ENTRY), order=["hash", "position"])
    starts = np.flatnonzero(np.diff(entries["hash"], prepend=entries["hash"][:1] + np.uint64(1)))
    ends = np.append(starts[1:], len(entries))
    for start, end in zip(starts[ends - starts > 1], ends[ends - starts > 1], strict=True):
        positions = np.unique(entries["position"][start:end].astype(np.int64))
        earliest = _read_signatures(signatures, positions[:COMPARED])
        for rank, later in enumerate(positions[1:].tolist(), start=1):
            one = earliest[rank] if rank < COMPARED else _read_signatures(signatures, [later])[0]
            similarity = jaccard(one, earliest[:rank])
            best = int(np.argmax(similarity))
            if similarity[best] >= threshold:
                yield _Pair(later, int(positions[best]), float(similarity[best]))


def _read_signatures(file: IO[bytes], positions: Iterable[int]) -> "np.ndarray[Any, Any]":
    found = (os.pread(file.fileno(), _SIGNATURE_BYTES, int(p) * _SIGNATURE_BYTES) for p in positions)
    return np.frombuffer(b"".join(found), "<u4").reshape(-1, PERMUTATIONS)


def _drop(
    rows: Iterator[dict[str, Any]],
    found: _Found,
    report: FilterReport,
    candidate_of: Callable[[Mapping[str, Any]], Candidate],
) -> Iterator[dict[str, Any]]:
    """The rows without the later ones of the pairs; what the first of these are like is their evidence."""
    texts = {pair.earlier: "" for pair in found.first.values()}
    for number, row in enumerate(rows):
        if number in texts:
            texts[number] = candidate_of(row).text
        if not found.is_later[number]:
            yield row
            continue
        pair, evidence = found.first.get(number), ""
        if pair is not None:
            evidence = f"similarity {pair.similarity:.2f} to row {pair.earlier}: {texts[pair.earlier]}"
        report.count(number, Refusal(REASON, evidence), candidate_of(row))
