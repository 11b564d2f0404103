"""What a model's own config tells: the numbers are those of SmolLM2-135M, tried on two cores and 24,684,092 KiB."""

import json
from pathlib import Path
from typing import Any

import pytest
from omegaconf import DictConfig, OmegaConf

from realm_ext import preflight_model
from realm_ext.preflight import ConfigError, check
from realm_ext.preflight_model import bucket_problem, memory_faults, read_size
from tests.realm_ext.conftest import SMALL_MODEL

pytest.importorskip("verl")

SMOL = {
    "model_type": "llama",
    "architectures": ["LlamaForCausalLM"],
    "vocab_size": 49152,
    "hidden_size": 576,
    "intermediate_size": 1536,
    "num_hidden_layers": 30,
    "num_attention_heads": 9,
    "num_key_value_heads": 3,
    "tie_word_embeddings": True,
}
MACHINE = 24_684_092 << 10


def write_model(folder: Path, **fields: Any) -> str:
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps({**SMOL, **fields}))
    return str(folder)


@pytest.fixture
def on_cpu(config: DictConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DictConfig:
    """The quickstart's RL recipe in what matters here, with that model."""
    monkeypatch.setattr(preflight_model, "machine_memory", lambda: (MACHINE, MACHINE))
    OmegaConf.set_struct(config, False)
    config.actor_rollout_ref.model.update(
        {"path": write_model(tmp_path / "smol"), "tokenizer_path": config.actor_rollout_ref.model.path}
    )
    config.actor_rollout_ref.model.enable_gradient_checkpointing = False
    config.actor_rollout_ref.actor = {
        "ppo_mini_batch_size": 16,
        "use_dynamic_bsz": True,
        "ppo_max_token_len_per_gpu": 2048,
        "fsdp_config": {"model_dtype": "fp32"},
    }
    config.actor_rollout_ref.rollout.update(
        {
            "name": "vllm",
            "tensor_model_parallel_size": 1,
            "checkpoint_engine": {"update_weights_bucket_megabytes": 128},
        }
    )
    config.data.max_response_length = 128
    config.trainer.update({"device": "cpu", "nnodes": 1, "n_gpus_per_node": 1})
    config.algorithm.rollout_correction = {"bypass_mode": True}
    config.ray_kwargs = {"ray_init": {"runtime_env": {"env_vars": {"VLLM_CPU_KVCACHE_SPACE": "1"}}}}
    return config


def test_the_size_of_a_model_is_read_without_its_weights(on_cpu: DictConfig) -> None:
    size = read_size(on_cpu)
    assert size.parameters == 134_515_008
    assert size.largest == ("model.embed_tokens.weight", 49152 * 576)
    assert (size.vocabulary, size.hidden, size.intermediate, size.layers) == (49152, 576, 1536, 30)
    assert not size.sees


def test_an_override_counts(on_cpu: DictConfig) -> None:
    on_cpu.actor_rollout_ref.model.override_config = {"num_hidden_layers": 2}
    assert read_size(on_cpu).layers == 2


def test_the_largest_tensor_must_fit_the_weight_sync(on_cpu: DictConfig) -> None:
    rollout = on_cpu.actor_rollout_ref.rollout
    check(on_cpu)
    rollout.checkpoint_engine.update_weights_bucket_megabytes = 64
    with pytest.raises(ConfigError) as error:
        check(on_cpu)
    # 49152 x 576 x 4 bytes are 108 MiB
    assert "update_weights_bucket_megabytes=64: the weight model.embed_tokens.weight has 108 MiB" in str(
        error.value
    )
    assert str(error.value).endswith("set it to at least 108")
    rollout.checkpoint_engine.update_weights_bucket_megabytes = 108
    check(on_cpu)


@pytest.mark.parametrize(
    "changes",
    [
        {"actor_rollout_ref.actor.fsdp_config.model_dtype": "bf16"},  # 54 MiB
        {"trainer.device": "cuda"},  # a tensor that is too large is sent by IPC
        {"actor_rollout_ref.model.lora_rank": 8},  # the adapter alone is sent
        {"actor_rollout_ref.rollout.name": "sglang"},
    ],
)
def test_where_a_small_buffer_is_enough(on_cpu: DictConfig, changes: dict[str, Any]) -> None:
    on_cpu.actor_rollout_ref.rollout.checkpoint_engine.update_weights_bucket_megabytes = 64
    size = read_size(on_cpu)
    assert bucket_problem(on_cpu, size) is not None
    for key, value in changes.items():
        OmegaConf.update(on_cpu, key, value)
    assert bucket_problem(on_cpu, size) is None


def test_the_logits_must_fit_the_memory(on_cpu: DictConfig) -> None:
    size = read_size(on_cpu)
    assert memory_faults(on_cpu, size) == ([], [])
    on_cpu.actor_rollout_ref.actor.ppo_max_token_len_per_gpu = 8192
    problems, notes = memory_faults(on_cpu, size)
    assert notes == []
    # a token: 5 x 49152 x 4 + 30 x (10 x 576 + 4 x 1536) x 4 = 2,411,520 bytes, 8,192 of them 18.4 GiB;
    # beside them 134.5M x 20 bytes, 1 GiB of cache, 128 MiB of buffer, 4 GiB of processes: 7.6 GiB
    assert (
        "ppo_max_token_len_per_gpu=8192: 8192 tokens at once, whose logits over 49152 entries are 1.5 GiB"
        in problems[0]
    )
    assert "the run needs about 26.0 GiB, and there are 23.5 GiB" in problems[0]
    assert problems[0].endswith("at most about 7084 would fit")


def test_a_batch_that_never_fills_the_budget_needs_less(on_cpu: DictConfig) -> None:
    on_cpu.actor_rollout_ref.actor.update({"ppo_max_token_len_per_gpu": 8192, "ppo_mini_batch_size": 2})
    assert memory_faults(on_cpu, read_size(on_cpu)) == ([], [])  # 2 x 8 rollouts of 248 tokens are 3,968


def test_micro_batches_by_number(on_cpu: DictConfig) -> None:
    on_cpu.actor_rollout_ref.actor.update({"use_dynamic_bsz": False, "ppo_micro_batch_size_per_gpu": 40})
    assert "ppo_micro_batch_size_per_gpu=40: 9920 tokens" in memory_faults(on_cpu, read_size(on_cpu))[0][0]


def test_the_pass_before_the_update_counts_where_there_is_one(on_cpu: DictConfig) -> None:
    size = read_size(on_cpu)
    on_cpu.data.train_batch_size = 64
    on_cpu.actor_rollout_ref.rollout.update(
        {"log_prob_use_dynamic_bsz": True, "log_prob_max_token_len_per_gpu": 32768}
    )
    assert memory_faults(on_cpu, size) == ([], [])
    on_cpu.algorithm.rollout_correction.bypass_mode = False
    # 4 x 32768 x 49152 x 4 bytes are 24 GiB
    assert "rollout.log_prob_max_token_len_per_gpu=32768" in memory_faults(on_cpu, size)[0][0]


def test_little_free_memory_is_only_mentioned(on_cpu: DictConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preflight_model, "machine_memory", lambda: (MACHINE, 8 << 30))
    problems, notes = memory_faults(on_cpu, read_size(on_cpu))
    assert problems == []
    assert notes[0].endswith("8.0 GiB of 23.5 GiB are free now")


def test_a_gpu_must_hold_logits_and_states(on_cpu: DictConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    on_cpu.trainer.device = "cuda"
    on_cpu.data.max_response_length = 4096
    on_cpu.actor_rollout_ref.actor.ppo_max_token_len_per_gpu = 131072
    size = read_size(on_cpu)
    monkeypatch.setattr(preflight_model, "gpu_memory", lambda: None)
    assert memory_faults(on_cpu, size) == ([], [])
    monkeypatch.setattr(preflight_model, "gpu_memory", lambda: (80 << 30, 80 << 30))
    # 131,072 x (2 x 49152 + 30 x 11904) x 2 bytes are 111 GiB
    assert "ppo_max_token_len_per_gpu=131072" in memory_faults(on_cpu, size)[0][0]
    on_cpu.actor_rollout_ref.model.enable_gradient_checkpointing = True
    assert memory_faults(on_cpu, size) == ([], [])


def vision_model(folder: Path) -> str:
    text = {
        **SMALL_MODEL,
        "model_type": "qwen2_5_vl_text",
        "rope_scaling": {"mrope_section": [1, 1, 2], "type": "default"},
    }
    vision = {"depth": 1, "hidden_size": 16, "intermediate_size": 16, "num_heads": 2, "out_hidden_size": 8}
    folder.mkdir()
    whole = {"model_type": "qwen2_5_vl", "architectures": ["Qwen2_5_VLForConditionalGeneration"]}
    (folder / "config.json").write_text(json.dumps({**whole, "text_config": text, "vision_config": vision}))
    return str(folder)


def test_a_model_with_images_trains_on_text_and_says_so(
    config: DictConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    OmegaConf.set_struct(config, False)
    tokenizer = config.actor_rollout_ref.model.path
    config.actor_rollout_ref.model.update(
        {"path": vision_model(tmp_path / "sees"), "tokenizer_path": tokenizer}
    )
    assert read_size(config).sees
    check(config)
    assert "the model takes images; the agent `realm` shows it text alone" in capsys.readouterr().out
    config.realm.carry = 1
    with pytest.raises(
        ConfigError, match="realm.carry=1: a rollout of a model with images cannot be written anew"
    ):
        check(config)


def test_a_config_that_is_not_here_is_said(config: DictConfig, capsys: pytest.CaptureFixture[str]) -> None:
    OmegaConf.set_struct(config, False)
    config.actor_rollout_ref.model.hf_config_path = "nobody/no-such-model"
    check(config)
    assert "not checked: the config of nobody/no-such-model cannot be read here" in capsys.readouterr().out


def test_memory_of_this_machine_is_read() -> None:
    total, free = preflight_model.machine_memory()
    assert 0 < free <= total
