"""Prompts in tokens: whose length counts, and what is said where they cannot be counted."""

from pathlib import Path

import pytest
from omegaconf import DictConfig, OmegaConf

from realm_ext.preflight import ConfigError, check
from realm_ext.preflight_lengths import PromptRow, length_faults
from realm_ext.tokens import PromptTokens, TokenizerError, UnreachableTokenizerError
from tests.realm_ext.conftest import make_row, write

LONG = [{"role": "user", "content": "x" * 130}]


def test_hub_ids_are_not_taken_for_folders(config: DictConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    from realm_ext import preflight_data

    monkeypatch.setattr(preflight_data, "length_faults", lambda *_: ([], []))
    config.actor_rollout_ref.model.path = "Qwen/Qwen2.5-1.5B-Instruct"
    check(config)


def test_only_the_realm_agent_refuses_a_long_question(config: DictConfig) -> None:
    problems, notes = length_faults(config, [PromptRow("row 1", LONG, False, True)])
    assert "1 of the 1 prompts looked at are longer than rollout.prompt_length=120" in problems[0]
    assert "has 130 tokens (row 1)" in problems[0]
    problems, notes = length_faults(config, [PromptRow("row 1", LONG, False, False)])
    assert problems == []
    assert notes[0].endswith("has 130 tokens (row 1). verl cuts their beginnings off")


def test_a_template_that_refuses_a_row(config: DictConfig) -> None:
    OmegaConf.set_struct(config, False)
    config.actor_rollout_ref.model.custom_chat_template = "{{ raise_exception('no system role') }}"
    write(Path(config.data.train_files), [make_row(i) for i in range(8)])
    with pytest.raises(ConfigError, match="does not take row 0 of .*: no system role"):
        check(config)


def test_a_tokenizer_that_cannot_be_reached_is_no_problem(
    config: DictConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    config.actor_rollout_ref.model.path = "nobody/no-such-model"
    with pytest.raises(UnreachableTokenizerError):
        PromptTokens(config)
    problems, notes = length_faults(config, [PromptRow("row 1", LONG, False, True)])
    assert problems == []
    assert "not checked: the tokenizer of nobody/no-such-model cannot be loaded" in notes[0]


def test_a_broken_tokenizer_is_a_problem(config: DictConfig, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "qwen2"}')
    (tmp_path / "tokenizer.json").write_text("{")
    config.actor_rollout_ref.model.path = str(tmp_path)
    with pytest.raises(TokenizerError, match="cannot be loaded"):
        PromptTokens(config)
    assert "the tokenizer of" in length_faults(config, [PromptRow("row 1", LONG, False, True)])[0][0]
