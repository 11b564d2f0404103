"""Names every upstream symbol ReaLM relies on, so that another version fails here, in one readable place.

Each entry: module, symbol, the parameters ReaLM passes or overrides (None: existence is enough), and who needs it.
`realm_ext.patches.PATCHES` is checked too: a patch without an entry here fails.
"""

import importlib
import inspect
import re
from importlib.metadata import version
from typing import Any

import pytest

from realm_ext import accelerator, cluster, patches, plugin

pytest.importorskip("verl")

AGENT_LOOP = "verl.experimental.agent_loop.agent_loop"
AGENT_LOOP_TQ = "verl.trainer.ppo.v1.agent_loop_tq"
TRAINER = "verl.trainer.ppo.v1.trainer_base"
TRANSFER = "verl.workers.rollout.vllm_rollout.bucketed_weight_transfer"

Contract = tuple[str, str, tuple[str, ...] | None, str]

CONTRACTS: list[Contract] = [
    # the trainer mode
    (TRAINER, "register_trainer", ("name",), "trainer"),
    (TRAINER, "get_trainer_cls", ("name",), "plugin: finds realm_sync"),
    (TRAINER, "PPOTrainer._build_replay_buffer", ("self",), "trainer"),
    (TRAINER, "PPOTrainer._init_dataloader", ("self",), "trainer"),
    (TRAINER, "PPOTrainer._compute_advantage", ("self", "batch", "metrics"), "trainer"),
    (TRAINER, "PPOTrainer._balance_batch", ("self", "batch", "metrics"), "trainer: carry"),
    (TRAINER, "PPOTrainer._step_once", ("self", "metrics"), "trainer: carry, its order"),
    (TRAINER, "PPOTrainer._validate", ("self",), "trainer"),
    (TRAINER, "PPOTrainer._val_metrics_update", ("self", "data_sources", "sample_uids"), "trainer"),
    (TRAINER, "PPOTrainer._save_checkpoint", ("self",), "trainer"),
    (TRAINER, "PPOTrainer._load_checkpoint", ("self",), "trainer"),
    ("verl.trainer.ppo.v1.trainer_sync", "PPOTrainerSync.on_step_end", ("self",), "trainer"),
    (TRAINER, "PPOTrainer.on_step_begin", ("self",), "trainer"),
    ("verl.utils.tracking", "_TensorboardAdapter", ("project_name", "experiment_name"), "trainer"),
    ("verl.trainer.ppo.v1.trainer_sync", "PPOTrainerSync.on_sample_end", ("self",), "trainer"),
    ("verl.trainer.ppo.v1.trainer_colocate_async", "PPOTrainerColocateAsync", None, "trainer"),
    (TRAINER, "PPOTrainer._submit_batch_to_rollout", ("self", "batch"), "trainer: persists rows in flight"),
    (TRAINER, "PPOTrainer._reissue_inflight_prompts", ("self",), "trainer: rows carry their step"),
    ("verl.trainer.ppo.v1.replay_buffer", "ReplayBuffer", ("poll_interval",), "trainer"),
    ("verl.utils.checkpoint.checkpoint_manager", "find_latest_ckpt_path", ("path",), "checkpoints"),
    ("verl.trainer.ppo.core_algos", "register_adv_est", ("name_or_enum",), "advantages"),
    ("transfer_queue", "kv_batch_get", ("keys", "partition_id", "select_fields"), "trainer"),
    ("transfer_queue", "kv_batch_put", ("keys", "partition_id", "fields", "tags"), "trainer"),
    ("transfer_queue", "KVBatchMeta", None, "trainer"),
    (TRAINER, "PPOTrainer._next_train_batch", ("self", "num_prompts"), "trainer: adaptive exposure"),
    (TRAINER, "PPOTrainer.step", ("self", "metrics", "timing_raw"), "trainer: adaptive exposure, traces"),
    ("verl.utils.tensordict_utils", "assign_non_tensor_stack", ("tensor_dict", "key", "val"), "trainer"),
    (
        "verl.utils.tokenizer.continuous_token_wiring",
        "create_continuous_token_builder",
        ("tokenizer", "hf_model_type", "chat_template_kwargs"),
        "trainer: carry_over",
    ),
    ("verl.utils.config", "omega_conf_to_dataclass", ("config",), "trainer: carry_over"),
    ("verl.workers.config", "HFModelConfig", ("path", "hf_config_path", "trust_remote_code"), "carry_over"),
    ("verl.workers.engine_workers", "ActorRolloutRefWorker.compute_log_prob", ("data",), "carry_over"),
    ("verl.workers.utils.padding", "response_from_nested", ("tensor", "response_mask"), "carry_over"),
    ("transfer_queue", "kv_clear", ("keys", "partition_id"), "carry_over"),
    # the agent loop and its workers
    (AGENT_LOOP, "register", ("agent_name",), "agent_loop"),
    (
        AGENT_LOOP,
        "AgentLoopBase",
        ("trainer_config", "server_manager", "tokenizer", "data_config"),
        "agent_loop",
    ),
    (AGENT_LOOP, "AgentLoopBase.run", ("self", "sampling_params", "kwargs"), "agent_loop"),
    (
        AGENT_LOOP,
        "AgentLoopOutput",
        ("prompt_ids", "response_ids", "response_mask", "extra_fields"),
        "agent_loop",
    ),
    (AGENT_LOOP, "AgentLoopWorker._compute_teacher_logprobs", ("output", "prompt_ids"), "agent_worker"),
    (AGENT_LOOP, "_agent_loop_registry", None, "agent_worker"),
    (AGENT_LOOP_TQ, "AgentLoopWorkerTQ._run_prompt", ("prompt", "sampling_params", "trace"), "agent_worker"),
    (AGENT_LOOP_TQ, "AgentLoopWorkerTQ._agent_loop_postprocess", ("output", "validate"), "agent_worker"),
    (AGENT_LOOP_TQ, "AgentLoopWorkerTQ.__ray_metadata__", None, "agent_worker"),
    (AGENT_LOOP_TQ, "AgentLoopManagerTQ.create", None, "agent_worker"),
    (AGENT_LOOP_TQ, "AgentLoopManagerTQ.generate_sequences", ("self", "prompts"), "agent_worker"),
    ("transfer_queue", "async_kv_put", ("key", "partition_id", "tag"), "agent_worker"),
    ("transfer_queue", "async_kv_batch_put", ("keys", "partition_id", "fields", "tags"), "agent_worker"),
    (
        "verl.experimental.reward_loop.reward_loop",
        "RewardLoopWorker.compute_score_batch",
        ("self", "data"),
        "worker",
    ),
    ("verl.utils.tensordict_utils", "list_of_dict_to_tensordict", ("list_of_dicts",), "agent_worker"),
    ("verl.utils.rollout_trace", "rollout_trace_attr", ("sample_index", "step", "rollout_n"), "agent_worker"),
    ("verl.utils.profiler", "simple_timer", ("name", "timing_raw"), "agent_loop"),
    # the plugin
    ("verl.utils.config", "validate_config", ("config", "use_reference_policy", "use_critic"), "plugin"),
    ("verl.trainer.main_ppo", "validate_config", ("config", "use_reference_policy", "use_critic"), "plugin"),
    # the checks before Ray
    (TRAINER, "TRAINER_REGISTRY", None, "preflight"),
    ("verl.utils.model", "get_hf_auto_model_class", ("hf_config",), "preflight_model"),
    (
        "verl.utils.model",
        "update_model_config",
        ("module_config", "override_config_kwargs"),
        "preflight_model",
    ),
    # running clusters, and the last line
    ("ray._private.services", "canonicalize_bootstrap_address", ("addr", "temp_dir"), "cluster"),
    ("ray.util", "get_node_ip_address", None, "cluster"),
    ("hydra.experimental.callback", "Callback.on_job_end", ("self", "config", "job_return"), "last_line"),
    ("hydra.core.utils", "JobReturn", ("cfg", "status"), "last_line"),
    ("verl.utils.device", "auto_set_device", ("config",), "plugin: preflight_sft"),
    (
        "verl.utils.dataset.multiturn_sft_dataset",
        "MultiTurnSFTDataset",
        ("parquet_files", "tokenizer", "config", "max_samples"),
        "preflight_sft",
    ),
    # the checks before Ray
    ("verl.workers.rollout.base", "_ROLLOUT_REGISTRY", None, "engines"),
    ("verl.trainer.ppo.core_algos", "POLICY_LOSS_REGISTRY", None, "engines"),
    # the CPU platform
    ("verl.plugin.platform", "PlatformRegistry.register", ("platform",), "cpu_platform"),
    ("verl.plugin.platform", "PlatformBase.is_platform_available", ("self", "use_smi_check"), "cpu_platform"),
    ("verl.plugin.platform", "PlatformBase.ray_resource_options", ("self", "num_gpus"), "cpu_platform"),
    # the patches
    ("torch.distributed", "init_process_group", ("backend",), "patches"),
    ("verl.workers.engine", "EngineRegistry.register", ("model_type", "backend", "device"), "patches"),
    ("verl.workers.engine.fsdp.transformer_impl", "FSDPEngineWithLMHead", None, "patches"),
    ("verl.workers.engine.fsdp.transformer_impl", "FSDPEngineWithValueHead", None, "patches"),
    (
        "verl.single_controller.ray.base",
        "ResourcePoolManager._check_resource_available",
        ("self",),
        "patches",
    ),
    ("verl.single_controller.ray.base", "ResourcePoolManager.get_n_gpus", ("self",), "patches"),
    ("ray.runtime_context", "RuntimeContext.get_accelerator_ids", ("self",), "patches"),
    (TRANSFER, "BucketedWeightSender.__init__", ("self", "zmq_handle"), "patches"),
    (TRANSFER, "BucketedWeightReceiver.__init__", ("self", "zmq_handle"), "patches"),
    (TRANSFER, "BucketedWeightReceiver.receive_weights", ("self", "on_bucket_received"), "patches"),
    (
        "vllm.model_executor.layers.utils",
        "dispatch_cpu_unquantized_gemm",
        ("layer", "remove_weight"),
        "patches",
    ),
    (
        "verl.workers.engine.utils",
        "rearrange_micro_batches",
        (
            "batch",
            "max_token_len",
            "dp_group",
            "num_batches_divided_by",
            "min_num_micro_batch",
            "force_group_size",
        ),
        "patches",
    ),
    ("verl.utils.tensordict_utils", "index_select_tensor_dict", None, "patches"),
    ("verl.utils.tensordict_utils", "get_non_tensor_data", ("data", "key", "default"), "patches"),
    ("verl.workers.utils.losses", "ppo_loss", ("config", "model_output", "data"), "loss"),
    ("verl.trainer.ppo.core_algos", "agg_loss", ("loss_scale_factor",), "loss"),
]


