"""Overlap with evaluation sets: exact questions and shared word n-grams, with the matching span as evidence.

Serves design.md, section Guided CoT distillation, item 6, and `realm contamination`. The index holds the evaluation
texts alone; training texts stream past it.

* Texts are compared as words: NFKC, case folded, punctuation left out; each ideograph and kana is a word of its own.
* What all documents of a set begin or end with (an instruction, "Answer:") is left out of them.
* An n-gram of 13 words (as in the GPT-3 report, arXiv 2005.14165, appendix C) that stands in both is an overlap.
  A document of 5 to 12 words counts as one n-gram; a shorter one must equal the training text, punctuation included.
* N-grams that more than 1% of a set's documents (and more than 3 of them) share are its own boilerplate: ignored.
* Where, after that, over 5% of the documents still share n-grams with one another, the set is written from
  templates, and n-grams say nothing: there only a whole document is an overlap.
"""

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from data_prep.filters import Candidate, Refusal

N = 13
FLOOR = 5
COMMON_SHARE = 0.01
COMMON_COUNT = 3
TEMPLATED_ABOVE = 0.05
SPAN_WORDS = 40

_ASCII_WORD = re.compile(r"[a-z0-9]+")
_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]|[^\W_\u3040-\u30ff\u3400-\u9fff]+")
_BASE = 0x9E3779B97F4A7C15  # odd, so that it has an inverse modulo 2**64
_INVERSE = pow(_BASE, -1, 1 << 64)
_ONE: np.ndarray = np.zeros(1, np.int64)  # the position of a document's only n-gram


@dataclass(frozen=True)
class Overlap:
    """One evaluation document found in a training text.

    Attributes:
        dataset: name of the evaluation set.
        document: number of the document in its set, from 0; of equal documents the first.
        whole: the whole document stands in the text, not only an n-gram of it.
        words: length of the longest shared span that was found.
        span: its first 40 words, as they were compared.
    """

    dataset: str
    document: int
    whole: bool
    words: int
    span: str

    @property
    def evidence(self) -> str:
        """One line for people."""
        what = "whole text" if self.whole else f"{self.words} words in a row"
        return f"document {self.document}, {what}: {self.span!r}"


@dataclass(frozen=True)
class SetSummary:
    """What the index knows of one set.

    Attributes:
        documents: how many were given.
        distinct: how many different ones, as words.
        short: documents below the floor, found only where a training text equals them.
        empty: documents without a word of their own, which cannot be checked.
        ignored: n-grams left out as common within the set.
        self_overlap: share of distinct documents that share an n-gram with another one, common ones left out.
        templated: only whole documents count.
    """

    documents: int
    distinct: int
    short: int
    empty: int
    ignored: int
    self_overlap: float
    templated: bool


def words_of(text: str) -> list[str]:
    """The words that are compared."""
    if text.isascii():
        return _ASCII_WORD.findall(text.lower())
    return _WORD.findall(unicodedata.normalize("NFKC", text).casefold())


@dataclass(frozen=True)
class _Document:
    """A distinct document: what is compared, and the word that its set's shared ending begins with, if any."""

    dataset: str
    number: int
    text: str
    before: str | None
    after: str | None
    templated: bool


@dataclass(frozen=True)
class _Grams:
    """N-grams of one length, sorted by hash: document, position in it, and whether the n-gram alone is evidence."""

    n: int
    hashes: np.ndarray
    documents: np.ndarray
    positions: np.ndarray
    telling: np.ndarray


