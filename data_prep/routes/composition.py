"""How many right and how many wrong routes each question's set gets.

Serves design.md, section MRPV ("Sets are composed so that ..."). A question's *cell* is how many right and wrong routes
it has, each counted up to k; a *mix* is how many of each its set takes. From the number of questions in each cell,
`plan_sets` decides which share of a cell gets which mix; `Drawer` then hands the mixes out. Both need memory for the
cells alone, (k + 1)^2 of them.

* All wrong: questions without a right route first, then as large a share of the others as the target asks for,
  first of those with wrong routes enough for a whole set. All right alike, up to half of what is left (more if asked).
* What remains is mixed, any feasible number of right routes as likely as another. Where majorities of one kind then
  prevail, mixes move to the other side, and where a question has too few of one kind for that, to a smaller set with
  as many right as wrong ones. So the majority is right as often as wrong, whatever the bank is like.
"""

import random
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from reward_fns.routes import Route

Cell = tuple[int, int]
Mix = tuple[int, int]
"""Right routes, wrong routes."""

_GOLDEN = 0.6180339887498949


@dataclass(frozen=True)
class Targets:
    """Wanted shares of sets of one kind. The design asks for at least 0.2 all wrong and some all right."""

    all_wrong: float = 0.22
    all_right: float = 0.12

    def __post_init__(self) -> None:
        if min(self.all_wrong, self.all_right) < 0 or self.all_wrong + self.all_right > 1:
            raise ValueError(
                f"the shares of all-wrong and all-right sets are 0 or more and together at most 1; "
                f"got {self.all_wrong} and {self.all_right}"
            )


Plan = Mapping[Cell, tuple[tuple[Mix, float], ...]]
"""For each cell its mixes and their shares, which add up to 1."""


def cell_of(n_right: int, n_wrong: int, k: int) -> Cell:
    """The cell of a question with so many usable routes."""
    return min(n_right, k), min(n_wrong, k)


def size_of(cell: Cell, k: int) -> int:
    """The size of a whole set: as many routes as there are, up to k."""
    return min(k, sum(cell))


def plan_sets(cells: Mapping[Cell, int], k: int, targets: Targets) -> Plan:
    """Which share of each cell gets which mix.

    Args:
        cells: questions by cell; those without any route, cell (0, 0), are left out.
        k: routes wanted for a question.
        targets: shares of sets of one kind.

    Raises:
        ValueError: k is below 1.
    """
    if k < 1:
        raise ValueError(f"a set needs at least one route; got k={k}")
    numbers = {cell: n for cell, n in cells.items() if n and cell != (0, 0)}
    total = sum(numbers.values())
    shares: dict[Cell, defaultdict[Mix, float]] = {cell: defaultdict(float) for cell in numbers}
    left = dict.fromkeys(numbers, 1.0)

    def give(cell: Cell, mix: Mix, share: float) -> None:
        if share > 0:
            shares[cell][mix] += share
            left[cell] -= share

    for cell in numbers:
        if not all(cell):
            size = size_of(cell, k)
            give(cell, (0, size) if cell[0] == 0 else (size, 0), 1.0)
    most_right = max(0.5, targets.all_right / max(targets.all_right, 1 - targets.all_wrong, 1e-9))
    for wrong, target, most in ((1, targets.all_wrong, 1.0), (0, targets.all_right, most_right)):
        missing = target * total - sum(n for cell, n in numbers.items() if cell[1 - wrong] == 0)
        for tier in (_whole_set(wrong, k), _smaller_set(wrong, k)):
            usable = {cell: left[cell] * most for cell in numbers if all(cell) and tier(cell)}
            supply = sum(numbers[cell] * share for cell, share in usable.items())
            taken = min(1.0, missing / supply) if supply > 0 and missing > 0 else 0.0
            for cell, share in usable.items():
                size = min(size_of(cell, k), cell[wrong])
                give(cell, (0, size) if wrong else (size, 0), share * taken)
            missing -= supply * taken
    mixed = {cell: left[cell] for cell in numbers if all(cell) and left[cell] > 0}
    for cell, mixes in _balanced(mixed, numbers, k).items():
        for mix, share in mixes.items():
            give(cell, mix, share)
    return {cell: tuple(sorted(mixes.items())) for cell, mixes in sorted(shares.items())}


