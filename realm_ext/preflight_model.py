"""What the model's own config tells before Ray starts: whether it fits the weight sync, and the memory.

Measured on two cores (SmolLM2-135M, verl's own functions, the padded path): an update holds five times the logits at once
(the logits, the same by temperature, without padding, their softmax, and a gradient), a pass without gradients four times;
without gradient checkpointing each layer keeps 10 x hidden + 4 x intermediate numbers of a token. The numbers are what is
needed at least, so a run that is refused would be killed, and one that passes may still be.
"""

import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from omegaconf import DictConfig, OmegaConf

UPDATE_COPIES = 5
FORWARD_COPIES = 4
GPU_COPIES = 2
"""The logits in bfloat16 and their gradient, which flash attention's cross-entropy writes in place."""
PROCESSES = 4 << 30
"""Bytes of verl's and Ray's processes beside what they hold: eight of about half a GiB."""
HALF = ("bf16", "bfloat16", "fp16", "float16", "16")
BUCKET = "actor_rollout_ref.rollout.checkpoint_engine.update_weights_bucket_megabytes"


@dataclass(frozen=True)
class ModelSize:
    """What a model's config says of its size.

    Attributes:
        parameters: all of them.
        largest: name and number of values of the largest tensor that is sent to the rollout engine.
        vocabulary, hidden, intermediate, layers: of the language model.
        sees: whether it takes images, video or audio too.
    """

    parameters: int
    largest: tuple[str, int]
    vocabulary: int
    hidden: int
    intermediate: int
    layers: int
    sees: bool


def path_problem(name: str, path: Any) -> str | None:
    """What verl cannot do with an address under `actor_rollout_ref.model`; None: it can be tried."""
    if not isinstance(path, str) or not path:
        return f"actor_rollout_ref.model.{name}: expected a folder or a Hugging Face id, got {path!r}"
    if path.startswith("~"):
        return f"actor_rollout_ref.model.{name}={path}: verl takes ~ for a folder of that name; write it out"
    if path.endswith("/"):
        return f"actor_rollout_ref.model.{name}={path}: verl takes no path that ends in a slash; leave it out"
    return None


def read_size(config: DictConfig) -> ModelSize:
    """The size of the model, from its config alone: no weights are read, nothing is downloaded.

    Raises:
        Exception: the config is not on this machine, or transformers cannot build the model from it.
    """
    import torch
    from transformers import AutoConfig
    from verl.utils.model import get_hf_auto_model_class, update_model_config

    model = config.actor_rollout_ref.model
    found = AutoConfig.from_pretrained(
        model.get("hf_config_path") or model.path,
        trust_remote_code=bool(model.get("trust_remote_code", False)),
        local_files_only=True,
    )
    if not found.architectures:
        raise ValueError("it names no architectures, without which verl builds no model")
    override = OmegaConf.to_container(OmegaConf.create(model.get("override_config") or {}))
    update_model_config(found, override.get("model_config", override) if isinstance(override, dict) else {})
    with torch.device("meta"):
        built = get_hf_auto_model_class(found).from_config(
            found, trust_remote_code=bool(model.get("trust_remote_code", False))
        )
    text = found.get_text_config()
    return ModelSize(
        parameters=sum(value.numel() for value in built.parameters()),
        largest=max(_sent(built), key=lambda tensor: tensor[1]),
        vocabulary=text.vocab_size,
        hidden=text.hidden_size,
        intermediate=getattr(text, "intermediate_size", None) or 4 * text.hidden_size,
        layers=text.num_hidden_layers,
        sees=any(getattr(found, f"{kind}_config", None) is not None for kind in ("vision", "audio")),
    )


def _sent(model: Any) -> Iterator[tuple[str, int]]:
    """Name and size of each tensor as verl sends it: experts that are stacked go one by one."""
    for name, value in model.named_parameters():
        yield name, value.numel() // (value.shape[0] if value.dim() == 3 and "experts" in name else 1)


def bucket_problem(config: DictConfig, size: ModelSize) -> str | None:
    """The largest tensor does not fit the buffer of the weight sync, which must hold it whole where there is no IPC."""
    model = config.actor_rollout_ref.model
    bucket = OmegaConf.select(config, BUCKET)
    adapter_alone = (model.get("lora_rank") or 0) > 0 and not OmegaConf.select(model, "lora.merge")
    if (
        not _on_cpu(config)
        or config.actor_rollout_ref.rollout.get("name") != "vllm"
        or bucket is None
        or adapter_alone
    ):
        return None
    name, values = size.largest
    dtype = OmegaConf.select(config, "actor_rollout_ref.actor.fsdp_config.model_dtype")
    needed = values * (2 if str(dtype) in HALF else 4)
    if needed <= bucket << 20:
        return None
    return (
        f"{BUCKET}={bucket}: the weight {name} has {needed / 2**20:.0f} MiB and is sent whole; set it to at least "
        f"{-(-needed >> 20)}"
    )


def memory_faults(config: DictConfig, size: ModelSize) -> tuple[list[str], list[str]]:
    """The problems and the notes of a run that needs more memory than there is, in all or at this moment."""
    passes = list(_passes(config, size))
    memory = machine_memory() if _on_cpu(config) else gpu_memory()
    if not passes or memory is None:
        return [], []
    total, free = memory
    option, tokens, per_token = max(passes, key=lambda found: found[1] * found[2])
    fixed = _fixed_bytes(config, size)
    needed = fixed + tokens * per_token
    if needed <= free:
        return [], []
    told = (
        f"{option}: {tokens} tokens at once, whose logits over {size.vocabulary} entries are "
        f"{_gib(tokens * size.vocabulary * _width(config))}; with copies, gradients, activations, {size.parameters / 1e6:.0f}M "
        f"weights and the rest the run needs about {_gib(needed)}, and "
    )
    if needed <= total:
        return [], [f"{told}{_gib(free)} of {_gib(total)} are free now"]
    most = int((total - fixed) / per_token)
    advice = f"at most about {most} would fit" if most > 0 else "the model alone does not fit"
    return [f"{told}there are {_gib(total)}; {advice}"], []


