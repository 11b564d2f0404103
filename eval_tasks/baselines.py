"""What a score is worth: accuracies that need no model, for every task whose data ships with ReaLM.

Serves design.md, section Layout, and the command `realm baselines`. The figures are committed as
eval_tasks/baselines.json, which `realm baselines --write` makes and a test holds equal; `realm compare` shows them
beside the runs.
"""

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml

from eval_tasks.link import task_files
from reward_fns.domains import Domain, domain_of
from reward_fns.routes import Route, routes_from

FILE = Path(__file__).resolve().parent / "baselines.json"
BUNDLED = ("eval_tasks.bundled.load", "eval_tasks.changed_rule.load")
RANDOM, MAJORITY, VOTE, SOURCE = "random", "majority class", "vote of the routes", "best single source"
NAMES = (RANDOM, MAJORITY, VOTE, SOURCE)
PRESENT = 0.5
"""A source of routes counts where it has routes for at least this share of the documents."""
_OPTION = re.compile(r"^\(([A-J])\) ", re.MULTILINE)


@dataclass(frozen=True)
class Baselines:
    """The figures of one task.

    Attributes:
        version: of the task.
        documents: how many it has.
        acc: accuracy in [0, 1] by baseline; without what does not apply.
        which: the class, and the source of routes, that were best.
    """

    version: float
    documents: int
    acc: dict[str, float]
    which: dict[str, str]


def task_config(path: Path) -> dict[str, Any]:
    """A task's YAML with what it includes, functions as their names.

    Raises:
        OSError, yaml.YAMLError: the file, or one it includes, cannot be read.
    """

    class Loader(yaml.SafeLoader):
        pass

    Loader.add_constructor("!function", lambda loader, node: loader.construct_scalar(node))  # type: ignore[arg-type]
    own: dict[str, Any] = yaml.load(path.read_text(encoding="utf-8"), Loader=Loader)
    included = own.pop("include", [])
    merged: dict[str, Any] = {}
    for name in [included] if isinstance(included, str) else included:
        merged |= task_config(path.parent / name)
    return merged | own


def compute_all() -> dict[str, Baselines]:
    """The baselines of every task with bundled data, by task, sorted."""
    found = {}
    for path in task_files():
        config = task_config(path)
        if config.get("custom_dataset") in BUNDLED:
            module, _, function = config["custom_dataset"].rpartition(".")
            docs = list(getattr(import_module(module), function)(**config["dataset_kwargs"])["test"])
            found[config["task"]] = compute(docs, float(config["metadata"]["version"]))
    return dict(sorted(found.items()))


def compute(docs: Sequence[Mapping[str, Any]], version: float) -> Baselines:
    """The baselines of documents with `gold`, `question`, `data_source` and, if guided, `routes`.

    `random` is a guess among the domain's labels or the options that the question offers; `majority class` the answer
    that is right most often in this very set; `vote of the routes` the answer that most of a document's routes give,
    shared among answers given equally often; `best single source` the accuracy of the routes of one source, the best
    of those that have routes for at least half of the documents.
    """
    domain = domain_of(docs[0]["data_source"])
    acc, which = {}, {}
    chances = [_chance(doc, domain) for doc in docs]
    if all(chances):
        acc[RANDOM] = sum(chances) / len(docs)
    golds = Counter(domain.extract(doc["gold"]) or doc["gold"] for doc in docs)
    answer, count = max(sorted(golds.items()), key=lambda item: item[1])
    acc[MAJORITY], which[MAJORITY] = count / len(docs), answer
    banks = [routes_from(doc.get("routes")) for doc in docs]
    if all(banks):
        acc[VOTE] = sum(_vote(bank, domain) for bank in banks) / len(docs)
        sources = _sources(banks)
        if sources:
            which[SOURCE], acc[SOURCE] = max(sorted(sources.items()), key=lambda item: item[1])
    return Baselines(version, len(docs), {name: round(value, 6) for name, value in acc.items()}, which)


def _chance(doc: Mapping[str, Any], domain: Domain) -> float:
    """The chance that a guess among the possible answers is right; 0 where answers are open."""
    options = len(domain.labels) or len(set(_OPTION.findall(doc["question"])))
    return 1 / options if options else 0.0


def _vote(bank: Sequence[Route], domain: Domain) -> float:
    """The share of right answers among those that most routes give."""
    groups: list[list[Route]] = []
    for route in bank:
        same = (g for g in groups if _is_same(route.answer, g[0].answer, domain))
        group = next(same, None)
        if group is None:
            groups.append([route])
        else:
            group.append(route)
    most = max(len(group) for group in groups)
    top = [group[0].label for group in groups if len(group) == most]
    return sum(top) / len(top)


def _is_same(first: str, second: str, domain: Domain) -> bool:
    read = domain.extract(first)
    return first == second or (read is not None and domain.equivalent(read, second))


def _sources(banks: Sequence[Sequence[Route]]) -> dict[str, float]:
    """For each source with routes for enough documents: how often a route of it, drawn for each of these, is right."""
    shares: dict[str, list[float]] = {}
    for bank in banks:
        for source in {route.source for route in bank}:
            labels = [route.label for route in bank if route.source == source]
            shares.setdefault(source, []).append(sum(labels) / len(labels))
    return {
        source: sum(values) / len(values)
        for source, values in shares.items()
        if len(values) >= PRESENT * len(banks)
    }


def as_json(found: Mapping[str, Baselines]) -> str:
    """The text of the committed file."""
    return json.dumps({task: vars(figures) for task, figures in found.items()}, indent=1) + "\n"


def table(found: Mapping[str, Baselines]) -> str:
    """The figures as a Markdown table, in percent."""
    lines = ["| task | documents | " + " | ".join(NAMES) + " |", "|---|---:|" + "---:|" * len(NAMES)]
    for task, figures in found.items():
        cells = [f"{100 * figures.acc[name]:.1f}" if name in figures.acc else "-" for name in NAMES]
        lines.append(f"| `{task}` | {figures.documents} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def baselines(
    write: Annotated[
        bool,
        typer.Option("--write", help="Also write them to eval_tasks/baselines.json, for `realm compare`."),
    ] = False,
) -> None:
    """Print what guessing, the most frequent answer and the routes alone score on the bundled tasks.

    Example: realm baselines
    """
    found = compute_all()
    if write:
        FILE.write_text(as_json(found), encoding="utf-8", newline="\n")
    typer.echo(table(found))
