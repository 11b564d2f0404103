"""The study's section of docs/results.md, made from the committed rows alone.

    python -m benchmarks.study.report            # print it
    python -m benchmarks.study.report --write    # put it between the marks in docs/results.md, and draw docs/img/study.png

Serves docs/study_plan.md. The first plan, which was revised, keeps its file and its rows in `first` and its own part of
the section. Rows of an older configuration of an arm are left out and counted. The primary comparator is
the one whose last validation is best on dev, unguided, over its seeds; the test set has no say in it.
"""

import argparse
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean

from benchmarks.study import picture
from benchmarks.study.analysis import adjust, mean_of, paired, rollouts_to
from benchmarks.study.plan import FIRST, STUDY_FILE, Study, read_study
from benchmarks.study.rows import REGIMES, ROWS, Row, read_rows
from realm_ext.results.statistics import Estimate, p_text

RESULTS = Path(__file__).resolve().parents[2] / "docs" / "results.md"
BEGIN, END = "<!-- study: begin -->", "<!-- study: end -->"
COMMAND = "python -m benchmarks.study.report --write"
SLICES = ("macro_f1", "long_tail", "unseen", "format")
VERDICTS = ("informedness", "verdict", "first_error_acc")
GUESS = "first_error_guess"
ONE_RUN = "one training run: questions only"
METHOD = (
    "Intervals and p are Student's t over seeds, crossed with the questions. Where an arm has one training run they cover the "
    "questions alone (Wilson's interval; bootstrap and McNemar's exact test of a difference), say nothing of another run, "
    "and are corrected by Holm's procedure apart from the others."
)
Differences = dict[tuple[str, str], Estimate]


@dataclass(frozen=True)
class Results:
    """The rows that count, by arm and seed, and how many were left out as of an older configuration."""

    study: Study
    rows: Mapping[str, Mapping[int, Row]]
    left_out: int

    def scores(self, arm: str, regime: str) -> dict[int, list[float]]:
        """By seed: [questions] 1.0 where right."""
        rows = self.rows.get(arm, {})
        return {seed: row.scores(regime) for seed, row in rows.items() if regime in row.correct}


def collect(study: Study, rows: Iterable[Row]) -> Results:
    """Sort the rows by arm and seed."""
    kept: dict[str, dict[int, Row]] = {}
    left_out = 0
    for row in rows:
        arm = study.arms.get(row.arm)
        if arm is None or row.config_hash != study.config_hash(arm):
            left_out += 1
            continue
        kept.setdefault(row.arm, {})[row.seed] = row
    order = list(study.arms)
    return Results(study, dict(sorted(kept.items(), key=lambda item: order.index(item[0]))), left_out)


def comparator(results: Results) -> str | None:
    """The comparator that is best on dev, unguided, at its end; None while nothing is known of any."""
    means = {
        name: value
        for name in results.study.analysis.comparators
        if (value := dev(results, name)) is not None
    }
    return max(sorted(means), key=lambda name: means[name]) if means else None


def dev(results: Results, name: str) -> float | None:
    """Unguided accuracy on dev, mean over seeds: an arm's last validation.

    For an arm that is its start alone, the validation before the first step of the arms that go on from there.
    """
    arm = results.study.arms[name]
    if arm.train:
        rows = results.rows.get(name, {}).values()
        ends = [row.curve[-1][1] for row in rows if row.curve]
    else:
        same_start = [a.name for a in results.study.arms.values() if a.train and a.start == arm.start]
        followers = {
            (row.seed, row.curve[0][1])
            for other in same_start
            for row in results.rows.get(other, {}).values()
            if row.curve and row.curve[0][0] == 0
        }
        ends = [value for _, value in followers]
    return fmean(ends) if ends else None


def section(results: Results, rows: str = "benchmarks/study/rows", command: str = COMMAND) -> str:
    """The Markdown of a plan; `rows`: where its rows are kept, `command`: what made it."""
    if not results.rows:
        return f"No rows yet: `make study` makes them, `{COMMAND}` writes this section.\n"
    found = differences(results)
    parts = [
        f"Made by `{command}` from the rows in `{rows}`; rows of {_origins(results)}.",
        _accuracy_table(results),
        _difference_table(results, found),
        _pair_table(results),
        _slice_table(results),
        _rounds_table(results),
        _cost_table(results),
        _targets(results, found),
    ]
    if results.left_out:
        parts.append(f"Rows of an older configuration, left out: {results.left_out}.")
    missing = [arm.name for arm in results.study.arms.values() if arm.name not in results.rows]
    if missing:
        parts.append(f"Arms without a row so far: {', '.join(missing)}.")
    return "\n\n".join(part for part in parts if part) + "\n"


