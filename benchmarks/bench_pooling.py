"""What pooling guided and unguided rollouts does to right unguided answers: a simulation.

Questions get `n` rollouts, some guided. Guided ones are right more often and earn process credit on top; unguided ones
earn the outcome and the format alone. The advantages are those of `realm_ext.advantages`, `separate` and `pool`, on the
same rewards. Printed is the mean advantage of the right unguided rollouts, and how many of them are pushed down.

    python benchmarks/bench_pooling.py
"""

import argparse
import random

import numpy as np
from rich.console import Console
from rich.table import Table

from realm_ext.advantages import centred, strata_of
from realm_ext.config import ADVANTAGES

PROCESS = 0.4  # verdict and decisive at their best with the default weights
FORMAT = 0.05


def main() -> None:
    """Simulate over how well the model does with and without routes, and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--questions", type=int, default=20_000)
    parser.add_argument("--n", type=int, default=8, help="rollouts of a question")
    parser.add_argument("--guided", type=int, default=4, help="guided rollouts of a question")
    options = parser.parse_args()
    table = Table("right: guided", "unguided", title="right unguided rollouts")
    for kind in ADVANTAGES:
        table.add_column(f"{kind}: mean advantage", justify="right")
        table.add_column("pushed down", justify="right")
    for p_guided, p_unguided in ((0.5, 0.5), (0.7, 0.4), (0.9, 0.3), (0.9, 0.6), (1.0, 1.0)):
        cells = [f"{p_guided:.0%}", f"{p_unguided:.0%}"]
        for kind in ADVANTAGES:
            values = simulate(kind, p_guided, p_unguided, options.questions, options.n, options.guided)
            cells += [f"{values.mean():+.3f}", f"{np.mean(values < -1e-9):.1%}"]
        table.add_row(*cells)
    Console().print(table)


def simulate(
    kind: str, p_guided: float, p_unguided: float, questions: int, n: int, n_guided: int
) -> np.ndarray:
    """Advantages of the right unguided rollouts, over all questions; the same rewards for each `kind`."""
    draw = random.Random(0)
    rewards, uids, guided, kept = [], [], [], []
    for question in range(questions):
        for i in range(n):
            is_guided = i < n_guided
            is_right = draw.random() < (p_guided if is_guided else p_unguided)
            process = draw.random() * PROCESS if is_guided else 0.0
            rewards.append(float(is_right) + process + FORMAT)
            uids.append(str(question))
            guided.append(is_guided)
            kept.append(is_right and not is_guided)
    return centred(np.array(rewards), strata_of(uids, guided, kind))[np.array(kept)]


if __name__ == "__main__":
    main()
