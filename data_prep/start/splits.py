"""Train, validation and test without leakage: by group, by content, and by time where there is one.

Rows that belong together share a side: those of one group (all products of a query, all clauses of a contract), and
those whose texts are nearly the same. Where too few sets would be left to split so, less is joined, and what then
stands on two sides is counted. A hash of the set decides, so that rows keep their side when others are added, unless
these join sets. With a time column the test split is the latest rows; earlier rows of a group that is in it are left
out, because they would tell.
"""

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from data_prep.outputs import hash_text
from data_prep.start.labels import Example
from data_prep.start.likeness import Likeness, bare

SPLITS = ("train", "val", "test")
LEAK = "leak"
MIN_UNITS = 8
"""Fewer sets than these are not worth splitting by; nor is a set of more than half of the rows."""


@dataclass(frozen=True)
class Split:
    """Examples by split, and what there is to know about leakage.

    Attributes:
        examples, groups: rows and number of sets that belong together, by split.
        leaks: earlier rows left out because their group is in the later test split.
        near: rows of val and test whose text is nearly a training row's.
        shared: the same for rows that have a value of a group-like column with a training row in common, by column.
        joined: texts that are near another one and stand with it in one split.
    """

    examples: dict[str, list[Example]]
    groups: dict[str, int]
    leaks: tuple[Example, ...]
    near: dict[str, int]
    shared: dict[str, dict[str, int]] = field(default_factory=dict)
    joined: int = 0


def split_examples(
    examples: Sequence[Example], seed: int, test_share: float, val_share: float, join: bool = True
) -> Split:
    """Split examples.

    Args:
        examples: each input once; a time is on all of them or on none.
        seed: of the hash.
        test_share, val_share: shares of the sets; with times, test is a share of the rows.
        join: whether rows with a common value of a group-like column (`Example.alike`) belong together.

    Raises:
        ValueError: a split would be empty, or the times cannot be cut.
    """
    likeness = Likeness([example.text for example in examples])
    units = [_unit(example) for example in examples]
    near: list[tuple[int, int]] = []
    sides: Sequence[str]
    if examples and examples[0].time is not None:
        sides = _by_time(examples, units, seed, test_share, val_share)
    else:
        near, alike = list(likeness.pairs()), list(_alike(examples)) if join else []
        shares = {"test": test_share, "val": val_share}
        units, near, sides = _by_content(units, near, alike, seed, shares)
    numbers = {side: [n for n, found in enumerate(sides) if found == side] for side in (*SPLITS, LEAK)}
    empty = [side for side in SPLITS if not numbers[side]]
    if empty:
        raise ValueError(
            f"no row falls into {' and '.join(empty)}: {len(examples)} rows in {len(set(units))} groups are "
            "too few; give more labels, another --seed, larger shares, or no group (--map group=none)"
        )
    return Split(
        {side: [examples[n] for n in numbers[side]] for side in SPLITS},
        {side: len({units[n] for n in numbers[side]}) for side in SPLITS},
        tuple(examples[n] for n in numbers[LEAK]),
        {side: len(likeness.near(numbers[side], numbers["train"])) for side in SPLITS[1:]},
        _shared(examples, numbers),
        len({n for pair in near for n in pair}),
    )


def _by_content(
    own: list[str],
    near: list[tuple[int, int]],
    alike: list[tuple[int, int]],
    seed: int,
    shares: Mapping[str, float],
) -> tuple[list[str], list[tuple[int, int]], Sequence[str]]:
    """The set and the side of each row, and those of the pairs `near` that are in one set: all or none.

    Of near texts and rows of one value as many are joined as leave sets enough.
    """
    for near_used, alike_used in ((near, alike), ([], alike), (near, [])) if alike else ((near, []),):
        units = _joined(own, [*near_used, *alike_used])
        sizes = Counter(units)
        enough = len(sizes) >= MIN_UNITS and 2 * max(sizes.values()) <= len(units)
        if enough and (sides := _sides(units, seed, shares)):
            return units, near_used, sides
    return own, [], _sides(own, seed, shares) or ["train"] * len(own)