def _accuracy_table(results: Results) -> str:
    lines = ["| arm | tier | seeds | unguided | guided |", "|---|---|---|---|---|"]
    for name, rows in results.rows.items():
        cells = [_mean(results, name, regime) for regime in REGIMES]
        seeds = str(len(rows)) if len(rows) > 1 else ONE_RUN
        lines.append(f"| {name} | {results.study.arms[name].tier} | {seeds} | {' | '.join(cells)} |")
    says = f"Accuracy on the test questions, mean over seeds with 95% interval. {METHOD}"
    return f"{says}\n\n" + "\n".join(lines)


def _difference_table(results: Results, found: Differences) -> str:
    if not found:
        return ""
    analysis, best = results.study.analysis, comparator(results)
    adjusted = adjust({name: e for name, e in found.items() if name[0] != best})
    lines = [
        f"| {analysis.arm} minus | regime | points | 95% interval | by seed | p | p, Holm |",
        "|---|---|---|---|---|---|---|",
    ]
    for (arm, regime), e in found.items():
        own = "primary" if arm == best else p_text(adjusted[arm, regime], e.is_bound)
        lines.append(f"| {arm} | {regime} | {_difference(e)} | {own} |")
    says = f"Paired difference over questions and seeds. Primary comparator, the best on dev: {best or 'not known yet'}."
    return f"{says}\n\n" + "\n".join(lines)


def _pair_table(results: Results) -> str:
    """The arms that are compared with another arm than all others are (`Arm.against`)."""
    lines = []
    for name in results.rows:
        other = results.study.arms[name].against
        for regime in REGIMES if other else ():
            if e := _compare(results, name, other, regime):
                lines.append(f"| {name} minus {other} | {regime} | {_difference(e)} |")
    head = ["| pair | regime | points | 95% interval | by seed | p |", "|---|---|---|---|---|---|"]
    return "Pairs, each a question of its own:\n\n" + "\n".join(head + lines) if lines else ""


def _difference(e: Estimate) -> str:
    """The cells of a paired difference: points, interval, by seed, p value."""
    by_seed = " ".join(_points(value) for value in e.by_run) if len(e.by_run) > 1 else ONE_RUN
    return f"{_points(e.value)} | {_interval(e, _points)} | {by_seed} | {p_text(e.p_value, e.is_bound)}"


def _interval(e: Estimate, text: Callable[[float], str]) -> str:
    return f"{text(e.interval.low)} to {text(e.interval.high)}" if e.interval else "-"


def differences(results: Results) -> Differences:
    """By (arm, regime): the claimed arm minus that arm, of the arms that are compared with it."""
    analysis = results.study.analysis
    found = {}
    for name in results.rows:
        is_compared = name != analysis.arm and not results.study.arms[name].against
        for regime in REGIMES if is_compared else ():
            if e := _compare(results, analysis.arm, name, regime):
                found[name, regime] = e
    return found


def _compare(results: Results, arm: str, other: str, regime: str) -> Estimate | None:
    """The arm minus the other one, over the seeds that both have; None without any."""
    after, before = results.scores(arm, regime), results.scores(other, regime)
    return paired(after, before, results.study.analysis.samples)


def _slice_table(results: Results) -> str:
    names = [*(f"{n}, unguided" for n in SLICES), *VERDICTS, "best guess of it by length"]
    names += ["arithmetic", "characters, unguided"]
    lines = [f"| arm | {' | '.join(names)} |", "|---" * (len(names) + 1) + "|"]
    for name, rows in results.rows.items():
        values = [_over(row.metrics.get("unguided", {}).get(n) for row in rows.values()) for n in SLICES]
        values += [_over(row.metrics.get("guided", {}).get(n) for row in rows.values()) for n in VERDICTS]
        guided = [row.metrics.get("guided", {}) for row in rows.values()]
        guess = _over(metrics.get(GUESS) for metrics in guided)
        values.append(guess or ("not known" if any(VERDICTS[-1] in metrics for metrics in guided) else ""))
        values.append(_over(row.arithmetic for row in rows.values()))
        lengths = (row.metrics.get("unguided", {}).get("response_chars") for row in rows.values())
        values.append(_over(lengths, ".0f"))
        lines.append(f"| {_named(name, rows)} | {' | '.join(values)} |")
    return "Slices, verdict scores and length of responses, means over seeds:\n\n" + "\n".join(lines)


