"""Who wrote a route: the fingerprint of a checkpoint and of the prompt it was given.

Serves design.md, section Guided CoT distillation (item 7).
"""

from pathlib import Path

from data_prep.model_files import checkpoint_hash
from data_prep.outputs import hash_text
from realm_ext.prompt import render_suffix

_PROMPT_CHARS = 8


def prompt_version() -> str:
    """A hash of the unguided instruction: it changes when the prompt renderer's wording does."""
    return hash_text(render_suffix(()))[:_PROMPT_CHARS]


def writer_of(folder: Path) -> str:
    """The fingerprint of the model in a folder together with the present prompt, e.g. `9f86d081884c7d65-p1a2b3c4d`.

    Raises:
        ValueError: there are no weights in the folder.
    """
    return f"{checkpoint_hash(folder)}-p{prompt_version()}"
