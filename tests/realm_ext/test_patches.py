"""The list of patches, and the one that has an algorithm: micro-batches of sequences of like lengths."""

import ast
import importlib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realm_ext import patches
from realm_ext.patches import PATCHES, Patch, padded_groups

LENGTHS = st.lists(st.integers(1, 400), max_size=60)


@given(lengths=LENGTHS, budget=st.integers(1, 1000))
def test_groups_are_a_partition_within_the_budget(lengths: list[int], budget: int) -> None:
    groups = padded_groups(lengths, budget)
    assert sorted(position for group in groups for position in group) == list(range(len(lengths)))
    assert all(groups), "an empty micro-batch"
    for group in groups:
        assert len(group) == 1 or len(group) * max(lengths[i] for i in group) <= budget


@given(lengths=LENGTHS, budget=st.integers(1, 1000))
def test_lengths_fall_from_group_to_group(lengths: list[int], budget: int) -> None:
    in_order = [lengths[i] for group in padded_groups(lengths, budget) for i in group]
    assert in_order == sorted(lengths, reverse=True)


@given(lengths=LENGTHS, budget=st.integers(1, 1000))
def test_no_group_could_take_the_next_sequence(lengths: list[int], budget: int) -> None:
    groups = padded_groups(lengths, budget)
    for group in groups[:-1]:
        assert (len(group) + 1) * lengths[group[0]] > budget


@given(lengths=LENGTHS, budget=st.integers(1, 1000))
def test_the_same_lengths_give_the_same_groups(lengths: list[int], budget: int) -> None:
    assert padded_groups(lengths, budget) == padded_groups(list(lengths), budget)


def test_an_example() -> None:
    assert padded_groups([10, 100, 12, 90, 300], 200) == [[4], [1, 3], [2, 0]]
    assert padded_groups([], 200) == []
    assert padded_groups([5, 5, 5], 10) == [[0, 1], [2]]


@pytest.mark.parametrize("patch", PATCHES, ids=lambda patch: patch.symbol)
def test_a_patch_says_why_and_names_what_is_there(patch: Patch) -> None:
    assert len(patch.reason.split()) >= 8 and patch.reason.endswith(".")
    found = pytest.importorskip(patch.module) if patch.module.startswith("vllm") else None
    found = found or importlib.import_module(patch.module)
    for name in patch.symbol.split("."):
        # Ray wraps a remote class; the class itself is in its metadata
        found = getattr(getattr(found, "__ray_metadata__", None), "modified_class", found)
        found = getattr(found, name)
    assert callable(found)


def test_each_symbol_is_patched_once() -> None:
    names = [f"{patch.module}.{patch.symbol}" for patch in PATCHES]
    assert len(set(names)) == len(names)
    assert len({patch.apply for patch in PATCHES}) == len(PATCHES)


def test_install_hooks_every_patch(monkeypatch: pytest.MonkeyPatch) -> None:
    hooked = []
    monkeypatch.setattr(patches, "when_imported", lambda module: lambda apply: hooked.append((module, apply)))
    patches.install()
    assert hooked == [(patch.module, patch.apply) for patch in PATCHES]


def test_with_an_accelerator_only_what_is_needed_there_is_patched(monkeypatch: pytest.MonkeyPatch) -> None:
    hooked = []
    monkeypatch.setattr(patches, "when_imported", lambda module: lambda apply: hooked.append(apply.__name__))
    patches.install(on_cpu=False)
    assert hooked == [
        "_group_that_others_reach",
        "_sender_of_this_ray",
        "_receiver_of_this_ray",
        "_micro_batches_of_like_lengths",
    ]


def test_a_process_group_is_made_after_gloo_has_its_interface(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[Any] = []
    torch_distributed = SimpleNamespace(init_process_group=lambda *given, **more: done.append((given, more)))
    monkeypatch.setattr(patches, "choose_gloo_interface", lambda: done.append("interface"))
    patches._group_that_others_reach(torch_distributed)
    torch_distributed.init_process_group("cpu:gloo,cpu:gloo", world_size=2)
    torch_distributed.init_process_group(backend="cpu:gloo,cuda:nccl")
    assert done == [
        "interface",
        (("cpu:gloo",), {"world_size": 2}),
        "interface",
        (("cpu:gloo,cuda:nccl",), {}),
    ]


def test_upstream_functions_are_replaced_nowhere_else() -> None:
    """Every patch of ours stands in one file: no other module assigns to an attribute of an imported module."""
    package = Path(patches.__file__).parent
    for path in package.rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        imported = {
            (alias.asname or alias.name).partition(".")[0]
            for node in ast.walk(tree)
            if isinstance(node, ast.Import | ast.ImportFrom)
            for alias in node.names
        }
        targets = [
            target
            for node in ast.walk(tree)
            if isinstance(node, ast.Assign)
            for target in node.targets
            if isinstance(target, ast.Attribute)
            and isinstance(target.value, ast.Name)
            and target.value.id in imported
        ]
        assert path.name == "patches.py" or not targets, f"{path.name} line {targets[0].lineno}"


@pytest.mark.parametrize(("packed", "said"), [(False, "1"), (True, "1"), (False, "0")])
def test_micro_batches_are_grouped_where_realm_has_them_padded(
    packed: bool, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lengths 60, 5, 50, 5 in a budget of 120: padded, the short ones stand apart; packed, verl balances."""
    monkeypatch.setenv(patches.PADDED, said)
    torch = pytest.importorskip("torch")
    utils = importlib.import_module("verl.workers.engine.utils")
    from verl.utils.tensordict_utils import get_tensordict

    lengths = [60, 5, 50, 5]
    ids = torch.nested.as_nested_tensor(
        [torch.ones(n, dtype=torch.long) for n in lengths], layout=torch.jagged
    )
    batch = get_tensordict({"input_ids": ids}, {"use_remove_padding": packed})
    _, groups = utils.rearrange_micro_batches(batch, max_token_len=120)
    if packed or said == "0":
        assert [sorted(group) for group in groups] == [[0, 1, 2, 3]]
    else:
        assert groups == [[0, 2], [1, 3]]


@pytest.mark.parametrize("end", ["BucketedWeightSender", "BucketedWeightReceiver"])
def test_a_socket_is_named_by_its_ray(end: str, monkeypatch: pytest.MonkeyPatch) -> None:
    transfer = importlib.import_module("verl.workers.rollout.vllm_rollout.bucketed_weight_transfer")
    upstream = type(end, (getattr(transfer, end),), {})
    patches._name_socket_by_ray(upstream)
    more = {} if end == "BucketedWeightSender" else {"device": "cpu"}

    def named(handle: str) -> str:
        name: str = upstream(zmq_handle=handle, **more).zmq_handle
        return name

    monkeypatch.setenv("RAY_RAYLET_PID", "71")
    assert named("ipc:///tmp/a-01000000.sock") == "ipc:///tmp/a-01000000-raylet-71.sock"
    assert named("ipc:///tmp/a-raylet-71.sock") == "ipc:///tmp/a-raylet-71.sock", "named once"
    assert named("tcp://127.0.0.1:99") == "tcp://127.0.0.1:99"
    monkeypatch.delenv("RAY_RAYLET_PID")
    assert "raylet" not in named("ipc:///tmp/a.sock")
