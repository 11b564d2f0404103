"""Without a flash-attn that can be imported a run takes sdpa on padded batches, and says so once."""

import sys
from pathlib import Path

import pytest
import torch
from omegaconf import DictConfig, OmegaConf

from realm_ext import attention
from realm_ext.patches import PADDED

BROKEN = "raise ImportError('flash_attn_2_cuda.so: undefined symbol: _ZN3c105ErrorC2E')"
CRASHING = "raise OSError('libcudart.so.12: cannot open shared object file')"


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """verl's plugin sets it on a CPU; a test that sets it takes it back."""
    monkeypatch.setenv(PADDED, "0")


@pytest.fixture(params=["none", BROKEN, CRASHING], ids=["none", "another torch", "a library is missing"])
def no_flash(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """No flash_attn, or one that is found by name and cannot be imported; the reason that is expected."""
    monkeypatch.delitem(sys.modules, "flash_attn", raising=False)
    if request.param == "none":
        monkeypatch.setitem(sys.modules, "flash_attn", None)
        return "ModuleNotFoundError"
    install_fake(request.param, tmp_path, monkeypatch)
    return "undefined symbol" if request.param == BROKEN else "libcudart"


@pytest.fixture
def flash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "flash_attn", raising=False)
    install_fake("__version__ = '2.8.3'", tmp_path, monkeypatch)


def install_fake(text: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "flash_attn").mkdir()
    (folder / "flash_attn" / "__init__.py").write_text(text)
    monkeypatch.syspath_prepend(str(folder))


def rl(**changes: object) -> DictConfig:
    made = OmegaConf.create(
        {
            "actor_rollout_ref": {
                "model": {"override_config": {}, "use_remove_padding": True},
                "actor": {"strategy": "fsdp2", "fsdp_config": {"ulysses_sequence_parallel_size": 1}},
            },
            "critic": {
                "enable": None,
                "strategy": "fsdp",
                "model": {"override_config": {}, "use_remove_padding": True},
                "fsdp": {"ulysses_sequence_parallel_size": 1},
            },
            "algorithm": {"adv_estimator": "realm_grpo"},
        }
    )
    for key, value in changes.items():
        OmegaConf.update(made, key, value)
    OmegaConf.set_struct(made, True)
    return made


def test_sdpa_and_padding_are_filled_in_with_one_line(
    no_flash: str, capsys: pytest.CaptureFixture[str]
) -> None:
    config = rl()
    assert attention.settle_rl(config) == []
    model = config.actor_rollout_ref.model
    assert model.override_config.attn_implementation == "sdpa" and model.use_remove_padding is False
    said = capsys.readouterr().out
    assert len(said.splitlines()) == 1 and no_flash in said
    assert "attn_implementation=sdpa" in said and "use_remove_padding=false" in said


def test_nothing_changes_where_flash_attention_is_there(
    flash: None, capsys: pytest.CaptureFixture[str]
) -> None:
    config = rl()
    assert attention.settle_rl(config) == []
    assert config == rl() and capsys.readouterr().out == ""


def test_every_process_of_the_run_is_told_that_batches_are_padded(no_flash: str) -> None:
    config = rl()
    attention.settle_rl(config)
    assert config.ray_kwargs.ray_init.runtime_env.env_vars == {PADDED: "1"}
    left_alone = rl(**{"actor_rollout_ref.model.override_config": {"attn_implementation": "sdpa"}})
    attention.settle_rl(left_alone)
    assert "ray_kwargs" not in left_alone


@pytest.mark.parametrize("chosen", ["sdpa", "eager", "flash_attention_3", "kernels-community/flash-attn2"])
def test_another_attention_is_the_users_choice(no_flash: str, chosen: str) -> None:
    config = rl(**{"actor_rollout_ref.model.override_config": {"attn_implementation": chosen}})
    assert attention.settle_rl(config) == []
    assert config.actor_rollout_ref.model.override_config.attn_implementation == chosen
    assert config.actor_rollout_ref.model.use_remove_padding is True


def test_flash_attention_that_was_asked_for_and_is_not_there_is_refused(no_flash: str) -> None:
    config = rl(**{"actor_rollout_ref.model.override_config": {"attn_implementation": "flash_attention_2"}})
    [problem] = attention.settle_rl(config)
    assert "actor_rollout_ref.model.override_config.attn_implementation" in problem
    assert no_flash in problem and "make setup-gpu-flash" in problem


@pytest.mark.parametrize("place", ["ulysses_sequence_parallel_size", "fsdp_config"])
def test_sequence_parallelism_needs_it(no_flash: str, place: str) -> None:
    value = 4 if place.startswith("ulysses") else {"ulysses_sequence_parallel_size": 4}
    [problem] = attention.settle_rl(rl(**{f"actor_rollout_ref.actor.{place}": value}))
    assert "ulysses_sequence_parallel_size=4 needs flash-attn" in problem and "set it to 1" in problem


@pytest.mark.parametrize("strategy", ["megatron", "veomni", "torchtitan"])
def test_engines_with_an_attention_option_of_their_own_are_left_alone(no_flash: str, strategy: str) -> None:
    config = rl(**{"actor_rollout_ref.actor.strategy": strategy})
    assert attention.settle_rl(config) == []
    assert config == rl(**{"actor_rollout_ref.actor.strategy": strategy})


@pytest.mark.parametrize(
    ("enable", "estimator", "changed"), [(None, "realm_grpo", False), (None, "gae", True), (True, "x", True)]
)
def test_a_critic_is_a_model_too(no_flash: str, enable: bool | None, estimator: str, changed: bool) -> None:
    config = rl(**{"critic.enable": enable, "algorithm.adv_estimator": estimator})
    assert attention.settle_rl(config) == []
    assert ("attn_implementation" in config.critic.model.override_config) is changed
    assert config.critic.model.use_remove_padding is not changed


def test_an_npu_has_a_flash_attention_of_its_own(no_flash: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "npu", object(), raising=False)
    config = rl()
    assert attention.settle_rl(config) == [] and config == rl()


def test_only_the_first_process_of_torchrun_says_it(
    no_flash: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RANK", "3")
    config = rl()
    assert attention.settle_rl(config) == []
    assert config.actor_rollout_ref.model.use_remove_padding is False
    assert capsys.readouterr().out == ""
