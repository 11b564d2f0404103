"""Judge a data set before training on it: the command `realm check`.

Serves design.md, sections Data and MRPV. Every row goes through its domain's `check_row`, which proves that the gold
answer scores 1 and that the routes' labels hold. Beside that stands what a whole file shows: classes, kinds of sets,
and how far surface alone (length, number of steps, source) tells right routes from wrong ones.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import pyarrow as pa
import typer

from data_prep.further_domains import Domains, load_domains
from data_prep.on_disk import stream_parquet
from data_prep.routes.composition import kind_of, mix_of
from reward_fns import domains
from reward_fns.ground_truth import golds
from reward_fns.mrpv import MAX_GUESS_RATE, measured_guess_rates, measured_right_share
from reward_fns.routes import Route, routes_from

COLUMNS = ("data_source", "prompt", "reward_model", "extra_info")
NEEDED = ("data_source", "reward_model")
ROWS_NAMED = 5
MOST_CLASSES = 12
SURFACE_LIMIT = 0.2
"""Informedness above which a surface measure gives the verdicts away."""

_VALUES = re.compile(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"")
_NUMBERS = re.compile(r"\d+")


@dataclass
class Checked:
    """What one file holds; `bad` are row numbers from 0 by reason."""

    rows: int = 0
    bad: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    golds: Counter[str] = field(default_factory=Counter)
    banks: list[tuple[Route, ...]] = field(default_factory=list)

    @property
    def bad_rows(self) -> int:
        """How many rows have at least one problem."""
        return len({row for rows in self.bad.values() for row in rows})


def check(
    files: Annotated[list[Path], typer.Argument(help="Parquet files in the RL schema.")],
    domain: Domains = None,
) -> None:
    """Check RL data: gold answers, route labels, shares and surface statistics.

    Exit code 1 when a row is bad or a file cannot be read. Example: realm check data/train.parquet data/val.parquet
    """
    failed = False
    try:
        load_domains(domain)
        for path in files:
            checked = check_file(path)
            typer.echo("\n".join([str(path), *describe(checked)]))
            failed |= bool(checked.bad) or not checked.rows
    except (ValueError, ImportError, OSError) as error:
        typer.echo(f"realm check: {error}", err=True)
        raise typer.Exit(1) from error
    if failed:
        raise typer.Exit(1)


def check_file(path: Path) -> Checked:
    """Read and check one file, a batch of rows at a time.

    Raises:
        ValueError: it is no readable parquet file, or lacks a column; says what to do.
    """
    checked = Checked()
    for number, row in enumerate(_rows(path)):
        checked.rows += 1
        problems, routes = check_row(row)
        for problem in problems:
            checked.bad[reason_of(problem)].append(number)
        with suppress(ValueError):  # `check_row` says so
            checked.golds[" or ".join(golds((row["reward_model"] or {}).get("ground_truth")))] += 1
        checked.banks.append(routes)
    return checked


def check_row(row: Mapping[str, Any]) -> tuple[list[str], tuple[Route, ...]]:
    """The problems of a row, whatever its domain does with it, and its routes (none where they cannot be read)."""
    try:
        judge = domains.domain_of(str(row["data_source"]))
    except (ValueError, ImportError) as error:
        return [str(error)], ()
    try:
        problems = judge.check_row(row)
    except Exception as error:  # noqa: BLE001  a user's domain may raise anything; the other rows are still checked
        problems = [f"check_row of the domain {judge.name} raises {type(error).__name__}: {error}"]
    try:
        return problems, routes_from((row.get("extra_info") or {}).get("routes"))
    except ValueError:
        return problems, ()  # `check_row` says so


def reason_of(problem: str) -> str:
    """A problem without the values that differ from row to row."""
    return _NUMBERS.sub("#", _VALUES.sub("...", problem.partition("\n")[0]))


def describe(checked: Checked) -> list[str]:
    """The lines printed for a file: what is wrong with it first, then what is in it."""
    lines = [f"  rows {checked.rows}, bad {checked.bad_rows}"]
    for reason, rows in sorted(checked.bad.items(), key=lambda item: (-len(item[1]), item[0])):
        named = list(dict.fromkeys(rows))
        more = ", ..." if len(named) > ROWS_NAMED else ""
        lines.append(f"  {len(rows)} x {reason} (rows {', '.join(map(str, named[:ROWS_NAMED]))}{more})")
    if 1 < len(checked.golds) <= MOST_CLASSES:
        classes = (f"{gold} {count / checked.rows:.0%}" for gold, count in checked.golds.most_common())
        lines.append(f"  classes: {', '.join(classes)}")
    return lines + _describe_routes(checked.banks)


def _describe_routes(banks: Sequence[Sequence[Route]]) -> list[str]:
    filled = [bank for bank in banks if bank]
    share = measured_right_share(banks)
    if share is None:
        return ["  routes: none that count"]
    sizes = sorted(len(bank) for bank in filled)
    routes = [route for bank in filled for route in bank]
    kinds = Counter(kind_of(mix_of(bank)) for bank in filled)
    disputed = sum(route.disputed for route in routes)
    lines = [
        f"  routes: {len(routes)} in {len(filled)} rows, {sizes[0]} to {sizes[-1]} each, {disputed} disputed",
        f"  share of right routes: {share:.3f}",
        "  banks: " + ", ".join(f"{kind} {count / len(filled):.0%}" for kind, count in sorted(kinds.items())),
    ]
    located = [r for r in routes if not r.label and not r.disputed and r.first_error is not None]
    if located:
        rates = measured_guess_rates(located)
        usable = sum(max(rates.get(len(r.steps), (1.0,))) <= MAX_GUESS_RATE for r in located)
        lines.append(f"  first errors known: {len(located)}, of which {usable} can count as decisive")
    counted = [route for route in routes if not route.disputed]
    for name, value in surface(counted).items():
        warning = "  <- tells right from wrong routes" if value > SURFACE_LIMIT else ""
        lines.append(f"  informedness of {name}: {value:.2f}{warning}")
    return lines


def surface(routes: Sequence[Route]) -> dict[str, float]:
    """How well each cheap measure alone tells the kinds apart: the best rule's informedness, 0 to 1."""
    if len({route.label for route in routes}) < 2:
        return {}
    return {
        "length": _best_threshold([(sum(map(len, r.steps)), r.label) for r in routes]),
        "number of steps": _best_threshold([(len(r.steps), r.label) for r in routes]),
        "source": _best_sets([(r.source, r.label) for r in routes]),
    }


