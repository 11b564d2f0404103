"""Ray clusters that are already running, and runs over several machines: what has to be set before verl goes on.

`attach` is one of the checks before Ray starts; `choose_gloo_interface` runs in each training worker before its process
group is made (`realm_ext.patches`).
"""

import ipaddress
import os
import socket
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from omegaconf import DictConfig, OmegaConf, open_dict

from realm_ext.accelerator import NAME, RAY_RESOURCE
from realm_ext.diagnostics import diagnostic

# What `ray.init` takes only where it starts Ray itself.
_ONLY_TO_START = (
    *("num_cpus", "num_gpus", "resources", "labels", "object_store_memory", "include_dashboard"),
    *("_system_config", "_enable_object_reconstruction", "_node_name"),
)
# verl reserves so many CPU slots beside each training worker, and one more starts the actors outside of them.
_SLOTS_A_WORKER = 3
_GLOO_VARIABLE = "GLOO_SOCKET_IFNAME"


def attach(config: DictConfig) -> None:
    """Make the config fit where `ray.init` will join a running cluster; nothing where it will start Ray.

    Takes what only a starting Ray takes out of `ray_kwargs.ray_init` and says so.

    Raises:
        ValueError: the cluster does not answer, or cannot hold the training workers of a run without GPUs.
    """
    ray_init = OmegaConf.select(config, "ray_kwargs.ray_init")
    address = None if ray_init is None else running_cluster(ray_init)
    if address is None:
        return
    _check_answers(address)
    if config.trainer.device == NAME:
        problem = too_small(
            cluster_resources(address), config.trainer.nnodes, config.trainer.n_gpus_per_node, address
        )
        if problem:
            raise ValueError(f"the run cannot start: {problem}")
    with open_dict(ray_init):
        dropped = [key for key in _ONLY_TO_START if ray_init.pop(key, None) is not None]
    if dropped:
        print(
            f"ReaLM: joining the Ray cluster at {address}, which has its own {', '.join(dropped)}: those of "
            "ray_kwargs.ray_init are left out",
            flush=True,
        )


def running_cluster(ray_init: Mapping[str, Any]) -> str | None:
    """The address of the cluster that `ray.init(**ray_init)` would join; None: it starts Ray, or says what is wrong."""
    import ray
    from ray._private import services

    if ray.is_initialized():
        return None
    address = ray_init.get("address")
    if address in (None, "auto"):
        address = os.environ.get("RAY_ADDRESS") or address
    if address is not None and "://" in address:
        return str(address)
    try:
        return services.canonicalize_bootstrap_address(address, ray_init.get("_temp_dir"))
    except (ConnectionError, ValueError, OSError):
        return None


def cluster_resources(address: str) -> Mapping[str, float]:
    """All that a running cluster has, by name of the resource."""
    import ray

    ray.init(address=address, log_to_driver=False, logging_level="ERROR")
    try:
        return dict(ray.cluster_resources())
    finally:
        ray.shutdown()


def _check_answers(address: str) -> None:
    """Ray itself tries for minutes, also where a killed cluster has left its address behind."""
    host, _, port = address.rpartition("://")[2].rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=10).close()
    except (OSError, ValueError) as error:
        raise ValueError(
            f"the run cannot start: the Ray cluster at {address} does not answer ({error}): start it, unset RAY_ADDRESS, or "
            "have Ray started here by +ray_kwargs.ray_init.address=local"
        ) from error


def too_small(resources: Mapping[str, float], n_nodes: int, workers_a_node: int, address: str) -> str | None:
    """Why a cluster without GPUs cannot hold a run's training workers, and how to start its nodes; None: it can."""
    n_workers = n_nodes * workers_a_node
    slots = n_workers * _SLOTS_A_WORKER + 1
    workers, cpus = resources.get(RAY_RESOURCE, 0), resources.get("CPU", 0)
    if workers >= n_workers and cpus >= slots:
        return None
    return (
        f"the run needs {n_workers} {RAY_RESOURCE} (a training worker each: trainer.nnodes * trainer.n_gpus_per_node) and "
        f"{slots} CPU slots, and the Ray cluster at {address} has {workers:g} and {cpus:g}: start each node with "
        f"`ray start ... --num-cpus=16 --resources='{{\"{RAY_RESOURCE}\": {workers_a_node}}}'`, or have Ray started here "
        "by +ray_kwargs.ray_init.address=local"
    )


def choose_gloo_interface() -> None:
    """In a worker of a run over several machines: tell gloo its interface where the host name would mislead it.

    gloo listens at the first address of this machine that the host name resolves to. Debian's hosts file makes that
    127.0.1.1, which no other machine reaches. Nothing is changed where the user has set `GLOO_SOCKET_IFNAME`.
    """
    here = int(os.environ.get("RAY_LOCAL_WORLD_SIZE") or os.environ.get("LOCAL_WORLD_SIZE") or 0)
    if os.environ.get(_GLOO_VARIABLE) or not 0 < here < int(os.environ.get("WORLD_SIZE", "0")):
        return
    with diagnostic("choosing gloo's network interface"):
        import psutil

        interfaces = {
            name: [entry.address for entry in entries] for name, entries in psutil.net_if_addrs().items()
        }
        found = gloo_interface(_node_address(), interfaces, _resolved(socket.gethostname()))
        if found is not None:
            os.environ[_GLOO_VARIABLE] = found
            print(
                f"ReaLM: the host name {socket.gethostname()} does not resolve to an address that other machines reach: "
                f"gloo uses the interface {found} ({_GLOO_VARIABLE})",
                flush=True,
            )


def gloo_interface(
    node_address: str, interfaces: Mapping[str, Iterable[str]], resolved: Sequence[str]
) -> str | None:
    """The interface that holds the node's address, where gloo would take a loopback one; None: leave it alone.

    Args:
        node_address: of this machine, as the others know it.
        interfaces: addresses by name of the interface.
        resolved: what the host name resolves to, in order.
    """
    own = {address.partition("%")[0]: name for name, addresses in interfaces.items() for address in addresses}
    first = next((a for a in resolved if a in own or _is_loopback(a)), None)
    if _is_loopback(node_address) or (first is not None and not _is_loopback(first)):
        return None
    return own.get(node_address)


def _node_address() -> str:
    """This machine's address: Ray's, or, under torchrun, the one that the first machine sees."""
    import ray

    if ray.is_initialized():
        return str(ray.util.get_node_ip_address()).strip("[]")
    family, kind, protocol, _, master = socket.getaddrinfo(
        os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"]), type=socket.SOCK_DGRAM
    )[0]
    with socket.socket(family, kind, protocol) as probe:
        probe.connect(master)  # a datagram socket: nothing is sent
        return str(probe.getsockname()[0])


def _resolved(host: str) -> list[str]:
    try:
        return [str(entry[4][0]) for entry in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)]
    except OSError:
        return []


def _is_loopback(address: str) -> bool:
    return ipaddress.ip_address(address.partition("%")[0]).is_loopback