class OverlapIndex:
    """The documents of evaluation sets, ready to be found in training texts.

    Build it in the process that uses it: word hashes differ from process to process (never the results, since each
    hit is verified against the words). Memory is about 25 bytes a word of the sets.
    """

    def __init__(self, sets: Mapping[str, Iterable[str]], n: int = N, floor: int = FLOOR) -> None:
        """
        Args:
            sets: texts of the documents, by name of the set.
            n: length of the n-grams, in words.
            floor: shorter documents must equal a training text.

        Raises:
            ValueError: `floor` is not in 1 to `n`.
        """
        if not 1 <= floor <= n:
            raise ValueError(
                f"floor is the shortest document searched for as words, from 1 to n={n}; got {floor}"
            )
        self._n, self._floor = n, floor
        self._documents: list[_Document] = []
        self._short: dict[str, _Document] = {}
        self._powers = _powers(1024)
        self.sets: dict[str, SetSummary] = {}
        parts: dict[int, list[tuple[np.ndarray, ...]]] = {}
        for name, texts in sets.items():
            self._add(name, list(texts), parts)
        self._grams = [_sorted_grams(length, columns) for length, columns in sorted(parts.items())]

    def find(self, text: str) -> Overlap | None:
        """The strongest overlap of a training text: a whole document before an n-gram, then the longest span."""
        return max(self.find_all(text), key=lambda o: (o.whole, o.words), default=None)

    def find_all(self, text: str) -> list[Overlap]:
        """One overlap for each document found in a training text, in the order of the sets."""
        found: dict[tuple[str, int], Overlap] = {}
        short = self._short.get(_plain(text)) if self._short else None
        if short is not None:
            _keep(found, Overlap(short.dataset, short.number, True, len(words_of(text)), short.text))
        words = words_of(text)
        if not self._grams or len(words) < self._grams[0].n:
            return list(found.values())
        hashes = self._prefixes(words)
        for grams in self._grams:
            if len(words) < grams.n:
                break
            windows = self._windows(hashes, grams.n)
            left: np.ndarray = np.asarray(np.searchsorted(grams.hashes, windows, "left"))
            hits = np.flatnonzero(grams.hashes[np.minimum(left, len(grams.hashes) - 1)] == windows)
            seen: dict[
                int, int
            ] = {}  # for each document the end of its last span, so that none is walked twice
            for start in hits.tolist():
                entry = int(left[start])
                while entry < len(grams.hashes) and grams.hashes[entry] == windows[start]:
                    if seen.get(int(grams.documents[entry]), 0) < start + grams.n:
                        end, overlap = self._verify(words, start, grams, entry)
                        seen[int(grams.documents[entry])] = end
                        if overlap is not None:
                            _keep(found, overlap)
                    entry += 1
        order = list(self.sets)
        return sorted(found.values(), key=lambda o: (order.index(o.dataset), o.document))

    # ------------------------------ building ------------------------------

    def _add(self, name: str, texts: list[str], parts: dict[int, list[tuple[np.ndarray, ...]]]) -> None:
        """Index one set."""
        split = [words_of(text) for text in texts]
        begin, end = _shared_ends([words for words in split if words])
        bodies = [
            (
                words[begin : len(words) - end],
                words[begin - 1] if begin else None,
                words[-end] if end else None,
            )
            for words in split
        ]
        first: dict[tuple[str, ...], int] = {}
        for number, (body, _, _) in enumerate(bodies):
            if body:
                first.setdefault(tuple(body), number)
        searched = [number for body, number in first.items() if len(body) >= self._floor]
        long = [number for number in searched if len(bodies[number][0]) >= self._n]
        hashes = [self._windows(self._prefixes(bodies[number][0]), self._n) for number in long]
        values, counts = _document_frequency(hashes)
        limit = max(COMMON_COUNT, int(COMMON_SHARE * len(first)))
        frequencies = [counts[np.searchsorted(values, row)] for row in hashes]
        overlapping = sum(bool(np.any((f > 1) & (f <= limit))) for f in frequencies)
        self_overlap = overlapping / len(long) if long else 0.0
        templated = self_overlap > TEMPLATED_ABOVE
        self.sets[name] = SetSummary(
            documents=len(texts),
            distinct=len(first),
            short=len(first) - len(searched),
            empty=sum(not body for body, _, _ in bodies),
            ignored=int(np.sum(counts > limit)),
            self_overlap=self_overlap,
            templated=templated,
        )
        frequency_of = dict(zip(long, frequencies, strict=True))
        hashes_of = dict(zip(long, hashes, strict=True))
        for number in first.values():
            body, before, after = bodies[number]
            document = _Document(name, number, " ".join(body), before, after, templated)
            if len(body) < self._floor:
                self._short.setdefault(_plain(texts[number]), document)
                continue
            identity = len(self._documents)
            self._documents.append(document)
            if number in hashes_of:
                row = hashes_of[number]
                kept, telling = _chosen(row, frequency_of[number], limit, templated)
            else:  # shorter than n: one gram, the whole of it
                row, kept, telling = self._windows(self._prefixes(body), len(body)), _ONE, _ONE == 0
            columns: tuple[np.ndarray, ...] = (
                row[kept],
                np.full(len(kept), identity, np.int32),
                kept.astype(np.int32),
                telling,
            )
            parts.setdefault(min(len(body), self._n), []).append(columns)

    # ------------------------------ looking ------------------------------

    def _prefixes(self, words: Sequence[str]) -> np.ndarray:
        """Prefix sums from which the hash of any window follows: [words + 1] unsigned 64 bit, wrapping."""
        if len(words) > len(self._powers[0]):
            self._powers = _powers(2 * len(words))
        hashes = np.fromiter(map(hash, words), np.int64, len(words)).view(np.uint64)
        sums: np.ndarray = np.zeros(len(words) + 1, np.uint64)
        np.cumsum(hashes * self._powers[1][: len(words)], out=sums[1:])
        return sums

    def _windows(self, prefixes: np.ndarray, n: int) -> np.ndarray:
        """[words - n + 1] hashes of all windows of n words; the same for equal words wherever they stand."""
        return (prefixes[n:] - prefixes[:-n]) * self._powers[0][: len(prefixes) - n]

    def _verify(self, words: list[str], start: int, grams: _Grams, entry: int) -> tuple[int, Overlap | None]:
        """Where the longest span around a hit ends, and the overlap, if the words agree and the span counts."""
        document, position = self._documents[grams.documents[entry]], int(grams.positions[entry])
        body = document.text.split(" ")
        if words[start : start + grams.n] != body[position : position + grams.n]:
            return start, None  # two texts, one hash
        left, right = 0, grams.n
        while left < min(start, position) and words[start - left - 1] == body[position - left - 1]:
            left += 1
        while (
            start + right < len(words)
            and position + right < len(body)
            and words[start + right] == body[position + right]
        ):
            right += 1
        length = left + right
        whole = length == len(body)
        if (
            whole and document.templated
        ):  # "ships to EU" is not "ships to EU, US": what follows must be the ending
            whole = _fits(document.before, words, start - left - 1) and _fits(
                document.after, words, start + right
            )
        if not whole and (document.templated or not grams.telling[entry]):
            return start + right, None
        span = " ".join(words[start - left : start + right][:SPAN_WORDS])
        return start + right, Overlap(document.dataset, document.number, whole, length, span)