def _best_threshold(pairs: Sequence[tuple[int, bool]]) -> float:
    n_right = sum(label for _, label in pairs)
    n_wrong = len(pairs) - n_right
    counts: defaultdict[int, list[int]] = defaultdict(lambda: [0, 0])
    for value, label in pairs:
        counts[value][label] += 1
    best = right = wrong = 0.0
    for value in sorted(counts):
        wrong += counts[value][False] / n_wrong
        right += counts[value][True] / n_right
        best = max(best, abs(right - wrong))
    return best


def _best_sets(pairs: Sequence[tuple[str, bool]]) -> float:
    """Half of the differences between the two distributions: what the best split of the values attains."""
    right = Counter(value for value, label in pairs if label)
    wrong = Counter(value for value, label in pairs if not label)
    values = right.keys() | wrong.keys()
    return sum(abs(right[v] / right.total() - wrong[v] / wrong.total()) for v in values) / 2


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    if not path.is_file():
        raise ValueError(f"{path} does not exist; give parquet files")
    try:
        file = stream_parquet(path)
        missing = [name for name in NEEDED if name not in file.schema_arrow.names]
        if missing:
            raise ValueError(
                f"{path}: column {', '.join(missing)} is missing; found {', '.join(file.schema_arrow.names)}"
            )
        columns = [name for name in COLUMNS if name in file.schema_arrow.names]
        for batch in file.iter_batches(batch_size=1024, columns=columns):
            yield from batch.to_pylist()
    except (pa.ArrowException, OSError) as error:
        reason = str(error).partition("\n")[0]
        raise ValueError(f"{path} cannot be read as parquet ({reason}); write it again") from error
