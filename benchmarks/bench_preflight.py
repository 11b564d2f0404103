"""Rows a second of the checks before Ray, beside a plain loop over rows that finds the same faults.

Writes a parquet file of questions with 6 routes of 8 steps into a temporary folder, and reads it with
`realm_ext.preflight_data` (all rows; the run's tokenizer left out) and with `to_pylist` and Python (a part of the rows).
Both must find the same rows faulty. Memory is the peak of a process of its own.

    python benchmarks/bench_preflight.py --rows 1000000
"""

import argparse
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from omegaconf import OmegaConf

from data_prep.schema import RL_SCHEMA, rl_row
from realm_ext.exposure import REGIMES
from realm_ext.preflight_columns import schema_fault
from realm_ext.preflight_data import READABLE, read_data
from reward_fns.ground_truth import golds
from reward_fns.routes import Route, routes_from

TARGET_S, PER = 30.0, 1_000_000
N_ROUTES, N_STEPS, STEP_WORDS = 6, 8, 10
WRITTEN_AT_ONCE = 2_000
EVERY_FAULTY = 10_007
"""One row in so many has no gold answer, so that there is something to find."""


def make_rows(rng: random.Random, first: int, count: int) -> list[dict[str, Any]]:
    """Rows as `realm prep` writes them; texts differ from row to row."""
    rows = []
    for index in range(first, first + count):
        words = [f"w{rng.randrange(5000)}" for _ in range(200)]
        routes = [
            Route(
                steps=tuple(" ".join(rng.choices(words, k=STEP_WORDS)) for _ in range(N_STEPS)),
                answer=str(index % 97 + route % 2),
                label=route % 2 == 0,
                sound=route % 2 == 0,
                first_error=rng.randrange(N_STEPS) if route % 2 else None,
                source="bench",
            )
            for route in range(N_ROUTES)
        ]
        row = rl_row(
            f"Question {index}: {' '.join(words[:40])}?",
            str(index % 97),
            domain="math",
            index=index,
            split="train",
            routes=routes,
        )
        if index % EVERY_FAULTY == 0:
            row["reward_model"]["ground_truth"] = " "
        rows.append(row)
    return rows


def write_file(path: Path, n_rows: int) -> None:
    """Rows in the RL schema; a block of them is repeated under other uids, since making texts takes longest."""
    rng = random.Random(0)
    block = make_rows(rng, 1, WRITTEN_AT_ONCE)
    with pq.ParquetWriter(path, RL_SCHEMA) as writer:
        for first in range(0, n_rows, WRITTEN_AT_ONCE):
            for i, row in enumerate(block):
                number = first + i
                row["extra_info"] = {**row["extra_info"], "uid": f"{number:032x}", "index": number}
                is_faulty = number % EVERY_FAULTY == 0
                row["reward_model"] = {"style": "rule", "ground_truth": " " if is_faulty else str(i % 97)}
            writer.write_table(pa.Table.from_pylist(block[: n_rows - first], RL_SCHEMA))


def by_columns(path: Path, n_rows: int) -> str:
    """Ours: the report's problems on all rows."""
    config = OmegaConf.create(
        {
            "data": {"train_files": str(path), "val_files": [str(path.with_name("val.parquet"))]},
            "actor_rollout_ref": {"rollout": {"agent": {"default_agent_loop": "realm"}}},
            "reward": {"custom_reward_function": {"path": "pkg://reward_fns"}},
        }
    )
    report = read_data(config, with_lengths=False)
    return "; ".join(problem.partition(": ")[2] for problem in report.problems if str(path) in problem)


def by_rows(path: Path, n_rows: int) -> str:
    """The peer: the first `n_rows` as Python objects, checked one by one."""
    file = pq.ParquetFile(path)
    fault = schema_fault(file.schema_arrow, "prompt")
    if fault or not str(path).endswith(READABLE):
        raise ValueError(f"{path}: {fault}")
    bad, longest, number = [], 0, 0
    for batch in file.iter_batches(
        batch_size=1024, columns=["prompt", "data_source", "reward_model", "extra_info"]
    ):
        for row in batch.to_pylist():
            if number == n_rows:
                break
            longest = max(longest, sum(len(message["content"]) for message in row["prompt"]))
            if is_faulty(row):
                bad.append(number)
            number += 1
    return f"{len(bad)} rows {bad[:5]}"


def is_faulty(row: Mapping[str, Any]) -> bool:
    """Whether one row has a fault that `RowCheck` looks for."""
    info, prompt = row["extra_info"], row["prompt"]
    users = [message for message in prompt if message["role"] == "user"]
    if not users or not any(message["content"].strip() for message in users) or not row["data_source"]:
        return True
    if not info["uid"] or info["regime"] not in (None, *REGIMES):
        return True
    try:
        golds(row["reward_model"]["ground_truth"])
        routes_from(info["routes"])
    except ValueError:
        return True
    return False


PARTS: Mapping[str, Callable[[Path, int], str]] = {"columns": by_columns, "rows": by_rows}


def main() -> None:
    """Write the file, run both, print rows a second, the ratio and whether the target is met."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=PER, help="of the file")
    parser.add_argument("--peer-rows", type=int, default=20_000, help="that the plain loop reads")
    parser.add_argument("--part", nargs=3, metavar=("NAME", "FILE", "ROWS"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.part:
        print(json.dumps(run_part(options.part[0], Path(options.part[1]), int(options.part[2]))))
        return
    with tempfile.TemporaryDirectory(prefix="realm_bench_") as folder:
        path = Path(folder) / "train.parquet"
        write_file(path, options.rows)
        print(
            f"{options.rows} rows of {N_ROUTES} routes x {N_STEPS} steps, {path.stat().st_size / 2**20:.0f} MiB"
        )
        print(f"{'part':<10}{'rows':>10}{'seconds':>9}{'rows/s':>10}{'peak MiB':>10}  found")
        rates = {}
        for name, n_rows in (("columns", options.rows), ("rows", min(options.rows, options.peer_rows))):
            command = [sys.executable, __file__, "--part", name, str(path), str(n_rows)]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            took = json.loads(done.stdout.splitlines()[-1])
            rates[name] = n_rows / took["seconds"]
            print(
                f"{name:<10}{n_rows:>10}{took['seconds']:>9.1f}{rates[name]:>10.0f}{took['mib']:>10.0f}  {took['found']}",
                flush=True,
            )
    seconds = PER / rates["columns"]
    verdict = "met" if seconds < TARGET_S else "missed"
    print(
        f"ratio {rates['columns'] / rates['rows']:.1f}; {PER} rows: {seconds:.1f} s (target {TARGET_S:.0f}: {verdict})"
    )


def run_part(name: str, path: Path, n_rows: int) -> dict[str, Any]:
    """Seconds, peak memory in MiB and what was found."""
    begun = time.perf_counter()
    found = PARTS[name](path, n_rows)
    seconds = time.perf_counter() - begun
    mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"seconds": seconds, "mib": mib, "found": found}


if __name__ == "__main__":
    main()