def _sides(units: Sequence[str], seed: int, shares: Mapping[str, float]) -> list[str] | None:
    """The side of each row; None where a side would be empty.

    By the draw of its set; where sets are so few that a side gets none, in the order of their draws until it is full. A
    set of more than twice the rows of a side is not put there.
    """
    sizes = Counter(units)
    draws = {unit: _draw(unit, seed) for unit in sizes}
    room = {side: 2 * share * len(units) for side, share in shares.items()}
    side_of, low = dict.fromkeys(sizes, "train"), 0.0
    for side, share in shares.items():
        side_of |= {u: side for u in sizes if low <= draws[u] < low + share and sizes[u] <= room[side]}
        low += share
    if len(set(side_of.values())) <= len(shares):
        side_of = dict.fromkeys(sizes, "train")
        for side in shares:
            full = 0
            for unit in sorted(sizes, key=lambda unit: draws[unit]):
                if side_of[unit] == "train" and full + sizes[unit] / 2 <= room[side] / 2:
                    side_of[unit], full = side, full + sizes[unit]
    sides = [side_of[unit] for unit in units]
    return sides if len(set(sides)) > len(shares) else None


def _by_time(
    examples: Sequence[Example], units: Sequence[str], seed: int, test_share: float, val_share: float
) -> list[str]:
    """The latest rows are the test split; earlier ones of their sets leak, the others go by the draw of their set."""
    latest = _latest(examples, test_share)
    told = {unit for unit, example in zip(units, examples, strict=True) if example.row in latest}
    return [
        "test"
        if example.row in latest
        else LEAK
        if unit in told
        else "val"
        if _draw(unit, seed) < val_share
        else "train"
        for unit, example in zip(units, examples, strict=True)
    ]


def _draw(unit: str, seed: int) -> float:
    """A number from 0 to below 1 that depends on the group and the seed."""
    return int.from_bytes(hashlib.sha256(f"split/{seed}/{unit}".encode()).digest()[:6], "big") / 2**48


def _latest(examples: Sequence[Example], share: float) -> set[int]:
    """The rows of the test split: the latest ones, those of one time together."""
    times = sorted(example.time for example in examples if example.time is not None)
    cut = times[min(len(times) - 1, int(len(times) * (1 - share)))]
    latest = {example.row for example in examples if example.time is not None and example.time >= cut}
    if 2 * len(latest) > len(examples):
        raise ValueError(
            f"{len(latest)} of {len(examples)} rows have the latest time, {cut}: they cannot be cut by time; "
            "leave the column out (--map time=none)"
        )
    return latest


def _unit(example: Example) -> str:
    """The set of a row by itself: its group, or its text without what does not count."""
    return f"text/{bare(example.text)}" if example.group is None else f"group/{example.group}"


def _alike(examples: Sequence[Example]) -> Iterator[tuple[int, int]]:
    """Pairs of rows that have a value of a group-like column in common, each with the first of that value."""
    first: dict[tuple[str, str], int] = {}
    for number, example in enumerate(examples):
        for value in example.alike:
            if (known := first.setdefault(value, number)) != number:
                yield number, known


def _joined(units: Sequence[str], pairs: Sequence[tuple[int, int]]) -> list[str]:
    """The sets of the rows after those of each pair became one; named by the one of them with the smallest hash.

    The hash is not that of the draws, or a set's draw would be the smaller, the larger it is.
    """
    parent = {unit: unit for unit in units}

    def root(unit: str) -> str:
        while parent[unit] != unit:
            parent[unit] = parent[parent[unit]]
            unit = parent[unit]
        return unit

    for one, other in pairs:
        low, high = sorted((root(units[one]), root(units[other])), key=hash_text)
        parent[high] = low
    return [root(unit) for unit in units]


def _shared(examples: Sequence[Example], numbers: Mapping[str, Sequence[int]]) -> dict[str, dict[str, int]]:
    """By column and side, how many rows of val and test have a value in common with a training row."""
    trained = {value for n in numbers["train"] for value in examples[n].alike}
    counts: dict[str, dict[str, int]] = {}
    for side in SPLITS[1:]:
        for column, value in (pair for n in numbers[side] for pair in examples[n].alike):
            if (column, value) in trained:
                of_column = counts.setdefault(column, {})
                of_column[side] = of_column.get(side, 0) + 1
    return counts
