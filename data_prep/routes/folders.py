"""The folders that `realm routes` writes: data, rejects, dataset card and provenance.

Serves design.md, section Data.
"""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from data_prep.filters.similarity_option import option_of
from data_prep.on_disk import remove_scratch
from data_prep.outputs import (
    OTHER_LICENCE,
    PROVENANCE,
    Card,
    Provenance,
    check_apart,
    finish_folder,
    hash_file,
    replacing,
    start_folder,
    write_parquet,
    write_rejects,
)
from data_prep.routes.bank import bank_files, questions_of
from data_prep.routes.fingerprint import prompt_version
from data_prep.routes.harvest import Harvested, HarvestOptions, drawn, harvest_rows, replayed
from data_prep.routes.responses import questions_by_text
from data_prep.routes.sampling import Sampled, SamplePlan
from data_prep.routes.select import Selected, SelectOptions, select_rows
from data_prep.schema import RL_SCHEMA, SFT_SCHEMA

_LICENCE_NOTE = "The licences of the questions and of the model that wrote the routes apply."
_SPLITS = {"train": "train", "val": "validation", "test": "test"}


def write_selected(
    out: Path, bank: Path, data: Path, options: SelectOptions, student: str | None
) -> Selected:
    """Write `out/<name of data>.parquet` with composed sets; `student` is the model as it was named.

    Raises:
        ValueError: an input cannot be read.
    """
    check_apart(out, bank, data)
    start_folder(out)
    remove_scratch(out)
    selected = Selected()
    rows = select_rows(bank, data, options, selected, scratch=out)
    split = _SPLITS.get(data.stem, "train")
    written = write_parquet(out / f"{data.stem}.parquet", rows, RL_SCHEMA, config="rl", split=split)
    if selected.filters.examples:
        write_rejects(out, selected.filters.examples)
    card = Card(
        title="Questions with composed sets of routes, for ReaLM",
        summary=(
            f"Up to {options.k} routes a question, composed so that answers alone do not give verdicts away."
            if not options.mismatched
            else f"Up to {options.k} routes of other questions for each question: the control for claims about contrast."
        ),
        licence=OTHER_LICENCE,
        tags=("routes",),
        warning="Routes of other questions: a control, not training data." if options.mismatched else None,
    )
    provenance = Provenance(
        command="realm routes select BANK DATA OUT",
        parameters=_parameters(replace(options, student=student)),
        inputs={f"bank/{file.name}": hash_file(file) for file in bank_files(bank)}
        | {data.name: hash_file(data)},
        kept={
            "rows": written.rows,
            **{f"sets, {kind}": n for kind, n in sorted(selected.kinds.items())},
            **{f"routes, {kind}": n for kind, n in sorted(selected.labels.items())},
        },
        dropped={
            **{f"route: {why}": n for why, n in sorted(selected.filters.dropped.items())},
            **{f"route: {why}": n for why, n in sorted(selected.left_out.items())},
            **({"question without routes": selected.dropped} if selected.dropped else {}),
        },
        files=(written,),
        seed=options.seed,
        notes=(_LICENCE_NOTE,),
    )
    finish_folder(out, card, provenance)
    return selected


