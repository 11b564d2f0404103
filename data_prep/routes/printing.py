"""What `realm routes select` and `realm routes stats` print.

Serves design.md, section MRPV: what was reached stands beside what was asked.
"""

from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from data_prep.check import SURFACE_LIMIT
from data_prep.routes.select import Selected, SelectOptions
from data_prep.routes.stats import QUANTILES, BankStats

MOST_SOURCES = 12


def describe_selected(selected: Selected, options: SelectOptions) -> Iterator[str]:
    """Lines with tabs: what was reached, what was asked, and why some questions got fewer routes."""
    with_routes = max(1, selected.questions - selected.sizes[0])
    yield f"questions\t{selected.questions}\troutes asked for each\t{options.k}"
    sizes = (f"{n} with {size}" for size, n in sorted(selected.sizes.items(), reverse=True))
    yield f"sets\t{', '.join(sizes)}"
    yield f"routes\t{', '.join(f'{n} {kind}' for kind, n in sorted(selected.labels.items()))}"
    if options.mismatched:
        yield "mismatched\troutes of other questions, labelled by this question's gold answer; none is sound"
    else:
        asked = {
            "all wrong": f"{options.targets.all_wrong:.1%}",
            "all right": f"{options.targets.all_right:.1%}",
            "majority right": "as often as majority wrong",
        }
        for kind in ("all wrong", "all right", "majority right", "majority wrong", "majority tied"):
            wanted = f"\tasked {asked[kind]}" if kind in asked else ""
            yield f"{kind}\t{selected.kinds[kind] / with_routes:.1%}{wanted}"
    for why, count in selected.fewer.most_common():
        yield f"fewer\t{count}\t{why}"
    for why, count in (selected.left_out + selected.filters.dropped).most_common():
        yield f"left out\t{count}\troutes: {why}"
    if selected.unmatched:
        yield f"left out\t{selected.unmatched}\tquestions of the bank that the data does not have"
    if selected.dropped:
        yield f"dropped\t{selected.dropped}\tquestions without routes"


def describe_stats(stats: BankStats) -> RenderableType:
    """Two tables and the probe's verdict."""
    return Group(_counts(stats), _sources(stats), *_surface(stats))


def _counts(stats: BankStats) -> Table:
    table = Table("what", show_edge=False)
    table.add_column("count", justify="right")
    table.add_column("share", justify="right")
    rows = [
        ("right", stats.right),
        ("wrong", stats.routes - stats.right),
        ("disputed (label and soundness differ)", stats.disputed),
        ("stale", stats.stale),
        ("text a second time in its question", stats.duplicates),
        ("soundness known", stats.sound_known),
        ("first error known", stats.first_errors),
    ]
    table.add_row("questions", str(stats.questions), "")
    table.add_row("routes", str(stats.routes), "")
    for name, count in rows:
        table.add_row(name, str(count), f"{count / max(1, stats.routes):.1%}")
    for kind, count in sorted(stats.kinds.items()):
        table.add_row(f"questions: {kind}", str(count), f"{count / max(1, stats.questions):.1%}")
    return table


def _sources(stats: BankStats) -> Table:
    table = Table("source", show_edge=False)
    for name in ("right", "wrong", "disputed", "characters", "steps"):
        table.add_column(name, justify="right")
    ordered = sorted(stats.sources.items(), key=lambda item: -_routes_of(item[1]))
    for source, counts in ordered[:MOST_SOURCES]:
        n = max(1, _routes_of(counts))
        table.add_row(
            source,
            *(str(counts[kind]) for kind in ("right", "wrong", "disputed")),
            f"{counts['characters'] / n:.0f}",
            f"{counts['steps'] / n:.1f}",
        )
    if len(ordered) > MOST_SOURCES:
        table.add_row(f"and {len(ordered) - MOST_SOURCES} more", "", "", "", "", "")
    return table


def _routes_of(counts: dict[str, int]) -> int:
    return sum(counts.get(kind, 0) for kind in ("right", "wrong", "disputed"))


def _surface(stats: BankStats) -> Iterator[Text]:
    names = "/".join(f"{q:.0%}" for q in QUANTILES)
    for kind, values in stats.lengths.items():
        if values:
            yield Text(f"characters of {kind} routes at {names}: {', '.join(map(str, values))}")
    for name, value in stats.single.items():
        yield _measured(f"informedness of {name} alone", f"{value:.2f}", value)
    probed = stats.probed
    if probed is None:
        yield Text("surface probe: too few questions, or routes of one kind only")
        return
    yield Text(
        f"surface probe on {probed.routes} routes of {probed.questions} questions, each judged by a fit to other questions:"
    )
    yield _measured("  length, steps and source", f"{probed.form:.2f}", probed.form)
    yield _measured("  words", f"{probed.words:.2f}", probed.words)
    yield _measured("  all", f"{probed.all:.2f} +- {probed.error:.2f}", probed.all)


def _measured(name: str, text: str, value: float) -> Text:
    if value <= SURFACE_LIMIT:
        return Text(f"{name}: {text}")
    return Text(
        f"{name}: {text}  <- above {SURFACE_LIMIT}: tells right from wrong routes", style="bold yellow"
    )
