"""Checks of an SFT run before it starts: attention, and rows that are too long.

verl's SFT trainer has no checks of its own: with `data.truncation=error` one long row ends a run at whatever step it
comes. `realm_ext.plugin` calls `check` in each process of torchrun, before anything is loaded.
"""

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from omegaconf import DictConfig, OmegaConf

from realm_ext import attention

# Of the rows that may be too long by their bytes, the longest are tokenised; one takes about a millisecond.
MOST_TOKENISED = 500
# Bounds on what a chat template adds: tokens around a message, and a system prompt of its own.
TOKENS_A_MESSAGE, TOKENS_A_ROW = 32, 256


class SftConfigError(ValueError):
    """The SFT run cannot start as configured; the message says why."""


def check(config: DictConfig) -> None:
    """Settle the attention of an SFT config, and refuse one whose rows do not fit; other configs pass untouched.

    Raises:
        SftConfigError: with what was given, expected, and to be done.
    """
    if not isinstance(config, DictConfig) or "actor_rollout_ref" in config or "engine" not in config:
        return
    engine = config.engine
    try:
        attention.settle(
            config.model, "model", engine.get("strategy"), engine.get("ulysses_sequence_parallel_size", 1)
        )
    except ValueError as error:
        raise SftConfigError(f"the run cannot start: {error}") from error
    if os.environ.get("RANK", "0") == "0" and (problems := _length_problems(config)):
        raise SftConfigError(f"the run cannot start: {'; '.join(problems)}")


def _length_problems(config: DictConfig) -> list[str]:
    data = config.data
    if data.truncation != "error" or OmegaConf.select(data, "custom_cls.path"):
        return []
    problems = []
    for key in ("train", "val"):
        files = _files(data.get(f"{key}_files"))
        most = data.get(f"{key}_max_samples", -1)
        rows = _long_rows(files, data, most)
        if len(rows):
            problems += _too_long(config, key, files, rows, most)
    return problems


def _files(given: Any) -> list[str]:
    """The paths of a `*_files` option that can be read here: verl fetches the others itself."""
    paths = [] if given is None else [given] if isinstance(given, str) else list(given)
    return [] if any("://" in path or not os.path.isfile(path) for path in paths) else paths


def _long_rows(files: Sequence[str], data: DictConfig, most: int) -> np.ndarray:
    """Positions of rows that may be over `data.max_length`, the longest first; a token has a byte or more."""
    sizes = [_most_tokens(path, data.get("messages_key", "messages")) for path in files]
    bound = np.concatenate(sizes) if sizes else np.zeros(0)
    bound = bound[:most] if most > 0 else bound
    found = np.argsort(-bound, kind="stable")
    return found[bound[found] > data.max_length][:MOST_TOKENISED]


def _most_tokens(path: str, key: str) -> np.ndarray:
    """For each row a number of tokens that it cannot exceed; 0 where messages are not plain text."""
    file = pq.ParquetFile(path)
    schema = file.schema_arrow
    kind = schema.field(key).type if key in schema.names else None
    if kind is None or not pa.types.is_list(kind) or not pa.types.is_struct(kind.value_type):
        return np.zeros(file.metadata.num_rows)
    if not pa.types.is_string(kind.value_type.field("content").type):
        return np.zeros(file.metadata.num_rows)
    found = [np.zeros(0)]
    for batch in file.iter_batches(columns=[key]):
        messages = batch.column(0)
        content = pc.struct_field(pc.list_flatten(messages), "content")
        tokens = pc.fill_null(pc.binary_length(content), 0).to_numpy() + TOKENS_A_MESSAGE
        row = pc.list_parent_indices(messages).to_numpy()
        found.append(np.bincount(row, weights=tokens, minlength=len(messages)) + TOKENS_A_ROW)
    return np.concatenate(found)


def _too_long(config: DictConfig, key: str, files: list[str], rows: np.ndarray, most: int) -> list[str]:
    """The problem of the rows that are over the limit once tokenised, as verl itself does."""
    from verl.utils import hf_tokenizer
    from verl.utils.dataset.multiturn_sft_dataset import MultiTurnSFTDataset
    from verl.utils.fs import copy_to_local

    model = config.model
    path = copy_to_local(model.get("tokenizer_path") or model.path)
    tokenizer = hf_tokenizer(path, trust_remote_code=model.get("trust_remote_code", False))
    if model.get("custom_chat_template") is not None:
        tokenizer.chat_template = model.custom_chat_template
    unlimited = OmegaConf.merge(config.data, {"max_length": 2**31})
    dataset = MultiTurnSFTDataset(list(files), tokenizer, unlimited, max_samples=most)
    lengths = {int(row): len(dataset[int(row)]["input_ids"]) for row in rows}
    over = {row: length for row, length in lengths.items() if length > config.data.max_length}
    if not over:
        return []
    longest = max(over, key=lambda row: over[row])
    at_least = "at least " if len(over) == MOST_TOKENISED else ""
    problem = (
        f"data.{key}_files: {at_least}{len(over)} of {len(dataset)} rows are longer than data.max_length="
        f"{config.data.max_length} tokens (the longest is row {longest}, counted from 0, with {over[longest]}): leave "
        "them out, raise data.max_length and data.max_token_len_per_gpu, or set data.truncation=right to cut their "
        "ends off"
    )
    return [problem]