def write_harvested(
    out: Path,
    files: Sequence[Path],
    data: Path | None,
    options: HarvestOptions,
    replay: Path | None = None,
) -> tuple[Harvested, int]:
    """Write `out/sft.parquet` with harvested chains; gives the counts and the number of chains.

    With `replay`, `out/replay.parquet` holds as many contrast rows of that SFT file.

    Raises:
        ValueError: an input cannot be read, or `replay` has no contrast row.
    """
    check_apart(out, *files, *(path for path in (data, replay) if path))
    questions = questions_by_text(questions_of(data)) if data else {}
    start_folder(out)
    remove_scratch(out)
    harvested = Harvested()
    rows: Iterable[dict[str, Any]] = harvest_rows(files, questions, options, harvested, scratch=out)
    if options.most is not None:
        rows = drawn(rows, options.most)
        if surplus := harvested.filtered.kept - len(rows):
            harvested.filtered.dropped[f"more than {options.most} chains in all"] += surplus
    written = write_parquet(out / "sft.parquet", rows, SFT_SCHEMA, config="sft", split="train")
    made = [written]
    if replay:
        kept = replayed(replay, written.rows)
        harvested.replayed = len(kept)
        made.append(write_parquet(out / "replay.parquet", kept, SFT_SCHEMA, config="replay", split="train"))
    examples = [*harvested.read.examples, *harvested.filtered.examples]
    if examples:
        write_rejects(out, examples)
    dropped = Counter(harvested.unusable) + harvested.read.dropped + harvested.filtered.dropped
    card = Card(
        title=f"A model's own right {options.regime} chains, for ReaLM",
        summary=(
            "SFT rows with unguided prompts: chains that were right with routes in sight and are right without."
            if options.regime == "guided"
            else "SFT rows with unguided prompts: chains that were right without any route."
        ),
        licence=OTHER_LICENCE,
        tags=("routes", "self-training"),
    )
    inputs = {file.name: hash_file(file) for file in files}
    provenance = Provenance(
        command="realm routes harvest RESPONSES OUT",
        parameters=_parameters(options),
        inputs=inputs | {path.name: hash_file(path) for path in (data, replay) if path},
        kept={"rows": written.rows, **({"replayed": harvested.replayed} if replay else {})},
        dropped=dict(sorted(dropped.items())),
        files=tuple(made),
        prompt_version=prompt_version(),
        notes=(
            f"{harvested.sentences_removed} sentences that spoke of routes were taken out.",
            "The number in a reject's `source` is the line of its file.",
            _LICENCE_NOTE,
        ),
    )
    finish_folder(out, card, provenance)
    return harvested, written.rows


def finish_bank(bank: Path, data: Path, model: str, plan: SamplePlan, sampled: Sampled) -> None:
    """Write the card, provenance and rejects of a bank that was sampled into."""
    if sampled.rejects:
        write_rejects(bank, sampled.rejects)
    card = Card(
        title="A route bank, for ReaLM",
        summary="Chains of thought for questions, one a row, labelled by the domain's verifier.",
        licence=OTHER_LICENCE,
        tags=("routes",),
    )
    routes = sum(file.rows for file in sampled.files)
    writers = sorted({file.name.removeprefix("sampled-").rpartition("-")[0] for file in sampled.files})
    provenance = Provenance(
        command="realm routes sample DATA BANK",
        parameters={"model": model, "n": plan.n, "source": plan.source, **asdict(plan.sampling)},
        inputs={data.name: hash_file(data)},
        kept={"routes": routes, "routes, right": sampled.right, "routes, wrong": routes - sampled.right},
        dropped={why: n for why, n in sorted(sampled.outcomes.items()) if why != "route"},
        files=sampled.files,
        seed=plan.seed,
        teacher={"model": model, "writer": plan.writer},
        prompt_version=prompt_version(),
        notes=(
            f"Writers in this bank: {', '.join(writers)}; the command above is the last one.",
            _LICENCE_NOTE,
        ),
    )
    finish_folder(bank, card, provenance)


def refresh_hashes(folder: Path, note: str) -> None:
    """Bring the hashes in a folder's provenance up to date after its files were changed in place; `note` says how."""
    path = folder / PROVENANCE
    if not path.is_file():
        return
    content = json.loads(path.read_text(encoding="utf-8"))
    for entry in content["files"]:
        if (folder / entry["name"]).is_file():
            entry["sha256"] = hash_file(folder / entry["name"])
    content["notes"] = [*(n for n in content["notes"] if n != note), note]
    with replacing(path) as file:
        file.write(json.dumps(content, indent=2, ensure_ascii=False).encode("utf-8") + b"\n")


def _parameters(options: Any) -> Mapping[str, Any]:
    """The options that differ from their defaults, as the command has them."""
    default = asdict(type(options)())
    flat: dict[str, Any] = {}
    for name, value in asdict(options).items():
        if value == default[name]:
            continue
        if name == "similarity":
            value = option_of(value)
        flat |= value if isinstance(value, dict) else {name: value}
    return flat
