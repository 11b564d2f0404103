"""Every change ReaLM makes to a function of another project, with its reason (design.md "Layout").

Applied when the module concerned has been imported; on the CPU platform all, elsewhere those marked `everywhere`.
`PATCHES` is the whole list; the contract test (tests/realm_ext/test_contract.py) checks that each symbol still is what
the patch expects.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import wraps
from typing import Any

from wrapt import when_imported

from realm_ext.accelerator import RAY_RESOURCE
from realm_ext.cluster import choose_gloo_interface

# Environment variable: 1 in a run whose batches are padded because ReaLM found no flash attention. A run of plain verl
# keeps verl's micro-batches.
PADDED = "REALM_PADDED"


def _group_that_others_reach(torch_distributed: Any) -> None:
    original = torch_distributed.init_process_group

    @wraps(original)
    def init_process_group(backend: str | None = None, *args: Any, **kwargs: Any) -> None:
        if isinstance(backend, str) and "," in backend:
            backend = ",".join(dict.fromkeys(backend.split(",")))
        choose_gloo_interface()
        original(backend, *args, **kwargs)

    torch_distributed.init_process_group = init_process_group


def _engines_for_cpu(engine: Any) -> None:
    from verl.workers.engine.fsdp.transformer_impl import FSDPEngineWithLMHead, FSDPEngineWithValueHead

    for model_type, engine_class in {
        "language_model": FSDPEngineWithLMHead,
        "value_model": FSDPEngineWithValueHead,
    }.items():
        engine.EngineRegistry.register(model_type=model_type, backend="fsdp2", device="cpu")(engine_class)


def _count_cpu_workers(ray_base: Any) -> None:
    def _check_resource_available(self: Any) -> None:
        import ray

        available = ray.available_resources().get(RAY_RESOURCE, 0)
        required = self.get_n_gpus()
        if available < required:
            raise ValueError(
                f"the run needs {required} training workers (trainer.n_gpus_per_node * trainer.nnodes), but Ray has "
                f"{available:g} of its resource {RAY_RESOURCE} free: set ray_kwargs.ray_init.resources.{RAY_RESOURCE}, or, "
                f"on a running cluster, start each node with `ray start --resources='{{\"{RAY_RESOURCE}\": 1}}'`"
            )

    ray_base.ResourcePoolManager._check_resource_available = _check_resource_available


def _cpu_worker_ids(runtime_context: Any) -> None:
    original = runtime_context.RuntimeContext.get_accelerator_ids

    @wraps(original)
    def get_accelerator_ids(self: Any) -> dict[str, list[str]]:
        return {**original(self), RAY_RESOURCE: ["0"]}

    runtime_context.RuntimeContext.get_accelerator_ids = get_accelerator_ids


def _received_weights_own_memory(transfer: Any) -> None:
    original = transfer.BucketedWeightReceiver.receive_weights

    @wraps(original)
    def receive_weights(self: Any, on_bucket_received: Callable[[list[Any], bool], None]) -> None:
        def copied(weights: list[Any], is_last: bool) -> None:
            on_bucket_received([(name, tensor.clone()) for name, tensor in weights], is_last)

        original(self, copied)

    transfer.BucketedWeightReceiver.receive_weights = receive_weights


def _sender_of_this_ray(transfer: Any) -> None:
    _name_socket_by_ray(transfer.BucketedWeightSender)


def _receiver_of_this_ray(transfer: Any) -> None:
    _name_socket_by_ray(transfer.BucketedWeightReceiver)


def _name_socket_by_ray(end: Any) -> None:
    """Both ends are below one Ray daemon: its process id, in the environment of both, tells this Ray from another."""
    original = end.__init__

    @wraps(original)
    def __init__(self: Any, zmq_handle: str, *args: Any, **options: Any) -> None:
        raylet = os.environ.get("RAY_RAYLET_PID")
        ending = f"-raylet-{raylet}.sock"
        if raylet and zmq_handle.endswith(".sock") and not zmq_handle.endswith(ending):
            zmq_handle = zmq_handle.removesuffix(".sock") + ending
        original(self, zmq_handle, *args, **options)

    end.__init__ = __init__


def _keep_plain_weight(layer_utils: Any) -> None:
    original = layer_utils.dispatch_cpu_unquantized_gemm

    @wraps(original)
    def dispatch_cpu_unquantized_gemm(layer: Any, remove_weight: bool) -> None:
        original(layer, remove_weight=False)

    layer_utils.dispatch_cpu_unquantized_gemm = dispatch_cpu_unquantized_gemm


def _micro_batches_of_like_lengths(engine_utils: Any) -> None:
    original = engine_utils.rearrange_micro_batches

    @wraps(original)
    def rearrange_micro_batches(
        batch: Any, max_token_len: int, dp_group: Any = None, **options: Any
    ) -> tuple[list[Any], list[list[int]]]:
        from verl.utils.tensordict_utils import get_non_tensor_data, index_select_tensor_dict

        asks_more = any(options.get(key) for key in ("num_batches_divided_by", "min_num_micro_batch"))
        input_ids = batch["input_ids"]
        is_padded = input_ids.is_nested and not get_non_tensor_data(batch, "use_remove_padding", True)
        is_padded = is_padded and os.environ.get(PADDED) == "1"
        if asks_more or options.get("force_group_size", 1) > 1 or not is_padded:
            return original(batch, max_token_len, dp_group=dp_group, **options)
        lengths = input_ids.offsets().diff().tolist()
        groups = padded_groups(lengths, int(max_token_len))
        if options.get("same_micro_num_in_dp", True):
            groups = split_to(groups, _most_over_ranks(len(groups), dp_group))
        return [index_select_tensor_dict(batch, group) for group in groups], groups

    engine_utils.rearrange_micro_batches = rearrange_micro_batches


def padded_groups(lengths: Sequence[int], budget: int) -> list[list[int]]:
    """Split sequences into groups of like lengths, each within `budget` tokens once padded to its longest.

    Args:
        lengths: tokens of each sequence.
        budget: tokens of a group, padding included.

    Returns:
        Positions in `lengths`, longest sequences first; a sequence over the budget stands alone.
    """
    groups: list[list[int]] = []
    longest = 0
    for position in sorted(range(len(lengths)), key=lambda i: (-lengths[i], i)):
        if not groups or (len(groups[-1]) + 1) * longest > budget:
            groups.append([])
            longest = lengths[position]
        groups[-1].append(position)
    return groups


def split_to(groups: list[list[int]], count: int) -> list[list[int]]:
    """Halve the largest groups until there are `count`: ranks must run the same number of micro-batches.

    Raises:
        ValueError: fewer sequences than `count`.
    """
    if sum(map(len, groups)) < count:
        raise ValueError(
            f"{sum(map(len, groups))} sequences cannot make the {count} micro-batches of another rank"
        )
    groups = list(groups)
    while len(groups) < count:
        place = max(range(len(groups)), key=lambda i: len(groups[i]))
        middle = len(groups[place]) // 2
        groups[place : place + 1] = [groups[place][:middle], groups[place][middle:]]
    return groups


def _most_over_ranks(count: int, dp_group: Any) -> int:
    """The largest `count` of any rank of a data-parallel group."""
    import torch
    from verl.utils.device import get_device_name

    if dp_group is None or torch.distributed.get_world_size(dp_group) == 1:
        return count
    counts = torch.tensor([count], device=get_device_name())
    torch.distributed.all_reduce(counts, op=torch.distributed.ReduceOp.MAX, group=dp_group)
    return int(counts.item())


@dataclass(frozen=True)
class Patch:
    """One change: `apply(module)` once `module` is imported; `symbol` is what it changes, below that module.

    `everywhere`: with an accelerator too.
    """

    module: str
    symbol: str
    reason: str
    apply: Callable[[Any], None]
    everywhere: bool = False


PATCHES: tuple[Patch, ...] = (
    Patch(
        "torch.distributed",
        "init_process_group",
        "verl asks for the backend 'cpu:gloo,<device>:<backend>', here 'cpu:gloo,cpu:gloo', and torch refuses a "
        "device named twice: name it once. And gloo listens at 127.0.1.1 where Debian's hosts file names the machine so, "
        "which no other machine reaches: in a run over several, tell it the interface of the node's address.",
        _group_that_others_reach,
        everywhere=True,
    ),
    Patch(
        "verl.workers.engine",
        "EngineRegistry.register",
        "verl registers its FSDP engines for cuda and npu only: register the same classes for cpu (nothing is "
        "replaced).",
        _engines_for_cpu,
    ),
    Patch(
        "verl.single_controller.ray.base",
        "ResourcePoolManager._check_resource_available",
        f"verl counts the Ray resources GPU and NPU only; here a worker takes one {RAY_RESOURCE}.",
        _count_cpu_workers,
    ),
    Patch(
        "ray.runtime_context",
        "RuntimeContext.get_accelerator_ids",
        f"verl's vLLM replica looks up the worker's device id by resource name, and Ray knows no {RAY_RESOURCE}: "
        "every worker is on device 0, the only CPU.",
        _cpu_worker_ids,
    ),
    Patch(
        "verl.workers.rollout.vllm_rollout.bucketed_weight_transfer",
        "BucketedWeightReceiver.receive_weights",
        "on a CPU the received tensors alias the shared memory, which then cannot be closed ('cannot close exported "
        "pointers exist'): hand out copies.",
        _received_weights_own_memory,
    ),
    Patch(
        "verl.workers.rollout.vllm_rollout.bucketed_weight_transfer",
        "BucketedWeightSender.__init__",
        "verl names the socket that hands over weights by Ray's job id, and the first job of every Ray is 01000000: two "
        "runs on one machine met in one socket and hung. Name it by the Ray daemon's process id too.",
        _sender_of_this_ray,
        everywhere=True,
    ),
    Patch(
        "verl.workers.rollout.vllm_rollout.bucketed_weight_transfer",
        "BucketedWeightReceiver.__init__",
        "the other end of the same socket must look for it by the same name.",
        _receiver_of_this_ray,
        everywhere=True,
    ),
    Patch(
        "vllm.model_executor.layers.utils",
        "dispatch_cpu_unquantized_gemm",
        "vLLM empties a linear layer's weight once it is packed for the CPU, so the next weight sync finds no weight "
        "to load into: keep it. The packed copy is made anew after each sync.",
        _keep_plain_weight,
    ),
    Patch(
        "verl.workers.engine.utils",
        "rearrange_micro_batches",
        "without flash attention each micro-batch is padded to its longest sequence, and verl mixes lengths to balance "
        "ranks; guided prompts are three times as long as unguided ones: group like lengths. A token weighs the same in "
        "either grouping where the loss divides by what all micro-batches share; realm_ext.loss refuses the others.",
        _micro_batches_of_like_lengths,
        everywhere=True,
    ),
)


def install(on_cpu: bool = True) -> None:
    """Apply each patch when its module is imported, or now if it already is; `on_cpu`: the CPU platform's too."""
    for patch in PATCHES:
        if on_cpu or patch.everywhere:
            when_imported(patch.module)(patch.apply)
