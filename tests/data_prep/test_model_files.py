"""A model's folder: found, and told apart from others by its content."""

from pathlib import Path

import pytest

from data_prep.model_files import checkpoint_hash, model_folder
from data_prep.routes.fingerprint import prompt_version, writer_of


def checkpoint(folder: Path, weights: bytes, config: str = "{}") -> Path:
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(weights)
    (folder / "config.json").write_text(config)
    return folder


def test_hashes_tell_checkpoints_apart_and_copies_not(tmp_path: Path) -> None:
    step = checkpoint(tmp_path / "step_10", b"x" * 1000)
    copy = checkpoint(tmp_path / "copy", b"x" * 1000)
    (copy / "trainer_state.json").write_text("irrelevant")
    later = checkpoint(tmp_path / "step_20", b"x" * 999 + b"y")
    other = checkpoint(tmp_path / "other", b"x" * 1000, '{"a": 1}')
    assert checkpoint_hash(step) == checkpoint_hash(copy)
    assert len({checkpoint_hash(folder) for folder in (step, later, other)}) == 3
    assert writer_of(step) == f"{checkpoint_hash(step)}-p{prompt_version()}"


def test_weights_in_the_old_format_count(tmp_path: Path) -> None:
    one, other = (checkpoint(tmp_path / name, b"") for name in ("one", "other"))
    for folder, weights in ((one, b"x"), (other, b"y")):
        (folder / "model.safetensors").unlink()
        (folder / "pytorch_model.bin").write_bytes(weights)
    assert checkpoint_hash(one) != checkpoint_hash(other)


def test_what_is_no_model_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="holds no weights"):
        writer_of(tmp_path)
    with pytest.raises(ValueError, match=r"is no folder, and no id of the Hub"):
        model_folder(str(tmp_path / "nothing"))
