"""What judges of known skill earn by `verdict` and `decisive` on BIG-Bench Mistake's traces, marked by people.

Serves the design's section MRPV and issue 3. Each simulated question has a bank of six traces, composed by one of the
mixes below; a set of 1 to 6 of them is shown, drawn as the agent loop draws. Every judge judges every set, and the
real scoring functions score it, with the share and the guess rates measured on the banks as a run measures them.
Judges that do not look at the routes must earn 0 within noise in every set size and every mix, a perfect judge 1.

    python benchmarks/bench_judges.py --sets 100000
"""

import argparse
import json
import math
import random
import statistics
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from reward_fns.domains import Domain, get
from reward_fns.mrpv import measured_guess_rates, measured_right_share, score_response
from reward_fns.response import Response, Verdict
from reward_fns.routes import Route

DATA = Path(__file__).resolve().parents[2] / "shared" / "data" / "big_bench_mistake"
BANK = 6
COMPONENTS = ("verdict", "decisive", "credited")
BLIND = ("always-right", "always-wrong", "random", "middle step")
MAX_Z = 4.5
"""Standard errors off 0 that count as noise: a few hundred cells are looked at."""

Judge = Callable[[Route, random.Random], Verdict]
Mix = Callable[[random.Random], int]


@dataclass(frozen=True)
class Cell:
    """Mean and standard error of what one judge earned, over the sets to which the component applies."""

    mean: float
    error: float
    sets: int

    @property
    def z(self) -> float:
        """Standard errors off 0."""
        return 0.0 if self.mean == 0 else abs(self.mean) / self.error if self.error else math.inf


class Kinds(Domain):
    """The answers of the simulation: they name a kind of trace, and are compared as they are."""

    name = "kinds"

    def extract(self, answer_text: str) -> str | None:
        return answer_text

    def equivalent(self, prediction: str, gold: str) -> bool:
        return prediction == gold


Cells = Mapping[tuple[str, str, int, str], Cell]
"""By mix, judge, set size and component."""


def off_by_one(route: Route, rng: random.Random) -> Verdict:
    """Knows which routes are wrong, and names the step beside the first error."""
    if route.label or route.first_error is None:
        return Verdict(route.label)
    return Verdict(False, route.first_error + (1 if route.first_error + 1 < len(route.steps) else -1))


def coin(route: Route, rng: random.Random) -> Verdict:
    """A coin for the verdict, a die for the step."""
    return Verdict(True) if rng.random() < 0.5 else Verdict(False, rng.randrange(len(route.steps)))


JUDGES: dict[str, Judge] = {
    "perfect": lambda route, rng: Verdict(route.label, None if route.label else route.first_error),
    "off-by-one": off_by_one,
    "always-right": lambda route, rng: Verdict(True),
    "always-wrong": lambda route, rng: Verdict(False),
    "random": coin,
    "middle step": lambda route, rng: Verdict(False, len(route.steps) // 2),
}


def designed(rng: random.Random) -> int:
    """The design's composition: some sets of one kind, elsewhere the majority right as often as wrong."""
    draw = rng.random()
    if draw < 0.3:
        return 0 if draw < 0.2 else BANK
    return rng.choice((1, 2, 3, 4, 5))


def independent(share: float) -> Mix:
    """Each trace is right with this probability."""
    return lambda rng: sum(rng.random() < share for _ in range(BANK))


MIXES: dict[str, Mix] = {
    "half right": lambda rng: BANK // 2,
    "as designed": designed,
    "one kind": lambda rng: BANK * rng.randrange(2),
    "1/8 right": independent(1 / 8),
    "5/6 right": independent(5 / 6),
}
"""How many of a question's six traces are right. In BIG-Bench Mistake itself 1/8 are."""


def read_traces(folder: Path) -> list[Route]:
    """All traces whose answer and human mark agree, the wrong ones with the first wrong step.

    An answer stands for the trace's kind, as if all traces were of one question with two common wrong answers.
    """
    domain = get("logic")
    routes = []
    for path in sorted(folder.glob("*.jsonl")):
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines()):
            trace = json.loads(line)
            read = domain.extract(trace["answer"])
            label = read is not None and domain.equivalent(read, trace["target"])
            error = trace["mistake_index"]
            answer = "right" if label else f"wrong {number % 2}"
            route = Route(tuple(trace["steps"]), answer, label, error is None, error, path.stem)
            if not route.disputed:
                routes.append(route)
    return routes


