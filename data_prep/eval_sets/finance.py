"""Questions over small invented tables of accounts: units, percent, scale and sign, judged by the domain `numeric`.

Serves design.md, section Domains. `make_problem(seed, index)` depends on nothing else. All arithmetic is exact
(`Fraction`); only answers are rounded, halves away from zero.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

from data_prep.eval_sets.chains import Chain, Problem, Step

COMPANIES = (
    "Aldera Mills",
    "Borrow Lane",
    "Cinder Works",
    "Dovetail Tools",
    "Eastmere Foods",
    "Fallow Freight",
)
COSTS = ("Cost of sales", "Research costs", "Selling costs")
KINDS = {"change": 25, "share": 20, "scale": 15, "difference": 15, "points": 15, "average": 10}


@dataclass(frozen=True)
class Table:
    """Accounts of one company: `rows[line][i]` is the figure of `years[i]`, in thousands or millions of dollars."""

    company: str
    unit: str
    years: tuple[int, ...]
    rows: dict[str, tuple[int, ...]]

    def at(self, line: str, year: int) -> int:
        """The figure of a line in a year."""
        return self.rows[line][self.years.index(year)]

    @property
    def text(self) -> str:
        """The table as a reader sees it, negative figures in parentheses."""
        head = " | ".join([f"in {self.unit}s of dollars", *map(str, self.years)])
        body = (" | ".join([line, *map(_account, figures)]) for line, figures in self.rows.items())
        return "\n".join([self.company, head, *body])


def make_problem(seed: int, index: int, attempt: int = 0) -> Problem:
    """The problem at (seed, index); `attempt` counts redraws."""
    rng = random.Random(f"eval_sets/finance/{seed}/{index}/{attempt}")
    kind = rng.choices(list(KINDS), weights=list(KINDS.values()))[0]
    table = _draw_table(rng, "thousand" if kind == "scale" else rng.choice(("thousand", "million")))
    return _MAKERS[kind](table, rng)


def _draw_table(rng: random.Random, unit: str) -> Table:
    first = rng.randint(2012, 2021)
    revenue = [rng.randint(2_000, 9_500)]
    for _ in range(2):
        revenue.append(revenue[-1] * rng.randint(80, 130) // 100)
    shares = ((400, 650), (50, 180), (120, 300))
    costs = [tuple(r * rng.randint(*share) // 1_000 for r in revenue) for share in shares]
    income = tuple(r - sum(column) for r, column in zip(revenue, zip(*costs, strict=True), strict=True))
    rows = {"Revenue": tuple(revenue), **dict(zip(COSTS, costs, strict=True)), "Operating income": income}
    return Table(rng.choice(COMPANIES), unit, (first, first + 1, first + 2), rows)


def _change(table: Table, rng: random.Random) -> Problem:
    line = rng.choice(("Revenue", *COSTS))
    early, late, other = _years(table, rng)
    neighbour = rng.choice([name for name in ("Revenue", *COSTS) if name != line])

    def solve(mistake: str | None) -> Chain:
        a = table.at(line, other if mistake == "year" else early)
        b = table.at(neighbour if mistake == "line" else line, late)
        change = b - a + (100 if mistake == "slip" else 0)
        base, name = (b, "later") if mistake == "base" else (a, "earlier")
        ratio = Fraction(change, base)
        answer = _percent(ratio if mistake == "percent" else 100 * ratio)
        return _chain(
            answer,
            Step(f"asked: the change of {line} from {early} to {late} in percent", spare=True),
            Step(f"{line} {early}: {_account(a)}"),
            Step(f"{line} {late}: {_account(b)}"),
            Step(f"change: {b} - {a} = {change}"),
            Step(f"base: the {name} figure, {base}", spare=True),
            Step(f"{change} / {base} = {_decimal(ratio, 4)}"),
        )

    text = f"By how many percent did {line.lower()} change from {early} to {late}? Round to one decimal."
    return _problem(table, text, "change", False, solve, ("year", "line", "slip", "base", "percent"))


def _share(table: Table, rng: random.Random) -> Problem:
    line = rng.choice(COSTS)
    year, other, _ = _years(table, rng)
    neighbour = rng.choice([name for name in COSTS if name != line])

    def solve(mistake: str | None) -> Chain:
        part = table.at(neighbour if mistake == "line" else line, year)
        whole = table.at("Revenue", other if mistake == "year" else year)
        if mistake == "whole":
            whole -= part
        ratio = Fraction(whole, part) if mistake == "turned" else Fraction(part, whole)
        division = f"{whole} / {part}" if mistake == "turned" else f"{part} / {whole}"
        rest = " without that line" if mistake == "whole" else ""
        return _chain(
            _percent(ratio if mistake == "percent" else 100 * ratio),
            Step(f"asked: {line} {year} as a share of revenue", spare=True),
            Step(f"{line} {year}: {part}"),
            Step(f"whole: revenue {year}{rest}: {whole}"),
            Step("both figures are on one scale, which cancels", spare=True),
            Step(f"{division} = {_decimal(ratio, 4)}"),
        )

    text = f"What share of revenue were {line.lower()} in {year}, in percent? Round to one decimal."
    return _problem(table, text, "share", False, solve, ("line", "year", "whole", "turned", "percent"))


def _scale(table: Table, rng: random.Random) -> Problem:
    line = rng.choice(("Revenue", *COSTS))
    year, other, _ = _years(table, rng)
    neighbour = rng.choice([name for name in ("Revenue", *COSTS) if name != line])

    def solve(mistake: str | None) -> Chain:
        found = table.at(neighbour if mistake == "line" else line, other if mistake == "year" else year)
        divisor = {"hundred": 100, "none": 1}.get(mistake or "", 1_000)
        unit = "million" if mistake == "none" else "thousand"
        scaled = Fraction(found, divisor)
        return _chain(
            f"${_decimal(scaled, 1)} million",
            Step(f"asked: {line} {year} in millions of dollars", spare=True),
            Step(f"scale: the table is in {unit}s of dollars", spare=True),
            Step(f"{line} {year}: {found}"),
            Step(f"{found} / {divisor} = {_decimal(scaled, 3)}"),
        )

    text = f"What was the figure of {line.lower()} in {year}, in millions of dollars? Round to one decimal."
    return _problem(table, text, "scale", True, solve, ("line", "year", "hundred", "none"))


def _difference(table: Table, rng: random.Random) -> Problem:
    line = "Operating income"
    early, late, other = _years(table, rng)

    def solve(mistake: str | None) -> Chain:
        a, b = table.at(line, early), table.at(line, other if mistake == "year" else late)
        if mistake == "sign":
            a, b = (abs(a), b) if a < 0 else (a, -b)
        x, y = (a, b) if mistake == "turned" else (b, a)
        change = x - y + (100 if mistake == "slip" else 0)
        return _chain(
            f"{change} {table.unit} dollars",
            Step(f"asked: {line} {late} less {line} {early}", spare=True),
            Step("figures in parentheses are negative", spare=True),
            Step(f"{line} {early}: {a}"),
            Step(f"{line} {late}: {b}"),
            Step(f"{x} - {_in_brackets(y)} = {change}"),
        )

    text = (
        f"By how many {table.unit} dollars did operating income change from {early} to {late}? "
        "A fall is negative."
    )
    negative = min(table.at(line, early), table.at(line, late)) < 0
    return _problem(table, text, "difference", negative, solve, ("year", "sign", "turned", "slip"))


def _points(table: Table, rng: random.Random) -> Problem:
    line = rng.choice(COSTS)
    early, late, _ = _years(table, rng)
    neighbour = rng.choice([name for name in COSTS if name != line])

    def solve(mistake: str | None) -> Chain:
        a = table.at(neighbour if mistake == "line" else line, early)
        b, revenue = table.at(line, late), table.at("Revenue", late)
        whole = table.at("Revenue", late if mistake == "year" else early)
        before, after = Fraction(100 * a, whole), Fraction(100 * b, revenue)
        change = before - after if mistake == "turned" else after - before
        if mistake == "relative":
            change = 100 * change / before
        shown = [_percent(before), _percent(after)]
        work = f"{shown[0]} - {shown[1]}" if mistake == "turned" else f"{shown[1]} - {shown[0]}"
        return _chain(
            f"{_decimal(change, 1)} percentage points",
            Step(f"asked: the share of revenue {late} less that of {early}", spare=True),
            Step(f"{early}: {a} / {whole} = {shown[0]}"),
            Step(f"{late}: {b} / {revenue} = {shown[1]}"),
            Step("points: the difference of the shares, not divided by one", spare=True),
            Step(f"({work}) / {shown[0]}" if mistake == "relative" else work),
        )

    text = (
        f"By how many percentage points did the share of {line.lower()} in revenue change from {early} to {late}? "
        "A fall is negative. Round to one decimal."
    )
    return _problem(table, text, "points", True, solve, ("line", "year", "turned", "relative"))


def _average(table: Table, rng: random.Random) -> Problem:
    line = rng.choice(("Revenue", *COSTS))
    neighbour = rng.choice([name for name in ("Revenue", *COSTS) if name != line])

    def solve(mistake: str | None) -> Chain:
        figures = list(table.rows[line])
        if mistake == "line":
            figures[1] = table.rows[neighbour][1]
        total = sum(figures[:2] if mistake == "missing" else figures) + (1_000 if mistake == "slip" else 0)
        count = 2 if mistake == "count" else 3
        return _chain(
            f"{_decimal(Fraction(total, count), 1)} {table.unit} dollars",
            Step(f"asked: the mean of {line} over three years", spare=True),
            Step("figures: " + ", ".join(map(str, figures))),
            Step(f"sum: {total}"),
            Step("all are on the scale that is asked for", spare=True),
            Step(f"{total} / {count} = {_decimal(Fraction(total, count), 3)}"),
        )

    text = f"What was the mean of {line.lower()} over the three years, in {table.unit} dollars? Round to one decimal."
    return _problem(table, text, "average", False, solve, ("line", "missing", "slip", "count"))


_MAKERS: dict[str, Callable[[Table, random.Random], Problem]] = {
    "change": _change,
    "share": _share,
    "scale": _scale,
    "difference": _difference,
    "points": _points,
    "average": _average,
}


def _problem(
    table: Table,
    text: str,
    kind: str,
    long_tail: bool,
    solve: Callable[[str | None], Chain],
    mistakes: tuple[str, ...],
) -> Problem:
    return Problem(f"{table.text}\n\n{text}", kind, long_tail, solve, mistakes)


def _chain(answer: str, *steps: Step) -> Chain:
    return Chain((*steps, Step(f"so {answer}")), answer)


def _years(table: Table, rng: random.Random) -> tuple[int, int, int]:
    """Two of the three years in order, then the third."""
    early, late = sorted(rng.sample(table.years, 2))
    (other,) = set(table.years) - {early, late}
    return early, late, other


def _account(figure: int) -> str:
    return f"{figure:,}" if figure >= 0 else f"({-figure:,})"


def _in_brackets(figure: int) -> str:
    return str(figure) if figure >= 0 else f"({figure})"


def _percent(value: Fraction) -> str:
    return f"{_decimal(value, 1)}%"


def _decimal(value: Fraction, digits: int) -> str:
    """The value with so many decimals, halves rounded away from zero."""
    scaled = abs(value) * 10**digits
    whole = (2 * scaled.numerator + scaled.denominator) // (2 * scaled.denominator)
    sign = "-" if value < 0 and whole else ""
    return f"{sign}{whole // 10**digits}.{whole % 10**digits:0{digits}d}"
