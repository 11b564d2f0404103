"""Every recipe composes from anywhere, and says nothing that verl or ReaLM would not read.

Hydra refuses unknown keys on the command line only: a misspelt key in an overlay is silently a new key. So the
composed recipes are compared with verl's own configs here.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from string import Template
from typing import Any

import pytest
import yaml
from omegaconf import OmegaConf

from realm_ext.config import RealmConfig, read_config
from realm_ext.exposure import plan_group
from realm_ext.schedule import build_schedule
from reward_fns.mrpv import Weights, check_weights
from tests.forked import Program, run_forked

pytest.importorskip("verl")
pytestmark = pytest.mark.timeout(600)

CONFIGS = Path(__file__).resolve().parents[1] / "configs"
RL, SFT = "ppo_trainer", "sft_trainer_engine"
RECIPES = {
    "realm_zero": RL,
    "realm_zero_1_5b": RL,
    "realm_r1": RL,
    "realm_lora": RL,
    "realm_quickstart": RL,
    "realm_sft": SFT,
    "realm_quickstart_sft": SFT,
}
RL_RECIPES = [name for name, base in RECIPES.items() if base == RL]
SFT_RECIPES = [name for name, base in RECIPES.items() if base == SFT]
# What the user has to give; verl's default would be somebody else's model or data.
REQUIRED = {
    "realm_zero": {"data.train_files", "data.val_files"},
    "realm_zero_1_5b": {"data.train_files", "data.val_files"},
    "realm_r1": {"data.train_files", "data.val_files", "actor_rollout_ref.model.path"},
    "realm_lora": {"data.train_files", "data.val_files"},
    "realm_quickstart": set(),
    "realm_sft": {"data.train_files"},
    "realm_quickstart_sft": set(),
}
# Below these verl passes on whatever is there: to the model's config, vLLM, Ray, FSDP.
OPEN = {
    "actor_rollout_ref.model.override_config",
    "actor_rollout_ref.rollout.engine_kwargs",
    "actor_rollout_ref.actor.fsdp_config.mixed_precision",
    "actor_rollout_ref.ref.fsdp_config.mixed_precision",
    "engine.mixed_precision",
    "model.override_config",
    "ray_kwargs.ray_init",
}
COMPOSE = """
import dataclasses, json, sys
from pathlib import Path
from hydra import compose, initialize_config_dir, initialize_config_module
from hydra.utils import get_class
from omegaconf import OmegaConf
import configs
from realm_ext.paths import Folder, find_folder

def plain(name):
    return OmegaConf.to_container(compose(config_name=name))

def fields(node):
    if not isinstance(node, dict):
        return {}
    found = {key: inner for key, value in node.items() if (inner := fields(value))}
    if "_target_" in node:
        found[""] = [field.name for field in dataclasses.fields(get_class(node["_target_"]))]
    return found

recipes, folder = sys.argv[1:], find_folder(Folder.CONFIGS)
with initialize_config_dir(config_dir=str(folder), version_base=None):
    composed = {name: plain(name) for name in recipes}
print("COMPOSED" + json.dumps({
    "folder": str(folder), "package": str(Path(configs.__file__).resolve().parent), "composed": composed,
}))
"""
KNOWN = """
with initialize_config_module(config_module="verl.trainer.config", version_base=None):
    bases = {name: plain(name) for name in ("ppo_trainer", "sft_trainer_engine")}
    known = {name: fields(base) for name, base in bases.items()}
