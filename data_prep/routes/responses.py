"""Where responses are found: verl's rollout dumps and the samples that lm-eval logs.

Serves design.md, section EAAI (harvest). verl writes `N.jsonl` a step to `trainer.rollout_data_dir`, with the decoded
prompt and response and no word of the row; the question is found in the prompt again. lm-eval's `samples_*.jsonl` hold the whole
document. Route traces hold no text, and cannot be harvested.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data_prep.routes.bank import Question
from realm_ext.prompt import ABOUT_CUT, CUT, GUIDED, UNGUIDED
from reward_fns.domains import domain_of
from reward_fns.routes import Route, routes_from

ROUTES_HEAD = "\n\nRoutes to judge:\n"
_DUMP = re.compile(r"\d+\.jsonl")
_ROUTE = re.compile(r"Route \d+")
_STEP = re.compile(r"\d+\. ")
_ANSWER = re.compile(r"Answer \d+: ")
_MOST_LINES = 1000
_AFTER_ROUTES = GUIDED.partition("<think>")[0]


@dataclass(frozen=True)
class Found:
    """A response with its question and the routes that it saw (labels unknown: false); none: it is an unguided one."""

    question: Question
    shown: tuple[Route, ...]
    text: str
    where: str


@dataclass(frozen=True)
class Unusable:
    """A line that holds no response of the wanted regime to a known question, with the reason."""

    reason: str
    where: str
    text: str = ""


def response_files(path: Path) -> list[Path]:
    """The files with responses at a path: itself, a dump folder's files by step, or lm-eval's samples under a folder.

    Raises:
        ValueError: there are none; says what would be.
    """
    if path.is_file():
        return [path]
    dumps = sorted((f for f in path.glob("*.jsonl") if _DUMP.fullmatch(f.name)), key=lambda f: int(f.stem))
    found = dumps or sorted(path.glob("**/samples_*.jsonl"))
    if found:
        return found
    traces = any(path.glob("**/traces/step_*.jsonl")) or any(path.glob("step_*.jsonl"))
    raise ValueError(
        f"{path} holds no responses: "
        + ("route traces have no text. " if traces else "")
        + "Train with trainer.rollout_data_dir=FOLDER and give that folder, or evaluate with lm_eval --log_samples"
    )


def is_evaluation(file: Path) -> bool:
    """Whether the file holds samples of lm-eval."""
    return file.name.startswith("samples_")


def questions_by_text(questions: Iterable[Question]) -> dict[str, Question]:
    """The questions by their text, as `read_responses` looks them up; all are held in memory."""
    return {question.text.strip(): question for question in questions}


def read_responses(
    file: Path, questions: Mapping[str, Question], regime: str = "guided"
) -> Iterator[Found | Unusable]:
    """The lines of a file, each as a response or as what it lacks.

    Args:
        file: one of `response_files`.
        questions: of the run's training data; not needed for lm-eval's samples.
        regime: "guided", or "unguided": those whose prompts showed no route.
    """
    with file.open("rb") as lines:
        for number, raw in enumerate(lines, start=1):
            where = f"{file.name}:{number}"
            if not raw.strip():
                continue
            try:
                entry = json.loads(raw)
                yield (
                    _from_sample(entry, where, regime)
                    if is_evaluation(file)
                    else _from_dump(entry, questions, where, regime)
                )
            except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
                yield Unusable("line not readable", where, f"{type(error).__name__}: {error}")


def shown_in(prompt: str) -> tuple[Route, ...]:
    """The routes that a rendered prompt shows, read back from its text."""
    _, head, block = prompt.partition(ROUTES_HEAD)
    if not head:
        return ()
    routes: list[tuple[list[str], str]] = []
    for line in block.partition(ABOUT_CUT)[0].partition(_AFTER_ROUTES)[0].splitlines():
        if _ROUTE.fullmatch(line.strip()):
            routes.append(([], ""))
        elif routes and (answer := _ANSWER.match(line)):
            routes[-1] = (routes[-1][0], line[answer.end() :])
        elif routes and line.strip() not in ("", CUT):
            routes[-1][0].append(_STEP.sub("", line, count=1))
    return tuple(Route(tuple(steps), answer, False, None, None, "") for steps, answer in routes)


def _from_dump(
    entry: Mapping[str, Any], questions: Mapping[str, Question], where: str, regime: str
) -> Found | Unusable:
    prompt, text = str(entry["input"]), str(entry["output"])
    shown = shown_in(prompt)
    if (seen := _regime(shown)) != regime:
        return Unusable(seen, where)
    before = prompt.partition(ROUTES_HEAD if shown else UNGUIDED)[0]
    starts = [0, *(match.end() for match in re.finditer(r"\n", before))]
    # The chat template has put something in front: the question starts at one of the lines, most often a late one.
    found = next(
        (q for start in starts[: -_MOST_LINES - 1 : -1] if (q := questions.get(before[start:].strip()))), None
    )
    if found is None:
        return Unusable("question not in the data", where, before[-200:])
    return Found(found, shown, text, where)


def _from_sample(entry: Mapping[str, Any], where: str, regime: str) -> Found | Unusable:
    doc = entry["doc"]
    shown = routes_from(doc.get("routes"))
    if (seen := _regime(shown)) != regime:
        return Unusable(seen, where)
    row = {
        "prompt": [{"role": "user", "content": doc["question"]}],
        "reward_model": {"ground_truth": doc["gold"]},
        "data_source": doc["data_source"],
        "extra_info": {"uid": doc.get("uid")},
    }
    domain_of(doc["data_source"])
    return Found(Question.of(row), shown, str(entry["resps"][0][0]), where)


def _regime(shown: Sequence[Route]) -> str:
    return "guided" if shown else "unguided"
