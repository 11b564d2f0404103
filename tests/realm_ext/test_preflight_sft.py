"""The checks of an SFT run: attention is settled, rows over the limit are counted before the first step."""

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from omegaconf import DictConfig, OmegaConf

pytest.importorskip("verl")

from data_prep.demo_model import DemoSize, build_demo_model
from realm_ext import plugin, preflight_sft
from realm_ext.patches import PADDED
from realm_ext.preflight_sft import SftConfigError, check

LIMIT = 400


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    size = DemoSize(hidden=32, layers=1, intermediate=32, vocabulary=300)
    made, tokenizer = build_demo_model(["2+3? <think> a b c </think>"] * 4, size)
    made.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def write(path: Path, replies: list[str]) -> Path:
    rows = [
        {"messages": [{"role": "user", "content": "2+3?"}, {"role": "assistant", "content": reply}]}
        for reply in replies
    ]
    pq.write_table(pa.Table.from_pylist(rows), path)
    return path


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PADDED, "0")
    monkeypatch.delenv("RANK", raising=False)


@pytest.fixture
def config(model: Path, tmp_path: Path) -> DictConfig:
    made = OmegaConf.create(
        {
            "model": {"path": str(model), "override_config": {}, "use_remove_padding": True},
            "engine": {"strategy": "fsdp2", "ulysses_sequence_parallel_size": 1},
            "data": {
                "train_files": str(write(tmp_path / "train.parquet", ["5", "x y z " * 200, "6"])),
                "val_files": None,
                "max_length": LIMIT,
                "truncation": "error",
                "pad_mode": "no_padding",
                "messages_key": "messages",
            },
        }
    )
    OmegaConf.set_struct(made, True)
    return made


def refused(config: DictConfig) -> str:
    with pytest.raises(SftConfigError) as error:
        check(config)
    return str(error.value)


def tokens_of(config: DictConfig, row: int) -> int:
    from verl.utils import hf_tokenizer
    from verl.utils.dataset.multiturn_sft_dataset import MultiTurnSFTDataset

    data = OmegaConf.merge(config.data, {"max_length": 10**6})
    dataset = MultiTurnSFTDataset(config.data.train_files, hf_tokenizer(config.model.path), data)
    return len(dataset[row]["input_ids"])


def test_one_long_row_is_named_before_the_run(config: DictConfig) -> None:
    message = refused(config)
    assert f"data.train_files: 1 of 3 rows are longer than data.max_length={LIMIT} tokens" in message
    assert f"the longest is row 1, counted from 0, with {tokens_of(config, 1)}" in message
    assert "data.truncation=right" in message and "data.max_token_len_per_gpu" in message


def test_a_row_of_just_the_limit_passes(config: DictConfig) -> None:
    config.data.max_length = tokens_of(config, 1)
    check(config)
    config.data.max_length -= 1
    assert "1 of 3" in refused(config)


def test_rows_of_all_files_are_counted_through(config: DictConfig, tmp_path: Path) -> None:
    more = write(tmp_path / "more.parquet", ["7", "x y z " * 300])
    config.data.train_files = [config.data.train_files, str(more)]
    message = refused(config)
    assert "2 of 5 rows" in message and "row 4" in message


def test_validation_rows_count_too(config: DictConfig, tmp_path: Path) -> None:
    config.data.val_files = config.data.train_files
    config.data.train_files = str(write(tmp_path / "short.parquet", ["5"]))
    assert "data.val_files: 1 of 3" in refused(config)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("data.truncation", "right"),
        ("data.custom_cls", {"path": "mine.py", "name": "Mine"}),
        ("data.train_files", "hdfs://somewhere/train.parquet"),
        ("data.train_files", "not_there.parquet"),
        ("data.train_max_samples", 1),
    ],
)
def test_what_verl_reads_otherwise_is_left_to_it(config: DictConfig, key: str, value: Any) -> None:
    OmegaConf.update(config, key, value, force_add=True)
    check(config)


def test_only_rows_that_may_be_too_long_are_tokenised(
    config: DictConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config.data.train_files = str(write(tmp_path / "short.parquet", ["5"] * 50))
    monkeypatch.setattr(preflight_sft, "_too_long", lambda *a: pytest.fail("tokenised"))
    check(config)


def test_the_first_process_alone_reads_the_rows(config: DictConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "1")
    check(config)


def test_attention_is_settled_in_every_process(config: DictConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "flash_attn", None)
    monkeypatch.setenv("RANK", "1")
    check(config)
    assert config.model.override_config.attn_implementation == "sdpa"
    assert config.model.use_remove_padding is False


@pytest.mark.parametrize("other", [None, {"engine": 1}, {"actor_rollout_ref": {}, "engine": {}}])
def test_other_configs_pass_untouched(other: Any) -> None:
    check(OmegaConf.create(other) if isinstance(other, dict) and "actor_rollout_ref" in other else None)


def test_verl_is_called_after_the_checks(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    module = ModuleType("fake_device")
    module.auto_set_device = lambda config: seen.append("verl")  # type: ignore[attr-defined]
    monkeypatch.setattr(preflight_sft, "check", lambda config: seen.append("realm"))
    plugin.check_sft_first(module)
    module.auto_set_device({})
    assert seen == ["realm", "verl"]


def test_a_bad_sft_config_ends_with_its_message_alone(config: DictConfig) -> None:
    module = ModuleType("fake_device")
    module.auto_set_device = lambda config: pytest.fail("verl went on")  # type: ignore[attr-defined]
    plugin.check_sft_first(module)
    with pytest.raises(SystemExit, match=r"\[realm\] the run cannot start: data.train_files: 1 of 3"):
        module.auto_set_device(config)
