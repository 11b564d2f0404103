"""Reading a data set of the Hugging Face Hub as a stream, at one fixed revision.

Serves design.md, section Data. Only the rows that are read are downloaded. Without a network there is one clear error.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from data_prep.sources.reading import Record, plain

HUB_ID = re.compile(r"[\w.-]+/[\w.-]+(?::[\w.-]+)?")
_SPLITS = {"val": "validation"}


@dataclass(frozen=True)
class HubSet:
    """A data set at a revision, and the licence that its card states (None: none)."""

    id: str
    configuration: str | None
    revision: str
    licence: str | None


def find_set(given: str) -> HubSet:
    """Look up `owner/name` or `owner/name:configuration`.

    Raises:
        ValueError: it cannot be reached or does not exist; says what to do.
    """
    import httpx
    from huggingface_hub import HfApi

    name, _, configuration = given.partition(":")
    try:
        info = HfApi().dataset_info(name)
    except (OSError, httpx.HTTPError) as error:
        reason = str(error).partition("\n")[0]
        raise ValueError(
            f"{given}: no such file here, and the Hub did not answer for it ({reason}); give a file or folder, "
            "or download the data set where there is a network"
        ) from error
    card: Any = info.card_data or {}
    licence = card.get("license")
    licence = licence[0] if isinstance(licence, list) and licence else licence
    return HubSet(name, configuration or None, str(info.sha), licence if isinstance(licence, str) else None)


def read_set(found: HubSet, split: str) -> Iterator[Record]:
    """The rows of a split, counted from 1; `val` is also looked for as `validation`.

    Raises:
        ValueError: there is no such split or configuration, or the Hub stopped answering.
    """
    import httpx
    from datasets import load_dataset

    try:
        rows = load_dataset(
            found.id,
            found.configuration,
            split=_SPLITS.get(split, split),
            streaming=True,
            revision=found.revision,
        )
        for row, value in enumerate(rows, start=1):
            yield Record(found.id, row, plain(value))
    except (OSError, ValueError, httpx.HTTPError) as error:
        reason = str(error).partition("\n")[0]
        raise ValueError(f"{found.id}, split {split}: cannot be read from the Hub ({reason})") from error
