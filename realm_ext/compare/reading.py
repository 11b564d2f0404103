"""Finds and reads lm-eval's result folders for `realm compare`.

Files follow lm-eval 0.4.13 (lm_eval/loggers/evaluation_tracker.py, result_schema.py): `results_DATE.json` beside one
`samples_TASK_DATE.jsonl` a task. Samples are read a line at a time and only the head of a response is kept, so a
response of a million characters costs no memory.
"""

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from realm_ext.report.json_values import clean, finite, load_json, mapping
from realm_ext.report.reading import checkpoint_order
from reward_fns.mrpv import best_guess_rate
from reward_fns.response import parse_response
from reward_fns.routes import Route, routes_from

HEAD_CHARS = 160
LABEL_CHARS = 40
_DATED = re.compile(r".+_(\d{4}-\d\d-\d\dT[\d.:-]+)\.json")


@dataclass(frozen=True)
class Sample:
    """One document's result under one filter.

    Attributes:
        uid: the document's own id, else the first part of lm-eval's hash of it.
        question: head of what was asked, in one line.
        gold: the gold answer, shortened.
        label: the gold answer where it is short enough to be a class, else None.
        rule: the rule that decides the document, where it names one.
        edit: the edit of the rule book that the document is about, where it names one.
        answer: what was read from the response, else the response's end.
        prompt_hash: lm-eval's hash of the prompt.
        scores: the value of each metric, as logged.
    """

    uid: str
    question: str
    gold: str
    label: str | None
    rule: str | None
    edit: str | None
    answer: str
    prompt_hash: str
    scores: Mapping[str, Any]


@dataclass(frozen=True)
class TaskResult:
    """One task of a run.

    Attributes:
        metrics: (value, standard error or None) by (metric, filter).
        higher: whether higher is better, by metric; None where lm-eval does not say.
        n: documents that were scored; None when it is not known.
        settings: what else a comparison needs to be alike, as texts.
        samples: by filter, then by document; empty without a samples file.
        data_source: of the documents, where they have one.
        first_error_guess: what `first_error_acc` would be for the best constant guess by number of steps, from the routes
            of the documents; None where they have none.
    """

    task: str
    version: str
    metrics: Mapping[tuple[str, str], tuple[float, float | None]]
    higher: Mapping[str, bool | None]
    n: int | None
    limited: bool
    settings: Mapping[str, str]
    samples: Mapping[str, Mapping[str, Sample]]
    data_source: str
    first_error_guess: float | None = None


@dataclass(frozen=True)
class Group:
    """What lm-eval reports for a group of at least two tasks; `tasks` are its leaves, sorted."""

    tasks: tuple[str, ...]
    metrics: Mapping[tuple[str, str], tuple[float, float | None]]


@dataclass(frozen=True)
class Run:
    """The results of one model, task by task, and of the groups whose tasks are all among them.

    `model` is lm-eval's name of the model, from its arguments; empty where the results name none.
    """

    name: str
    model: str
    tasks: Mapping[str, TaskResult]
    groups: Mapping[str, Group]


@dataclass
class Found:
    """The runs that were read, and one line for each thing that is missing, torn or left out."""

    runs: list[Run] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def read_runs(given: Sequence[str]) -> Found:
    """Read what `realm compare` was given: folders of one model, parents of several, or NAME=PATH.

    Several training runs of one arm are `PATH,PATH,...` or NAME=PATH,PATH,..., or the same NAME given again; they come
    out as runs of one name, in the order given.

    Raises:
        FileNotFoundError: a path is not there, or holds no results of lm-eval.
        ValueError: a path of an arm holds several models or was given twice, or two arms have one name.
    """
    found = Found()
    is_named: dict[str, list[bool]] = {}  # one entry an argument
    read: set[tuple[str, Path]] = set()
    for text in given:
        name, paths = _name_and_paths(text)
        runs: list[tuple[str, list[Path]]] = []
        for path in paths:
            folders = _result_files(path)
            if (name or len(paths) > 1) and len(folders) > 1:
                inside = ", ".join(sorted(str(folder.relative_to(path)) for folder in folders))
                raise ValueError(
                    f"{path} holds the results of {len(folders)} models ({inside}); give NAME=PATH for one, "
                    "NAME=PATH,PATH for training runs of one arm"
                )
            runs += _names_of(path, folders).items()
        joined = "+".join(dict.fromkeys(label for label, _ in runs)) if len(paths) > 1 else ""
        for arm in dict.fromkeys(name or joined or label for label, _ in runs):
            is_named.setdefault(arm, []).append(bool(name))
        for label, files in runs:
            newest = name or joined or label, files[-1].resolve()
            if newest in read:
                raise ValueError(f"{newest[0]}: {newest[1].parent} was given twice; it is one training run")
            read.add(newest)
            found.runs.append(_read_run(newest[0], files, found.notes))
    for name, named in is_named.items():
        if len(named) > 1 and not all(named):
            raise ValueError(
                f"{len(named)} runs are named {name!r}; give each a name: NAME=PATH "
                "(the same name for training runs of one arm)"
            )
    return found