print("KNOWN" + json.dumps({"bases": bases, "fields": known}))
"""
# What verl itself imports, or most of it.
DEAR = "import hydra, numpy, omegaconf, pandas, ray, tensordict, torch, transformers"


@pytest.fixture(scope="module")
def both(installed_wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """What a Python composes away from the checkout: the one that has it installed, and one with the wheel."""
    programs = (
        Program(COMPOSE + KNOWN, tuple(RECIPES)),
        Program(COMPOSE, tuple(RECIPES), {"PYTHONPATH": str(installed_wheel)}),
    )
    made = run_forked(programs, tmp_path_factory.mktemp("elsewhere"), preload=DEAR, timeout=500)
    assert [done.returncode for done in made] == [0, 0], "\n".join(done.stderr[-4000:] for done in made)
    composed, _, known = made[0].stdout.rpartition("COMPOSED")[2].partition("KNOWN")
    return {
        "checkout": json.loads(composed) | json.loads(known),
        "installed": json.loads(made[1].stdout.rpartition("COMPOSED")[2]),
    }


@pytest.fixture(scope="module")
def checkout(both: dict[str, dict[str, Any]]) -> dict[str, Any]:
    return both["checkout"]


@pytest.fixture(scope="module")
def recipe(request: pytest.FixtureRequest, checkout: dict[str, Any]) -> dict[str, Any]:
    """The composed recipe that the test is parametrized with."""
    found: dict[str, Any] = checkout["composed"][request.param]
    return found


def paths(node: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    """Every node of a config by its dotted path."""
    found: dict[str, Any] = {}
    for key, value in node.items():
        found[above + key] = value
        if isinstance(value, Mapping):
            found |= paths(value, f"{above}{key}.")
    return found


def is_field(path: str, known: Mapping[str, Any]) -> bool:
    """Whether the dataclass that verl makes of the node above has a field of that name."""
    *above, name = path.split(".")
    for key in above:
        known = known.get(key, {})
    return name in known.get("", ())


def test_recipes_are_the_files_with_defaults() -> None:
    """The other files are parts: composing one alone would give a config without verl in it."""
    files = {path.stem: yaml.safe_load(path.read_text()) for path in CONFIGS.glob("*.yaml")}
    assert {name for name, content in files.items() if "defaults" in content} == set(RECIPES)
    for name, content in files.items():
        assert ("hydra" in content) == (name in RECIPES), name
    parts = {entry for name in RECIPES for entry in files[name]["defaults"]} - {RL, SFT, "_self_"}
    assert parts == set(files) - set(RECIPES), "a part that no recipe lists, or one that is not there"


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_says_how_it_is_run(name: str) -> None:
    text = (CONFIGS / f"{name}.yaml").read_text()
    head = text.partition("hydra:")[0]
    assert "realm paths configs" in head and f"--config-name {name}" in head


def test_composes_from_an_installed_wheel_as_in_the_checkout(
    both: dict[str, dict[str, Any]], installed_wheel: Path
) -> None:
    checkout, installed = both["checkout"], both["installed"]
    assert Path(installed["folder"]) == Path(installed["package"]) == installed_wheel.resolve() / "configs"
    assert Path(checkout["folder"]) == CONFIGS
    for name in RECIPES:
        assert installed["composed"][name] == checkout["composed"][name]


@pytest.mark.parametrize("name", RECIPES)
def test_every_key_is_one_that_verl_or_realm_reads(checkout: dict[str, Any], name: str) -> None:
    base = RECIPES[name]
    verls = paths(checkout["bases"][base])
    unknown = [
        path
        for path in paths(checkout["composed"][name])
        if path not in verls
        and path.partition(".")[0] != "realm"
        and not any(path.startswith(f"{prefix}.") for prefix in OPEN)
        and not is_field(path, checkout["fields"][base])
    ]
    assert not unknown, f"{name} sets keys that verl's {base} does not have: {', '.join(unknown)}"


def test_open_parts_are_all_needed(checkout: dict[str, Any]) -> None:
    used = {
        prefix
        for name, base in RECIPES.items()
        for path in set(paths(checkout["composed"][name])) - set(paths(checkout["bases"][base]))
        for prefix in OPEN
        if path.startswith(f"{prefix}.")
    }
    assert used == OPEN


@pytest.mark.parametrize("name", RECIPES)
def test_a_misspelt_key_would_be_seen(checkout: dict[str, Any], name: str) -> None:
    """The comparison itself: a key beside a real one is neither in verl's config nor a field."""
    misspelt = "data.train_batchsize"
    assert misspelt not in paths(checkout["bases"][RECIPES[name]])
    assert not is_field(misspelt, checkout["fields"][RECIPES[name]])


@pytest.mark.parametrize("name", RECIPES)
def test_what_the_user_has_to_give_has_no_value(checkout: dict[str, Any], name: str) -> None:
    """`???` in an overlay would leave verl's default in place: OmegaConf merges it as "says nothing"."""
    base, composed = paths(checkout["bases"][RECIPES[name]]), paths(checkout["composed"][name])
    assert {path for path in REQUIRED[name] if composed[path] is not None} == set()
    inputs = [path for path in base if path in ("data.train_files", "data.val_files", "model.path")]
    kept = [path for path in inputs if composed[path] is not None and composed[path] == base[path]]
    assert not kept, f"{name} would silently use what verl's default names: {', '.join(kept)}"


@pytest.mark.parametrize("name", RL_RECIPES)
def test_a_failed_run_ends_with_how_to_go_on(name: str) -> None:
    hydra = yaml.safe_load((CONFIGS / f"{name}.yaml").read_text())["hydra"]
    assert hydra["callbacks"] == {"realm": {"_target_": "realm_ext.last_line.LastLine"}}


@pytest.mark.parametrize("recipe", RL_RECIPES, indirect=True)
def test_realm_section_is_accepted(recipe: dict[str, Any]) -> None:
    realm = read_config(recipe)
    check_weights(
        Weights(**realm.weights), 0.5 if realm.right_share is None else realm.right_share, realm.max_routes
    )


@pytest.mark.parametrize("recipe", RL_RECIPES, indirect=True)
def test_the_last_quarter_is_unguided(recipe: dict[str, Any]) -> None:
    steps = recipe["trainer"]["total_training_steps"]
    assert 0 < recipe["realm"]["schedule"]["fade_steps"] <= 0.75 * steps


