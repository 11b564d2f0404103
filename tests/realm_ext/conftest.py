"""A config that passes the checks before Ray, its data and a model folder, for the tests of `realm_ext.preflight*`."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from omegaconf import DictConfig, OmegaConf

from data_prep.schema import RL_SCHEMA

SMALL_MODEL = {
    "model_type": "qwen2",
    "architectures": ["Qwen2ForCausalLM"],
    "vocab_size": 117,
    "hidden_size": 8,
    "intermediate_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 1,
    "num_key_value_heads": 1,
}


def make_row(index: int, question: str = "2+3?", right: int = 1, **info: Any) -> dict[str, Any]:
    routes = [
        {
            "steps": ["a", "b"],
            "answer": "5",
            "label": i < right,
            "sound": None,
            "first_error": None,
            "source": "x",
        }
        for i in range(4)
    ]
    return {
        "data_source": "realm/math",
        "prompt": [{"role": "user", "content": question}],
        "ability": "math",
        "reward_model": {"style": "rule", "ground_truth": "5"},
        "extra_info": {
            "uid": f"u{index}",
            "index": index,
            "split": "train",
            "regime": None,
            "routes": routes,
            **info,
        },
        "agent_name": "realm",
    }


def write(path: Path, rows: list[dict[str, Any]], schema: pa.Schema = RL_SCHEMA) -> Path:
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), path)
    return path


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a real tokenizer: one token per character."""
    tokenizers = pytest.importorskip("tokenizers")
    transformers = pytest.importorskip("transformers")
    folder = tmp_path_factory.mktemp("model")
    characters = [chr(code) for code in range(10, 127)]
    tokenizer = tokenizers.Tokenizer(
        tokenizers.models.WordLevel({c: i for i, c in enumerate(characters)}, unk_token="~")
    )
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Split(tokenizers.Regex("[\\s\\S]"), "isolated")
    fast = transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="~")
    fast.chat_template = "{% for m in messages %}{{ m['content'] }}{% endfor %}"
    fast.save_pretrained(folder)
    (folder / "config.json").write_text(json.dumps(SMALL_MODEL))
    return folder


@pytest.fixture
def config(tmp_path: Path, model: Path) -> DictConfig:
    train = write(tmp_path / "train.parquet", [make_row(i, right=1 + i % 2) for i in range(8)])
    val = write(tmp_path / "val.parquet", [make_row(9, regime="guided", split="test")])
    made = OmegaConf.create(
        {
            "realm": {"schedule": {"kind": "linear", "fade_steps": 6}},
            "data": {
                "train_files": str(train),
                "val_files": [str(val)],
                "prompt_key": "prompt",
                "max_prompt_length": 120,
                "train_batch_size": 4,
                "filter_overlong_prompts": False,
                "apply_chat_template_kwargs": {},
            },
            "actor_rollout_ref": {
                "model": {"path": str(model), "tokenizer_path": None},
                "rollout": {
                    "n": 8,
                    "prompt_length": 120,
                    "agent": {
                        "default_agent_loop": "single_turn_agent",
                        "agent_loop_manager_class": "realm_ext.agent_worker.RealmAgentLoopManager",
                    },
                },
            },
            "algorithm": {"adv_estimator": "realm_grpo"},
            "reward": {
                "custom_reward_function": {"path": "pkg://reward_fns", "name": "compute_score"},
                "reward_manager": {"name": "naive"},
            },
            "trainer": {
                "total_training_steps": None,
                "total_epochs": 4,
                "use_v1": True,
                "v1": {"trainer_mode": "realm_sync"},
            },
        }
    )
    OmegaConf.set_struct(made, True)
    return made
