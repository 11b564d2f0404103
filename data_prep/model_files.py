"""The files of a local model: where they are, and the hash that tells checkpoints apart.

Serves design.md, section Guided CoT distillation (items 3 and 7). Two steps of one training run have files of the same
names, sizes and configs, so only the content of the weights tells them apart: all of it is hashed, once (about a
gigabyte a second, and the engine that loads the model next finds it in the page cache). A copy in another folder has
the same hash.
"""

import hashlib
from pathlib import Path

from data_prep.outputs import hash_file

WEIGHTS = ("*.safetensors", "pytorch_model*.bin")
BESIDE = (
    "config.json",
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "chat_template.jinja",
)
"""What else decides what a model writes."""

_HASH_CHARS = 16


def checkpoint_hash(folder: Path) -> str:
    """The first 16 hexadecimal digits of SHA-256 over names and contents of weights, config and tokenizer.

    Raises:
        ValueError: there are no weights in the folder; says what to give.
    """
    weights = sorted({path for pattern in WEIGHTS for path in folder.glob(pattern) if path.is_file()})
    if not weights:
        raise ValueError(
            f"{folder} holds no weights ({', '.join(WEIGHTS)}); give a Hugging Face folder (verl writes one as "
            "`huggingface` in each global_step_N; a LoRA adapter has to be merged first) or a Hub id"
        )
    beside = [folder / name for name in BESIDE if (folder / name).is_file()]
    digest = hashlib.sha256()
    for path in [*weights, *beside]:
        digest.update(f"{path.name}\0{hash_file(path)}\n".encode())
    return digest.hexdigest()[:_HASH_CHARS]


def model_folder(model: str) -> Path:
    """The folder of a model given as a path or as an id of the Hub, which is downloaded if need be.

    Raises:
        ValueError: neither; says what was tried.
    """
    folder = Path(model).expanduser()
    if folder.is_dir():
        return folder
    if folder.is_absolute() or model.count("/") != 1 or model.startswith("."):
        raise ValueError(f"{model} is no folder, and no id of the Hub (owner/name)")
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return Path(
            snapshot_download(model, allow_patterns=["*.json", "*.jinja", "*.model", "*.txt", *WEIGHTS])
        )
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        reason = str(error).partition("\n")[0]
        raise ValueError(f"{model} is no folder here, and the Hub does not give it ({reason})") from error
