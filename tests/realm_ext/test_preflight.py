"""Bad input is refused before Ray starts: one message, every reason in it."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from omegaconf import DictConfig, OmegaConf

from data_prep.schema import RL_SCHEMA
from realm_ext import accelerator, adaptive_store
from realm_ext.adaptive import Levels
from realm_ext.checkpoints import mark_whole, step_folder
from realm_ext.config import read_config
from realm_ext.preflight import ConfigError, check

ROUTES = RL_SCHEMA.field("extra_info").type.field("routes").type


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


@pytest.fixture(scope="module")
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
    (folder / "config.json").write_text('{"model_type": "qwen2"}')
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


def refused(config: DictConfig) -> str:
    with pytest.raises(ConfigError) as error:
        check(config)
    return str(error.value)


def test_a_good_config_passes_and_its_reward_is_completed(config: DictConfig) -> None:
    check(config)
    kwargs = config.reward.custom_reward_function.reward_kwargs
    assert kwargs.right_share == pytest.approx(0.375)
    assert (kwargs.w_outcome, kwargs.w_verdict, kwargs.w_decisive, kwargs.w_format) == (1.0, 0.2, 0.2, 0.05)


def test_a_given_right_share_is_kept(config: DictConfig) -> None:
    config.realm = {**config.realm, "right_share": 0.5}
    check(config)
    assert config.reward.custom_reward_function.reward_kwargs.right_share == 0.5


def test_a_cpu_recipe_in_the_gpu_environment_is_refused(
    config: DictConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(accelerator, "is_gpu_stack", lambda: True)
    config.trainer = {**config.trainer, "device": "cpu"}
    assert "trainer.device=cpu, but torch and vLLM here are built for GPUs" in refused(config)
    config.trainer.device = "cuda"
    check(config)


def test_a_config_without_realm_is_left_alone() -> None:
    config = OmegaConf.create({"anything": 1})
    check(config)
    assert config == {"anything": 1}


@pytest.mark.parametrize(
    ("key", "value", "text"),
    [
        ("actor_rollout_ref.model.path", "/no/such/model", "/no/such/model: no such folder"),
        ("actor_rollout_ref.model.path", "./model", "./model: no such folder"),
        ("actor_rollout_ref.model.path", "a/b/c", "a/b/c: no such folder"),
        ("actor_rollout_ref.model.path", None, "expected a folder or a Hugging Face id"),
        ("data.train_files", "/no/train.parquet", "/no/train.parquet does not exist"),
        ("data.val_files", ["/no/val.parquet"], "/no/val.parquet does not exist"),
        ("data.train_files", None, "data.train_files: no file is given"),
        ("data.val_files", [], "data.val_files: no file is given"),
        ("trainer.v1.trainer_mode", "colocate_async", "use realm_colocate_async"),
        ("trainer.v1.trainer_mode", "separate_async", "needs GPUs for rollouts alone"),
        ("algorithm.adv_estimator", "remax", "adv_estimator=remax: not supported where routes are shown"),
        ("algorithm.adv_estimator", "grpo", "adv_estimator=grpo: not supported where routes are shown"),
        ("algorithm.adv_estimator", "gae", "adv_estimator=gae: not supported where routes are shown"),
        (
            "realm",
            {"schedule": {"kind": "constant"}, "adaptive": {"kind": "all"}},
            "realm.adaptive.kind: 'all' is unknown",
        ),
        ("trainer.v1.trainer_mode", "sync", "realm_grpo needs trainer.v1.trainer_mode=realm_sync"),
        ("trainer.v1.trainer_mode", "fast", "fast is unknown"),
        ("trainer.use_v1", False, "use_v1=false"),
        ("trainer.total_training_steps", 7, "more than 75% of the 7 training steps"),
        ("trainer.total_epochs", 3, "more than 75% of the 6 training steps"),
        ("trainer.total_training_steps", 9, "would end the run at step 8 of"),
        ("data.train_batch_size", 9, "8 rows, fewer than data.train_batch_size=9"),
        ("actor_rollout_ref.rollout.n", 3, "fewer than 2 guided rollouts"),
        ("actor_rollout_ref.rollout.prompt_length", 20, "longer than rollout.prompt_length=20"),
        ("actor_rollout_ref.rollout.agent.agent_loop_manager_class", None, "agent_loop_manager_class="),
        ("reward.custom_reward_function.path", None, "path must be pkg://reward_fns"),
        ("reward.reward_manager.name", "dapo", "only `naive`"),
        ("realm.schedule.fade_steps", -1, "realm.schedule.fade_steps: expected a whole number"),
        ("realm.schedule", {"kind": "square"}, "realm.schedule.kind: 'square' is unknown"),
    ],
)
def test_bad_values_are_named(config: DictConfig, key: str, value: Any, text: str) -> None:
    OmegaConf.update(config, key, value, merge=False)
    assert text in refused(config)


def test_a_loss_that_depends_on_micro_batches(config: DictConfig) -> None:
    OmegaConf.set_struct(config, False)
    config.actor_rollout_ref.actor = {"loss_agg_mode": "seq-mean-token-sum-norm", "loss_scale_factor": None}
    assert "loss_scale_factor=null" in refused(config)


def test_weights_that_let_a_wrong_answer_win(config: DictConfig) -> None:
    config.realm = {**config.realm, "weights": {"verdict": 0.9}}
    assert "a wrong answer could outrank a right one" in refused(config)


def test_a_punishment_that_lets_a_wrong_answer_win(config: DictConfig) -> None:
    config.realm = {**config.realm, "overlong": {"kind": "punish", "weight": 0.5}}
    assert "a short wrong answer could outrank a long right one" in refused(config)


def test_weights_set_twice_must_agree(config: DictConfig) -> None:
    OmegaConf.set_struct(config, False)
    config.reward.custom_reward_function.reward_kwargs = {"w_verdict": 0.1}
    assert "w_verdict=0.1 contradicts realm.weights.verdict=0.2" in refused(config)


def test_the_asynchronous_mode_is_fine_without_adaptive_exposure(config: DictConfig) -> None:
    config.trainer.v1.trainer_mode = "realm_colocate_async"
    check(config)


def test_poll_interval_is_checked(config: DictConfig) -> None:
    OmegaConf.set_struct(config, False)
    config.trainer.v1.realm_sync = {"poll_interval": 0}
    assert "poll_interval: expected seconds" in refused(config)


def test_hub_ids_are_not_taken_for_folders(config: DictConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    from realm_ext import preflight_data

    monkeypatch.setattr(preflight_data, "_check_lengths", lambda *_: None)
    config.actor_rollout_ref.model.path = "Qwen/Qwen2.5-1.5B-Instruct"
    check(config)


def test_torn_parquet(config: DictConfig) -> None:
    path = Path(config.data.train_files)
    path.write_bytes(path.read_bytes()[:-20])
    assert "train.parquet cannot be read as parquet" in refused(config)


@pytest.mark.parametrize(
    ("drop", "text"),
    [
        ("prompt", "column prompt is missing"),
        ("data_source", "column data_source is missing"),
        ("reward_model", "column reward_model is missing"),
    ],
)
def test_missing_columns(config: DictConfig, drop: str, text: str) -> None:
    schema = pa.schema([field for field in RL_SCHEMA if field.name != drop])
    write(Path(config.data.train_files), [make_row(0)], schema)
    assert text in refused(config)


@pytest.mark.parametrize(
    ("name", "changed", "value", "text"),
    [
        ("prompt", pa.string(), "q", "column prompt must be a list of chat messages"),
        ("reward_model", pa.string(), "5", "column reward_model must be a struct with ground_truth"),
        ("extra_info", pa.string(), "x", "column extra_info must be a struct"),
        (
            "extra_info",
            pa.struct([("routes", pa.null())]),
            {"routes": None},
            "routes must be a list of structs",
        ),
        (
            "extra_info",
            pa.struct([("routes", pa.list_(pa.struct([("steps", pa.string())])))]),
            {"routes": []},
            "routes lacks the field answer, label",
        ),
        ("extra_info", pa.struct([("routes", ROUTES)]), {"routes": []}, "routes but no uid"),
    ],
)
def test_wrong_types(config: DictConfig, name: str, changed: pa.DataType, value: Any, text: str) -> None:
    schema = pa.schema([pa.field(f.name, changed if f.name == name else f.type) for f in RL_SCHEMA])
    write(Path(config.data.train_files), [{**make_row(0), name: value}], schema)
    assert text in refused(config)


@pytest.mark.parametrize(
    ("row", "text"),
    [
        (make_row(0, uid=None), "extra_info.uid must be a text"),
        (make_row(0, regime="half"), "regime must be guided, unguided or null"),
        ({**make_row(0), "data_source": "realm/astrology"}, "unknown domain 'astrology'"),
        ({**make_row(0), "extra_info": {"uid": "u", "routes": [{"steps": None}]}}, "route lacks"),
    ],
)
def test_bad_rows(config: DictConfig, row: dict[str, Any], text: str) -> None:
    write(Path(config.data.train_files), [row])
    assert text in refused(config)


def test_an_empty_file(config: DictConfig) -> None:
    write(Path(config.data.val_files[0]), [])
    assert "val.parquet has no rows" in refused(config)


def test_the_longest_prompt_is_found_in_a_large_file(
    config: DictConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("realm_ext.preflight_data.MAX_TOKENISED", 10)
    rows = [make_row(i) for i in range(40)]
    rows[33] = make_row(33, question="x" * 300)
    write(Path(config.data.train_files), rows)
    message = refused(config)
    assert "row 33 of" in message
    assert "a question is never cut" in message


def test_rows_that_verls_filter_leaves_out_are_only_mentioned(
    config: DictConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    config.data.filter_overlong_prompts = True
    write(Path(config.data.train_files), [make_row(i) for i in range(8)] + [make_row(8, question="x" * 300)])
    check(config)
    assert "leaves out at least 1 row" in capsys.readouterr().out


def test_a_users_own_data_runs_as_it_is(config: DictConfig) -> None:
    schema = pa.schema([f for f in RL_SCHEMA if f.name not in ("extra_info", "agent_name")])
    for path in (config.data.train_files, config.data.val_files[0]):
        write(Path(path), [{**make_row(i), "data_source": "mine"} for i in range(8)], schema)
    config.reward.custom_reward_function.path = "mine.py"
    config.actor_rollout_ref.rollout.agent.agent_loop_manager_class = None
    check(config)
    assert "reward_kwargs" not in config.reward.custom_reward_function


def test_all_problems_come_at_once(config: DictConfig) -> None:
    config.actor_rollout_ref.model.path = "/no/model"
    config.data.train_files = "/no/data.parquet"
    config.actor_rollout_ref.rollout.n = 2
    message = refused(config)
    assert message.startswith("the run cannot start:\n  1. ")
    assert all(text in message for text in ("/no/model", "/no/data.parquet", "rollout.n=2"))


@pytest.mark.parametrize(
    "key",
    [
        "algorithm.filter_groups.enable",
        "actor_rollout_ref.rollout.multi_turn.enable",
        "reward.reward_model.enable",
    ],
)
def test_what_takes_the_meaning_of_routes_away_is_refused(config: DictConfig, key: str) -> None:
    OmegaConf.set_struct(config, False)
    OmegaConf.update(config, key, True)
    assert f"{key}=true: not supported where the data holds routes" in refused(config)


@pytest.mark.parametrize("key", ["tool_config_path", "function_tool_path"])
def test_tools_are_refused(config: DictConfig, key: str) -> None:
    OmegaConf.set_struct(config, False)
    OmegaConf.update(config, f"actor_rollout_ref.rollout.multi_turn.{key}", "tools.yaml")
    message = refused(config)
    assert f"{key}=tools.yaml: not supported" in message and "calls no tools; set it to null" in message


def test_another_estimator_is_fine_where_no_route_is_shown(config: DictConfig, tmp_path: Path) -> None:
    config.algorithm.adv_estimator = "grpo"
    config.realm.schedule = {"kind": "constant", "start": 0.0}
    check(config)
    config.realm.schedule = {"kind": "linear", "fade_steps": 6}
    write(Path(config.data.train_files), [make_row(i, routes=[]) for i in range(8)])
    check(config)  # the validation rows have routes, but none of them is trained on


def test_adaptive_needs_a_state_of_the_same_step_and_the_same_data(
    config: DictConfig, tmp_path: Path
) -> None:
    OmegaConf.set_struct(config, False)
    config.realm.adaptive = {"kind": "per_question"}
    config.trainer.update({"default_local_dir": str(tmp_path / "run"), "resume_mode": "auto"})
    check(config)

    folder = step_folder(tmp_path / "run", 2)
    adaptive_store.save(folder, Levels(read_config(config).adaptive), [], 2, "other data")
    for name in ("actor/model.pt", "data.pt"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(b"x")
    mark_whole(tmp_path / "run", 2, {})
    config.actor_rollout_ref.actor = {"checkpoint": {"async_save": True}}
    message = refused(config)
    assert "data.train_files is not the data that the adaptive state" in message
    assert "async_save must be false" in message
    config.data.train_max_samples = 4
    assert "data.train_max_samples with data.seed=null draws other questions" in refused(config)
    config.data.seed = 1
    assert "draws other questions" not in refused(config)
    config.trainer.v1.trainer_mode = "realm_colocate_async"
    assert "the order in which outcomes arrive depends on timing" in refused(config)
    config.realm.unguided_floor = 0
    assert "per_question learns from unguided rollouts" in refused(config)


def test_carry_says_what_it_needs(config: DictConfig) -> None:
    OmegaConf.set_struct(config, False)
    config.realm.carry = 1
    check(config)
    config.realm.unguided_floor = 0
    config.algorithm.adv_estimator = "grpo"
    config.reward.custom_reward_function.path = "mine.py"
    config.distillation = {"enabled": True}
    text = refused(config)
    for words in ("set realm.unguided_floor", "adv_estimator=realm_grpo", "mine.py", "distillation.enabled"):
        assert words in text