def resolve(module: str, symbol: str) -> Any:
    """The object `symbol` of `module`, with Ray's wrapping of an actor class taken off; fails naming what is missing."""
    found: Any = importlib.import_module(module)
    for part in symbol.split("."):
        actor = getattr(found, "__ray_metadata__", None)
        if actor is not None and part != "__ray_metadata__":
            found = actor.modified_class
        if not hasattr(found, part):
            pytest.fail(
                f"{module} has no {symbol} (missing: {part}); ReaLM was written for {plugin.VERSIONS_EVERYWHERE}"
            )
        found = getattr(found, part)
    return found


@pytest.mark.parametrize("contract", CONTRACTS, ids=lambda c: f"{c[0]}:{c[1]}")
def test_upstream_symbol(contract: Contract) -> None:
    module, symbol, parameters, needed_by = contract
    if module.startswith("vllm"):
        pytest.importorskip("vllm")
    found = resolve(module, symbol)
    if parameters is None:
        return
    present = list(inspect.signature(found).parameters)
    missing = [name for name in parameters if name not in present]
    assert not missing, f"{module}.{symbol} takes {present}; realm_ext ({needed_by}) needs {missing}"


def test_sync_mode_derives_from_the_base_trainer() -> None:
    assert issubclass(
        resolve("verl.trainer.ppo.v1.trainer_sync", "PPOTrainerSync"), resolve(TRAINER, "PPOTrainer")
    )