def _name_and_paths(text: str) -> tuple[str, list[Path]]:
    """The name ("" for none) and the folders of one argument; a path that is there may hold any character.

    Raises:
        ValueError: it names no path.
    """
    if Path(text).exists():
        return "", [Path(text)]
    before, equals, after = text.partition("=")
    name, rest = (before, after) if equals else ("", text)
    parts = [rest] if Path(rest).exists() else rest.split(",")
    if not all(parts):
        raise ValueError(f"{text!r} names no folder, or an empty one; give PATH, NAME=PATH or NAME=PATH,PATH")
    return name, [Path(part) for part in parts]


def _result_files(path: Path) -> dict[Path, list[Path]]:
    """Result files by folder, oldest first."""
    if not path.exists():
        raise FileNotFoundError(f"{path} is not there; give a folder that lm_eval wrote with --output_path")
    candidates = [path] if path.is_file() else sorted(path.rglob("*.json"))
    folders: dict[Path, list[Path]] = {}
    for file in candidates:
        if _DATED.fullmatch(file.name):
            folders.setdefault(file.parent, []).append(file)
    if not folders:
        raise FileNotFoundError(
            f"{path} holds no results_DATE.json; give a folder that lm_eval wrote with --output_path"
        )
    for files in folders.values():
        files.sort(key=_date_of)
    return folders


def _date_of(file: Path) -> str:
    match = _DATED.fullmatch(file.name)
    return match[1] if match else ""


def _names_of(path: Path, folders: Mapping[Path, list[Path]]) -> dict[str, list[Path]]:
    """A name for each folder: the path's own for one model, else the part below it that tells them apart."""
    if len(folders) == 1:
        (files,) = folders.values()
        own = path.resolve()
        return {clean(own.parent.name if own.is_file() else own.name): files}
    parts = {folder: folder.relative_to(path).parts or (path.resolve().name,) for folder in folders}
    firsts = Counter(part[0] for part in parts.values())
    named = {
        clean(part[0] if firsts[part[0]] == 1 else "/".join(part)): folders[folder]
        for folder, part in parts.items()
    }
    return dict(sorted(named.items(), key=lambda item: checkpoint_order(item[0])))


def _read_run(name: str, files: Sequence[Path], notes: list[str]) -> Run:
    tasks: dict[str, TaskResult] = {}
    groups: dict[str, Group] = {}
    source: dict[str, list[str]] = {}
    model = ""
    for file in files:  # oldest first, so that the newest stays
        content = mapping(load_json(file, f"{name}/{file.name}", notes))
        results = mapping(content.get("results"))
        if not results:
            notes.append(f"{name}/{file.name} has no table `results`: left out")
            continue
        model = clean(str(content.get("model_name") or "")) or model
        leaves = mapping(content.get("n-samples"))
        for task in results:
            if not leaves or task in leaves:
                tasks[task] = _read_task(name, task, content, file, notes)
                source.setdefault(task, []).append(file.name)
        groups |= _read_groups(content)
    for several in sorted({tuple(used) for used in source.values() if len(used) > 1}):
        which = ", ".join(task for task, used in source.items() if tuple(used) == several)
        notes.append(f"{name}: {len(several)} result files hold {which}; the newest, {several[-1]}, is used")
    return Run(name, model, dict(sorted(tasks.items())), dict(sorted(groups.items())))


def _read_groups(content: Mapping[str, Any]) -> dict[str, Group]:
    members = mapping(content.get("group_subtasks"))
    leaves = mapping(content.get("n-samples"))

    def open_up(name: str, above: tuple[str, ...] = ()) -> set[str]:
        inner = members.get(name)
        if name in above or not isinstance(inner, list):
            return {name}
        return {leaf for member in inner for leaf in open_up(str(member), (*above, name))}

    found = {}
    for name, row in mapping(content.get("groups")).items():
        tasks = tuple(sorted(open_up(name)))
        if len(tasks) > 1 and all(task in leaves for task in tasks):
            found[clean(name)] = Group(tasks, _metrics_of(mapping(row)))
    return found


def _metrics_of(row: Mapping[str, Any]) -> dict[tuple[str, str], tuple[float, float | None]]:
    """Value and standard error by metric and filter, from a row of lm-eval's `results` or `groups`."""
    metrics = {}
    for key, raw in row.items():
        metric, comma, chosen = key.partition(",")
        value = finite(raw)
        if comma and value is not None and not metric.endswith("_stderr"):
            metrics[metric, chosen] = (value, finite(row.get(f"{metric}_stderr,{chosen}")))
    return metrics


