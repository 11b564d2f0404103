"""Answer comparers side by side in one run: agreement with the truth, and answers a second.

Ours (`reward_fns.answers.is_equivalent`), math-verify as its own documentation calls it, and verl's scorers. Three sets:
ordinary model answers drawn from a seed (`ordinary_answers.py`), and two of hard pairs written by hand
(`hard_latex.jsonl`, `hard_pairs.jsonl`), where a third and a half are different answers that look alike. Ours has been
mended by both: how it does on pairs that it has not met is in docs/rewards.md. All read the answer inside `\\boxed{}`. The
comparers take turns, some pairs at a time, so that whatever else runs on the machine meets all of them, and speeds are given by processor time too. Last, our
labels of the 2,800 published GSM8K solutions, if the data is there.

    python benchmarks/bench_answers.py --answers 6400
"""

import argparse
import contextlib
import importlib
import io
import json
import logging
import resource
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from rich.console import Console
from rich.table import Table

from benchmarks.ordinary_answers import Pair, ordinary_pairs
from reward_fns import domains
from reward_fns.answers import is_equivalent, tier_counts

HARD = tuple(Path(__file__).with_name(name) for name in ("hard_latex.jsonl", "hard_pairs.jsonl"))
SOLUTIONS = Path(__file__).parents[2] / "shared" / "data" / "gsm8k" / "example_model_solutions.jsonl"
OURS, PEER = "reward_fns.answers", "math-verify"
TURN = 160
TARGET_RATIO = 50
SLOW_SHARE = 5  # verl's slow scorers get one turn in so many

Comparer = Callable[[Pair], bool]


@dataclass
class Score:
    """What one comparer did: `seen` pairs in `seconds`, and the pairs it got wrong."""

    seen: int = 0
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    missed: list[Pair] = field(default_factory=list)

    def agreement(self) -> float:
        return 100 * (1 - len(self.missed) / self.seen)


def main() -> None:
    """Run the sets and the labels, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--answers", type=int, default=6400, help="ordinary answers to draw")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    logging.disable(logging.WARNING)
    console, comparers = Console(width=130), available()
    for comparer in comparers.values():
        comparer(Pair("warm up", "\\frac{1}{2}", "\\sqrt{2}/2", False))
    ordinary = compete(comparers, ordinary_pairs(options.answers, options.seed))
    show(console, f"{options.answers} ordinary answers, seed {options.seed}", ordinary)
    ratio = speed(ordinary[OURS]) / speed(ordinary[PEER])
    by_clock = ordinary[PEER].seconds / ordinary[OURS].seconds
    console.print(
        f"{OURS} / {PEER}: {ratio:.0f} times as fast by processor time (target {TARGET_RATIO}), "
        f"{by_clock:.0f} times by the clock"
    )
    console.print(f"tiers: {dict(sorted(tier_counts().items()))}\n")
    for path in HARD:
        show(console, path.stem, compete(comparers, hard_pairs(path)))
    if SOLUTIONS.exists():
        show_labels(console)


def available() -> dict[str, Comparer]:
    """Ours, math-verify, and those of verl's scorers that can be imported."""
    found: dict[str, Comparer] = {OURS: ours, PEER: math_verify()}
    for name, options in (
        ("math_verify", {}),
        ("prime_math", {}),
        ("math_dapo", {"strict_box_verify": True}),
        ("math_reward", {}),
    ):
        try:
            found[f"verl {name}"] = verl_scorer(name, options)
        except ImportError as error:
            print(f"verl {name} is left out: {error}")
    return found


def ours(pair: Pair) -> bool:
    return is_equivalent(f"\\boxed{{{pair.answer}}}", pair.gold)


def math_verify() -> Comparer:
    """With the extraction that its documentation gives for the kind of answer."""
    from math_verify import ExprExtractionConfig, LatexExtractionConfig, parse, verify
    from math_verify.parser import StringExtractionConfig

    formulas = (LatexExtractionConfig(), ExprExtractionConfig())
    letters = (StringExtractionConfig(strings=("A", "B", "C", "D", "E")),)

    def compare(pair: Pair) -> bool:
        if pair.kind == "choice":
            gold, answer = parse(pair.gold, letters), parse(pair.answer, letters)
        else:
            gold = parse(f"\\boxed{{{pair.gold}}}", formulas)
            answer = parse(f"\\boxed{{{pair.answer}}}", formulas)
        return bool(verify(gold, answer))

    return compare


