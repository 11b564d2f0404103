"""verl platform "cpu": training and rollout on a machine without an accelerator (design.md "Layout").

verl finds its device through `verl.plugin.platform`. This module adds a platform that verl's own detection picks
when there is no accelerator, with no environment variable, and that stays out of the way where there is one.
Importing this module registers the platform; verl's detection asks it last, after its own platforms. What verl
cannot be told through a platform is in `realm_ext/patches.py`.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import psutil
import torch
from verl.plugin.platform import PlatformBase, PlatformRegistry

from realm_ext.accelerator import NAME, RAY_RESOURCE, accelerator_present


class CpuDevice(ModuleType):
    """Stands in for `torch.cuda`: `torch.cpu`, with the functions verl calls and `torch.cpu` lacks."""

    def __getattr__(self, name: str) -> Any:
        return getattr(torch.cpu, name)

    @staticmethod
    def get_device_name(device: Any = None) -> str:
        return NAME

    @staticmethod
    def empty_cache() -> None:
        return None

    @staticmethod
    def ipc_collect() -> None:
        return None

    @staticmethod
    def manual_seed(seed: int) -> None:
        torch.manual_seed(seed)

    @staticmethod
    def get_rng_state(device: Any = None) -> torch.Tensor:
        return torch.get_rng_state()

    @staticmethod
    def set_rng_state(state: torch.Tensor, device: Any = None) -> None:
        torch.set_rng_state(state)

    @staticmethod
    def mem_get_info(device: Any = None) -> tuple[int, int]:
        """Free and total memory of the machine, in bytes."""
        memory = psutil.virtual_memory()
        return memory.available, memory.total

    @staticmethod
    def memory_allocated(device: Any = None) -> int:
        """Resident memory of this process, in bytes."""
        return psutil.Process().memory_info().rss

    @staticmethod
    def max_memory_allocated(device: Any = None) -> int:
        """Peak resident memory of this process, in bytes."""
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

    memory_reserved = memory_allocated
    max_memory_reserved = max_memory_allocated


_DEVICE = CpuDevice("realm_cpu_device")


@PlatformRegistry.register(platform=NAME)
class PlatformCpu(PlatformBase):
    """verl's `PlatformBase` for plain CPUs: gloo, one custom Ray resource a worker, shared memory instead of IPC."""

    @property
    def device_name(self) -> str:
        return NAME

    @property
    def vendor_name(self) -> str:
        return NAME

    @property
    def device_module(self) -> ModuleType:
        return _DEVICE

    def is_available(self) -> bool:
        return True

    def is_platform_available(self, use_smi_check: bool = False) -> bool:
        return not accelerator_present()

    def current_device(self) -> str:
        """Always "cpu", as `torch.cpu.current_device()`: verl moves tensors to it, and 0 would mean an accelerator."""
        return NAME

    def device_count(self) -> int:
        return 1

    def set_device(self, device_index: int) -> None:
        return None

    def synchronize(self, device_index: int | None = None) -> None:
        return None

    def manual_seed(self, seed: int) -> None:
        torch.manual_seed(seed)

    def manual_seed_all(self, seed: int) -> None:
        torch.manual_seed(seed)

    def set_allocator_settings(self, settings: str) -> None:
        return None

    def empty_cache(self) -> None:
        return None

    def get_device_capability(self, device_index: int = 0) -> tuple[int | None, int | None]:
        return None, None

    def communication_backend_name(self) -> str:
        return "gloo"

    def visible_devices_envvar(self) -> str:
        return "REALM_CPU_VISIBLE_DEVICES"

    @contextmanager
    def nvtx_range(self, msg: str) -> Iterator[None]:
        yield

    def profiler_start(self) -> None:
        return None

    def profiler_stop(self) -> None:
        return None

    def ray_resource_name(self) -> str:
        return RAY_RESOURCE

    def ray_noset_envvars(self) -> list[str]:
        return []

    def is_ipc_supported(self) -> bool:
        return False

    def cudart(self) -> None:
        return None