def _read_task(name: str, task: str, content: Mapping[str, Any], file: Path, notes: list[str]) -> TaskResult:
    metrics = _metrics_of(mapping(mapping(content.get("results")).get(task)))
    counts = mapping(mapping(content.get("n-samples")).get(task))
    n, original = finite(counts.get("effective")), finite(counts.get("original"))
    samples_file = file.with_name(f"samples_{task}_{_date_of(file)}.jsonl")
    samples, data_source, routes = _read_samples(samples_file, f"{name}/{samples_file.name}", notes)
    config = mapping(mapping(content.get("configs")).get(task))
    higher = mapping(mapping(content.get("higher_is_better")).get(task))
    return TaskResult(
        task=clean(task),
        version=str(mapping(content.get("versions")).get(task, "unknown")),
        metrics=metrics,
        higher={key: value if isinstance(value, bool) else None for key, value in higher.items()},
        n=int(n) if n else max((len(rows) for rows in samples.values()), default=0) or None,
        limited=n is not None and original is not None and n < original,
        settings={
            "few-shot examples": str(mapping(content.get("n-shot")).get(task, "unknown")),
            "generation settings": json.dumps(config.get("generation_kwargs"), sort_keys=True),
            "repeats": str(config.get("repeats", 1)),
            "chat template": "yes" if content.get("chat_template") else "no",
        },
        samples=samples,
        data_source=data_source,
        first_error_guess=best_guess_rate(routes),
    )


def _read_samples(
    path: Path, where: str, notes: list[str]
) -> tuple[dict[str, dict[str, Sample]], str, list[Route]]:
    """Samples by filter and document, the documents' data source, and their routes."""
    if not path.is_file():
        notes.append(f"{where} is missing: no paired comparison (give lm_eval --log_samples)")
        return {}, "", []
    samples: dict[str, dict[str, Sample]] = {}
    routes: list[Route] = []
    torn, data_source = 0, ""
    with path.open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            try:
                logged = json.loads(line)
                chosen, key, sample = _sample_of(logged)
            except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
                torn += bool(line.strip())
                continue
            doc = mapping(logged.get("doc"))
            data_source = data_source or str(doc.get("data_source", ""))
            if "first_error_acc" in sample.scores:
                routes += _routes_of(doc)
            rows = samples.setdefault(chosen, {})
            number = 1
            while key in rows:  # the same document stands more than once in the set
                number += 1
                key = f"{key.partition('#')[0]}#{number}"
            rows[key] = sample
    if torn:
        notes.append(f"{where}: {torn} lines are torn or no samples of lm-eval, left out")
    return samples, data_source, routes


def _routes_of(doc: Mapping[str, Any]) -> tuple[Route, ...]:
    """The routes of a document without their text; none where it has no readable ones."""
    try:
        return tuple(replace(r, steps=("",) * len(r.steps)) for r in routes_from(doc.get("routes")))
    except ValueError:
        return ()


def _sample_of(logged: Mapping[str, Any]) -> tuple[str, str, Sample]:
    """The filter, the document's key, and what is kept of one logged sample."""
    doc = mapping(logged.get("doc"))
    names = [name for name in logged["metrics"] if name in logged]
    scores = {name: logged[name] for name in names}
    gold = str(doc["gold"] if isinstance(doc.get("gold"), str) else logged.get("target", ""))
    digest = str(logged["doc_hash"])
    uid = doc.get("uid")
    rule, edit = doc.get("rule"), doc.get("edit")
    sample = Sample(
        uid=clean(str(uid)) if uid else digest[:16],
        question=_head(_question_of(logged, doc)),
        gold=_head(gold),
        label=gold if len(gold) <= LABEL_CHARS else None,
        rule=clean(rule) if isinstance(rule, str) else None,
        edit=clean(edit) if isinstance(edit, str) else None,
        answer=_answer_of(logged, scores),
        prompt_hash=str(logged.get("prompt_hash", "")),
        scores=scores,
    )
    return str(logged.get("filter", "none")), str(uid) if uid else digest, sample


def _question_of(logged: Mapping[str, Any], doc: Mapping[str, Any]) -> str:
    for name in ("question", "input", "problem", "query", "ctx", "text"):
        if isinstance(doc.get(name), str):
            return str(doc[name])
    first = mapping(mapping(logged.get("arguments")).get("gen_args_0"))
    return str(first.get("arg_0", ""))


def _answer_of(logged: Mapping[str, Any], scores: Mapping[str, Any]) -> str:
    """What was read, by the task's own account where it gives one, else the end of the response."""
    for value in scores.values():
        if isinstance(value, list) and len(value) == 2 and all(isinstance(v, str) for v in value):
            return _head(value[1]) or "(none read)"
    filtered = logged.get("filtered_resps") or [""]
    if all(isinstance(f, list) and len(f) == 2 for f in filtered) and len(filtered) > 1:
        likelihoods = [float(f[0]) for f in filtered]
        return f"choice {likelihoods.index(max(likelihoods)) + 1}"
    first = filtered[0]
    while isinstance(first, list) and first:  # repeats: the first of them
        first = first[0]
    text = first if isinstance(first, str) else ""
    answer = parse_response(text, 0).answer if "<answer>" in text else None
    if answer is not None:
        return _head(answer)
    return _head(text) if len(text) <= LABEL_CHARS else "..." + clean(text[-LABEL_CHARS:]).strip()


def _head(text: str) -> str:
    """The head of a text in one line of printable characters."""
    line = " ".join(clean(text[: 4 * HEAD_CHARS]).split())
    return line if len(line) <= HEAD_CHARS else line[: HEAD_CHARS - 3] + "..."
