"""A comparison as tables of text, one form for the terminal and for Markdown.

Serves `realm compare`. Shares are shown in percent and their differences in points, other metrics as they are.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from realm_ext.compare.changed_rule import METRICS, SHOWN, by_checkpoint, reading_of, title_of_edit
from realm_ext.compare.comparison import Comparison, Score
from realm_ext.compare.differences import Difference, is_share, name_of
from realm_ext.compare.parts import KINDS
from realm_ext.results.statistics import Interval, p_text
from reward_fns.domains import domain_of

METHOD = (
    "Intervals are 95%. With one training run of an arm they cover the documents alone, not what another run would give: "
    "Wilson's score interval for a share of 0s and 1s, else the percentile bootstrap over documents; without samples, from "
    "lm-eval's standard error. p is then McNemar's exact test where a metric is 0 or 1, else a paired swap test. With "
    "several training runs, interval and p are Student's t over the runs, crossed with the documents. Differences are "
    "paired, document by document, and run by run in the order given. p is adjusted by Holm's procedure for all differences "
    "of the same metric; groups by themselves, and so are arms of one run and of several. A difference is more than noise "
    "when its interval is clear of 0 and p is below 0.05."
)
Baselines = Mapping[str, Mapping[str, float]]
"""For each task, the accuracy of each baseline."""


@dataclass(frozen=True)
class Row:
    """Cells of one line; a quiet one stands for no run."""

    cells: tuple[str, ...]
    quiet: bool = False


@dataclass(frozen=True)
class TextTable:
    """A table: the first `words` columns are words, the others numbers; the column `long` may be cut to fit."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    words: int = 1
    long: str = ""


def make_tables(found: Comparison, baselines: Baselines) -> list[TextTable]:
    """Every table that has rows, in the order to be read."""
    tables = []
    for task in (*found.groups, *found.versions):
        tables += [_score_table(found, task, baselines.get(task, {}))]
        tables += [_difference_table(found, task), _gap_table(found, task)]
        tables += [_part_table(found, task, kind) for kind in KINDS]
        tables += _change_tables(found, task)
    tables += _changed_rule_tables(found)
    return [table for table in tables if table.rows]


def sentences(found: Comparison) -> list[str]:
    """The outcome in words: a sentence for each difference and gap, a few for each checkpoint whose rules changed."""
    lines = []
    for d in found.differences:
        test = "" if d.n is not None else " (unpaired: samples are missing)"
        lines.append(
            f"{d.task}, {name_of((d.metric, d.filter))}: {d.after} against {d.before} "
            f"{difference_text(d)}, {d.reading}{test}. {_sentence(runs_text(found, (d.after, d.before)))}"
        )
    for d in found.gaps:
        reading = gap_reading(d)
        arm = d.after.removesuffix(", guided")
        lines.append(
            f"{d.task}: routes in the prompt bring {arm} {difference_text(d)}, {reading}. {_sentence(runs_text(found, [arm]))}"
        )
    return lines + _changed_rule_sentences(found)


def gap_reading(gap: Difference) -> str:
    """What an autonomy gap says."""
    if gap.within_noise:
        return "within noise"
    return "routes help" if gap.reading in ("better", "higher") else "routes hurt"


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


def runs_text(found: Comparison, arms: Sequence[str]) -> str:
    """How many training runs stand behind the figures of these arms."""
    counts = {arm: found.counts[arm] for arm in dict.fromkeys(arms)}
    each = " each" if len(counts) > 1 else ""
    if set(counts.values()) == {1}:
        return f"one training run{each}"
    if len(set(counts.values())) == 1:
        return f"{next(iter(counts.values()))} training runs{each}"
    return "training runs: " + ", ".join(f"{arm} {'one' if n == 1 else n}" for arm, n in counts.items())


# ------------------------------ tables ------------------------------


def _score_table(found: Comparison, task: str, baselines: Mapping[str, float]) -> TextTable:
    scores = {(s.run, s.metric, s.filter): s for s in found.scores if s.task == task}
    names = [run for run in found.runs if any(run == key[0] for key in scores)]
    rows = []
    for key in dict.fromkeys((metric, chosen) for _, metric, chosen in scores):
        cells = [_score_text(scores.get((run, *key))) for run in names]
        rows.append(Row((name_of(key), *cells)))
        if key == found.main.get(task):
            rows += [
                Row((f"  {name}", f"{100 * value:.1f}", *[""] * (len(names) - 1)), quiet=True)
                for name, value in baselines.items()
            ]
    counts = dict.fromkeys(str(s.n) for s in scores.values() if s.n is not None)
    n = f", {' and '.join(counts)} documents" if counts else ""
    kind = (
        f"mean of {len(found.groups[task])} tasks"
        if task in found.groups
        else f"version {found.versions[task]}"
    )
    return TextTable(f"{task}, {kind}{n}, {runs_text(found, names)}", ("Metric", *names), tuple(rows))