def verl_scorer(name: str, options: Mapping[str, bool]) -> Comparer:
    module = importlib.import_module(f"verl.utils.reward_score.{name}")

    def compare(pair: Pair) -> bool:
        with contextlib.redirect_stdout(io.StringIO()):
            result = module.compute_score(f"\\boxed{{{pair.answer}}}", pair.gold, **options)
        if isinstance(result, dict):
            result = result["acc"]
        return bool(result[0] if isinstance(result, tuple) else result > 0)

    return compare


def compete(comparers: Mapping[str, Comparer], pairs: Sequence[Pair]) -> dict[str, Score]:
    """Each comparer on each turn of pairs; of many turns, verl's slow ones get every `SLOW_SHARE`th."""
    scores = {name: Score() for name in comparers}
    turns = [pairs[start : start + TURN] for start in range(0, len(pairs), TURN)]
    for number, turn in enumerate(turns):
        for name, comparer in comparers.items():
            if (
                name in ("verl math_verify", "verl prime_math")
                and len(turns) > SLOW_SHARE
                and number % SLOW_SHARE
            ):
                continue
            score = scores[name]
            started, cpu_started = time.perf_counter(), cpu_seconds()
            verdicts = [comparer(pair) for pair in turn]
            score.seconds += time.perf_counter() - started
            score.cpu_seconds += cpu_seconds() - cpu_started
            score.seen += len(turn)
            score.missed += [pair for pair, same in zip(turn, verdicts, strict=True) if same != pair.same]
    return scores


def hard_pairs(path: Path) -> list[Pair]:
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [Pair("hard", row["gold"], row["answer"], row["same"]) for row in rows]


def cpu_seconds() -> float:
    """Processor time of this process and of all that it started."""
    children = psutil.Process().children(recursive=True)
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    living = sum(child.cpu_times().user + child.cpu_times().system for child in children)
    return time.process_time() + ended.ru_utime + ended.ru_stime + living


def speed(score: Score) -> float:
    """Answers a second of processor time: on a busy machine the clock measures the others."""
    return score.seen / score.cpu_seconds


def show(console: Console, title: str, scores: Mapping[str, Score]) -> None:
    columns = ("answers", "agreement %", "wrong accepted", "right refused", "a CPU second", "a second")
    table = Table("comparer", *columns, title=title)
    for name, score in scores.items():
        accepted = sum(not pair.same for pair in score.missed)
        table.add_row(
            name,
            str(score.seen),
            f"{score.agreement():.2f}",
            str(accepted),
            str(len(score.missed) - accepted),
            f"{speed(score):,.0f}",
            f"{score.seen / score.seconds:,.0f}",
        )
    console.print(table)
    for name in (OURS, PEER):
        kinds = Counter(pair.kind for pair in scores[name].missed)
        if kinds and set(kinds) != {"hard"}:
            console.print(f"{name} missed: {dict(kinds)}")
    for pair in scores[OURS].missed:
        console.print(f"  {OURS}: {pair}", markup=False)


def show_labels(console: Console) -> None:
    """Our label of each published solution against `is_correct`, each disagreement on a line."""
    domain, total, differing = domains.get("math"), 0, []
    with SOLUTIONS.open(encoding="utf-8") as lines:
        for row in map(json.loads, lines):
            for model, solution in row.items():
                if isinstance(solution, dict):
                    total += 1
                    read = domain.extract(solution["solution"])
                    right = read is not None and domain.equivalent(read, row["ground_truth"])
                    if right != solution["is_correct"]:
                        gold = row["ground_truth"].splitlines()[-1]
                        last = solution["solution"].splitlines()[-1]
                        differing.append(
                            f"  {model}: read {read!r}, gold {gold!r}, ends {last[-80:]!r}: ours {right}"
                        )
    console.print(
        f"GSM8K labels: {total - len(differing)} of {total} agree ({100 - 100 * len(differing) / total:.2f}%)"
    )
    for line in differing:
        console.print(line, markup=False)


if __name__ == "__main__":
    main()
