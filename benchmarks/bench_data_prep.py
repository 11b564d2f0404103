"""Filters and selection of route banks at size: rows a second and peak memory, at two sizes ten-fold apart.

Serves issue 5 (Scale). Every part runs in a process of its own, which reports its peak resident memory; the same rows go
to every search for near duplicates. Time should grow with the rows, memory should not. Parts:

* `select`: what `realm routes select` does: length, near duplicates within a question, sets of 4, RL parquet written.
* `filters`: SFT rows: length, rules, exact duplicates, near duplicates across all questions.
* `datatrove`: its MinHash pipeline on the same texts, with as many hashes and the same words and shingles, if importable
  (not in the lock: `pip install --no-deps --target FOLDER datatrove loguru humanize 'xxhash<4'`, PYTHONPATH=FOLDER).
* `datasketch`: one MinHashLSH index in memory, as a plain baseline.
* `overlap`: word 13-grams of 2,000 evaluation texts, if `data_prep.filters.overlap` is there; `overlap, plain`: a set of
  tuples of words.

    python benchmarks/bench_data_prep.py --routes 300000
"""

import argparse
import importlib
import importlib.util
import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

from data_prep.filters import Candidate, FilterReport, run_filters
from data_prep.filters.exact import ExactDuplicate
from data_prep.filters.length import TooLong
from data_prep.filters.minhash import PERMUTATIONS, SHINGLE, bands_and_rows, signature
from data_prep.filters.near_duplicates import without_near_duplicates
from data_prep.filters.rules import UnknownRule
from data_prep.outputs import write_parquet
from data_prep.routes.bank import rows_of
from data_prep.routes.folders import write_selected
from data_prep.routes.select import SelectOptions
from data_prep.schema import BANK_SCHEMA, RL_SCHEMA, bank_row, rl_row
from reward_fns.routes import Route

PER_QUESTION = 10
THRESHOLD = 0.9
EVALUATION_TEXTS = 2_000
WORDS = 4_000
_TEXTS = pa.schema([("uid", pa.string()), ("question", pa.string()), ("text", pa.string())])


def make_question(seed: int, index: int) -> tuple[str, str, list[Route]]:
    """A question, its gold answer, and its routes: of ten one is a near duplicate of the one before, every other wrong."""
    rng = random.Random(f"bench/{seed}/{index}")
    question = f"Question {index}: {' '.join(_words(rng, 30))}?"
    gold = rng.randrange(1000)
    routes: list[Route] = []
    for number in range(PER_QUESTION):
        right = rng.random() < 0.5
        answer = str(gold if right else gold + rng.choice((1, 1, 2, 10)))
        steps = tuple(" ".join(_words(rng, rng.randint(8, 16))) for _ in range(rng.randint(3, 7)))
        if number and rng.random() < 0.1:
            before = routes[-1]
            steps, answer, right = (*before.steps[:-1], before.steps[-1] + " so"), before.answer, before.label
        routes.append(Route(steps, answer, right, None, None, f"model {rng.randrange(3)}"))
    return question, str(gold), routes


def write_inputs(folder: Path, n_routes: int, seed: int) -> None:
    """`bank.parquet`, in no order of questions, and `train.parquet`."""
    n_questions = n_routes // PER_QUESTION

    def bank() -> Iterator[dict[str, Any]]:
        for part in range(2):  # the second half of every question's routes comes long after the first
            for index in range(n_questions):
                question, gold, routes = make_question(seed, index)
                for route in routes[part::2]:
                    yield bank_row(question, gold, route, domain="math", writer="bench")

    def questions() -> Iterator[dict[str, Any]]:
        for index in range(n_questions):
            question, gold, _ = make_question(seed, index)
            yield rl_row(question, gold, domain="math", index=index, split="train")

    write_parquet(folder / "bank.parquet", bank(), BANK_SCHEMA, config="bank", split="train")
    write_parquet(folder / "train.parquet", questions(), RL_SCHEMA, config="rl", split="train")