def guided_share(realm: RealmConfig, n: int, step: int) -> float:
    """Of all rollouts of 200 questions with six routes each."""
    exposure = build_schedule(realm.schedule)(step)
    plans = [
        plan_group(
            seed=realm.seed,
            uid=f"question {i}",
            step=step,
            exposure=exposure,
            n=n,
            route_steps=[4] * 6,
            fade=realm.fade,
            unguided_floor=realm.unguided_floor,
            max_routes=realm.max_routes,
            regime=None,
        )
        for i in range(200)
    ]
    return sum(sum(plan.guided) for plan in plans) / (200 * n)


def check_guidance(recipe: Mapping[str, Any], text: str) -> None:
    """The step from which under 5% of all rollouts are guided is what `text` says; on GPUs eight validations come before."""
    realm, trainer = read_config(recipe), recipe["trainer"]
    n, steps = recipe["actor_rollout_ref"]["rollout"]["n"], trainer["total_training_steps"]
    gone = 1 + max(step for step in range(steps + 1) if guided_share(realm, n, step) >= 0.05)
    said = re.search(r"under 5% of all from step (\d+) on, and none are from step (\d+) on, of (\d+)", text)
    assert said, f"it does not say from which step on under 5% of all rollouts are guided: {gone}"
    assert [int(number) for number in said.groups()] == [gone, realm.schedule["fade_steps"], steps]
    assert trainer["device"] == "cpu" or (gone - 1) // trainer["test_freq"] >= 8


@pytest.mark.parametrize("name", RL_RECIPES)
def test_a_recipe_says_when_guidance_is_gone(checkout: dict[str, Any], name: str) -> None:
    check_guidance(checkout["composed"][name], (CONFIGS / f"{name}.yaml").read_text())


def test_so_does_the_recipe_that_realm_start_writes(checkout: dict[str, Any]) -> None:
    """Its keys lie on top of realm_gpu, as those of realm_lora do."""
    text = (CONFIGS.parent / "data_prep/start/templates/rl.yaml.txt").read_text()
    own = yaml.safe_load(Template(text).substitute(name="x", batch=32, rows=96, prompt_tokens=3072))
    base = {key: value for key, value in checkout["composed"]["realm_lora"].items() if key != "hydra"}
    check_guidance(OmegaConf.to_container(OmegaConf.merge(base, own)), text)


@pytest.mark.parametrize("recipe", RL_RECIPES, indirect=True)
def test_a_rate_stands_only_where_the_schedule_is_exponential(recipe: dict[str, Any]) -> None:
    schedule = recipe["realm"]["schedule"]
    assert ("rate" in schedule) == (schedule["kind"] == "exponential")


@pytest.mark.parametrize("recipe", RL_RECIPES, indirect=True)
def test_rl_recipes_use_what_realm_needs(recipe: dict[str, Any]) -> None:
    agent = recipe["actor_rollout_ref"]["rollout"]["agent"]
    assert agent["default_agent_loop"] == "realm"
    assert agent["agent_loop_manager_class"] == "realm_ext.agent_worker.RealmAgentLoopManager"
    assert recipe["trainer"]["v1"]["trainer_mode"] == "realm_sync"
    assert recipe["algorithm"]["adv_estimator"] == "realm_grpo"
    assert recipe["reward"]["custom_reward_function"]["path"] == "pkg://reward_fns"
    assert not recipe["data"]["filter_overlong_prompts"]


@pytest.mark.parametrize("recipe", RL_RECIPES, indirect=True)
def test_lengths_batches_and_groups_fit(recipe: dict[str, Any]) -> None:
    data, rollout = recipe["data"], recipe["actor_rollout_ref"]["rollout"]
    longest = data["max_prompt_length"] + data["max_response_length"]
    assert longest <= rollout["max_model_len"]
    assert longest <= recipe["actor_rollout_ref"]["actor"]["ppo_max_token_len_per_gpu"]
    assert longest <= rollout["log_prob_max_token_len_per_gpu"]
    assert data["train_batch_size"] % recipe["actor_rollout_ref"]["actor"]["ppo_mini_batch_size"] == 0
    assert rollout["n"] - recipe["realm"]["unguided_floor"] >= 2
    assert data["train_batch_size"] * rollout["n"] % recipe["trainer"]["n_gpus_per_node"] == 0


@pytest.mark.parametrize("recipe", SFT_RECIPES, indirect=True)
def test_sft_recipes_write_a_hugging_face_folder(recipe: dict[str, Any]) -> None:
    assert "hf_model" in recipe["checkpoint"]["save_contents"]
    assert "realm" not in recipe
    assert recipe["data"]["max_length"] <= recipe["data"]["max_token_len_per_gpu"]
