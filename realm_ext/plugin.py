"""The entry point verl loads in every process (group `verl.plugins`): design.md "Layout".

Loading it checks the verl version, registers the CPU platform, and sets post-import hooks, so that the trainer
mode, the agent loop and the checks before Ray are there when verl asks for them. Nothing heavy is imported here.

verl reports a failing plugin at DEBUG only (`verl/__init__.py`), so every failure here is written to stderr with
its reason; verl itself still imports.
"""

import importlib
import sys
import traceback
from collections.abc import Callable, Mapping
from functools import wraps
from importlib.metadata import PackageNotFoundError, version
from types import ModuleType
from typing import Any

from wrapt import when_imported

# What this code was written and tested against. A GPU machine only needs verl to match: the rest is patched, or
# relied on in detail, on the CPU platform alone.
VERSIONS_EVERYWHERE: Mapping[str, str] = {"verl": "0.9.1"}
VERSIONS_CPU: Mapping[str, str] = {"vllm": "0.27.1", "ray": "2.60.0"}

# Importing the module on the left imports ours on the right, which registers itself with verl.
REGISTRATIONS: Mapping[str, str] = {
    "verl.trainer.ppo.v1": "realm_ext.trainer",
    "verl.experimental.agent_loop": "realm_ext.agent_loop",
}


class UnsupportedVersionError(RuntimeError):
    """An installed package has a version this plugin was not written for."""


def say(message: str) -> None:
    """Write one line to stderr; the logging set-up of verl, Ray or vLLM cannot hide it."""
    print(f"[realm] {message}", file=sys.stderr, flush=True)


def check_versions(wanted: Mapping[str, str]) -> None:
    """Compare installed versions with `wanted` (distribution name to version; a local part like +cpu is ignored).

    A package that is not installed passes: vLLM is not needed for SFT.

    Raises:
        UnsupportedVersionError: naming each package, what is installed and what is expected.
    """
    wrong = []
    for name, expected in wanted.items():
        try:
            found = version(name).split("+")[0]
        except PackageNotFoundError:
            continue
        if found != expected:
            wrong.append(f"{name} {found} is installed, {expected} is expected")
    if wrong:
        raise UnsupportedVersionError(
            "; ".join(wrong)
            + ". Install the pinned versions (requirements/), or uninstall realm to use plain verl."
        )


def _loudly(what: str, action: Callable[[], Any]) -> Any:
    """Run `action` and return its value; when it raises, say on stderr what failed and why, and return None."""
    try:
        return action()
    except UnsupportedVersionError as error:
        say(f"{what}: {error}")
    except Exception:  # noqa: BLE001 (verl would hide it; whatever it is, it is shown)
        say(f"{what} failed; verl goes on without it. The reason:\n{traceback.format_exc()}")
    return None


def _load_ours(name: str, needed_by: str) -> ModuleType | None:
    return _loudly(f"loading {name} (for {needed_by})", lambda: importlib.import_module(name))


def _register_on_import(upstream: str, ours: str) -> None:
    def imported(_: ModuleType) -> None:
        _load_ours(ours, upstream)

    when_imported(upstream)(imported)


def check_config_first(module: Any) -> None:
    """Make `validate_config` of `verl.utils.config` run `realm_ext.preflight.check(config)` before its own checks.

    main_ppo calls it first, before Ray starts. A ValueError of the check becomes SystemExit: its message alone on
    stderr and exit code 1, with no traceback of Hydra around it.
    """
    original = module.validate_config

    @wraps(original)
    def validate_config(config: Any, *args: Any, **kwargs: Any) -> None:
        preflight = _load_ours("realm_ext.preflight", "the checks before Ray starts")
        try:
            if preflight is not None:
                preflight.check(config)
        except ValueError as error:
            raise SystemExit(f"[realm] {error}") from error
        original(config, *args, **kwargs)

    module.validate_config = validate_config


def load() -> None:
    """Do everything this plugin does, in this process.

    Raises:
        UnsupportedVersionError: verl is not the version this was written for; nothing has been changed then.
    """
    check_versions(VERSIONS_EVERYWHERE)
    for upstream, ours in REGISTRATIONS.items():
        _register_on_import(upstream, ours)
    when_imported("verl.utils.config")(check_config_first)

    from realm_ext import accelerator, patches

    importlib.import_module("realm_ext.cpu_platform")
    on_cpu = accelerator.is_selected()
    if on_cpu:
        check_versions(VERSIONS_CPU)
    patches.install(on_cpu)


_loudly("the realm plugin", load)
