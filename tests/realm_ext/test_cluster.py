"""Joining a running Ray cluster, and gloo's interface, on made-up clusters, host names and interfaces."""

import socket
from types import SimpleNamespace
from typing import Any

import pytest
from omegaconf import DictConfig, OmegaConf

pytest.importorskip("ray")

import psutil
import ray
from ray._private import services

from realm_ext import cluster
from realm_ext.cluster import attach, choose_gloo_interface, gloo_interface, running_cluster, too_small

ENOUGH = {"CPU": 16.0, "CPU_WORKER": 2.0}


def make_config(device: str = "cpu", **ray_init: Any) -> DictConfig:
    trainer = {"device": device, "nnodes": 2, "n_gpus_per_node": 1}
    config = OmegaConf.create({"trainer": trainer, "ray_kwargs": {"ray_init": ray_init}})
    OmegaConf.set_struct(config, True)
    return config


CPU_RECIPE: dict[str, Any] = {
    "num_cpus": 16,
    "resources": {"CPU_WORKER": 1},
    "include_dashboard": False,
    "runtime_env": {"env_vars": {"A": "1"}},
}


@pytest.fixture
def nothing_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr(services, "find_gcs_addresses", set)
    monkeypatch.setattr(services, "find_bootstrap_address", lambda _: None)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Clusters that were asked what they have."""
    found: list[str] = []

    def cluster_resources(address: str) -> dict[str, float]:
        found.append(address)
        return ENOUGH

    monkeypatch.setattr(cluster, "cluster_resources", cluster_resources)
    monkeypatch.setattr(cluster, "_check_answers", lambda address: None)
    return found


def test_where_ray_is_started_nothing_changes(nothing_runs: None, asked: list[str]) -> None:
    config = make_config(**CPU_RECIPE)
    attach(config)
    attach(local := make_config(address="local", **CPU_RECIPE))
    assert config.ray_kwargs.ray_init == CPU_RECIPE
    assert local.ray_kwargs.ray_init == {"address": "local", **CPU_RECIPE}
    assert asked == []


@pytest.mark.parametrize(
    "how", ["RAY_ADDRESS", "auto and RAY_ADDRESS", "option", "ray start on this machine"]
)
def test_what_only_a_starting_ray_takes_is_left_out_of_a_joining_one(
    how: str,
    nothing_runs: None,
    asked: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    given = dict(CPU_RECIPE)
    if "RAY_ADDRESS" in how:
        monkeypatch.setenv("RAY_ADDRESS", "10.0.0.1:6379")
        if "auto" in how:
            given["address"] = "auto"
    elif how == "option":
        given["address"] = "10.0.0.1:6379"
    else:
        monkeypatch.setattr(services, "find_bootstrap_address", lambda _: "10.0.0.1:6379")
    config = make_config(**given)
    attach(config)
    kept = {key: given[key] for key in ("address", "runtime_env") if key in given}
    assert config.ray_kwargs.ray_init == kept
    assert capsys.readouterr().out == (
        "ReaLM: joining the Ray cluster at 10.0.0.1:6379, which has its own num_cpus, resources, include_dashboard: "
        "those of ray_kwargs.ray_init are left out\n"
    )
    assert asked == ["10.0.0.1:6379"]


def test_a_ray_client_address_is_a_cluster_too(nothing_runs: None) -> None:
    assert running_cluster({"address": "ray://head:10001"}) == "ray://head:10001"


def test_what_ray_refuses_by_itself_is_left_to_ray(nothing_runs: None) -> None:
    assert running_cluster({"address": "auto"}) is None


def test_with_gpus_the_cluster_is_not_asked(nothing_runs: None, asked: list[str]) -> None:
    config = make_config("cuda", address="10.0.0.1:6379", num_cpus=8)
    attach(config)
    assert config.ray_kwargs.ray_init == {"address": "10.0.0.1:6379"}
    assert asked == []


def test_a_cluster_that_cannot_hold_the_run_is_refused_with_how_to_start_its_nodes() -> None:
    assert too_small(ENOUGH, 2, 1, "a:1") is None
    for resources in ({"CPU": 16.0}, {"CPU": 16.0, "CPU_WORKER": 1.0}, {"CPU": 6.0, "CPU_WORKER": 2.0}):
        problem = too_small(resources, 2, 1, "a:1")
        assert problem is not None and "needs 2 CPU_WORKER" in problem and "7 CPU slots" in problem
        assert "`ray start ... --num-cpus=16 --resources='{\"CPU_WORKER\": 1}'`" in problem
        assert "address=local" in problem


def test_a_cluster_that_does_not_answer_is_named(nothing_runs: None) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server_port = server.getsockname()[1]
        address = f"127.0.0.1:{server_port}"
        cluster._check_answers(address)
    with pytest.raises(ValueError, match=f":{server_port} does not answer .*refused"):
        attach(make_config(address=address))


INTERFACES = {"lo": ["127.0.0.1", "::1"], "eth0": ["192.168.7.2", "fe80::1%eth0"], "docker0": ["172.17.0.1"]}


@pytest.mark.parametrize(
    ("node", "resolved", "expected"),
    [
        ("192.168.7.2", ["127.0.1.1"], "eth0"),
        ("192.168.7.2", ["::1", "127.0.0.1"], "eth0"),
        ("192.168.7.2", [], "eth0"),
        ("192.168.7.2", ["10.9.9.9"], "eth0"),
        ("192.168.7.2", ["192.168.7.2"], None),
        ("192.168.7.2", ["172.17.0.1"], None),
        ("192.168.7.2", ["fe80::1"], None),
        ("127.0.0.1", ["127.0.1.1"], None),
        ("10.1.1.1", ["127.0.1.1"], None),
    ],
    ids=[
        "Debian",
        "localhost",
        "resolves to nothing",
        "to another machine",
        "right already",
        "another address of its own",
        "IPv6",
        "one machine",
        "no interface holds it",
    ],
)
def test_the_interface(node: str, resolved: list[str], expected: str | None) -> None:
    assert gloo_interface(node, INTERFACES, resolved) == expected


@pytest.fixture
def debian(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """A worker of two machines, on one whose hosts file names it 127.0.1.1."""
    for name in ("GLOO_SOCKET_IFNAME", "LOCAL_WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RAY_LOCAL_WORLD_SIZE", "1")
    table = {
        name: [SimpleNamespace(address=address) for address in addresses]
        for name, addresses in INTERFACES.items()
    }
    monkeypatch.setattr(psutil, "net_if_addrs", lambda: table)
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [(2, 1, 6, "", ("127.0.1.1", 0))])
    monkeypatch.setattr(ray, "is_initialized", lambda: True)
    monkeypatch.setattr(ray.util, "get_node_ip_address", lambda: "192.168.7.2")
    return monkeypatch


def interface_after() -> str | None:
    choose_gloo_interface()
    return cluster.os.environ.get("GLOO_SOCKET_IFNAME")


def test_a_worker_of_several_machines_sets_it(debian: pytest.MonkeyPatch) -> None:
    debian.setenv("GLOO_SOCKET_IFNAME", "")
    assert interface_after() == "eth0"


def test_what_the_user_set_stays(debian: pytest.MonkeyPatch) -> None:
    debian.setenv("GLOO_SOCKET_IFNAME", "ib0")
    assert interface_after() == "ib0"


@pytest.mark.parametrize("variable", ["RAY_LOCAL_WORLD_SIZE", "LOCAL_WORLD_SIZE"])
def test_one_machine_is_left_alone(debian: pytest.MonkeyPatch, variable: str) -> None:
    debian.delenv("RAY_LOCAL_WORLD_SIZE")
    debian.setenv(variable, "2")
    assert interface_after() is None


def test_a_failure_to_find_it_is_left_to_gloo(debian: pytest.MonkeyPatch) -> None:
    debian.setattr(ray.util, "get_node_ip_address", lambda: "not an address")
    assert interface_after() is None
