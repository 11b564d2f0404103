"""The command `realm start`: a domain team's first, from labels and rules to a folder with the next commands.

Serves design.md, sections Domains and Data. It asks nothing: what it takes the columns for, what is wrong with the
labels and what it left out is printed, and each choice has an option.
"""

import keyword
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from data_prep.outputs import check_apart
from data_prep.sources.reading import Record, find_files, notes_of, read_file
from data_prep.start.columns import Columns, find_columns
from data_prep.start.folder import PROMPT_TOKENS, SFT_TOKENS, Plan, placing, tokens_of, write_all
from data_prep.start.labels import DROP, MAJORITY, Conflict, Labels, read_labels
from data_prep.start.rules import read_rules, unmentioned
from data_prep.start.splits import SPLITS, Split, split_examples
from reward_fns import domains
from reward_fns.domains import Rule

FEW = 20
"""A label with fewer examples is named: too few to learn from and to measure."""

CONFLICTS_SHOWN = 3


def start(
    labels: Annotated[Path, typer.Argument(help="CSV, JSONL or parquet with one label a row.")],
    rules: Annotated[
        Path, typer.Argument(help="The rule book: a YAML list of id, name, precedence, text, example.")
    ],
    out: Annotated[
        Path | None, typer.Option(help="The folder to write; the domain's name, if not given.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="The domain's name; else that of the labels file.")] = None,
    columns: Annotated[
        str | None,
        typer.Option(
            "--map", help="label=verdict,input=title+body,group=query,time=date; guessed where not given."
        ),
    ] = None,
    merge: Annotated[
        list[str] | None, typer.Option(help="OLD=NEW: take one label for another; may be given again.")
    ] = None,
    conflicts: Annotated[
        str, typer.Option(help="Inputs with different labels: `drop`, or `majority` where one has over half.")
    ] = DROP,
    ask: Annotated[str | None, typer.Option(help="The sentence that ends each question.")] = None,
    test_share: Annotated[float, typer.Option(min=0.01, max=0.9, help="Share of the test split.")] = 0.2,
    val_share: Annotated[float, typer.Option(min=0.01, max=0.9, help="Share of the validation split.")] = 0.1,
    seed: Annotated[int, typer.Option(help="Seed of the split.")] = 0,
    force: Annotated[bool, typer.Option("--force", help="Move a folder that is there aside.")] = False,
) -> None:
    """Start a domain from labels and rules: a package with tests, data splits, recipes and an evaluation task.

    Example: realm start support.csv rules.yaml --out support
    """
    try:
        if labels.is_dir():
            raise ValueError(f"{labels} is a folder; give one file, so that row numbers tell where a row is")
        domain = _domain_name(name or labels.stem)
        folder = out or Path(domain)
        check_apart(folder, labels, rules)
        files = find_files(labels)
        notes = notes_of(files)
        records = [record for file in files for record in read_file(file, file.name)]
        values = [record.value for record in records if isinstance(record, Record)]
        if not values:
            raise ValueError(f"{labels} holds no row that can be read")
        for note in notes:
            typer.echo(f"encoding   {note}")
        used = find_columns(values, columns)
        typer.echo(f"columns    {used.describe(list(dict.fromkeys(key for row in values for key in row)))}")
        for line in _report_telling(used):
            typer.echo(line)
        if conflicts not in (DROP, MAJORITY):
            raise ValueError(f"--conflicts is {DROP} or {MAJORITY}; got {conflicts!r}")
        book = read_rules(rules)
        found = read_labels(records, used, _merges(merge or ()), conflicts)
        split = split_examples(found.examples, seed, test_share, val_share, used.joined)
        asked = ask or f"Which label fits: {_listed(found.names)}?"
        parameters: dict[str, Any] = {
            "map": columns,
            "merge": " ".join(merge or ()) or None,
            "name": name,
            "ask": ask,
        }
        parameters |= {"conflicts": conflicts, "test_share": test_share, "val_share": val_share, "seed": seed}
        plan = Plan(
            name=domain,
            labels_path=labels,
            rules_path=rules,
            labels=found,
            split=split,
            ask=asked,
            parameters={key: value for key, value in parameters.items() if value is not None},
            seed=seed,
        )
        with placing(folder, force) as new:
            write_all(new, plan)
    except (ValueError, OSError) as error:
        typer.echo(f"realm start: {error}", err=True)
        raise typer.Exit(1) from error
    for line in (*report(len(records), found, split, book), *_report_lengths(found, asked)):
        typer.echo(line)
    typer.echo(f"wrote      {folder}; its README.md has the commands to come, in order")
    typer.echo(
        f"next       cd {folder} && python -m pip install --quiet --no-deps --no-build-isolation --editable . \\"
    )
    typer.echo("             && python -m pytest --quiet tests && realm check data/*.parquet")


def report(n_read: int, found: Labels, split: Split, rules: Sequence[Rule]) -> Iterator[str]:
    """What there is to know about the labels, a line each; what needs attention is marked with `<-`."""
    refused = Counter(why for _, why, _ in found.refused)
    yield f"rows       {n_read} read, {len(found.examples)} different inputs kept"
    for why, count in refused.most_common():
        yield f"           {count} left out: {why}"
    counts = Counter(example.label for example in found.examples)
    for label in found.names:
        few = (
            f"  <- under {FEW}: too few to learn or to measure; label more, or --merge"
            if counts[label] < FEW
            else ""
        )
        spelt = f" (also spelt {', '.join(found.spellings[label])})" if label in found.spellings else ""
        yield f"label      {label}{spelt}: {counts[label]}, {counts[label] / len(found.examples):.0%}{few}"
    for rare, frequent in found.alike():
        yield f"           {rare!r} looks like {frequent!r}  <- one label? --merge '{rare}={frequent}'"
    yield from _report_conflicts(found.conflicts)
    for side in SPLITS:
        rows = split.examples[side]
        absent = [label for label in found.names if label not in {example.label for example in rows}]
        note = f"  <- without {', '.join(absent)}" if absent else ""
        yield f"{side:<10} {len(rows)} rows in {split.groups[side]} groups{note}"
    yield from _report_leakage(split)
    bare = unmentioned(found.names, rules)
    note = f"; none speaks of {', '.join(bare)}  <-" if bare else ""
    yield f"rules      {len(rules)}{note}"


def _report_conflicts(conflicts: Sequence[Conflict]) -> Iterator[str]:
    if not conflicts:
        yield "conflicts  none"
        return
    rows = sum(len(conflict.examples) for conflict in conflicts)
    kept = sum(conflict.kept is not None for conflict in conflicts)
    decided = f"{kept} decided by majority, the others" if kept else "all"
    yield f"conflicts  {len(conflicts)} inputs with different labels, {rows} rows; {decided} left out (data/conflicts.csv)"
    for conflict in conflicts[:CONFLICTS_SHOWN]:
        said = ", ".join(f"row {example.row} {example.label}" for example in conflict.examples)
        yield f"           {said}: {' '.join(conflict.examples[0].text.split())[:60]}"
    if len(conflicts) > CONFLICTS_SHOWN:
        yield f"           and {len(conflicts) - CONFLICTS_SHOWN} more"


def _report_telling(used: Columns) -> Iterator[str]:
    """The columns that may tell the answer."""
    for name, why in used.telling.items():
        if name in used.inputs:
            yield f"           {name}: {why}  <- it is in the question; --map input=... leaves it out"
        else:
            yield f"           {name} left out: {why}; --map input=... takes it in"


def _report_leakage(split: Split) -> Iterator[str]:
    if split.joined:
        yield f"near       {split.joined} texts are nearly the same as another; those that are stand in one split"
    if split.leaks:
        many = 5 * len(split.leaks) > sum(map(len, split.examples.values()))
        note = "  <- many: --map group=none or time=none keeps them" if many else ""
        yield f"leakage    {len(split.leaks)} earlier rows left out: their group is in the test split{note}"
    near = _of_sides(split.near, split, "texts")
    if near:
        yield f"leakage    {near} have a near duplicate in train  <- scores will flatter"
    for column, counts in split.shared.items():
        of_sides = _of_sides(counts, split, "rows")
        yield f"leakage    {of_sides} have their {column} in common with train  <- --map group={column} keeps them apart"
    if not split.leaks and not near and not split.shared:
        yield "leakage    none: no group, no text and no near duplicate of one stands in two splits"


def _of_sides(counts: Mapping[str, int], split: Split, what: str) -> str:
    return ", ".join(f"{n} of {len(split.examples[side])} {side} {what}" for side, n in counts.items() if n)


def _report_lengths(found: Labels, asked: str) -> Iterator[str]:
    """Which questions are too long for the recipes; nothing where none is."""
    sizes = [tokens_of(f"{example.text}\n\n{asked}") for example in found.examples]
    for budget, where, option in (
        (PROMPT_TOKENS, "recipes/rl.yaml", "data.max_prompt_length"),
        (SFT_TOKENS, "recipes/sft.yaml, with the answer", "data.max_length"),
    ):
        if long := sum(size > budget for size in sizes):
            yield (
                f"length     {long} of {len(sizes)} texts are longer than about {budget:,} tokens ({where})  "
                f"<- shorten or cut them up, or raise {option}"
            )


def _merges(given: Sequence[str]) -> dict[str, str]:
    pairs = [tuple(part.strip() for part in text.split("=")) for text in given]
    if any(len(pair) != 2 or not all(pair) for pair in pairs):
        raise ValueError(f"--merge takes OLD=NEW; got {', '.join(given)}")
    return {pair[0]: pair[1] for pair in pairs}


def _domain_name(text: str) -> str:
    """A name that is a Python identifier and no known domain's."""
    name = re.sub(r"\W+", "_", text.lower(), flags=re.ASCII).strip("_")
    if not name.isidentifier() or keyword.iskeyword(name):
        raise ValueError(f"{text!r} gives no name for a domain; say --name with letters, digits and '_'")
    if name in domains.BUILT_IN:
        raise ValueError(f"a domain named {name!r} is built in; say another --name")
    return name


def _listed(names: Sequence[str]) -> str:
    return f"{', '.join(names[:-1])} or {names[-1]}"