def _score_text(score: Score | None) -> str:
    if score is None:
        return "-"
    scale, digits = _scale(score.value, score.stderr)
    text = f"{scale * score.value:.{digits}f}"
    if score.interval:
        return f"{text} [{interval_text(score.interval, scale, digits)}]"
    return text if score.stderr is None else f"{text} ± {scale * score.stderr:.{digits}f}"


def _difference_table(found: Comparison, task: str) -> TextTable:
    chosen = [d for d in found.differences if d.task == task]
    several = any(len(d.by_run) > 1 for d in chosen)
    rows = [
        Row(
            (
                name_of((d.metric, d.filter)),
                f"{d.after} - {d.before}",
                *_numbers(d),
                *((_by_run_text(d),) if several else ()),
                "-" if d.gained is None else f"{d.gained}/{d.lost}",
                p_text(d.adjusted, d.is_bound),
                d.reading,
            )
        )
        for d in chosen
    ]
    by_run = ("By run",) if several else ()
    columns = ("Metric", "Difference", "Points", "95% interval", *by_run, "Up/down", "p", "Reading")
    arms = [arm for d in chosen for arm in (d.before, d.after)]
    title = f"{task}: paired differences, {runs_text(found, arms)}" if chosen else ""
    return TextTable(title, columns, tuple(rows), words=2)


def _by_run_text(d: Difference) -> str:
    """The difference of each pair of runs, where there are several."""
    if len(d.by_run) == 1:
        return "one training run"
    scale, digits = _scale(max(d.values, key=abs), None)
    return " ".join(f"{scale * value:+.{digits}f}" for value in d.by_run)


def _gap_table(found: Comparison, task: str) -> TextTable:
    chosen = [(d.after.removesuffix(", guided"), d) for d in found.gaps if d.task == task]
    rows = [
        Row(
            (
                arm,
                f"{100 * d.values[1]:.1f}",
                f"{100 * d.values[0]:.1f}",
                *_numbers(d),
                p_text(d.adjusted, d.is_bound),
                gap_reading(d),
            )
        )
        for arm, d in chosen
    ]
    columns = ("Run", "Unguided", "Guided", "Gap", "95% interval", "p", "Reading")
    runs = runs_text(found, [arm for arm, _ in chosen]) if chosen else ""
    return TextTable(f"{task}: autonomy gap, guided minus unguided, {runs}", columns, tuple(rows))


def _part_table(found: Comparison, task: str, kind: str) -> TextTable:
    parts = {(p.run, p.name): p for p in found.parts if p.task == task and p.kind == kind}
    runs = [run for run in found.runs if any(run == key[0] for key in parts)]
    differences = {
        (d.after, d.before, d.part.partition(" ")[2]): d
        for d in found.part_differences
        if d.task == task and d.part.startswith(f"{kind} ")
    }
    pairs = list(dict.fromkeys((after, before) for after, before, _ in differences))
    rule_names = names_of_rules(found.sources.get(task, ""))
    rows = []
    for name in dict.fromkeys(name for _, name in parts):
        cells = [f"{name} {rule_names[name]}" if kind == "rule" and name in rule_names else name]
        cells.append(" and ".join(dict.fromkeys(str(p.n) for (_, part), p in parts.items() if part == name)))
        for run in runs:
            part = parts.get((run, name))
            cells.append(f"{100 * part.value:.1f}" if part else "-")
        for after, before in pairs:
            d = differences.get((after, before, name))
            noise = "" if d is None or d.within_noise else " *"
            cells.append(
                "-"
                if d is None
                else f"{100 * d.difference:+.1f} [{interval_text(d.interval, 100, 0)}]{noise}"
            )
        rows.append(Row(tuple(cells)))
    columns = (kind.capitalize(), "n", *runs, *(f"{after} - {before}" for after, before in pairs))
    star = "; * more than noise" if pairs else ""
    metric = name_of(found.main[task]) if task in found.main else ""
    behind = f", {runs_text(found, runs)}" if runs else ""
    return TextTable(f"{task}: {metric} by {kind}, %{behind}{star}", columns, tuple(rows))


def _changed_rule_tables(found: Comparison) -> list[TextTable]:
    """One for each checkpoint: all edits together, then each edit, named in its first row."""
    columns = ("Edit", "Metric", "n", "Shown", "Hidden", "Difference")
    tables = []
    for name, chosen in by_checkpoint(found).items():
        rows = []
        for before, d in zip([None, *chosen], chosen, strict=False):
            difference = f"{100 * d.difference:+.1f} [{interval_text(d.interval, 100, 0)}]"
            cells = (
                "" if before is not None and before.part == d.part else title_of_edit(d.part),
                d.metric,
                "-" if d.n is None else str(d.n),
                *(f"{100 * value:.1f}" for value in d.values),
                difference + ("" if d.within_noise else " *"),
            )
            rows.append(Row(cells))
        title = f"{SHOWN}: {name}, rules shown minus hidden, %, one training run; * more than noise"
        tables.append(TextTable(title, columns, tuple(rows), words=2))
    return tables


