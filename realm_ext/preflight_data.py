"""Reading a run's training and validation files ahead of the run: every row's faults, prompt lengths, shares of the bank.

Used by `realm_ext.preflight`. Parquet files are read in batches of bounded size, so that a large file does not have to fit
in memory. What verl reads and this cannot (other addresses, other formats, a data set class of the user's) is let through
and named in `DataReport.unchecked`.
"""

import glob
import heapq
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from omegaconf import DictConfig, OmegaConf

from realm_ext.preflight_columns import child, number, parents, schema_fault
from realm_ext.preflight_lengths import PromptRow, length_faults
from realm_ext.preflight_rows import BatchFacts, RowCheck
from reward_fns import domains
from reward_fns.mrpv import measured_guess_rates, measured_right_share
from reward_fns.routes import Route

REWARD = "pkg://reward_fns"
MAX_TOKENISED = 5000
MAX_BANKS = 20000
N_LONGEST = 20
BATCH_ROWS = 8192
BATCH_BYTES = 32 << 20
READABLE = (".parquet", ".json", ".jsonl")
"""How the names of files end that verl's own data set reads."""


@dataclass
class DataReport:
    """What the files hold and what is wrong with them, filled while reading.

    Attributes:
        problems, notes: of the rows, one text each.
        unchecked: files that verl reads and this has not looked into.
        n_train_rows: None where it is not known.
        has_realm_agent: a row is the agent `realm`'s.
        has_routes, trains_on_routes: a row of that agent has routes; a training row.
        right_share, guess_rates: of the training routes, see `reward_fns.mrpv`.
    """

    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    unchecked: list[str] = field(default_factory=list)
    n_train_rows: int | None = None
    has_realm_agent: bool = False
    has_routes: bool = False
    trains_on_routes: bool = False
    right_share: float | None = None
    guess_rates: dict[int, tuple[float, ...]] = field(default_factory=dict)

    @property
    def may_train_on_routes(self) -> bool:
        """Routes are trained on, or a file that could hold them is missing or broken."""
        return self.trains_on_routes or (self.n_train_rows is None and not self.unchecked)


@dataclass
class _Sample:
    """Rows of all files that are looked at one by one."""

    prompts: list[PromptRow] = field(default_factory=list)
    banks: list[tuple[Route, ...]] = field(default_factory=list)


def read_data(config: DictConfig, *, with_lengths: bool) -> DataReport:
    """Check every file of `data.train_files` and `data.val_files`, and measure the training routes.

    Args:
        with_lengths: tokenise prompts too (the model's tokenizer can be read here).
    """
    report, sample = DataReport(), _Sample()
    custom = OmegaConf.select(config, "data.custom_cls.path")
    _load_domains(config, report)
    n_train: int | None = 0
    for split in ("train", "val"):
        paths = _paths(config, split)
        if not paths and not custom:
            report.problems.append(f"data.{split}_files: no file is given; give one or more parquet files")
        for path in paths:
            n_rows = _read_path(path, split, config, report, sample)
            if split == "train" and n_train is not None:
                n_train = None if n_rows is None else n_train + n_rows
    limit = config.data.get("train_max_samples", -1)
    report.n_train_rows = min(n_train, limit) if n_train and limit and limit > 0 else n_train
    report.right_share = measured_right_share(sample.banks)
    report.guess_rates = measured_guess_rates(route for bank in sample.banks for route in bank)
    if custom:
        report.problems, report.notes, report.n_train_rows = [], [], None
        report.unchecked = [f"the rows that data.custom_cls ({custom}) makes"]
    elif with_lengths and sample.prompts:
        problems, notes = length_faults(config, sample.prompts)
        report.problems += problems
        report.notes += notes
    return report


def train_paths(config: DictConfig) -> list[str]:
    """`data.train_files` as a list, whichever of verl's forms it has."""
    return _paths(config, "train")


def _paths(config: DictConfig, split: str) -> list[str]:
    value = config.data.get(f"{split}_files")
    if not value:
        return []
    plain = OmegaConf.to_container(value) if OmegaConf.is_config(value) else value
    return [str(path) for path in (plain if isinstance(plain, list) else [plain])]


def _load_domains(config: DictConfig, report: DataReport) -> None:
    """Make the domains known that the reward function will be told of."""
    named = OmegaConf.select(config, "reward.custom_reward_function.reward_kwargs.domains") or []
    for path in [named] if isinstance(named, str) else named:
        try:
            domains.load(path)
        except (ImportError, TypeError, ValueError) as error:
            report.problems.append(f"reward_kwargs.domains: {path} cannot be loaded: {error}")


def _read_path(path: str, split: str, config: DictConfig, report: DataReport, sample: _Sample) -> int | None:
    """Check the file or files of one entry; returns their number of rows, None where that is unknown."""
    name = f"data.{split}_files: {path}"
    if not path.endswith(READABLE):
        report.problems.append(f"{name}: verl reads names that end in {', '.join(READABLE)}")
        return None
    local = path.removeprefix("file://")
    if "://" in local:
        report.unchecked.append(f"data.{split}_files={path}")
        return None
    found = sorted(glob.glob(local, recursive=True)) if glob.has_magic(local) else [local]
    found = [each for each in found if Path(each).is_file()]
    if not found:
        hint = "; verl takes ~ for a folder of that name, write it out" if path.startswith("~") else ""
        report.problems.append(f"{name} does not exist; prepare the data or correct the path{hint}")
        return None
    if not path.endswith(".parquet"):
        report.unchecked.append(f"data.{split}_files={path}")
        return None
    counts = [_read_file(each, split, config, report, sample) for each in found]
    return None if None in counts else sum(count or 0 for count in counts)