def test_platform_fills_every_abstract_method() -> None:
    from realm_ext.cpu_platform import PlatformCpu

    assert not PlatformCpu.__abstractmethods__, (
        f"verl's PlatformBase asks for {sorted(PlatformCpu.__abstractmethods__)}"
    )


def test_every_patch_is_named_here() -> None:
    named = {(module, symbol) for module, symbol, _, _ in CONTRACTS}
    assert {(patch.module, patch.symbol) for patch in patches.PATCHES} <= named


def test_every_hooked_module_exists() -> None:
    for module in (*plugin.REGISTRATIONS, "verl.utils.config", "verl.utils.device"):
        importlib.import_module(module)


@pytest.mark.parametrize(("name", "expected"), {**plugin.VERSIONS_EVERYWHERE, **plugin.VERSIONS_CPU}.items())
def test_pinned_version(name: str, expected: str) -> None:
    if name == "vllm":
        pytest.importorskip("vllm")
    if name in plugin.VERSIONS_CPU and accelerator.is_gpu_stack():
        pytest.skip("this is the GPU stack: these versions are the CPU stack's")
    assert version(name).split("+")[0] == expected


def test_each_rank_writes_files_of_these_names() -> None:
    """By them a checkpoint is known to lie partly on another machine, or to be of another number of workers."""
    source = inspect.getsource(
        resolve("verl.utils.checkpoint.fsdp_checkpoint_manager", "FSDPCheckpointManager")
    )
    for kind in ("model", "optim", "extra_state"):
        assert f'"{kind}_world_size_{{self.world_size}}_rank_{{self.rank}}.pt"' in source