def _rounds_table(results: Results) -> str:
    """Dev accuracy, unguided, of arms in two rounds: at the ends of both, and after the SFT between them."""
    lines = []
    for name, rows in results.rows.items():
        found = []
        for row in rows.values():
            starts = [i for i in range(1, len(row.curve)) if row.curve[i][0] == row.curve[i - 1][0]]
            if starts:
                found.append([row.curve[i][1] for i in (0, starts[0] - 1, starts[0], -1)])
        if found:
            means = (f"{fmean(values):.1%}" for values in zip(*found, strict=True))
            lines.append(f"| {_named(name, rows)} | {len(found)} | {' | '.join(means)} |")
    head = ["| arm | seeds | start | end of round 1 | after SFT | end |", "|---" * 6 + "|"]
    says = "Unguided accuracy on dev of the arms in two rounds, SFT on their own chains between, means over seeds:"
    return f"{says}\n\n" + "\n".join(head + lines) if lines else ""


def _cost_table(results: Results) -> str:
    target = results.study.analysis.accuracy
    lines = [
        f"| arm | rollouts | tokens, prompts and the SFT between rounds included | rollouts to {target:.0%} unguided on dev |",
        "|---|---|---|---|",
    ]
    for name, rows in results.rows.items():
        trained = [row for row in rows.values() if row.rollouts]
        if not trained:
            continue
        reached = [_rollouts_to_target(results, row) for row in trained]
        there = [value for value in reached if value is not None]
        to_target = f"{fmean(there):,.0f} ({len(there)} of {len(trained)} seeds)" if there else "not reached"
        rollouts = fmean(row.rollouts for row in trained)
        tokens = fmean(sum(row.tokens.values()) for row in trained)
        lines.append(f"| {_named(name, rows)} | {rollouts:,.0f} | {tokens:,.0f} | {to_target} |")
    return "Cost of training:\n\n" + "\n".join(lines) if len(lines) > 2 else ""


def _targets(results: Results, found: Differences) -> str:
    analysis, best = results.study.analysis, comparator(results)
    lines = [
        _verdict(f"{regime}, over {best}", e.value * 100, points, _is_clear(e))
        for regime, points in analysis.targets.items()
        if (e := found.get((best or "", regime)))
    ]
    lines += [
        _verdict(f"{regime}, over {name}", e.value * 100, 0.0, _is_clear(e))
        for name, regime in ((analysis.control, "unguided"), ("vote", "guided"))
        if (e := found.get((name, regime)))
    ]
    for says, value, target in (
        ("unguided accuracy on dev, last step minus end of the fade", _after_the_fade(results), -1.0),
        (f"arithmetic, minus {analysis.start}", _forgetting(results), -1.0),
    ):
        if value is not None:
            lines.append(_verdict(says, value * 100, target, True))
    if saved := _saving(results):
        ratio, never = saved
        counted = (f"{n} of {name}" for name, n in never.items() if n)
        lines.append(
            f"- rollouts of {analysis.plain} over {analysis.arm}'s to {analysis.accuracy:.0%}: {ratio:.2f}, "
            f"target {analysis.saving}: {'met' if ratio >= analysis.saving else 'missed'}; seeds that never got there, "
            f"which count with all they had: {' and '.join(counted) or 'none'}."
        )
    return "Targets:\n\n" + "\n".join(lines) if lines else ""


def _is_clear(e: Estimate) -> bool:
    return e.interval is not None and e.interval.low > 0


def _verdict(says: str, points: float, target: float, is_clear: bool) -> str:
    met = points >= target and is_clear
    return f"- {says}: {points:+.1f} points, target {target:+.1f}: {'met' if met else 'missed'}."


def _after_the_fade(results: Results) -> float | None:
    """Dev accuracy, unguided: the last validation minus the first one without routes, mean over seeds."""
    study = results.study
    left = (
        study.rl.steps - study.rl.fade_steps
    )  # steps without routes; of two half rounds, half of them end the second
    without = left // 2 if study.arms[study.analysis.arm].harvest else left
    changes = [
        row.curve[-1][1] - after[0]
        for row in results.rows.get(study.analysis.arm, {}).values()
        if (after := [value for step, value, _ in row.curve if step >= study.rl.steps - without])
    ]
    return fmean(changes) if changes else None