def _read_file(path: str, split: str, config: DictConfig, report: DataReport, sample: _Sample) -> int | None:
    prompt_key = config.data.get("prompt_key", "prompt")
    try:
        with pq.ParquetFile(path, pre_buffer=False) as file:
            fault = schema_fault(file.schema_arrow, prompt_key)
            if fault:
                report.problems.append(f"{path}: {fault}")
            elif file.metadata.num_rows == 0:
                report.problems.append(f"{path} has no rows")
            else:
                _read_rows(file, path, split, config, report, sample)
            return int(file.metadata.num_rows)
    except (pa.ArrowException, OSError) as error:
        report.problems.append(
            f"{path} cannot be read as parquet ({str(error).splitlines()[0]}); write it again"
        )
    return None


def _read_rows(
    file: pq.ParquetFile, path: str, split: str, config: DictConfig, report: DataReport, sample: _Sample
) -> None:
    data, agent = config.data, config.actor_rollout_ref.rollout.agent
    check = RowCheck(
        prompt_key=data.get("prompt_key", "prompt"),
        media_keys=tuple(data.get(f"{kind}_key", f"{kind}s") for kind in ("image", "video", "audio")),
        default_agent=agent.get("default_agent_loop") or "",
        reads_gold=config.reward.custom_reward_function.path == REWARD,
    )
    n_rows = file.metadata.num_rows
    every_row, every_bank = -(-n_rows // MAX_TOKENISED), -(-n_rows // MAX_BANKS)
    longest: list[tuple[int, int, PromptRow]] = []
    for first, batch in _batches(file, check.columns(file.schema_arrow)):
        facts = check.add(batch, first)
        prompts, position = batch.column(check.prompt_key), np.arange(first, first + batch.num_rows)
        is_even = position % every_row == 0
        sample.prompts += _prompt_rows(prompts, np.flatnonzero(is_even & ~facts.is_bad), facts, path)
        rest = np.flatnonzero(~is_even & ~facts.is_bad)
        rest = rest[np.argsort(-facts.characters[rest], kind="stable")[:N_LONGEST]]
        for i, row in zip(rest, _prompt_rows(prompts, rest, facts, path), strict=True):
            entry = (int(facts.characters[i]), first + int(i), row)
            (heapq.heappush if len(longest) < N_LONGEST else heapq.heappushpop)(longest, entry)
        if split == "train" and facts.n_routes.any():
            shown = (facts.n_routes > 0) & facts.of_realm & ~facts.is_bad & (position % every_bank == 0)
            sample.banks += _banks(child(batch.column("extra_info"), "routes"), np.flatnonzero(shown))
    sample.prompts += [row for _, _, row in longest]
    report.has_realm_agent |= check.has_realm_agent
    report.has_routes |= check.has_routes
    report.trains_on_routes |= check.has_routes and split == "train"
    report.problems += [f"{path}: {text}" for text in check.faults.texts()]
    report.notes += [f"{path}: {text}" for text in check.notes.texts()]
    if check.reads_gold:
        for source, number_of_row in sorted(check.sources.items()):
            try:
                domains.domain_of(source)
            except ValueError as error:
                report.problems.append(f"{path}: row {number_of_row}: {error}")
    elif config.reward.custom_reward_function.path is None:
        unknown = sorted(source for source in check.sources if source.startswith("realm/"))
        if unknown:
            report.problems.append(
                f"{path}: verl's own scores know no data_source {unknown[0]!r}; set "
                f"reward.custom_reward_function.path to {REWARD}, or to a function of yours"
            )


def _batches(file: pq.ParquetFile, columns: list[str]) -> Iterator[tuple[int, pa.RecordBatch]]:
    """The batches of a file with the numbers of their first rows, each of about `BATCH_BYTES` at most."""
    groups = [file.metadata.row_group(i) for i in range(file.metadata.num_row_groups)]
    size = sum(
        group.column(i).total_uncompressed_size
        for group in groups
        for i in range(group.num_columns)
        if group.column(i).path_in_schema.split(".")[0] in columns
    )
    n_rows = file.metadata.num_rows
    wanted = max(1, min(BATCH_ROWS, BATCH_BYTES * n_rows // max(1, size)))
    first = 0
    for batch in file.iter_batches(batch_size=wanted, columns=columns):
        yield first, batch
        first += batch.num_rows


def _prompt_rows(prompts: pa.Array, rows: Any, facts: BatchFacts, path: str) -> list[PromptRow]:
    messages: list[list[Mapping[str, Any]]] = prompts.take(pa.array(rows, pa.int64())).to_pylist()
    return [
        PromptRow(
            f"row {facts.first + i} of {path}", found, bool(facts.is_rendered[i]), bool(facts.of_realm[i])
        )
        for i, found in zip(map(int, rows), messages, strict=True)
    ]


def _banks(routes: pa.Array, rows: Any) -> list[tuple[Route, ...]]:
    """The banks of some rows, without texts: what the shares are measured on."""
    taken = routes.take(pa.array(rows, pa.int64()))
    flat = taken.flatten()
    n_steps = pc.list_value_length(child(flat, "steps")).to_pylist()
    label, sound, error = (_numbers(flat, name) for name in ("label", "sound", "first_error"))
    banks: list[list[Route]] = [[] for _ in rows]
    for i, row in enumerate(parents(taken)):
        said, found = sound[i], error[i]
        banks[row].append(
            Route(
                steps=("",) * n_steps[i],
                answer="",
                label=bool(label[i]),
                sound=None if said is None else bool(said),
                first_error=None if found is None else int(found),
                source="",
            )
        )
    return [tuple(bank) for bank in banks]


def _numbers(routes: pa.Array, name: str) -> list[float | None]:
    if routes.type.get_field_index(name) < 0:
        return [None] * len(routes)
    values: list[float | None] = number(child(routes, name)).to_pylist()
    return values