def _passes(config: DictConfig, size: ModelSize) -> Iterator[tuple[str, int, float]]:
    """Each pass over a micro-batch: the option that sets its size, its tokens, and bytes a token on one machine or GPU."""
    data, parts, algorithm = config.data, config.actor_rollout_ref, config.algorithm
    on_cpu, width = _on_cpu(config), _width(config)
    logits = 0 if parts.model.get("use_fused_kernels") else size.vocabulary * width
    layer = (10 * size.hidden + 4 * size.intermediate) * width
    if parts.model.get("enable_gradient_checkpointing", True):
        kept = size.layers * size.hidden * width + layer
    else:
        kept = size.layers * layer
    update = logits * (UPDATE_COPIES if on_cpu else GPU_COPIES) + kept
    forward = logits * (FORWARD_COPIES if on_cpu else 1)
    actor, ref = parts.get("actor") or {}, parts.get("ref") or {}
    skips_old = OmegaConf.select(algorithm, "rollout_correction.bypass_mode")
    uses_ref = actor.get("use_kl_loss") or algorithm.get("use_kl_in_reward")
    questions = data.get("train_batch_size")
    yield from _micro_batches(config, "actor", actor, "ppo", actor.get("ppo_mini_batch_size"), update)
    if not skips_old:
        yield from _micro_batches(config, "rollout", parts.rollout, "log_prob", questions, forward)
    if uses_ref:
        yield from _micro_batches(config, "ref", ref, "log_prob", questions, forward)


def _micro_batches(
    config: DictConfig,
    name: str,
    section: Mapping[str, Any],
    prefix: str,
    questions: int | None,
    per_token: float,
) -> Iterator[tuple[str, int, float]]:
    """The largest micro-batch of `questions` that a section of the config allows, as `_passes` gives it; none if unset."""
    dynamic = section.get("use_dynamic_bsz" if prefix == "ppo" else "log_prob_use_dynamic_bsz")
    option = f"{prefix}_max_token_len_per_gpu" if dynamic else f"{prefix}_micro_batch_size_per_gpu"
    value = section.get(option)
    if not value or not questions:
        return
    world, n_local = _workers(config)
    length = config.data.max_prompt_length + (config.data.get("max_response_length") or 0)
    most = -(-questions * config.actor_rollout_ref.rollout.n // world) * length
    tokens = min(value if dynamic else value * length, most)
    yield (
        f"actor_rollout_ref.{name}.{option}={value}",
        tokens,
        per_token * (n_local if _on_cpu(config) else 1),
    )


def _fixed_bytes(config: DictConfig, size: ModelSize) -> float:
    """Weights, gradients and Adam's two moments in float32 on one machine or GPU, and what a CPU holds beside them."""
    parts = config.actor_rollout_ref
    world, n_local = _workers(config)
    trained = 0 if (parts.model.get("lora_rank") or 0) > 0 else 12
    state = size.parameters * (4 + trained) / world
    if not _on_cpu(config):
        offloads = OmegaConf.select(config, "actor_rollout_ref.actor.fsdp_config.optimizer_offload")
        return 0.0 if offloads else state
    engines = n_local / (parts.rollout.get("tensor_model_parallel_size") or 1)
    cache = OmegaConf.select(config, "ray_kwargs.ray_init.runtime_env.env_vars.VLLM_CPU_KVCACHE_SPACE") or 0
    bucket = (OmegaConf.select(config, BUCKET) or 0) << 20
    return state * n_local + engines * (size.parameters * 4 + float(cache) * 2**30 + bucket) + PROCESSES


def _workers(config: DictConfig) -> tuple[int, int]:
    """Training workers in all, and on one machine."""
    n_local = config.trainer.get("n_gpus_per_node", 1)
    return config.trainer.get("nnodes", 1) * n_local, n_local


def _width(config: DictConfig) -> int:
    """Bytes of a number in a forward pass."""
    return 4 if _on_cpu(config) else 2


def machine_memory() -> tuple[int, int]:
    """Bytes of main memory that this process may use, and that are free now: the machine's, or its control group's."""
    memory = psutil.virtual_memory()
    limit = Path("/sys/fs/cgroup/memory.max")
    allowed = limit.read_text().strip() if limit.is_file() else "max"
    total = min(memory.total, int(allowed)) if allowed.isdigit() else memory.total
    return total, min(memory.available, total)


def gpu_memory() -> tuple[int, int] | None:
    """Bytes of the smallest NVIDIA GPU here, twice, since the run gets it whole; None: there is none.

    Not asked of torch, which would keep memory on it.
    """
    if shutil.which("nvidia-smi") is None:
        return None
    command = ["nvidia-smi", "--query-gpu=memory.total", "--format=csv,noheader,nounits"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    sizes = [int(line) << 20 for line in done.stdout.split() if line.isdigit()]
    return (min(sizes), min(sizes)) if sizes else None


def _on_cpu(config: DictConfig) -> bool:
    return bool(config.trainer.get("device") == "cpu")


def _gib(n_bytes: float) -> str:
    return f"{n_bytes / 2**30:.1f} GiB"
