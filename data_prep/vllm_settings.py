"""vLLM as data preparation sets it up: options from the command line, and what depends on the machine.

Serves design.md, section Guided CoT distillation. `realm distill --teacher vllm` streams requests to the asynchronous
engine, `realm routes sample` gives the offline one whole batches; both take their arguments from here.
"""

import os
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

OURS = ("model", "trust_remote_code")
"""Arguments of the engine that no option may set: the model has an option of its own, and its code is never run."""


def read_engine_options(given: Sequence[str] | None) -> dict[str, Any]:
    """What `--engine` was given, NAME=VALUE each, the value read as YAML.

    Raises:
        ValueError: no `=`, no name, or a value that is no YAML.
    """
    options = {}
    for text in given or ():
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise ValueError(f"--engine takes NAME=VALUE; got {text!r}")
        try:
            options[name] = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise ValueError(f"--engine takes NAME=VALUE with a YAML value; got {text!r}") from error
    return options


def engine_arguments(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options over our defaults, without the model; call it before vLLM is imported, whose log it sends to stderr.

    Without an accelerator vLLM does not compile, and keeps 1 GiB for its cache where VLLM_CPU_KVCACHE_SPACE does not
    say otherwise.

    Raises:
        ValueError: an option is one of `OURS`.
    """
    if refused := sorted(set(OURS) & options.keys()):
        raise ValueError(
            f"--engine must not set {', '.join(refused)}: name the model by --model; code that comes with it is never run"
        )
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "WARNING")
    os.environ.setdefault("VLLM_LOGGING_STREAM", "ext://sys.stderr")  # what the command found is on stdout
    from realm_ext.accelerator import accelerator_present

    defaults: dict[str, Any] = {"seed": 0, "enable_prefix_caching": True}
    if not accelerator_present():
        os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "1")  # GiB; vLLM would take half of the memory
        defaults |= {"enforce_eager": True}
    return defaults | dict(options)
