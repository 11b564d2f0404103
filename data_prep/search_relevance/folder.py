"""The whole `search_relevance` data folder: every split written, with its card and provenance.

Serves design.md, section Data. Splits share no question: each leaves out the questions of those made before
it. What is reserved for tests comes first, whatever the seed, then validation.
"""

from collections.abc import Callable, Collection
from dataclasses import asdict, dataclass
from importlib.resources import files
from pathlib import Path

from data_prep.outputs import (
    Card,
    Provenance,
    WrittenFile,
    filling,
    finish_folder,
    hash_text,
    write_parquet,
)
from data_prep.schema import REGIMES, RL_SCHEMA, SFT_SCHEMA
from data_prep.search_relevance.base import base_rows
from data_prep.search_relevance.datasets import Batch, DistilOptions, distil, rl_rows
from data_prep.search_relevance.test_set import RESERVED_ROWS, TEST_ROWS, TEST_SPLIT, reserved_questions
from realm_ext.prompt import GUIDED, UNGUIDED, render_routes

CARD = Card(
    title="ReaLM search relevance",
    summary=(
        "Generated shopping queries and ads with one of four labels (Exact, Substitute, Complement, "
        "Irrelevant) under a written rule book. `rl` rows carry a bank of right and wrong routes with known "
        "first errors; `sft` rows are chains of the program teacher with the rules removed, some of them "
        "contrast rows; `base` rows teach the response grammar, reading and comparing only. No question is in two splits."
    ),
    licence="apache-2.0",
    tags=("search-relevance", "synthetic", "reasoning"),
)
# file, schema, and where `datasets` finds it: configuration and split
_FILES = (
    ("train", RL_SCHEMA, "rl", "train"),
    ("val", RL_SCHEMA, "rl", "validation"),
    ("sft", SFT_SCHEMA, "sft", "train"),
    ("sft_val", SFT_SCHEMA, "sft", "validation"),
    ("base", SFT_SCHEMA, "base", "train"),
)


@dataclass(frozen=True)
class Sizes:
    """Rows of each split. Validation questions stand twice in their file: unguided and guided."""

    base: int
    sft: int
    sft_val: int
    train: int
    val: int


@dataclass(frozen=True)
class Written:
    """What was written: the files, and counts of rows kept (by split) and dropped (by split and reason)."""

    files: tuple[WrittenFile, ...]
    kept: dict[str, int]
    dropped: dict[str, int]


def write_folder(
    folder: Path,
    seed: int,
    sizes: Sizes,
    routes: int,
    options: DistilOptions,
    started: Callable[[str, int], Callable[[], object]],
    hold_out: Collection[str] = (),
) -> Written:
    """Make and write all splits.

    Args:
        routes: routes in the bank of each RL row.
        started: called with each split's name and number of rows; gives what to call after each row.
        hold_out: combinations of rules (`generator.combination`) that no row has.

    Raises:
        ValueError: a split has fewer different questions than asked for, or `folder` has a file that is not ours.
    """
    kept: dict[str, int] = {}
    dropped: dict[str, int] = {}

    def made(split: str, n: int, make: Callable[..., Batch], *args: object) -> Batch:
        batch = make(n, seed, *args, exclude=taken, on_row=started(split, n), hold_out=hold_out)
        kept[split] = len(batch.rows)
        dropped.update({f"{split}: {reason}": count for reason, count in batch.dropped.items()})
        return batch

    with filling(folder, [f"{name}.parquet" for name, *_ in _FILES]) as new:
        taken = set(reserved_questions(started(TEST_SPLIT, RESERVED_ROWS)))
        val = [
            made(f"val {regime}", sizes.val, rl_rows, "val", routes, regime, options.detail)
            for regime in REGIMES
        ]
        taken |= val[0].questions
        rows = {"val": [row for batch in val for row in batch.rows]}
        for split, n, make, args in (
            ("sft_val", sizes.sft_val, distil, ("sft_val", options)),
            ("train", sizes.train, rl_rows, ("train", routes, None, options.detail)),
            ("sft", sizes.sft, distil, ("sft", options)),
            ("base", sizes.base, base_rows, ("base", options.max_routes)),
        ):
            batch = made(split, n, make, *args)
            taken |= batch.questions
            rows[split] = batch.rows
        written = tuple(
            write_parquet(new / f"{name}.parquet", rows[name], schema, config=config, split=split)
            for name, schema, config, split in _FILES
            if rows[name]
        )
        rules = (
            files("reward_fns.domains.search_relevance").joinpath("rules.yaml").read_text(encoding="utf-8")
        )
        provenance = Provenance(
            command="realm prep search-relevance OUT",
            parameters={
                "seed": seed,
                **{f"n_{split}": count for split, count in asdict(sizes).items()},
                "routes": routes,
                "brief_share": options.brief_share,
                "contrast_share": options.contrast_share,
                "keep_rules": options.keep_rules,
                "detail": options.detail,
                **({"hold_out": sorted(hold_out)} if hold_out else {}),
            },
            inputs={"rules.yaml": hash_text(rules)},
            kept=kept,
            dropped=dropped,
            files=written,
            seed=seed,
            teacher={"kind": "program", "styles": ["brief", "full"], "tokens": 0, "cost": 0},
            notes=(
                (
                    f"The {TEST_ROWS} questions of the bundled test set and the {RESERVED_ROWS - TEST_ROWS} that follow "
                    "them in its split are in none of these files."
                ),
            ),
            prompt_version=hash_text(UNGUIDED, render_routes([]), GUIDED)[:16],
        )
        finish_folder(new, CARD, provenance)
    return Written(written, kept, dropped)