def _changed_rule_sentences(found: Comparison) -> list[str]:
    lines = []
    for name, chosen in by_checkpoint(found).items():
        whole = {d.metric: d for d in chosen if not d.part}
        if not all(metric in whole for metric in METRICS):
            continue
        accuracy, affected, kept, unaffected = (whole[metric] for metric in METRICS)
        test = "" if affected.test != "unpaired" else " (unpaired: samples are missing)"
        lines.append(
            f"{name}, changed rules: accuracy {100 * accuracy.values[0]:.1f}% with the edited rules in the prompt, "
            f"{100 * accuracy.values[1]:.1f}% without, {difference_text(accuracy)}, {accuracy.reading}."
        )
        lines.append(
            f"{name}, where an edit changes the label: {100 * affected.values[0]:.1f}% by the new rules and "
            f"{100 * kept.values[0]:.1f}% by the old ones with them in the prompt, {100 * affected.values[1]:.1f}% and "
            f"{100 * kept.values[1]:.1f}% without. New rules {difference_text(affected)}, {affected.reading}; where "
            f"the label stays {difference_text(unaffected)}, {unaffected.reading}."
        )
        reading = reading_of(affected, kept, unaffected)
        lines.append(f"{name}: {reading}{_edits_within_noise(chosen)}{test}.")
    return lines


def _edits_within_noise(chosen: Sequence[Difference]) -> str:
    """The edits by which the share of new labels did not move, where it did by others."""
    of_edits = [d for d in chosen if d.part and d.metric == "acc_affected"]
    still = [title_of_edit(d.part) for d in of_edits if d.within_noise]
    return (
        f"; showing them changes nothing beyond noise for {', '.join(still)}"
        if 0 < len(still) < len(of_edits)
        else ""
    )


def _change_tables(found: Comparison, task: str) -> list[TextTable]:
    tables = []
    chosen = [c for c in found.changes if c.task == task]
    for after, before in dict.fromkeys((c.after, c.before) for c in chosen):
        rows = [
            Row(
                (
                    c.sample.uid,
                    c.sample.gold,
                    f"{c.answers[1]} ({c.scores[1]:g})",
                    f"{c.answers[0]} ({c.scores[0]:g})",
                    c.sample.question,
                )
            )
            for c in chosen
            if (c.after, c.before) == (after, before)
        ]
        columns = ("Document", "Gold", f"{before} (score)", f"{after} (score)", "Question")
        title = f"{task}: changed most, {after} - {before}"
        tables.append(TextTable(title, columns, tuple(rows), words=5, long="Question"))
    return tables


def names_of_rules(data_source: str) -> dict[str, str]:
    """Short names of the rules of the domain that a data source names, by id; empty where it names none."""
    try:
        return {rule.id: rule.name for rule in domain_of(data_source).rules}
    except (ValueError, ImportError):  # another's task, or a domain that is not installed here
        return {}


# ------------------------------ numbers as text ------------------------------


def _scale(value: float, spread: float | None) -> tuple[int, int]:
    """What a metric is multiplied by to be shown, and its decimals."""
    if is_share(value, spread):
        return 100, 1
    return 1, 1 if abs(value) >= 10 else 3


def _numbers(d: Difference) -> tuple[str, str]:
    """A difference and its interval."""
    scale, digits = _scale(max(d.values, key=abs), None)
    return f"{scale * d.difference:+.{digits}f}", interval_text(d.interval, scale, digits, " to ", "+")


def difference_text(d: Difference) -> str:
    """A difference with its unit and interval, for a sentence."""
    value, interval = _numbers(d)
    unit = " points" if is_share(max(d.values, key=abs), None) else ""
    return f"{value}{unit} (95% {interval})"


def interval_text(
    interval: Interval | None, scale: int, digits: int, between: str = ", ", sign: str = ""
) -> str:
    """An interval as "58.1, 64.2"; a dash when it is not known."""
    if interval is None:
        return "-"
    low, high = (round(scale * end, digits) + 0.0 for end in (interval.low, interval.high))  # no -0.0
    return f"{low:{sign}.{digits}f}{between}{high:{sign}.{digits}f}"


def markdown(tables: Sequence[TextTable], said: Sequence[str], notes: Sequence[str]) -> str:
    """The page that `--markdown` writes."""
    lines = ["# Comparison", "", *(f"- {_escape(line)}" for line in said), ""]
    for table in tables:
        marks = ["---"] * table.words + ["---:"] * (len(table.columns) - table.words)
        lines += [f"## {_escape(table.title)}", "", _line(table.columns), "|" + "|".join(marks) + "|"]
        for row in table.rows:
            lines.append(_line([f"*{cell.strip()}*" if row.quiet and cell else cell for cell in row.cells]))
        lines.append("")
    lines += [METHOD, ""]
    lines += [f"- {_escape(note)}" for note in notes]
    return "\n".join(lines).rstrip() + "\n"


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(_escape(cell) for cell in cells) + " |"


def _escape(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")