def _forgetting(results: Results) -> float | None:
    """Arithmetic of the claimed arm minus that of its start, mean over the seeds that both have."""
    analysis = results.study.analysis
    ours, start = results.rows.get(analysis.arm, {}), results.rows.get(analysis.start, {})
    changes = [
        after - before
        for seed in ours.keys() & start.keys()
        if (after := ours[seed].arithmetic) is not None and (before := start[seed].arithmetic) is not None
    ]
    return fmean(changes) if changes else None


def _saving(results: Results) -> tuple[float, dict[str, int]] | None:
    """Rollouts to the set accuracy, plain GRPO's over the claimed arm's, over the seeds that both have.

    A seed that never gets there counts with all its rollouts, in either arm: the second value says how many did, by arm.
    None without a common seed, or where the claimed arm is there before its first rollout.
    """
    analysis = results.study.analysis
    spent: dict[str, list[float]] = {}
    never: dict[str, int] = {}
    common = results.rows.get(analysis.arm, {}).keys() & results.rows.get(analysis.plain, {}).keys()
    for name in (analysis.plain, analysis.arm):
        rows = [results.rows[name][seed] for seed in sorted(common)]
        reached = [_rollouts_to_target(results, row) for row in rows]
        spent[name] = [
            float(row.rollouts) if value is None else value for row, value in zip(rows, reached, strict=True)
        ]
        never[name] = reached.count(None)
    if not common or not any(spent[analysis.arm]):
        return None
    return fmean(spent[analysis.plain]) / fmean(spent[analysis.arm]), never


def _rollouts_to_target(results: Results, row: Row) -> float | None:
    study = results.study
    a_step = study.rl.questions * study.rl.rollouts
    return rollouts_to(study.analysis.accuracy, [(int(p[0]), p[1]) for p in row.curve], a_step)


def _mean(results: Results, name: str, regime: str) -> str:
    scores = results.scores(name, regime)
    if not scores:
        return ""
    e = mean_of(scores, results.study.analysis.samples)
    return f"{e.value:.1%} ({_interval(e, '{:.1%}'.format)})"


def _named(name: str, rows: Mapping[int, Row]) -> str:
    return name if len(rows) > 1 else f"{name} (one training run)"


def _over(values: Iterable[float | None], form: str = ".3f") -> str:
    present = [value for value in values if value is not None]
    return f"{fmean(present):{form}}" if present else ""


def _points(share: float) -> str:
    return f"{share * 100:+.1f}"


def _origins(results: Results) -> str:
    rows = [row for of_arm in results.rows.values() for row in of_arm.values()]
    commits = sorted({row.commit[:8] + ("+" if row.commit.endswith("+") else "") for row in rows})
    machines = sorted({row.machine for row in rows})
    return f"commits {', '.join(commits)}, machine class {'; '.join(machines)}"


def write(text: str, page: Path = RESULTS) -> None:
    """Put the section between the marks of a page.

    Raises:
        ValueError: the page lacks the marks.
    """
    content = page.read_text(encoding="utf-8")
    before, begin, rest = content.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{page} lacks the marks {BEGIN} and {END}, between which the section stands")
    page.write_text(f"{before}{BEGIN}\n\n{text}\n{END}{after}", encoding="utf-8")


def main(arguments: Sequence[str] | None = None) -> None:
    """See the module's text."""
    parser = argparse.ArgumentParser(description="The study's section of docs/results.md.")
    parser.add_argument("--study", type=Path, default=STUDY_FILE, help="the declarative file")
    parser.add_argument("--rows", type=Path, default=ROWS, help="where rows are kept")
    parser.add_argument("--arm", help="the arm to compare with the others, where not the study's own")
    parser.add_argument("--write", action="store_true", help="write docs/results.md")
    options = parser.parse_args(arguments)
    study = read_study(options.study)
    if options.arm:
        study = replace(study, analysis=replace(study.analysis, arm=options.arm))
    results = collect(study, read_rows(options.rows))
    text = section(results)
    if options.write:
        first = collect(read_study(FIRST / "study.yaml"), read_rows(FIRST / "rows"))
        heading = "### The first plan, stopped after one seed"
        tier_1 = [arm.name for arm in study.arms.values() if arm.tier == 1 and not arm.vote]
        picture.save(picture.draw(results.rows, tier_1, study.analysis.arm, study.analysis.samples))
        write(f"{text}\n{heading}\n\n{section(first, 'benchmarks/study/first/rows')}")
    else:
        sys.stdout.write(text)


if __name__ == "__main__":
    main()
