"""Reading a run's training and validation files ahead of the run: schema, prompt lengths, shares of the bank.

Serves design section "Data". Used by `realm_ext.preflight`; reads parquet in batches, so that a large file does not
have to fit in memory. Files that are not local parquet are left to verl.
"""

import heapq
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from omegaconf import DictConfig, OmegaConf

from realm_ext.config import RealmConfig
from realm_ext.exposure import REGIMES
from realm_ext.prompt import render_messages
from realm_ext.tokens import PromptTokens
from reward_fns.domains import domain_of
from reward_fns.mrpv import measured_guess_rates, measured_right_share
from reward_fns.routes import Route, routes_from

MAX_TOKENISED = 5000
MAX_BANKS = 20000
N_LONGEST = 20


@dataclass
class DataReport:
    """What the files hold and what is wrong with them, filled while reading."""

    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    n_train_rows: int | None = None
    has_realm_agent: bool = False
    has_routes: bool = False
    trains_on_routes: bool = False
    right_share: float | None = None
    guess_rates: dict[int, tuple[float, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class _Row:
    """A row to tokenise: where it is, its messages, whether the unguided instruction is added."""

    where: str
    messages: Sequence[Mapping[str, Any]]
    is_realm: bool


def read_data(config: DictConfig, realm: RealmConfig, *, with_lengths: bool) -> DataReport:
    """Check every file of `data.train_files` and `data.val_files`, and measure the training routes.

    Args:
        with_lengths: tokenise prompts too (the model folder is there).
    """
    report = DataReport()
    banks: list[tuple[Route, ...]] = []
    rows: list[_Row] = []
    n_train: int | None = 0
    for split in ("train", "val"):
        paths = _paths(config, split)
        if not paths:
            report.problems.append(f"data.{split}_files: no file is given; give one or more parquet files")
        for path in paths:
            n_rows = _read_file(path, split, config, report, banks, rows)
            if split == "train" and n_train is not None:
                n_train = None if n_rows is None else n_train + n_rows
    limit = config.data.get("train_max_samples", -1)
    report.n_train_rows = min(n_train, limit) if n_train and limit and limit > 0 else n_train
    report.right_share = measured_right_share(banks)
    report.guess_rates = measured_guess_rates(route for bank in banks for route in bank)
    if with_lengths and rows:
        _check_lengths(config, rows, report)
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


def _read_file(
    path: str,
    split: str,
    config: DictConfig,
    report: DataReport,
    banks: list[tuple[Route, ...]],
    rows: list[_Row],
) -> int | None:
    """Check one file; returns its number of rows, None where that is unknown."""
    if "://" in path:
        return None
    local = Path(path).expanduser()
    if not local.is_file():
        report.problems.append(
            f"data.{split}_files: {path} does not exist; prepare the data or correct the path"
        )
        return None
    if local.suffix != ".parquet":
        return None
    try:
        file = pq.ParquetFile(local)
        fault = schema_fault(file.schema_arrow, config.data.get("prompt_key", "prompt"))
        if fault:
            report.problems.append(f"{path}: {fault}")
            return int(file.metadata.num_rows)
        _read_rows(file, path, split, config, report, banks, rows)
        return int(file.metadata.num_rows)
    except (pa.ArrowException, OSError) as error:
        report.problems.append(
            f"{path} cannot be read as parquet ({str(error).splitlines()[0]}); write it again"
        )
    except ValueError as error:
        report.problems.append(f"{path}: {error}")
    return None


def schema_fault(schema: pa.Schema, prompt_key: str) -> str | None:
    """Why a file with these columns cannot be a run's data; None: it can, with or without routes."""
    missing = [name for name in (prompt_key, "data_source", "reward_model") if name not in schema.names]
    if missing:
        return f"column {', '.join(missing)} is missing; found {', '.join(schema.names)}"
    if not (
        pa.types.is_list(schema.field(prompt_key).type)
        or pa.types.is_large_list(schema.field(prompt_key).type)
    ):
        return f"column {prompt_key} must be a list of chat messages, found {schema.field(prompt_key).type}"
    reward_model = schema.field("reward_model").type
    if not pa.types.is_struct(reward_model) or reward_model.get_field_index("ground_truth") < 0:
        return f"column reward_model must be a struct with ground_truth, found {reward_model}"
    if "extra_info" not in schema.names:
        return None
    info = schema.field("extra_info").type
    if not pa.types.is_struct(info):
        return f"column extra_info must be a struct, found {info}"
    if info.get_field_index("routes") < 0:
        return None
    routes = info.field(info.get_field_index("routes")).type
    is_list = pa.types.is_list(routes) or pa.types.is_large_list(routes)
    if not is_list or not pa.types.is_struct(routes.value_type):
        return (
            f"extra_info.routes must be a list of structs, found {routes}; write it with the explicit schema"
        )
    lacking = [name for name in ("steps", "answer", "label") if routes.value_type.get_field_index(name) < 0]
    if lacking:
        return f"extra_info.routes lacks the field {', '.join(lacking)}"
    if info.get_field_index("uid") < 0:
        return "extra_info has routes but no uid (the row's content hash), from which all draws are made"
    return None


def _read_rows(
    file: pq.ParquetFile,
    path: str,
    split: str,
    config: DictConfig,
    report: DataReport,
    banks: list[tuple[Route, ...]],
    rows: list[_Row],
) -> None:
    n_rows = file.metadata.num_rows
    if n_rows == 0:
        report.problems.append(f"{path} has no rows")
        return
    prompt_key = config.data.get("prompt_key", "prompt")
    names = set(file.schema_arrow.names)
    columns = [name for name in (prompt_key, "data_source", "extra_info", "agent_name") if name in names]
    every_row, every_bank = -(-n_rows // MAX_TOKENISED), -(-n_rows // MAX_BANKS)
    longest: list[tuple[int, int, _Row]] = []
    sources: set[str] = set()
    uses_reward = config.reward.custom_reward_function.path == "pkg://reward_fns"
    for i, record in enumerate(_records(file, columns)):
        info = record.get("extra_info") or {}
        report.has_realm_agent |= record.get("agent_name") == "realm"
        is_realm = info.get("routes") is not None
        sources.add(str(record["data_source"]))
        if is_realm:
            check_info(info, f"row {i}")
            report.has_routes |= bool(info["routes"])
            report.trains_on_routes |= bool(info["routes"]) and split == "train"
            if split == "train" and i % every_bank == 0:
                banks.append(routes_from(info["routes"]))
        row = _Row(f"row {i} of {path}", record[prompt_key], is_realm)
        if i % every_row == 0:
            rows.append(row)
        elif every_row > 1:
            size = sum(len(str(message.get("content"))) for message in row.messages)
            (heapq.heappush if len(longest) < N_LONGEST else heapq.heappushpop)(longest, (size, i, row))
    rows.extend(row for _, _, row in longest)
    if uses_reward:
        for source in sorted(sources):
            domain_of(source)


def _records(file: pq.ParquetFile, columns: list[str]) -> Iterator[dict[str, Any]]:
    for batch in file.iter_batches(batch_size=1024, columns=columns):
        yield from batch.to_pylist()


def check_info(info: Mapping[str, Any], where: str) -> None:
    """Check what the draws are made from in a row with routes; `where` names it.

    Raises:
        ValueError: no uid, or an unknown regime.
    """
    if not isinstance(info.get("uid"), str) or not info["uid"]:
        raise ValueError(f"{where}: extra_info.uid must be a text, got {info.get('uid')!r}")
    if info.get("regime") not in (None, *REGIMES):
        raise ValueError(
            f"{where}: extra_info.regime must be guided, unguided or null, got {info['regime']!r}"
        )


def _check_lengths(config: DictConfig, rows: Sequence[_Row], report: DataReport) -> None:
    model = config.actor_rollout_ref.model
    try:
        tokens = PromptTokens(config)
    except (OSError, ValueError) as error:
        path = model.get("tokenizer_path") or model.path
        if "trust_remote_code" in str(error):
            report.notes.append(
                f"prompt lengths are not checked: the tokenizer of {path} needs code from the Hub"
            )
        else:
            report.problems.append(f"the tokenizer of {path} cannot be loaded: {str(error).splitlines()[0]}")
        return
    budget = config.actor_rollout_ref.rollout.prompt_length
    longest, where, n_over, n_filtered = 0, "", 0, 0
    for row in rows:
        n_tokens = _n_tokens(tokens, row)
        if n_tokens <= budget:
            continue
        bare = _Row(row.where, row.messages, False)
        if (
            config.data.get("filter_overlong_prompts")
            and _n_tokens(tokens, bare) > config.data.max_prompt_length
        ):
            n_filtered += 1
            continue
        n_over += 1
        if n_tokens > longest:
            longest, where = n_tokens, row.where
    if n_filtered:
        report.notes.append(f"data.filter_overlong_prompts leaves out at least {n_filtered} rows")
    if n_over:
        report.problems.append(
            f"{n_over} of the {len(rows)} prompts looked at are longer than rollout.prompt_length={budget} without "
            f"any route; the longest has {longest} tokens ({where}). Raise data.max_prompt_length or leave them out: "
            "a question is never cut"
        )


def _n_tokens(tokens: PromptTokens, row: _Row) -> int:
    return tokens.count(render_messages(row.messages, ()) if row.is_realm else row.messages)