class Drawer:
    """Hands out the mixes of a plan, question by question, so that each share is met as closely as numbers allow.

    The n-th question of a cell stands at offset + n * golden ratio (mod 1) among the shares; the offset is drawn from
    the seed. So what a question gets depends on the seed and on the questions before it in the order of `on_disk`.
    """

    def __init__(self, plan: Plan, seed: int) -> None:
        self._plan = plan
        self._seed = seed
        self._drawn: Counter[Cell] = Counter()

    def draw(self, cell: Cell) -> Mix:
        """The mix of the next question of this cell."""
        offset = random.Random(f"mix/{self._seed}/{cell}").random()
        place = (offset + self._drawn[cell] * _GOLDEN) % 1.0
        self._drawn[cell] += 1
        mixes = self._plan[cell]
        for mix, share in mixes:
            place -= share
            if place < 0:
                return mix
        return mixes[-1][0]


def mix_of(routes: Iterable[Route]) -> Mix:
    """How many right and how many wrong routes a set holds; disputed ones do not count."""
    labels = Counter(route.label for route in routes if not route.disputed)
    return labels[True], labels[False]


def kind_of(mix: Mix) -> str:
    """What a set is called: all right, all wrong, or who has the majority."""
    right, wrong = mix
    if not right or not wrong:
        return "all right" if right else "all wrong" if wrong else "none that count"
    return "majority " + ("right" if right > wrong else "wrong" if right < wrong else "tied")


def _whole_set(wrong: int, k: int) -> Callable[[Cell], bool]:
    return lambda cell: cell[wrong] >= size_of(cell, k)


def _smaller_set(wrong: int, k: int) -> Callable[[Cell], bool]:
    return lambda cell: 2 <= cell[wrong] < size_of(cell, k)


def _balanced(
    left: Mapping[Cell, float], numbers: Mapping[Cell, int], k: int
) -> dict[Cell, dict[Mix, float]]:
    """The shares `left` of the cells spread over mixed sets, majorities right as often as wrong."""
    spread: dict[Cell, defaultdict[Mix, float]] = {}
    for cell, share in left.items():
        mixes = _feasible(cell, k)
        spread[cell] = defaultdict(float, {mix: share / len(mixes) for mix in mixes})
    gap = sum(
        numbers[cell] * share * ((w > r) - (r > w))
        for cell, mixes in spread.items()
        for (r, w), share in mixes.items()
    )
    too_many = (lambda mix: mix[1] > mix[0]) if gap > 0 else (lambda mix: mix[0] > mix[1])
    gap = abs(gap)

    def movable(to_other_side: bool) -> list[tuple[Cell, Mix]]:
        return [
            (cell, mix)
            for cell, mixes in spread.items()
            for mix in mixes
            if too_many(mix) and (mix[::-1] in mixes) == to_other_side
        ]

    for to_other_side, worth in ((True, 2), (False, 1)):  # to the other side closes the gap twice as fast
        moves = movable(to_other_side)
        supply = sum(numbers[cell] * spread[cell][mix] for cell, mix in moves)
        moved = min(1.0, gap / worth / supply) if supply > 0 else 0.0
        for cell, mix in moves:
            share = spread[cell][mix] * moved
            few = min(cell)
            spread[cell][mix] -= share
            spread[cell][mix[::-1] if to_other_side else (min(few, k // 2),) * 2] += share
        gap -= worth * moved * supply
    return {cell: {mix: share for mix, share in mixes.items() if share > 0} for cell, mixes in spread.items()}


def _feasible(cell: Cell, k: int) -> list[Mix]:
    """The mixed sets of a cell's size; where the size is 1, the two that hold one route."""
    size = size_of(cell, k)
    if size == 1:
        return [(1, 0), (0, 1)]
    right, wrong = cell
    return [(r, size - r) for r in range(max(1, size - wrong), min(right, size - 1) + 1)]
