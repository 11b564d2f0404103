"""The same main job on real text: GSM8K questions with four models' right and wrong solutions as routes.

These are questions of GSM8K's test split: a smoke run, never a result.
"""

import json
from pathlib import Path

import pytest

from realm_ext.report.scalars import read_scalars
from tests.e2e.stack import Stack, realm, rl

pytestmark = pytest.mark.timeout(1800)

PROMPT_TOKENS, RESPONSE_TOKENS = 1536, 32

# What a run logs of exposure and rewards, in verl's own logger. First errors are unknown here, so `decisive` is missing,
# and this model judges no route, so the shares of verdicts are; validation has its curves in test_rl_resume.py.
EXPECTED = {
    *(f"realm/{name}" for name in ("schedule", "exposure", "guided_share", "routes_shown", "steps_shown")),
    *("realm/routes_dropped", "realm/verdicts/missing"),
    *(f"realm/unguided/{name}" for name in ("score", "outcome", "format", "response_length")),
    *(f"realm/guided/{name}" for name in ("score", "outcome", "format", "response_length")),
    *(f"realm/guided/{name}" for name in ("verdict", "raw_verdict", "consistent")),
}


def test_rl_runs_on_gsm8k_with_real_routes(stack: Stack, shared_data: Path) -> None:
    folder = stack.folder / "gsm8k"
    source = shared_data / "gsm8k" / "example_model_solutions.jsonl"
    done = stack.must(realm("prep", "gsm8k-routes", source, folder / "data"), 300)
    assert "smoke run only, never a result" in " ".join(done.err.split())
    rows = folder / "data" / "routes.parquet"

    model = folder / "model"
    stack.must(realm("demo-model", rows, model, "--hidden", 64, "--layers", 2, "--positions", 2048), 600)

    command = rl(
        folder / "checkpoints",
        model,
        rows,
        rows,
        f"data.max_prompt_length={PROMPT_TOKENS}",
        f"data.max_response_length={RESPONSE_TOKENS}",
        f"actor_rollout_ref.rollout.max_model_len={PROMPT_TOKENS + RESPONSE_TOKENS}",
        "realm.schedule.kind=linear",
        "realm.schedule.fade_steps=3",
        "realm.max_routes=4",
        "trainer.total_training_steps=4",
        "trainer.save_freq=-1",
        "trainer.test_freq=-1",
        "trainer.val_before_train=false",
        f"trainer.rollout_data_dir={folder / 'rollouts'}",
    )
    stack.must(command, 1200, TENSORBOARD_DIR=str(folder / "tensorboard"))

    series, _ = read_scalars(folder / "tensorboard")
    assert series["realm/exposure"].steps == (1, 2, 3, 4)
    assert series["realm/exposure"].values == pytest.approx((2 / 3, 1 / 3, 0, 0), abs=1e-3)
    assert max(series["realm/guided_share"].values) > 0
    assert max(series["realm/routes_shown"].values) >= 1
    assert EXPECTED - series.keys() == set()
    longest = max(series["prompt_length/max"].values)
    assert 100 < longest <= PROMPT_TOKENS, "guided prompts hold routes of real length, within the budget"

    # What verl dumps of the rollouts is what `realm routes harvest` reads: every guided one is found in the data.
    command = realm("routes", "harvest", folder / "rollouts", folder / "harvested", "--data", rows)
    harvested = stack.run(command, 300)
    counts = json.loads((folder / "harvested" / "provenance.json").read_text())
    rollouts = sum(len(path.read_text().splitlines()) for path in (folder / "rollouts").glob("*.jsonl"))
    assert counts["kept"]["rows"] + sum(counts["dropped"].values()) == rollouts == 4 * 16, harvested.out
    assert harvested.code == (0 if counts["kept"]["rows"] else 1), harvested.err
    assert 0 < counts["dropped"]["unguided"] < rollouts
    assert not {"question not in the data", "line not readable"} & set(counts["dropped"])
