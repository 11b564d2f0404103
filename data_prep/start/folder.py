"""Writing the folder of `realm start`: package, tests, data, recipes and evaluation task, put in place by one rename.

Serves design.md, sections Domains, Data and Layout. The texts are the files of `templates`.
"""

import csv
import io
import json
import os
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import files
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from string import Template
from types import ModuleType
from typing import Any

from data_prep.outputs import (
    OTHER_LICENCE,
    Card,
    Provenance,
    WrittenFile,
    finish_folder,
    hash_file,
    hidden_folder,
    remove_leftovers,
    start_folder,
    write_parquet,
    write_rejects,
)
from data_prep.part_files import LOCK
from data_prep.schema import RL_SCHEMA, rl_row
from data_prep.start.labels import Conflict, Example, Labels
from data_prep.start.splits import Split
from reward_fns.domains import Domain

LINE_CHARS = 88
MAX_BATCH = 32
PROMPT_TOKENS, SFT_TOKENS = 3072, 4096
"""Of a question in RL, and of question and answer in SFT, in the recipes that are written."""
BYTES_A_TOKEN = 4


@dataclass(frozen=True)
class Plan:
    """What is to be written.

    Attributes:
        name: of the domain.
        labels_path, rules_path: the user's files.
        labels: what the first holds.
        split: its examples by split.
        ask: the sentence that ends each question.
        parameters: the command's options, for the provenance.
        seed: of the split.
    """

    name: str
    labels_path: Path
    rules_path: Path
    labels: Labels
    split: Split
    ask: str
    parameters: Mapping[str, Any]
    seed: int


@contextmanager
def placing(folder: Path, force: bool) -> Iterator[Path]:
    """A new folder that takes the place of `folder` when the block ends; what is there moves to `<folder>.1` and so on.

    Raises:
        ValueError: the folder is there, and `force` is not given.
    """
    if folder.exists() and not force:
        raise ValueError(
            f"{folder} is there already; give another --out, or --force, which moves it to {_free(folder).name} first"
        )
    folder.parent.mkdir(parents=True, exist_ok=True)
    remove_leftovers(folder.parent)
    with hidden_folder(folder.parent, folder.name) as new:
        yield new
        new.chmod(0o755)
        (new / LOCK).unlink()
        if folder.exists():
            os.rename(folder, _free(folder))
        os.rename(new, folder)


def _free(folder: Path) -> Path:
    number = 1
    while (place := folder.with_name(f"{folder.name}.{number}")).exists():
        number += 1
    return place


def tokens_of(text: str) -> int:
    """About how many tokens a text has, without a tokenizer."""
    return len(text.encode()) // BYTES_A_TOKEN


def write_all(folder: Path, plan: Plan) -> tuple[WrittenFile, ...]:
    """Write everything into an empty folder; returns the parquet files.

    Raises:
        ValueError: a label cannot be read back by the domain that was written.
    """
    names = plan.labels.names
    sizes = {side: len(rows) for side, rows in plan.split.examples.items()}
    values = {
        "name": plan.name,
        "dist": plan.name.replace("_", "-"),
        "class_name": "".join(part.capitalize() for part in plan.name.split("_")) + "Domain",
        "count": str(len(names)),
        "labels": _literal(names),
        "synonyms": json.dumps(plan.labels.synonyms, ensure_ascii=False),
        "batch": str(_batch(sizes["train"])),
        "rows": str(sizes["train"]),
        "prompt_tokens": str(PROMPT_TOKENS),
        "sft_tokens": str(SFT_TOKENS),
        "labels_file": plan.labels_path.name,
        "rules_file": plan.rules_path.name,
        "rows_text": ", ".join(f"{count} {side} rows" for side, count in sizes.items()),
    }
    package = f"{plan.name}_domain"
    for template, place in (
        ("README.md", "README.md"),
        ("pyproject.toml", "pyproject.toml"),
        ("domain.py", f"{package}/__init__.py"),
        ("test_domain.py", f"tests/test_{plan.name}.py"),
        ("rl.yaml", "recipes/rl.yaml"),
        ("sft.yaml", "recipes/sft.yaml"),
        ("task.yaml", f"eval/{plan.name}.yaml"),
        ("test_set.py", "eval/test_set.py"),
    ):
        text = files("data_prep.start").joinpath("templates", f"{template}.txt").read_text(encoding="utf-8")
        path = folder / place
        path.parent.mkdir(exist_ok=True)
        path.write_text(Template(text).substitute(values), encoding="utf-8")
    shutil.copyfile(plan.rules_path, folder / package / "rules.yaml")
    domain = load_module(folder / package / "__init__.py", plan.name).DOMAIN
    shutil.rmtree(folder / package / "__pycache__", ignore_errors=True)
    return _write_data(folder / "data", plan, domain)