def test_a_joining_ray_refuses_what_is_taken_out_for_it() -> None:
    source = inspect.getsource(resolve("ray._private.worker", "init"))
    joining = source.partition("we are connecting to an existing cluster.")[2].partition("Setup and verify")[
        0
    ]
    refused = set(re.findall(r"([a-z_]+)(?: is not None| and len|:\n)", joining))
    assert {"num_cpus", "num_gpus", "resources", "labels", "object_store_memory"} <= refused
    assert refused - {"else"} <= set(cluster._ONLY_TO_START)


def test_a_batch_is_balanced_after_it_is_scored_and_before_its_log_probabilities() -> None:
    """Carry rewrites rollouts where verl balances the batch: their scores must be there, what follows must be new."""
    source = inspect.getsource(resolve(TRAINER, "PPOTrainer._step_once"))
    places = [
        source.index(f"self.{name}(")
        for name in (
            "_compute_reward_colocate",
            "_balance_batch",
            "_compute_old_log_prob",
            "_compute_advantage",
        )
    ]
    assert places == sorted(places)


@pytest.mark.parametrize(
    ("module", "work"), [("verl.trainer.sft_trainer", "run_sft("), ("verl.trainer.main_ppo", "run_ppo(")]
)
def test_the_hooks_run_before_the_trainers_do_anything(module: str, work: str) -> None:
    source = inspect.getsource(inspect.unwrap(resolve(module, "main")))
    body = source[source.index("def main") :]
    assert body.index("auto_set_device(config)") < body.index(work)


def test_models_are_loaded_with_flash_attention_unless_the_config_says_otherwise() -> None:
    """realm_ext.attention fills in the key that verl reads here."""
    source = inspect.getsource(resolve("verl.workers.config", "HFModelConfig.__post_init__"))
    assert 'self.override_config.get("attn_implementation", "flash_attention_2")' in source
    assert "attn_implementation=attn_implementation" in source
