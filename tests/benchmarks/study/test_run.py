"""The runner: real stages in order, rows that count as done, a stop that loses nothing. Stages here write small files."""

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from benchmarks.study import run as module
from benchmarks.study.plan import FIRST, STUDY_FILE, read_study
from benchmarks.study.rows import is_done, read_rows
from benchmarks.study.stages import Chain, Layout, chains, first_round
from realm_ext.stages import Stage

STUDY = read_study()
REALM, GRPO, VOTE, START, ZERO = (STUDY.arms[name] for name in ("realm", "grpo", "vote", "rft", "zero"))


def layout(tmp_path: Path) -> Layout:
    return Layout(STUDY_FILE, replace(STUDY, test_questions=6), tmp_path / "runs")


def names(found: list[Chain]) -> list[str]:
    return [stage.name for chain in found for stage in chain.stages]


def test_an_arm_runs_through_the_main_job_and_shares_what_it_can(tmp_path: Path) -> None:
    plan = layout(tmp_path)
    assert names(chains(plan, GRPO, 0)) == ["test", "data", "base", "sft", "rl", "merge_rl", "eval"]
    assert names(chains(plan, GRPO, 2)) == ["test", "data", "base", "data", "sft", "rl", "merge_rl", "eval"]
    assert names(chains(plan, START, 0)) == ["test", "data", "base", "sft", "eval"]
    assert names(chains(plan, ZERO, 0)) == ["test", "data", "base", "rl", "merge_rl", "eval"]
    assert names(chains(plan, VOTE, 0)) == ["test"]
    commands = {s.name: " ".join(s.command) for c in chains(plan, GRPO, 2) for s in c.stages}
    assert "-m verl.trainer.main_ppo" in commands["rl"] and "--config-name realm_quickstart" in commands["rl"]
    assert "data.seed=2" in commands["rl"] and "realm.seed=2" in commands["rl"]
    assert "-m lm_eval run" in commands["eval"] and "study_guided" in commands["eval"]
    ours, start = (chains(plan, arm, 1) for arm in (GRPO, START))
    assert ours[:-1] == start[:-1] and ours[-1].folder != start[-1].folder


def test_every_arm_has_commands_of_its_own_bank_and_start(tmp_path: Path) -> None:
    plan = layout(tmp_path)
    for arm in STUDY.arms.values():
        if arm.vote or not arm.train:
            continue
        command = " ".join(chains(plan, arm, 1)[-1].stages[0].command)
        assert ("train.parquet" in command) == (arm.bank == "all")
        assert arm.bank == "all" or f"train_{arm.bank}.parquet" in command
        assert plan.start_model(arm.start, 1) in command
        assert all(override in command for override in arm.overrides)


def test_what_becomes_of_the_rules_has_an_sft_of_its_own_and_where_they_stay_a_test_of_its_own(
    tmp_path: Path,
) -> None:
    plan = layout(tmp_path)
    kept, gone, never = (STUDY.arms[name] for name in ("rules_kept", "rules_gone", "rules_never"))
    for arm in (kept, gone, never):
        assert names(chains(plan, arm, 0)) == ["test", "data", "base", "rows", "sft", "eval"]
    commands = {s.name: s for c in chains(plan, kept, 1) for s in c.stages}
    assert commands["test"].command[-1] == "rules"
    assert commands["eval"].environment["STUDY_TEST"] == str(plan.test("rules")) != str(plan.test())
    assert "rules_kept" in commands["rows"].command and "data.max_length=1024" in commands["sft"].command
    assert chains(plan, gone, 1)[-2] == chains(plan, kept, 1)[-2]
    assert chains(plan, gone, 1)[-1].stages[-1].environment["STUDY_TEST"] == str(plan.test())