def _literal(names: Sequence[str]) -> str:
    """A tuple of texts as Python source, formatted as ruff would."""
    texts = [json.dumps(name, ensure_ascii=False) for name in names]
    line = f"({', '.join(texts)})"
    if len(f"LABELS = {line}") <= LINE_CHARS:
        return line
    return "(\n" + "".join(f"    {text},\n" for text in texts) + ")"


def _batch(rows: int) -> int:
    """The largest power of two that the rows fill, up to `MAX_BATCH`."""
    return min(MAX_BATCH, 1 << (max(rows, 1).bit_length() - 1))


def load_module(path: Path, name: str) -> ModuleType:
    """The module just written, loaded from its file; the domain in it is not registered."""
    spec = spec_from_file_location(f"_realm_start_{name}", path)
    assert spec is not None and spec.loader is not None  # the path ends in .py
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _write_data(folder: Path, plan: Plan, domain: Domain) -> tuple[WrittenFile, ...]:
    start_folder(folder)
    written = []
    for side, card_split in (("train", "train"), ("val", "validation"), ("test", "test")):
        rows = [_row(example, plan, side) for example in plan.split.examples[side]]
        problems = [problem for row in rows for problem in domain.check_row(row)]
        if problems:
            raise ValueError(
                f"the domain cannot judge its own data: {problems[0]}; rename or --merge that label"
            )
        written.append(
            write_parquet(folder / f"{side}.parquet", rows, RL_SCHEMA, config="rl", split=card_split)
        )
    leaks = [(e.row, "group is in the later test split", e.text) for e in plan.split.leaks]
    refused = sorted([*plan.labels.refused, *leaks])
    if refused:
        write_rejects(folder, [{"row": row, "reason": why, "text": text} for row, why, text in refused])
    if plan.labels.conflicts:
        (folder / "conflicts.csv").write_text(_conflicts_table(plan.labels.conflicts), encoding="utf-8")
    finish_folder(
        folder,
        Card(
            title=f"{plan.name}, labels for ReaLM",
            summary=(
                f"Inputs with one of the labels {', '.join(plan.labels.names)}. Validation and test rows are unguided; "
                "there are no routes yet."
            ),
            licence=OTHER_LICENCE,
            tags=(plan.name,),
        ),
        Provenance(
            command=f"realm start {plan.labels_path.name} {plan.rules_path.name}",
            parameters=plan.parameters,
            inputs={path.name: hash_file(path) for path in (plan.labels_path, plan.rules_path)},
            kept={f"rows of {file.name}": file.rows for file in written},
            dropped=dict(sorted(Counter(why for _, why, _ in refused).items())),
            files=written,
            seed=plan.seed,
        ),
    )
    return tuple(written)


def _row(example: Example, plan: Plan, side: str) -> dict[str, Any]:
    return rl_row(
        f"{example.text}\n\n{plan.ask}",
        example.label,
        domain=plan.name,
        index=example.row,
        split=side,
        regime=None if side == "train" else "unguided",
    )


def _conflicts_table(conflicts: Sequence[Conflict]) -> str:
    """One line an example: which conflict, its row in the labels file, its label, what was kept, the input."""
    table = io.StringIO()
    lines = csv.writer(table, lineterminator="\n")
    lines.writerow(["conflict", "row", "label", "kept", "input"])
    for number, conflict in enumerate(conflicts, start=1):
        for example in conflict.examples:
            lines.writerow([number, example.row, example.label, conflict.kept or "", example.text])
    return table.getvalue()
