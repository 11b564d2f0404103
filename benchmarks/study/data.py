"""The study's files: data of a seed with its control banks, and the fixed test set.

Serves docs/study_plan.md. A stage of the runner:

    python -m benchmarks.study.data train STUDY_FILE SEED FOLDER
    python -m benchmarks.study.data test STUDY_FILE N FOLDER [rules]
    python -m benchmarks.study.data rules STUDY_FILE SEED KIND DATA_FOLDER OUT
    python -m benchmarks.study.data harvest HARVESTED SFT_FILE OUT
    python -m benchmarks.study.data own ROLLOUTS TRAIN_FILE OUT

Rule combinations that `hold_out` names are in no training row; the test set marks them `unseen`.
"""

import json
import re
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from benchmarks.study.arithmetic import SOURCE, facts, sft_rows
from benchmarks.study.banks import mismatched, positive_only, positives_as_sft
from benchmarks.study.plan import RULES, Study, read_study
from benchmarks.study.untaught import UNTAUGHT
from data_prep.outputs import replacing, write_parquet
from data_prep.routes.folders import refresh_hashes
from data_prep.routes.responses import ROUTES_HEAD, response_files
from data_prep.schema import RL_SCHEMA, SFT_SCHEMA, sft_row
from data_prep.search_relevance.datasets import DistilOptions, distil, rules_text
from data_prep.search_relevance.folder import Sizes, write_folder
from data_prep.search_relevance.generator import Item, combination
from data_prep.search_relevance.test_set import held_out_rows, reserved_questions
from realm_ext.prompt import render_messages
from reward_fns.domains import get
from reward_fns.domains.search_relevance.engine import decide
from reward_fns.domains.search_relevance.question import QUESTION, parse_question
from reward_fns.response import parse_response

OWN = 4  # as `realm routes harvest` keeps
_QUESTION = re.compile(rf"Query: .*?{re.escape(QUESTION)}", re.DOTALL)
TEST, ARITHMETIC = "test.jsonl", "arithmetic.jsonl"


def write_training(study: Study, seed: int, folder: Path) -> None:
    """train.parquet (and `_positive`, `_mismatched`), val, sft (and `_positives`), base."""
    data = study.data
    sizes = Sizes(base=data.n_base, sft=data.n_sft, sft_val=0, train=data.n_train, val=data.n_val)
    options = DistilOptions(data.brief_share, data.contrast_share, 0.0, data.routes, data.detail)
    write_folder(folder, seed, sizes, data.routes, options, _silent, hold_out=data.hold_out)
    train = pq.read_table(folder / "train.parquet").to_pylist()
    banks = {"train_positive": positive_only(train), "train_mismatched": mismatched(train)}
    for name, rows in banks.items():
        write_parquet(folder / f"{name}.parquet", rows, RL_SCHEMA, config=name, split="train")
    counts = {"base": data.arithmetic_base, "sft": data.arithmetic_sft}
    sums = {name: sft_rows(count, seed, name) for name, count in counts.items()}
    sft = pq.read_table(folder / "sft.parquet").to_pylist()
    for name, rows in (
        ("base", pq.read_table(folder / "base.parquet").to_pylist() + sums["base"]),
        ("sft", sft + sums["sft"]),
        ("sft_positives", sft + positives_as_sft(train) + sums["sft"]),
    ):
        write_parquet(folder / f"{name}.parquet", rows, SFT_SCHEMA, config=name, split="train")
    refresh_hashes(folder, "base.parquet and sft.parquet hold sums too.")
    (folder / "done").touch()


def write_rules(study: Study, seed: int, kind: str, folder: Path, out: Path) -> None:
    """The SFT file of one of `plan.RULES`, of the seed's own questions; `folder`: the seed's data.

    Raises:
        ValueError: the kind is unknown.
    """
    if kind not in RULES:
        raise ValueError(f"the kind is one of {', '.join(RULES)}; got {kind!r}")
    data, is_kept = study.data, kind == "rules_kept"
    options = DistilOptions(
        data.brief_share, data.contrast_share, float(is_kept), data.routes, detail=data.detail
    )
    taken = reserved_questions() | {
        row["prompt"][-1]["content"]
        for name in ("val", "train")
        for row in pq.read_table(folder / f"{name}.parquet", columns=["prompt"]).to_pylist()
    }
    teacher = None if is_kept else UNTAUGHT
    batch = distil(data.n_sft, seed, "sft", options, exclude=taken, hold_out=data.hold_out, teacher=teacher)
    print(*(f"dropped\t{count}\t{why}" for why, count in batch.dropped.items()), sep="\n")
    rows = batch.rows + sft_rows(data.arithmetic_sft, seed, "sft")
    write_parquet(out, rows, SFT_SCHEMA, config=kind, split="train")


