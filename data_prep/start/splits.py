"""Train, validation and test without leakage: by group, by content, and by time where there is one.

Serves design.md, section Data. Rows that belong together share a side: those of one group (all products of a query), or,
without groups, those whose texts differ in digits, case and punctuation only. A hash of the group decides, so that rows
keep their side when others are added. With a time column the test split is the latest rows; earlier rows of a group
that is in it are left out, because they would tell. Texts that are nearly a training row's are counted.
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass

from data_prep.start.labels import Example

SPLITS = ("train", "val", "test")
MIN_WORDS = 8
"""Texts with fewer words are one only if they are the same: short ones often differ in nothing but a number."""

_WORD = re.compile(r"[^\W\d_]+")


@dataclass(frozen=True)
class Split:
    """Examples by split, and what there is to know about leakage.

    Attributes:
        examples, groups: rows and number of groups, by split.
        leaks: earlier rows left out because their group is in the later test split.
        near: rows of val and test whose text is a training row's but for digits and punctuation.
    """

    examples: dict[str, list[Example]]
    groups: dict[str, int]
    leaks: tuple[Example, ...]
    near: dict[str, int]


def split_examples(examples: Sequence[Example], seed: int, test_share: float, val_share: float) -> Split:
    """Split examples.

    Args:
        examples: each input once; a time is on all of them or on none.
        seed: of the hash.
        test_share, val_share: shares of the groups; with times, test is a share of the rows.

    Raises:
        ValueError: a split would be empty, or the times cannot be cut.
    """
    unit_of = {example.row: _unit(example) for example in examples}
    latest: set[int] = set()
    if examples and examples[0].time is not None:
        latest = _latest(examples, test_share)
    told = {unit_of[row] for row in latest}
    sides: dict[str, list[Example]] = {name: [] for name in SPLITS}
    leaks = []
    for example in examples:
        unit = unit_of[example.row]
        draw = _draw(unit, seed)
        if latest:
            if example.row not in latest and unit in told:
                leaks.append(example)
                continue
            side = "test" if example.row in latest else "val" if draw < val_share else "train"
        else:
            side = "test" if draw < test_share else "val" if draw < test_share + val_share else "train"
        sides[side].append(example)
    groups = {side: len({unit_of[example.row] for example in rows}) for side, rows in sides.items()}
    empty = [side for side, rows in sides.items() if not rows]
    if empty:
        raise ValueError(
            f"no row falls into {' and '.join(empty)}: {len(examples)} rows in {len(set(unit_of.values()))} groups are "
            "too few; give more labels, another --seed, larger shares, or no group (--map group=none)"
        )
    trained = {_bare(example) for example in sides["train"]}
    near = {side: sum(_bare(example) in trained for example in sides[side]) for side in SPLITS[1:]}
    return Split(sides, groups, tuple(leaks), near)


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
    """What the rows share that belong on one side."""
    return f"text/{_bare(example)}" if example.group is None else f"group/{example.group}"


def _bare(example: Example) -> str:
    """A text without digits and punctuation."""
    words = _WORD.findall(example.text.casefold())
    return " ".join(words) if len(words) >= MIN_WORDS else example.key
