"""Both commands that start vLLM read its options and set it up in the same way; vLLM itself is not started here."""

import os

import pytest

from data_prep.vllm_settings import engine_arguments, read_engine_options
from realm_ext import accelerator


def test_values_are_yaml() -> None:
    given = ["max_model_len=64", "dtype=float32", "enforce_eager=true", "name=a=b"]
    wanted = {"max_model_len": 64, "dtype": "float32", "enforce_eager": True, "name": "a=b"}
    assert read_engine_options(given) == wanted
    assert read_engine_options(None) == {}


@pytest.mark.parametrize("given", ["fast", "=1", "sizes=[1,"])
def test_an_option_needs_a_name_and_a_value(given: str) -> None:
    with pytest.raises(ValueError, match="--engine takes NAME=VALUE") as error:
        read_engine_options([given])
    assert repr(given) in str(error.value)


@pytest.mark.parametrize("name", ["model", "trust_remote_code"])
def test_what_is_not_for_an_option_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"must not set {name}"):
        engine_arguments({name: True})


@pytest.mark.parametrize("present", [True, False])
def test_defaults_go_by_the_machine_and_options_win(present: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "environ", {"VLLM_LOGGING_LEVEL": "ERROR"})
    monkeypatch.setattr(accelerator, "accelerator_present", lambda: present)
    assert engine_arguments({"seed": 3}).get("enforce_eager", False) is not present
    assert engine_arguments({"seed": 3, "enforce_eager": False})["enforce_eager"] is False
    assert engine_arguments({"seed": 3})["seed"] == 3
    assert os.environ["VLLM_LOGGING_LEVEL"] == "ERROR"
    assert ("VLLM_CPU_KVCACHE_SPACE" in os.environ) is not present