def draw_banks(traces: Sequence[Route], mix: Mix, n: int, rng: random.Random) -> list[list[Route]]:
    """`n` questions' banks, in no order."""
    right = [route for route in traces if route.label]
    wrong = [route for route in traces if not route.label]
    banks = []
    for _ in range(n):
        count = mix(rng)
        bank = [*rng.sample(right, count), *rng.sample(wrong, BANK - count)]
        rng.shuffle(bank)
        banks.append(bank)
    return banks


def best_answer(shown: Sequence[Route], verdicts: Sequence[Verdict]) -> str:
    """The final answer that contradicts the verdicts least: it is what a judge would write to keep its credit."""
    trusted = [route.answer for route, verdict in zip(shown, verdicts, strict=True) if verdict.right]
    return statistics.mode(trusted) if trusted else "none of them"


def simulate(traces: Sequence[Route], n_sets: int, seed: int = 0) -> Cells:
    """Judge and score `n_sets` sets, spread evenly over mixes and set sizes."""
    domain = Kinds()
    earned: defaultdict[tuple[str, str, int, str], list[float]] = defaultdict(list)
    per_mix = n_sets // len(MIXES)
    for name, mix in MIXES.items():
        rng = random.Random(f"{seed}|{name}")
        banks = draw_banks(traces, mix, per_mix, rng)
        share = measured_right_share(banks)
        rates = measured_guess_rates(route for bank in banks for route in bank)
        for i, bank in enumerate(banks):
            size = i % BANK + 1
            for judge_name, judge in JUDGES.items():
                verdicts = tuple(judge(route, rng) for route in bank[:size])
                answer = best_answer(bank[:size], verdicts)
                response = Response(None, verdicts, True, answer, (), (answer,))
                parts = score_response(
                    response, bank[:size], "right", domain, right_share=share or 0.0, guess_rates=rates
                )
                credited = (parts.verdict or 0.0) + (parts.decisive or 0.0)
                for component, value in zip(
                    COMPONENTS, (parts.raw_verdict, parts.raw_decisive, credited), strict=True
                ):
                    if value is not None:
                        earned[name, judge_name, size, component].append(value)
    return {key: _cell(values) for key, values in earned.items()}


def _cell(values: Sequence[float]) -> Cell:
    error = statistics.stdev(values) / math.sqrt(len(values)) if len(values) > 1 else math.inf
    return Cell(statistics.fmean(values), error, len(values))


def blind_cells(cells: Cells, *components: str) -> Iterator[tuple[tuple[str, str, int, str], Cell]]:
    """What the judges that do not look at the routes earned by these components."""
    return ((key, cell) for key, cell in cells.items() if key[1] in BLIND and key[3] in components)


def report(cells: Cells) -> bool:
    """Print the tables; whether the blind judges earned 0 within noise in every cell."""
    for component in COMPONENTS:
        for mix in MIXES:
            print(f"\n{component}, bank {mix}: mean +- standard error by number of routes shown")
            print(f"{'judge':<13}" + "".join(f"{size:>16}" for size in range(1, BANK + 1)))
            for judge in JUDGES:
                row = [cells.get((mix, judge, size, component)) for size in range(1, BANK + 1)]
                texts = ["absent" if c is None else f"{c.mean:+.3f} +-{c.error:.3f}" for c in row]
                print(f"{judge:<13}" + "".join(f"{text:>16}" for text in texts))
    print()
    raw = list(blind_cells(cells, "verdict", "decisive"))
    off = [(key, cell) for key, cell in raw if cell.z > MAX_Z]
    worst_key, worst = max(raw, key=lambda item: item[1].z)
    print(
        f"{len(raw)} cells of {', '.join(BLIND)}: {len(off)} are more than {MAX_Z} standard errors off 0; the "
        f"largest is {worst.z:.1f} ({' | '.join(map(str, worst_key))}: {worst.mean:+.3f})"
    )
    gains = [cell for _, cell in blind_cells(cells, "credited") if cell.mean > MAX_Z * cell.error]
    print(f"{len(gains)} cells in which the consistency rule leaves them a gain")
    return not off and not gains


def main() -> None:
    """Run the simulation; exit code 1 where a blind judge earns something."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--sets", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--data", type=Path, default=DATA, help="folder with BIG-Bench Mistake's JSONL files")
    options = parser.parse_args()
    traces = read_traces(options.data)
    if not traces:
        parser.exit(2, f"bench_judges: no traces in {options.data}; give --data\n")
    n_right = sum(route.label for route in traces)
    print(f"{len(traces)} undisputed traces, {n_right} right; {options.sets} sets, seed {options.seed}")
    raise SystemExit(0 if report(simulate(traces, options.sets, options.seed)) else 1)


if __name__ == "__main__":
    main()