def test_an_arm_that_harvests_has_two_rounds_and_sft_on_its_own_chains_between(tmp_path: Path) -> None:
    plan, arm = layout(tmp_path), REALM
    stages = chains(plan, arm, 1)[-1].stages
    assert [stage.name for stage in stages] == [
        *("round1", "merge_round1", "harvest", "harvest_rows", "sft", "round2", "merge_round2", "eval")
    ]
    commands = {stage.name: " ".join(stage.command) for stage in stages}
    half = STUDY.rl.steps // 2
    for name in ("round1", "round2"):
        assert f"total_training_steps={half} " in commands[name]
        assert f"fade_steps={STUDY.rl.fade_steps // 2} " in commands[name]
    assert "data.seed=1 " in commands["round1"] and "data.seed=1001 " in commands["round2"]
    assert plan.start_model("positives", 1) in commands["round1"]
    rollouts = str(plan.arm(arm, 1) / "rollouts")
    assert f"trainer.rollout_data_dir={rollouts}" in commands["round1"] and rollouts in commands["harvest"]
    assert "rollout_data_dir" not in commands["round2"]
    assert str(first_round(plan.arm(arm, 1)) / "huggingface") in commands["sft"]
    assert str(stages[4].outputs[0].parent) in commands["round2"]
    assert plan.model(arm, 1) in commands["eval"]
    own = {
        stage.name: " ".join(stage.command) for stage in chains(plan, STUDY.arms["grpo_rft"], 1)[-1].stages
    }
    assert "routes harvest" in commands["harvest"] and "benchmarks.study.data own" in own["harvest"]


def test_a_changed_arm_gets_another_folder(tmp_path: Path) -> None:
    plan = layout(tmp_path)
    assert plan.arm(REALM, 0) != plan.arm(replace(REALM, overrides=("realm.fade=[steps]",)), 0)
    other = Layout(STUDY_FILE, replace(plan.study, model=replace(STUDY.model, layers=5)), tmp_path / "runs")
    assert other.root != plan.root


def write_stage(name: str, path: Path, text: str) -> Stage:
    code = "import sys, pathlib; p = pathlib.Path(sys.argv[1]); p.parent.mkdir(parents=True, exist_ok=True);"
    code += "p.write_text(sys.argv[2])"
    return Stage(name, name, (sys.executable, "-c", code, str(path), text), (path,))


def document(index: int) -> dict[str, Any]:
    right = {
        "steps": ["a"],
        "answer": "Exact",
        "label": True,
        "sound": True,
        "first_error": None,
        "source": "p",
    }
    wrong = right | {"answer": "Substitute", "label": False, "sound": False, "first_error": 0}
    routes = [right, wrong, right if index % 2 else wrong]
    shared = {"uid": str(index), "gold": "Exact", "long_tail": index < 3, "unseen": index == 0}
    return shared | {"question": f"q{index}", "routes": routes, "rule": "R12"}


