"""The entry point verl loads in every process (group `verl.plugins`): design.md "Layout".

Loading it checks the verl version, registers the CPU platform, and sets post-import hooks, so that the trainer
mode, the agent loop and the checks before Ray are there when verl asks for them. Nothing heavy is imported here.

verl reports a failing plugin at DEBUG only (`verl/__init__.py`), so every failure here is written to stderr with
its reason; verl itself still imports.
"""

import importlib
import os
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
# Set to 1, in the environment of every process of a run, to try ReaLM with versions it was not tested with.
ANY_VERSION = "REALM_ANY_VERSION"

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
            + ". Install the pinned versions (requirements/), uninstall realm to use plain verl, or set "
            f"{ANY_VERSION}=1 on every node, before Ray starts, to try this one"
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


def run_first(function: str, check: Callable[[Any], None]) -> Callable[[Any], None]:
    """A post-import hook that makes the module's `function(config, ...)` run `check(config)` before itself.

    A ValueError of the check becomes SystemExit: its message alone on stderr and exit code 1, with no traceback of
    Hydra around it.
    """

    def hook(module: Any) -> None:
        original = getattr(module, function)

        @wraps(original)
        def checked(config: Any, *args: Any, **kwargs: Any) -> None:
            try:
                check(config)
            except ValueError as error:
                raise SystemExit(f"[realm] {error}") from error
            original(config, *args, **kwargs)

        setattr(module, function, checked)

    return hook


def _check_of(name: str, needed_by: str) -> Callable[[Any], None]:
    """`check` of our module `name`, loaded when it is called; a module that cannot be loaded checks nothing."""

    def check(config: Any) -> None:
        if (preflight := _load_ours(name, needed_by)) is not None:
            preflight.check(config)

    return check


# main_ppo calls validate_config in the driver, before Ray starts; sft_trainer calls auto_set_device first, in each
# process of torchrun (and so does main_ppo, whose configs preflight_sft leaves alone).
check_config_first = run_first(
    "validate_config", _check_of("realm_ext.preflight", "the checks before Ray starts")
)
check_sft_first = run_first("auto_set_device", _check_of("realm_ext.preflight_sft", "the checks before SFT"))


def refuse_our_configs(reason: str) -> Callable[[Any], None]:
    """A check that refuses every config with a `realm:` section."""

    def check(config: Any) -> None:
        if "realm" in config:
            raise ValueError(f"the run cannot start: the config has a realm: section, but {reason}")

    return check


def _tested_versions(wanted: Mapping[str, str]) -> None:
    """`check_versions`, or one line where the user wants to try other versions."""
    try:
        check_versions(wanted)
    except UnsupportedVersionError as error:
        if os.environ.get(ANY_VERSION) != "1":
            raise
        say(f"going on untested, since {ANY_VERSION}=1: {str(error).partition('. ')[0]}")


def load() -> None:
    """Do everything this plugin does, in this process.

    Raises:
        UnsupportedVersionError: verl is not the version this was written for. Configs with a `realm:` section are
            refused then; nothing else has been changed.
    """
    try:
        _tested_versions(VERSIONS_EVERYWHERE)
    except UnsupportedVersionError as error:
        when_imported("verl.utils.config")(run_first("validate_config", refuse_our_configs(str(error))))
        raise
    for upstream, ours in REGISTRATIONS.items():
        _register_on_import(upstream, ours)
    when_imported("verl.utils.config")(check_config_first)
    when_imported("verl.utils.device")(check_sft_first)

    from realm_ext import accelerator, patches

    importlib.import_module("realm_ext.cpu_platform")
    on_cpu = accelerator.is_selected() and not accelerator.is_gpu_stack()
    if on_cpu:
        _tested_versions(VERSIONS_CPU)
        os.environ[patches.PADDED] = "1"
    patches.install(on_cpu)


_loudly("the realm plugin", load)
