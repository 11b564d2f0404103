"""Reads what a preview needs: the composed config, and questions spread evenly over the training files."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from omegaconf import DictConfig

from realm_ext.exposure import REGIMES
from realm_ext.paths import Folder, find_folder
from realm_ext.preflight_columns import schema_fault
from realm_ext.preflight_data import train_paths
from reward_fns.routes import Route, routes_from


@dataclass(frozen=True)
class Question:
    """A training row with routes: its messages, uid and route bank, its mark, if it has one, and its data source."""

    uid: str
    messages: Sequence[Mapping[str, Any]]
    routes: tuple[Route, ...]
    regime: str | None
    data_source: str


@dataclass(frozen=True)
class Sample:
    """Some questions of the training data, and how many rows there are in all."""

    questions: tuple[Question, ...]
    n_rows: int


def compose_config(name: str, overrides: Sequence[str]) -> DictConfig:
    """A recipe of ReaLM by name, or a YAML file of the user's own, composed as verl's trainer would.

    Raises:
        ValueError: there is no such config, or Hydra refuses it; the message says why.
    """
    from hydra import compose, initialize_config_dir
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    path = Path(name)
    folder = find_folder(Folder.CONFIGS)
    if path.suffix in (".yaml", ".yml"):
        folder, name = path.absolute().parent, path.stem
    if not (folder / f"{name}.yaml").is_file() and not path.is_file():
        raise ValueError(f"no config {name} in {folder}; give a recipe's name or the path of a .yaml file")
    try:
        with initialize_config_dir(config_dir=str(folder), version_base=None):
            return compose(name, overrides=list(overrides))
    except (HydraException, OmegaConfBaseException) as error:
        raise ValueError(f"{name} does not compose: {error}") from error


def sample_questions(config: DictConfig, wanted: int) -> Sample:
    """`wanted` rows with routes, or as many as there are, evenly over the training files.

    Raises:
        ValueError: no local parquet file is given, one is not as verl's and ReaLM's schema ask, or the files hold no row
            with routes.
    """
    paths = train_paths(config)
    if not paths:
        raise ValueError("data.train_files: no file is given; give one or more parquet files")
    missing = [path for path in paths if not Path(path).expanduser().is_file()]
    if missing:
        raise ValueError(
            f"data.train_files: {missing[0]} is no local file; prepare the data or correct the path"
        )
    key = config.data.get("prompt_key", "prompt")
    files = [_opened(path, key) for path in paths]
    n_rows = sum(file.metadata.num_rows for file in files)
    every = max(1, -(-n_rows // wanted))
    questions = [
        _question(record, key, f"a row of {', '.join(paths)}")
        for record in _every(files, key, every)
        if (record.get("extra_info") or {}).get("routes")
    ]
    if not questions:
        raise ValueError(
            f"none of {', '.join(paths)} holds routes (extra_info.routes): every rollout would be unguided, and there is "
            "nothing to preview"
        )
    return Sample(tuple(questions), n_rows)


def _opened(path: str, prompt_key: str) -> pq.ParquetFile:
    try:
        file = pq.ParquetFile(Path(path).expanduser())
    except (pa.ArrowException, OSError) as error:
        raise ValueError(f"{path} cannot be read as parquet ({str(error).splitlines()[0]})") from error
    fault = schema_fault(file.schema_arrow, prompt_key)
    if fault:
        raise ValueError(f"{path}: {fault}")
    return file


def _question(record: Mapping[str, Any], prompt_key: str, where: str) -> Question:
    info = record["extra_info"]
    if not info.get("uid"):
        raise ValueError(f"{where}: extra_info.uid must be a text, got {info.get('uid')!r}")
    if info.get("regime") not in (None, *REGIMES):
        raise ValueError(
            f"{where}: extra_info.regime must be {', '.join(REGIMES)} or null, got {info['regime']!r}"
        )
    return Question(
        uid=info["uid"],
        messages=record[prompt_key],
        routes=routes_from(info["routes"]),
        regime=info.get("regime"),
        data_source=str(record["data_source"]),
    )


def _every(files: Sequence[pq.ParquetFile], key: str, every: int) -> Iterator[dict[str, Any]]:
    """Every so many-th row over all files; only those are turned into Python objects."""
    seen = 0
    for file in files:
        for batch in file.iter_batches(batch_size=1024, columns=[key, "data_source", "extra_info"]):
            wanted = [i for i in range(batch.num_rows) if (seen + i) % every == 0]
            seen += batch.num_rows
            yield from batch.take(pa.array(wanted, pa.int64())).to_pylist()