@pytest.fixture
def faked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Chains of stages that write what the real ones leave behind, for `vote` and `sft`; `rft` fails."""

    def lines(rows: list[dict[str, Any]]) -> str:
        return "\n".join(json.dumps(row) for row in rows) + "\n"

    def samples(regime: str) -> str:
        source = f"realm/search_relevance/{regime}"
        verdicts = "<verdicts>\n1: right\n2: wrong at 1\n3: right\n</verdicts>" if regime == "guided" else ""
        rows = []
        for index in (3, 2, 1, 0, 4, 5):  # lm-eval logs by request, not by document
            doc = document(index) | {"data_source": source}
            if regime == "unguided":
                del doc["routes"]
            text = f"<think> x </think>{verdicts}<answer> {'Exact' if index < 4 else 'Substitute'} </answer>"
            rows.append({"doc_id": index, "doc": doc, "filtered_resps": [text], "acc": float(index < 4)})
        return lines(rows)

    def fake(plan: Layout, arm: Any, seed: int) -> list[Chain]:
        test = write_stage("test", plan.test() / "test.jsonl", lines([document(i) for i in range(6)]))
        found = [Chain(plan.test(), [test])]
        if arm.vote:
            return found
        folder = plan.arm(arm, seed)
        sums = lines(
            [{"doc_id": i, "doc": {}, "filtered_resps": [""], "acc": float(i < 3)} for i in range(4)]
        )
        files = {"unguided": samples("unguided"), "guided": samples("guided"), "arithmetic": sums}
        stages = [
            write_stage(f"eval_{name}", folder / "eval" / "m" / f"samples_study_{name}_2026.jsonl", text)
            for name, text in files.items()
        ]
        if arm.name == "rft":
            stages.append(Stage("rl", "fails", (sys.executable, "-c", "raise SystemExit(3)"), ()))
        return [*found, Chain(folder, stages)]

    monkeypatch.setattr(module, "chains", fake)
    return tmp_path


def options(folder: Path, *more: str) -> list[str]:
    return ["--runs", str(folder / "runs"), "--rows", str(folder / "rows"), *more]


def test_rows_are_written_once_and_a_failure_stops_nothing_else(
    faked: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    chosen = options(faked, "--arms", "vote,sft,rft", "--seeds", "0")
    with pytest.raises(SystemExit, match="not finished: rft, seed 0"):
        module.main(chosen)
    first = read_rows(faked / "rows")
    assert [(row.arm, row.seed) for row in first] == [("sft", 0), ("vote", 0)]
    sft, vote = first
    assert sft.scores("unguided") == [1, 1, 1, 1, 0, 0] and sft.questions == 6
    assert sft.metrics["unguided"]["acc"] == pytest.approx(4 / 6)
    assert sft.metrics["unguided"]["long_tail"] == sft.metrics["unguided"]["unseen"] == 1.0
    assert sft.metrics["guided"]["first_error_acc"] == pytest.approx(6 / 9)
    assert (
        sft.metrics["guided"]["first_error_guess"] == 1.0
    )  # all wrong routes have their error in the first step
    assert 0 < sft.metrics["guided"]["informedness"] < 1 and "informedness" not in sft.metrics["unguided"]
    assert (sft.arithmetic, sft.steps, sft.rollouts) == (0.75, 0, 0)
    assert vote.metrics["guided"]["acc"] == 0.5 and vote.arithmetic is None
    assert set(sft.versions) >= {"verl", "torch", "python"} and "cores" in sft.machine
    stamps = {path: path.stat().st_mtime_ns for path in (faked / "rows").rglob("*.jsonl")}
    with pytest.raises(SystemExit, match="rft"):
        module.main(chosen)
    assert stamps == {path: path.stat().st_mtime_ns for path in (faked / "rows").rglob("*.jsonl")}
    assert "exit code 3" in capsys.readouterr().out


def test_small_runs_its_two_arms_says_what_came_out_and_writes_no_result(
    faked: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    small = replace(STUDY, small_arms=("vote", "sft"), analysis=replace(STUDY.analysis, arm="sft"))
    monkeypatch.setattr(module, "read_study", lambda path: small)
    module.main(options(faked, "--small"))
    assert not (faked / "rows").exists()
    made = read_rows(faked / "runs" / "small_rows")
    assert [row.arm for row in made] == ["sft", "vote"]
    printed = capsys.readouterr().out
    assert (
        "Made by `make study-small`" in printed
        and "| sft | 1 | one training run: questions only | 66.7%" in printed
    )
    assert "Arms without a row" not in printed, "the others are no part of it"
    tested = replace(small, test_questions=small.small_test_questions)
    assert is_done(faked / "runs" / "small_rows", "sft", 0, tested.config_hash(STUDY.arms["sft"]))


def test_what_is_listed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    module.main(options(tmp_path, "--list"))
    shown = capsys.readouterr().out
    assert "realm" in shown and "0, 1, 2, 3, 4" in shown
    with pytest.raises(SystemExit, match="no arms nobody; there are vote, sft"):
        module.main(options(tmp_path, "--list", "--arms", "nobody"))


def test_seeds_may_be_others_than_the_studys() -> None:
    work = module.chosen(STUDY, (), ("sft", "grpo"), (100, 101))
    assert [(arm.name, seed) for arm, seed in work] == [
        *(("sft", 100), ("grpo", 100), ("sft", 101), ("grpo", 101))
    ]
    assert {arm.tier for arm, _ in module.chosen(STUDY, (2,), (), ())} == {2}


def test_arms_that_need_something_are_skipped(faked: Path, capsys: pytest.CaptureFixture[str]) -> None:
    module.main(options(faked, "--study", str(FIRST / "study.yaml"), "--arms", "rules_kept"))
    assert not (faked / "rows").exists()
    assert "needs prompts" in " ".join(capsys.readouterr().out.split())


def test_the_overview_counts_only_this_configuration(tmp_path: Path) -> None:
    console = Console(width=120, record=True)
    console.print(module.overview(STUDY, [(REALM, 0), (REALM, 1)], tmp_path))
    assert "0, 1" in console.export_text()
