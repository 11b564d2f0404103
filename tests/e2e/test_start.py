"""`realm start` as a domain team goes on from it: installed, tested, checked, evaluated, its recipes composed by Hydra."""

import json
import sys
from typing import Any

import pytest

from tests.data_prep.start.support_case import write_case
from tests.e2e.stack import Stack, install, realm

pytestmark = pytest.mark.timeout(900)

COMPOSE = """
import json
import sys
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
from realm_ext.config import read_config
with initialize_config_dir(config_dir=sys.argv[1], version_base=None):
    rl, sft = compose("rl"), compose("sft")
read_config(rl)
print("COMPOSED" + json.dumps({"rl": OmegaConf.to_container(rl), "sft": OmegaConf.to_container(sft)}))
"""
EVALUATE = """
import json
import sys
from lm_eval.tasks import TaskManager
manager = TaskManager(include_path=sys.argv[1], include_defaults=False)
task = manager.load(["realm_support"])["tasks"]["realm_support"]
docs = list(task.eval_docs)
found = {}
for name, answer in (("gold", lambda doc: doc["gold"]), ("constant", lambda doc: "Billing")):
    rows = [task.process_results(doc, [f"<think> x </think> <answer> {answer(doc)} </answer>"]) for doc in docs]
    found[name] = {key: agg([row[key] for row in rows]) for key, agg in task.aggregation().items()}
print("SCORED" + json.dumps({"n": len(docs), "prompt": task.doc_to_text(docs[0]), **found}))
"""


def after(text: str, mark: str) -> dict[str, Any]:
    """The JSON that a program printed behind a mark."""
    found: dict[str, Any] = json.loads(text.rpartition(mark)[2])
    return found


def test_a_domain_team_s_first_hour(stack: Stack) -> None:
    work = stack.folder / "start"
    work.mkdir()
    folder, site = work / "support", work / "site"
    stack.must(realm("start", *write_case(work), "--out", folder), 120)
    stack.must(install(folder, site), 300)
    installed = {"PYTHONPATH": str(site)}

    tests = [sys.executable, "-m", "pytest", "--quiet", "-p", "no:cacheprovider", str(folder / "tests")]
    assert "10 passed" in stack.must(tests, 120, **installed).out
    data = [folder / "data" / f"{name}.parquet" for name in ("train", "val", "test")]
    checked = stack.must(realm("check", *data), 120, **installed).out
    assert checked.count("bad 0") == 3 and "classes: " in checked
    typed = [sys.executable, "-m", "mypy", "--strict", str(folder / "support_domain")]
    assert "Success" in stack.must([*typed, "--cache-dir", str(work / "mypy")], 300).out

    recipes = after(stack.must([sys.executable, "-c", COMPOSE, str(folder / "recipes")], 300).out, "COMPOSED")
    rl, sft = recipes["rl"], recipes["sft"]
    assert rl["realm"]["schedule"]["fade_steps"] == 60
    assert rl["data"]["train_files"] == "data/train.parquet" and rl["data"]["train_batch_size"] == 32
    assert rl["trainer"]["v1"]["trainer_mode"] == "realm_sync"
    assert sft["model"]["path"] == rl["actor_rollout_ref"]["model"]["path"]

    scored = after(
        stack.must([sys.executable, "-c", EVALUATE, str(folder / "eval")], 300, **installed).out, "SCORED"
    )
    assert scored["gold"]["acc"] == scored["gold"]["macro_f1"] == 1.0
    assert 0.1 < scored["constant"]["acc"] < 0.6
    assert "Which label fits: " in str(scored["prompt"]) and "<answer>" in str(scored["prompt"])
