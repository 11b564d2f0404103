"""docs/train_on_gpus.md says of the recipes and of verl what is so: every value, every state of the matrix."""

import importlib.machinery
import re
import sys
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from omegaconf import DictConfig, OmegaConf

pytest.importorskip("verl")

import hydra
from verl.trainer.ppo.core_algos import POLICY_LOSS_REGISTRY, AdvantageEstimator
from verl.trainer.ppo.utils import need_critic, need_reference_policy
from verl.trainer.ppo.v1.trainer_base import TRAINER_REGISTRY
from verl.utils.config import validate_config
from verl.workers.rollout.base import _ROLLOUT_REGISTRY

from data_prep.demo_model import DemoSize, build_demo_model
from data_prep.schema import RL_SCHEMA, rl_row
from reward_fns.routes import Route

pytestmark = pytest.mark.timeout(600)

REPOSITORY = Path(__file__).resolve().parents[1]
CONFIGS = REPOSITORY / "configs"
ON_TOP = ("realm_zero_1_5b", "realm_r1", "realm_lora")
ACTOR, ROLLOUT = "actor_rollout_ref.actor", "actor_rollout_ref.rollout"

Row = tuple[str, ...]


def tables() -> list[list[Row]]:
    """The rows of each table of the page, without its head."""
    page = (REPOSITORY / "docs" / "train_on_gpus.md").read_text(encoding="utf-8")
    blocks = re.findall(r"(?:^\|.*\n)+", page, re.MULTILINE)
    return [
        [tuple(cell.strip() for cell in line[1:-1].split("|")) for line in block.splitlines()[2:]]
        for block in blocks
    ]


_, SHARED, OTHERS, SFT, MATRIX = tables()


def leaves(node: Any, above: str = "") -> dict[str, Any]:
    """Every value of a config by its dotted key."""
    found: dict[str, Any] = {}
    for key, value in node.items():
        found |= (
            leaves(value, f"{above}{key}.") if isinstance(value, dict) and value else {above + key: value}
        )
    return found


def keys_of(*files: str) -> set[str]:
    """What these files of ours set, ReaLM's own options and Hydra's left out."""
    contents = [yaml.safe_load((CONFIGS / f"{name}.yaml").read_text()) for name in files]
    keys = {key for content in contents for key in leaves(content)}
    return {key for key in keys if key.partition(".")[0] not in ("realm", "hydra", "defaults")}


@cache
def composed(name: str) -> dict[str, Any]:
    """The values of a recipe, or of a config of verl's, before interpolation."""
    if (CONFIGS / f"{name}.yaml").is_file():
        with hydra.initialize_config_dir(str(CONFIGS), version_base=None):
            return leaves(OmegaConf.to_container(hydra.compose(name)))
    with hydra.initialize_config_module("verl.trainer.config", version_base=None):
        return leaves(OmegaConf.to_container(hydra.compose(name)))


def check_row(recipe: str, base: str, key: str, ours: str, verls: str) -> None:
    key, ours = key.strip("`"), ours.strip("`")
    assert composed(recipe)[key] == yaml.safe_load(ours), f"| `{key}` | `{composed(recipe)[key]}` |"
    default, is_default, _ = verls.partition(" (default)")
    if is_default:
        assert composed(base).get(key) == yaml.safe_load(default), (
            f"{key}: verl's is {composed(base).get(key)}"
        )


@pytest.mark.parametrize("row", SHARED, ids=lambda row: row[0].strip("`"))
def test_a_value_of_realm_zero(row: Row) -> None:
    check_row("realm_zero", "ppo_trainer", *row[:3])


@pytest.mark.parametrize("row", OTHERS, ids=lambda row: f"{row[0]} {row[1]}".replace("`", ""))
def test_a_value_of_another_recipe(row: Row) -> None:
    check_row(row[0].strip("`"), "ppo_trainer", *row[1:4])


@pytest.mark.parametrize("row", SFT, ids=lambda row: row[0].strip("`"))
def test_a_value_of_realm_sft(row: Row) -> None:
    check_row("realm_sft", "sft_trainer_engine", *row[:3])


