"""What a bank, or the sets of an RL parquet, hold, and whether surface gives the labels away: `realm routes stats`.

Serves design.md, section MRPV. Counts cover all rows, read question by question with flat memory; lengths' quantiles, single
cues and the fitted probe look at whole questions drawn by hash, up to `PROBED_ROUTES` routes.
"""

import tempfile
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from data_prep.check import SURFACE_LIMIT, surface
from data_prep.filters.exact import normal_text
from data_prep.routes.bank import UNKNOWN_WRITER, bank_files, by_question, read_bank, size_of
from data_prep.routes.composition import kind_of, mix_of
from data_prep.routes.picking import chars_of
from data_prep.routes.probe import Probed, probe
from data_prep.schema import BANK_SCHEMA
from reward_fns.routes import Route, route_from_mapping

PROBED_ROUTES = 20_000
QUANTILES = (0.1, 0.5, 0.9)


@dataclass
class BankStats:
    """Counts of a bank; complete after `read_stats`.

    `sources` holds for each source the number of right, wrong and disputed routes, their characters and their steps.
    """

    questions: int = 0
    routes: int = 0
    right: int = 0
    disputed: int = 0
    stale: int = 0
    duplicates: int = 0
    sound_known: int = 0
    first_errors: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    sources: defaultdict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    writers: Counter[str] = field(default_factory=Counter)
    single: Mapping[str, float] = field(default_factory=dict)
    lengths: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    probed: Probed | None = None

    @property
    def gives_away(self) -> bool:
        """Whether the fitted probe is above the design's limit."""
        return self.probed is not None and self.probed.all > SURFACE_LIMIT


def read_stats(path: Path, seed: int = 0) -> BankStats:
    """Read a bank or an RL parquet once.

    Raises:
        ValueError: it cannot be read.
    """
    stats = BankStats()
    uids: list[str] = []
    drawn: list[Route] = []
    with tempfile.TemporaryDirectory(prefix="realm_stats_") as name:
        groups = by_question(
            read_bank(path), BANK_SCHEMA, scratch=Path(name) / "bank", size=size_of(bank_files(path))
        )
        for uid, rows in groups:
            routes = [route_from_mapping(row) for row in _once(rows)]
            _count(stats, rows, routes)
            counted = [route for route in routes if not route.disputed]
            if len(drawn) + len(counted) <= PROBED_ROUTES:
                uids += [uid] * len(counted)
                drawn += counted
    stats.single = surface(drawn)
    stats.lengths = {
        kind: _quantiles([chars_of(route) for route in drawn if route.label == label])
        for kind, label in (("right", True), ("wrong", False))
    }
    stats.probed = probe(uids, drawn, seed)
    return stats


def _count(stats: BankStats, rows: Sequence[Mapping[str, Any]], routes: Sequence[Route]) -> None:
    stats.questions += 1
    stats.routes += len(routes)
    stats.right += sum(route.label for route in routes)
    stats.disputed += sum(route.disputed for route in routes)
    stats.stale += sum(bool(row["stale"]) for row in rows[: len(routes)])
    stats.duplicates += len(routes) - len({normal_text("\n".join(route.steps)) for route in routes})
    stats.sound_known += sum(route.sound is not None for route in routes)
    stats.first_errors += sum(route.first_error is not None for route in routes)
    stats.kinds[kind_of(mix_of(routes))] += 1
    stats.writers.update(row["writer"] for row in rows[: len(routes)])
    for route in routes:
        kind = "disputed" if route.disputed else "right" if route.label else "wrong"
        stats.sources[route.source].update(
            {kind: 1, "characters": chars_of(route), "steps": len(route.steps)}
        )


def _once(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A question of a validation file stands there twice, with the same routes: those count once."""
    half = len(rows) // 2
    is_twice = half and rows[:half] == rows[half:] and rows[0]["writer"] == UNKNOWN_WRITER
    return rows[:half] if is_twice else rows


def _quantiles(values: Sequence[int]) -> tuple[int, ...]:
    ordered = sorted(values)
    return tuple(ordered[min(len(ordered) - 1, int(len(ordered) * q))] for q in QUANTILES) if ordered else ()
