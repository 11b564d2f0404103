"""What the verdicts of the study's arms rest on, and whether right verdicts mark sound reasoning.

    python -m benchmarks.study.judging --runs runs/study

Serves docs/study_plan.md: why MRPV's reward brings what it brings is asked of the responses themselves. Three tables, of
the arms and seeds whose run folders are there:

* of the guided test responses: how many verdicts are true, and how many say no more than whether the route's answer is the
  response's own (`right` where they agree);
* of the groups of guided rollouts that RL compares: how often their outcomes differ, how often their verdicts or the
  steps named are worth something different, and how often only these do, so that MRPV alone has something to say;
* of the right guided rollouts that were harvested between two rounds: how often the chain is the expert's, step by step,
  among all of them and among those whose verdicts were all right.
"""

import argparse
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.study.measure import read_samples, response_of
from benchmarks.study.plan import STUDY_FILE, Arm, Study, read_study
from benchmarks.study.stages import Layout
from data_prep.filters import Refusal
from data_prep.routes.bank import questions_of
from data_prep.routes.harvest import harvest_one
from data_prep.routes.responses import Found, questions_by_text, read_responses, response_files
from data_prep.search_relevance.datasets import teach
from data_prep.search_relevance.expert import with_names
from eval_tasks.scoring import agreement
from realm_ext import traces
from realm_ext.report.rounds import round_folders
from reward_fns.domains import get
from reward_fns.response import parse_response
from reward_fns.routes import Route, routes_from

DOMAIN = get("search_relevance")
_NUMBER = re.compile(r"^\d+\. ")


@dataclass
class Verdicts:
    """Verdicts read, those that are true, and those that compare answers and no more."""

    n: int = 0
    true: int = 0
    follow: int = 0

    def add(self, text: str, routes: Sequence[Route], gold: str) -> None:
        """Count the verdicts of a response on these routes; one without a readable answer has none."""
        response = parse_response(text, len(routes))
        if response.answer is not None:
            follows = agreement(routes, response.verdicts, response.answer, DOMAIN)
            self.n += len(follows)
            self.true += sum(agreement(routes, response.verdicts, gold, DOMAIN))
            self.follow += sum(follows)


@dataclass
class Chains:
    """Right guided chains, and how many are sound; the same of those whose verdicts were all right."""

    n: int = 0
    sound: int = 0
    judged: int = 0
    judged_sound: int = 0

    def add(self, guided: Found) -> None:
        """Count a guided rollout if harvest would take its chain."""
        made = harvest_one(guided)
        if isinstance(made, Refusal):
            return
        chain = parse_response(made[0]["messages"][-1]["content"], 0).think or ""
        sound = is_sound(chain, guided.question.text)
        verdicts = parse_response(guided.text, len(guided.shown)).verdicts
        true = agreement(guided.shown, verdicts, guided.question.gold, DOMAIN)
        judged = len(true) == len(guided.shown) and all(true)
        self.n += 1
        self.sound += sound
        self.judged += judged
        self.judged_sound += sound and judged


@dataclass
class Groups:
    """Guided groups of at least two, and in how many outcomes, judgements, or judgements alone differ."""

    n: int = 0
    outcome: int = 0
    judgement: int = 0
    judgement_alone: int = 0

    def add(self, components: Sequence[Mapping[str, float]]) -> None:
        """Count a group by the reward components of its rollouts."""
        if len(components) < 2:
            return
        outcome = len({c["outcome"] for c in components}) > 1
        judgement = len({(round(c["verdict"], 6), round(c["decisive"], 6)) for c in components}) > 1
        self.n += 1
        self.outcome += outcome
        self.judgement += judgement
        self.judgement_alone += judgement and not outcome


def is_sound(chain: str, question: str) -> bool:
    """Whether a chain makes every check of the expert's full chain, finds the same, and concludes by the same rule."""
    steps = tuple(_NUMBER.sub("", line.strip()) for line in chain.splitlines() if line.strip())
    return steps == with_names(teach(question, "full")).steps


def judged(layout: Layout, arm: Arm) -> Verdicts:
    """Of the test responses of all seeds that are there."""
    found = Verdicts()
    for seed in _measured(layout, arm):
        for sample in read_samples(layout.arm(arm, seed) / "eval", "study_guided"):
            doc: dict[str, Any] = sample["doc"]
            found.add(response_of(sample), routes_from(doc["routes"]), doc["gold"])
    return found


def compared(layout: Layout, arm: Arm) -> Groups:
    """Of the guided rollouts of all rounds and seeds that are there."""
    found = Groups()
    for seed in _measured(layout, arm):
        for part in round_folders(layout.arm(arm, seed)):
            groups: dict[tuple[int, str], list[Mapping[str, float]]] = defaultdict(list)
            for line in traces.read(part / "checkpoints"):
                if line["regime"] == "guided":
                    groups[line["step"], line["uid"]].append(line["components"])
            for components in groups.values():
                found.add(components)
    return found


def harvested(layout: Layout, arm: Arm) -> Chains:
    """Of the first round's rollouts of all seeds that are there."""
    found = Chains()
    for seed in _measured(layout, arm):
        questions = questions_by_text(questions_of(layout.bank(arm, seed)))
        for file in response_files(layout.arm(arm, seed) / "rollouts"):
            for line in read_responses(file, questions):
                if isinstance(line, Found):
                    found.add(line)
    return found


def _measured(layout: Layout, arm: Arm) -> list[int]:
    """The seeds whose test is there, and so all that comes before it."""
    return [seed for seed in layout.study.seeds[1] if (layout.arm(arm, seed) / "eval").is_dir()]


def tables(layout: Layout) -> list[Table]:
    """The three tables, a line for each arm that is there."""
    verdicts = Table("arm", "verdicts", "true", "compare answers", title="guided test responses")
    groups = Table(
        "arm",
        "groups",
        "outcomes differ",
        "judgements differ",
        "only judgements",
        title="guided groups of RL",
    )
    chains = Table("arm", "chains", "sound", "verdicts all right", "of these sound", title="harvested chains")
    for arm in layout.study.arms.values():
        if (v := judged(layout, arm)).n:
            verdicts.add_row(arm.name, f"{v.n:,}", *_shares((v.true, v.n), (v.follow, v.n)))
        if (g := compared(layout, arm)).n:
            shares = _shares((g.outcome, g.n), (g.judgement, g.n), (g.judgement_alone, g.n))
            groups.add_row(arm.name, f"{g.n:,}", *shares)
        if arm.harvest == "guided" and (c := harvested(layout, arm)).n:
            shares = _shares((c.sound, c.n), (c.judged, c.n), (c.judged_sound, c.judged))
            chains.add_row(arm.name, f"{c.n:,}", *shares)
    return [verdicts, groups, chains]


def _shares(*pairs: tuple[int, int]) -> Iterable[str]:
    return (f"{part / whole:.1%}" if whole else "" for part, whole in pairs)


def main(arguments: Sequence[str] | None = None) -> None:
    """See the module's text."""
    parser = argparse.ArgumentParser(description="What the verdicts of the study's arms rest on.")
    parser.add_argument("--study", type=Path, default=STUDY_FILE, help="the declarative file")
    parser.add_argument("--runs", type=Path, default=Path("runs/study"), help="where the study ran")
    options = parser.parse_args(arguments)
    study: Study = read_study(options.study)
    console = Console()
    with console.status("reading"):
        found = tables(Layout(options.study.absolute(), study, options.runs.absolute()))
    for table in found:
        console.print(table)


if __name__ == "__main__":
    main()