def test_every_key_of_every_gpu_recipe_is_there_once() -> None:
    shared = [row[0].strip("`") for row in SHARED]
    assert sorted(shared) == sorted(keys_of("realm_defaults", "realm_gpu", "realm_zero"))
    others = [(row[0].strip("`"), row[1].strip("`")) for row in OTHERS]
    assert sorted(others) == sorted((name, key) for name in ON_TOP for key in keys_of(name))
    assert sorted(row[0].strip("`") for row in SFT) == sorted(keys_of("realm_sft"))


# ------------------------------ what of verl works ------------------------------


def overrides_of(row: Row) -> list[str]:
    return re.findall(r"`([^`]+)`", row[1])


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """A model and rows with routes, as overrides."""
    folder = tmp_path_factory.mktemp("inputs")
    made, tokenizer = build_demo_model(
        ["2+3? <think> a b c </think>"] * 4, DemoSize(hidden=32, layers=1, intermediate=32, vocabulary=300)
    )
    made.save_pretrained(folder / "model")
    tokenizer.save_pretrained(folder / "model")
    routes = [Route(("so 5",), "5", True, True, None, "x"), Route(("so 6",), "6", False, False, 0, "x")]
    rows = [
        rl_row(f"{i} + {5 - i}?", "5", domain="math", index=i, split="train", routes=routes)
        for i in range(256)
    ]
    pq.write_table(pa.Table.from_pylist(rows, schema=RL_SCHEMA), folder / "rows.parquet")
    data = folder / "rows.parquet"
    return [
        f"data.train_files={data}",
        f"data.val_files={data}",
        f"actor_rollout_ref.model.path={folder / 'model'}",
    ]


@pytest.fixture
def flash(monkeypatch: pytest.MonkeyPatch) -> None:
    """A flash_attn that can be imported, as on a machine where it was installed."""
    module = ModuleType("flash_attn")
    module.__spec__ = importlib.machinery.ModuleSpec("flash_attn", None)
    monkeypatch.setitem(sys.modules, "flash_attn", module)


def validate(overrides: list[str]) -> DictConfig:
    """What main_ppo does before Ray."""
    with hydra.initialize_config_dir(str(CONFIGS), version_base=None):
        config = hydra.compose("realm_zero", overrides=overrides)
    validate_config(
        config=config, use_reference_policy=need_reference_policy(config), use_critic=need_critic(config)
    )
    return config


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("row", MATRIX, ids=lambda row: " ".join(overrides_of(row)))
def test_a_row_of_the_matrix(
    row: Row, inputs: list[str], flash: None, capsys: pytest.CaptureFixture[str]
) -> None:
    state, why = row[2:]
    overrides = overrides_of(row)
    quoted = why.partition('"')[2].rpartition('"')[0]
    assert state in ("tested", "composes", "noted", "refused")
    assert bool(quoted) is (state in ("noted", "refused")), "the words that are printed"
    assert ("`tests/e2e/" in why) is (state == "tested"), "the test that runs it"
    if state == "refused":
        with pytest.raises(SystemExit) as stopped:
            validate([*inputs, *overrides])
        assert quoted in str(stopped.value.code)
        return
    config = validate([*inputs, *overrides])
    assert "attn_implementation" not in config.actor_rollout_ref.model.override_config
    assert quoted in capsys.readouterr().out


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("mode", ["clip_cov", "kl_cov"])
def test_losses_over_a_micro_batch_need_flash_attn(
    mode: str, inputs: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "flash_attn", None)
    with pytest.raises(SystemExit) as stopped:
        validate([*inputs, f"{ACTOR}.policy_loss.loss_mode={mode}"])
    assert f"loss_mode={mode}" in str(stopped.value.code) and "without flash-attn" in str(stopped.value.code)


def test_the_matrix_leaves_nothing_of_verl_out() -> None:
    given = {override for row in MATRIX for override in overrides_of(row)}
    modes = {mode for mode in TRAINER_REGISTRY if not mode.startswith("test")}
    wanted = {f"{ROLLOUT}.name={name}" for name, _ in _ROLLOUT_REGISTRY}
    wanted |= {f"trainer.v1.trainer_mode={mode}" for mode in modes}
    wanted |= {f"algorithm.adv_estimator={one.value}" for one in AdvantageEstimator}
    # bypass_mode is what algorithm.rollout_correction.bypass_mode sets
    wanted |= {
        f"{ACTOR}.policy_loss.loss_mode={mode}" for mode in POLICY_LOSS_REGISTRY if mode != "bypass_mode"
    }
    assert wanted - given == set()