def select(folder: Path) -> dict[str, int]:
    """Compose sets of 4 from the bank."""
    selected = write_selected(
        folder / "selected", folder / "bank.parquet", folder / "train.parquet", SelectOptions(), None
    )
    return {"kept": sum(n * size for size, n in selected.sizes.items()), **selected.filters.dropped}


def filters(folder: Path) -> dict[str, int]:
    """All filters of SFT rows."""
    report = FilterReport()
    passed = run_filters(
        texts(folder), [TooLong(20_000), UnknownRule(["R1"]), ExactDuplicate()], report, candidate_of
    )
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        kept = without_near_duplicates(
            passed, _TEXTS, report, candidate_of, scratch=Path(scratch), threshold=THRESHOLD
        )
        return {"kept": sum(1 for _ in kept), **report.dropped}


def datasketch_in_memory(folder: Path) -> dict[str, int]:
    """The usual way: every row kept stays in the index."""
    from datasketch import MinHashLSH

    index = MinHashLSH(num_perm=PERMUTATIONS, params=bands_and_rows(THRESHOLD))
    signatures: list[Any] = []
    dropped = 0
    for row in texts(folder):
        made = signature(f"{row['question']}\n{row['text']}")
        if any(made.jaccard(signatures[i]) >= THRESHOLD for i in index.query(made)):
            dropped += 1
            continue
        index.insert(len(signatures), made)
        signatures.append(made)
    return {"kept": len(signatures), "near duplicate": dropped}


def datatrove(folder: Path) -> dict[str, int]:
    """datatrove's four steps, one after the other in this process; it keeps one row of each cluster of candidates."""
    from unittest import mock

    from datatrove.data import Document
    from datatrove.pipeline.dedup import minhash

    class Blanks:
        """Words are what stands between blanks, as in `data_prep.filters.minhash`; datatrove's own need a download."""

        def word_tokenize(self, text: str) -> list[str]:
            return text.split()

    bands, band_rows = bands_and_rows(THRESHOLD)
    config = minhash.MinhashConfig(n_grams=SHINGLE, num_buckets=bands, hashes_per_bucket=band_rows)
    where = {name: str(folder / "datatrove" / name) for name in ("signatures", "pairs", "clusters")}
    documents = (
        Document(text=f"{row['question']}\n{row['text']}", id=str(n)) for n, row in enumerate(texts(folder))
    )
    with mock.patch.object(minhash, "load_word_tokenizer", lambda language: Blanks()):
        step = minhash.MinhashDedupSignature(where["signatures"], config=config)
    step.run(documents, rank=0, world_size=1)
    for band in range(bands):
        minhash.MinhashDedupBuckets(where["signatures"], where["pairs"], config=config).run(
            rank=band, world_size=bands
        )
    minhash.MinhashDedupCluster(where["pairs"], where["clusters"], config=config).run(None, 0, 1)
    again = (Document(text=row["text"], id=str(n)) for n, row in enumerate(texts(folder)))
    kept = sum(1 for _ in minhash.MinhashDedupFilter(where["clusters"]).run(again, rank=0, world_size=1))
    return {"kept": kept}


def overlap(folder: Path) -> dict[str, int]:
    """n-gram overlap with evaluation sets as data preparation looks for it."""
    module = importlib.import_module(NEEDS["overlap"])
    report = FilterReport()
    found = module.OverlapFilter(module.OverlapIndex({"bench": evaluation_texts()}))
    kept = sum(1 for _ in run_filters(texts(folder), [found], report, candidate_of))
    return {"kept": kept, "overlap": report.dropped.total()}


def overlap_plain(folder: Path) -> dict[str, int]:
    """The plainest n-gram search: tuples of 13 words in a set."""
    held = {gram for text in evaluation_texts() for gram in _grams(text)}
    counts = {"kept": 0, "overlap": 0}
    for row in texts(folder):
        hit = any(gram in held for gram in _grams(f"{row['question']}\n{row['text']}"))
        counts["overlap" if hit else "kept"] += 1
    return counts


