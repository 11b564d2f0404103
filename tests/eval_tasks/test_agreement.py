"""The task and the reward agree on real responses, all of them: 2,800 published solutions of four models."""

import json
from pathlib import Path

from eval_tasks.scoring import ANSWERED, score
from reward_fns import compute_score


def test_the_task_and_the_reward_agree_on_real_responses(shared_data: Path) -> None:
    lines = (shared_data / "gsm8k" / "example_model_solutions.jsonl").read_text(encoding="utf-8").splitlines()
    entries = [json.loads(line) for line in lines]
    compared, right = 0, 0
    for entry in entries:
        gold = entry["ground_truth"].rpartition("A: ")[2].rpartition("#### ")[2].strip()
        doc = {"question": entry["question"], "gold": gold, "data_source": "realm/math/unguided"}
        for published in entry.values():
            if not isinstance(published, dict):
                continue
            chain, _, answer = published["solution"].rpartition("\n")
            response = f"<think> {chain} </think>\n<answer> {answer} </answer>"
            reward = compute_score("realm/math", response, gold)
            got = score(doc, response)
            assert (got["acc"], got["format"]) == (reward["acc"], reward["format"])
            assert got["malformed"] == float(reward["reason"] not in ANSWERED)
            compared, right = compared + 1, right + int(got["acc"] == 1.0)
    assert compared == 2_800
    assert 0.2 < right / compared < 0.7