def write_test(study: Study, n: int, folder: Path, with_rules: bool = False) -> None:
    """test.jsonl with `n` questions and arithmetic.jsonl, the same for every arm and seed; the rules before each or not."""
    rows = held_out_rows(n, detail=study.data.detail)
    before = rules_text() + "\n" if with_rules else ""
    for row in rows:
        query, ad = parse_question(row["question"])
        row["unseen"] = combination(Item(query, ad, decide(query, ad))) in study.data.hold_out
        row["question"] = before + row["question"]
    _write_lines(folder / TEST, rows)
    _write_lines(folder / ARITHMETIC, facts())


def write_harvest(harvested: Path, sft: Path, out: Path) -> None:
    """The SFT file between two rounds: harvested chains, and as many rows of the first SFT with routes, and sums.

    The latter keep what the chains say nothing of; bare questions of the first SFT, mostly answered in haste, do not
    come again.

    Raises:
        ValueError: nothing was harvested.
    """
    rows = pq.read_table(harvested).to_pylist()
    if not rows:
        raise ValueError(f"{harvested} has no row: no guided rollout of the first round was right")
    first = pq.read_table(sft).to_pylist()
    contrast = sorted((row for row in first if row["kind"] == "contrast"), key=lambda row: row["uid"])
    sums = [row for row in first if row["source"] == SOURCE]
    kept = contrast[: len(rows)] + sums[: len(rows) // 2]
    write_parquet(out, rows + kept, SFT_SCHEMA, config="harvest", split="train")


def write_own(rollouts: Path, train: Path, out: Path) -> None:
    """SFT rows of the right unguided responses in verl's rollout dumps, up to `OWN` different ones a question.

    Raises:
        ValueError: there is none.
    """
    questions = {row["prompt"][-1]["content"]: row for row in pq.read_table(train).to_pylist()}
    kept: dict[tuple[str, str], dict[str, Any]] = {}
    of_question: Counter[str] = Counter()
    for file in response_files(rollouts):
        for line in file.read_text(encoding="utf-8").splitlines():
            dumped = json.loads(line)
            found = _QUESTION.search(dumped["input"])
            row = questions.get(found.group()) if found else None
            text = dumped["output"].strip()
            if row is None or ROUTES_HEAD in dumped["input"] or not _is_right(text, row):
                continue
            uid = row["extra_info"]["uid"]
            if (uid, text) in kept or of_question[uid] == OWN:
                continue
            of_question[uid] += 1
            messages = render_messages(row["prompt"], ())
            kept[uid, text] = sft_row(messages, text, source="student", kind="own", uid=uid)
    if not kept:
        raise ValueError(f"{rollouts} has no right unguided response")
    out.parent.mkdir(parents=True, exist_ok=True)
    rows = [kept[key] for key in sorted(kept)]
    write_parquet(out, rows, SFT_SCHEMA, config="own", split="train")


def _is_right(response: str, row: Mapping[str, Any]) -> bool:
    parsed = parse_response(response, 0)
    gold = row["reward_model"]["ground_truth"]
    return not parsed.problems and get(row["ability"]).equivalent(parsed.answer or "", gold)


def _write_lines(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    with replacing(path) as file:
        for row in rows:
            file.write((json.dumps(row, separators=(",", ":")) + "\n").encode())


def _silent(split: str, total: int) -> Callable[[], object]:
    return lambda: None


def main(arguments: Sequence[str]) -> None:
    """See the module's text."""
    match list(arguments):
        case ["train", study, seed, folder]:
            write_training(read_study(Path(study)), int(seed), Path(folder))
        case ["test", study, n, folder, *rules] if rules in ([], ["rules"]):
            write_test(read_study(Path(study)), int(n), Path(folder), bool(rules))
        case ["rules", study, seed, kind, folder, out]:
            write_rules(read_study(Path(study)), int(seed), kind, Path(folder), Path(out))
        case ["harvest", harvested, sft, out]:
            write_harvest(Path(harvested), Path(sft), Path(out))
        case ["own", rollouts, train, out]:
            write_own(Path(rollouts), Path(train), Path(out))
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