def evaluation_texts() -> list[str]:
    """Texts of no question; ten of them stand word for word in the training texts."""
    made = [make_question(0, index)[0] for index in range(10)]
    rng = random.Random("bench/evaluation")
    return made + [" ".join(_words(rng, 40)) for _ in range(EVALUATION_TEXTS - len(made))]


def texts(folder: Path) -> Iterator[dict[str, Any]]:
    """The bank's routes as rows of text."""
    for row in rows_of(folder / "bank.parquet", ["uid", "question", "steps"]):
        yield {"uid": row["uid"], "question": row["question"], "text": "\n".join(row["steps"])}


def candidate_of(row: Any) -> Candidate:
    """A row of `texts` as the filters see it."""
    return Candidate(row["uid"], row["question"], row["text"], "bench")


PARTS: dict[str, Callable[[Path], dict[str, int]]] = {
    "select": select,
    "filters": filters,
    "datasketch": datasketch_in_memory,
    "datatrove": datatrove,
    "overlap": overlap,
    "overlap, plain": overlap_plain,
}
NEEDS = {"datatrove": "datatrove", "overlap": "data_prep.filters.overlap"}


def run_part(name: str, folder: Path) -> None:
    """In a process of its own: do it, and print what it took."""
    began, cpu, at_start = time.perf_counter(), time.process_time(), peak_mib()
    counts = PARTS[name](folder)
    taken = {"seconds": time.perf_counter() - began, "cpu": time.process_time() - cpu}
    print(json.dumps(taken | {"mib": peak_mib(), "mib_at_start": at_start, "counts": counts}))


def peak_mib() -> float:
    """The process's peak resident memory, in MiB (ru_maxrss would count what the parent held when it forked)."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def main() -> None:
    """Run all parts at a tenth of the rows and at all of them."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--routes", type=int, default=300_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--parts", default=",".join(PARTS), help="separated by commas")
    parser.add_argument("--part", nargs=2, metavar=("NAME", "FOLDER"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.part:
        run_part(options.part[0], Path(options.part[1]))
        return
    wanted = [name for name in PARTS if name in options.parts]
    absent = [name for name in wanted if name in NEEDS and importlib.util.find_spec(NEEDS[name]) is None]
    for name in absent:
        print(f"{name}: left out, {NEEDS[name]} is not there")
    print(
        f"{'part':<16}{'routes':>9}{'seconds':>9}{'CPU s':>8}{'rows/s':>9}{'peak MiB':>10}{'start MiB':>11}  counts"
    )
    for n_routes in (options.routes // 10, options.routes):
        with tempfile.TemporaryDirectory(prefix="realm_bench_") as name:
            folder = Path(name)
            write_inputs(folder, n_routes, options.seed)
            for part in (p for p in wanted if p not in absent):
                command = [sys.executable, __file__, "--part", part, str(folder)]
                done = subprocess.run(command, capture_output=True, text=True, check=False)
                if done.returncode:
                    print(f"{part:<16}{n_routes:>9}  failed: {done.stderr.strip().splitlines()[-1:]}")
                    continue
                took = json.loads(done.stdout.splitlines()[-1])
                print(
                    f"{part:<16}{n_routes:>9}{took['seconds']:>9.1f}{took['cpu']:>8.1f}{n_routes / took['seconds']:>9.0f}"
                    f"{took['mib']:>10.0f}{took['mib_at_start']:>11.0f}  {took['counts']}",
                    flush=True,
                )


def _words(rng: random.Random, n: int) -> list[str]:
    """Words of letters, some more frequent than others; datatrove takes all numbers for one."""
    return [_word(int(rng.random() ** 2 * WORDS)) for _ in range(n)]


def _word(number: int) -> str:
    return "".join(chr(97 + number // 26**place % 26) for place in range(3))


def _grams(text: str) -> Iterator[tuple[str, ...]]:
    words = text.casefold().split()
    return (tuple(words[i : i + 13]) for i in range(len(words) - 12))


if __name__ == "__main__":
    main()