class OverlapFilter:
    """Drops candidates whose question or text overlaps with a document of an evaluation set."""

    def __init__(self, index: OverlapIndex) -> None:
        self._index = index

    def refuse(self, candidate: Candidate) -> Refusal | None:
        """The strongest overlap as a refusal; None lets the candidate pass."""
        for text in (candidate.question, candidate.text):
            overlap = self._index.find(text)
            if overlap is not None:
                return Refusal(f"overlap with the evaluation set {overlap.dataset}", overlap.evidence)
        return None


def _keep(found: dict[tuple[str, int], Overlap], overlap: Overlap) -> None:
    key = (overlap.dataset, overlap.document)
    known = found.get(key)
    if known is None or (overlap.whole, overlap.words) > (known.whole, known.words):
        found[key] = overlap


def _fits(expected: str | None, words: Sequence[str], index: int) -> bool:
    """Whether a neighbour of a span is the one its document has, or there is none."""
    return expected is None or not 0 <= index < len(words) or words[index] == expected


def _plain(text: str) -> str:
    return " ".join(text.casefold().split())


def _shared_ends(split: Sequence[Sequence[str]]) -> tuple[int, int]:
    """How many words all documents begin with, and end with; 0, 0 where they are all equal."""
    if len({tuple(words) for words in split}) < 2:
        return 0, 0
    shortest = min(len(words) for words in split)
    begin = next((i for i in range(shortest) if len({words[i] for words in split}) > 1), shortest)
    rest = shortest - begin
    end = next((i for i in range(rest) if len({words[-1 - i] for words in split}) > 1), rest)
    return begin, end


def _document_frequency(hashes: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """The distinct hashes, sorted, and in how many documents each stands."""
    if not hashes:
        return np.empty(0, np.uint64), np.empty(0, np.int64)
    values, counts = np.unique(np.concatenate([np.unique(row) for row in hashes]), return_counts=True)
    return values, counts


def _chosen(
    row: np.ndarray, frequency: np.ndarray, limit: int, templated: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Which of a document's n-grams are kept, each once, and which of these are evidence alone.

    The rarest stays whatever its document frequency: by it the whole document is found.
    """
    telling: np.ndarray = (frequency <= limit) & (not templated)
    once: np.ndarray = np.zeros(len(row), bool)
    once[np.unique(row, return_index=True)[1]] = True
    kept: np.ndarray = np.union1d(np.flatnonzero(telling & once), np.argmin(frequency))
    return kept, telling[kept]


def _sorted_grams(n: int, columns: Sequence[tuple[np.ndarray, ...]]) -> _Grams:
    hashes, documents, positions, telling = (np.concatenate(parts) for parts in zip(*columns, strict=True))
    order = np.argsort(hashes, kind="stable")
    return _Grams(n, hashes[order], documents[order], positions[order], telling[order])


def _powers(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Powers 0 to count - 1 of the base and of its inverse, modulo 2**64."""
    rows = []
    for base in (_BASE, _INVERSE):
        factors: np.ndarray = np.full(count, base, np.uint64)
        factors[0] = 1
        rows.append(np.cumprod(factors, dtype=np.uint64))
    return rows[0], rows[1]
