"""A whole run over real HTTP: what is written, and that interruptions leave no trace in it."""

import asyncio
import json
import os
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from data_prep.distill.card import About
from data_prep.distill.experts import find_expert
from data_prep.distill.flow import Plan
from data_prep.distill.limits import Prices
from data_prep.distill.openai_teacher import OpenAITeacher
from data_prep.distill.options import NONE, PROGRAM, TEACHER, Options
from data_prep.distill.program_teacher import ProgramTeacher
from data_prep.distill.progress import Silent
from data_prep.distill.questions import Question, Read, Reject
from data_prep.distill.requests import Parameters
from data_prep.distill.run import Distillation, Written, known_to
from data_prep.distill.sender import Ending, Limits, Sender
from data_prep.distill.store import Store
from data_prep.distill.writing import EXAMPLES
from data_prep.filters import Candidate, Refusal
from data_prep.schema import BANK_SCHEMA, RL_SCHEMA, SFT_SCHEMA
from data_prep.search_relevance.generator import make_item
from reward_fns import compute_score, domains
from reward_fns.content import content_uid
from reward_fns.response import parse_response
from tests.data_prep.distill.fault_server import FaultServer, often_at_first, serving
from tests.data_prep.distill.test_limits import Stopwatch

pytest.importorskip("openai")
SEARCH = domains.get("search_relevance")
EXPERT = find_expert("search_relevance")
PARAMETERS = Parameters(max_tokens=300)
OPTIONS = Options(SEARCH, Plan(2, 3, rationalise=True), TEACHER, contrast_share=0.3)
FILES = {"README.md", "provenance.json", "rejects.jsonl", "sft.parquet", "train.parquet", "bank.parquet"}


def questions(n: int) -> Read:
    items = [make_item(7, "test", index) for index in range(n)]
    pairs = {item.question: item.decision.label for item in items}
    made = [Question(content_uid(q, gold), q, gold, i, "train") for i, (q, gold) in enumerate(pairs.items())]
    return Read(tuple(made), (Reject(n, "not JSON", "{"),))


READ = questions(18)


def run(
    server: FaultServer,
    out: Path,
    store: Path,
    options: Options = OPTIONS,
    limits: Limits | None = None,
    stop_after: int | None = None,
    read: Read = READ,
) -> tuple[Written | None, Sender]:
    """As the command does it, with fake time; `stop_after` ends it after so many replies."""

    async def whole() -> tuple[Written | None, Sender]:
        teacher = OpenAITeacher("org/model", server.url, PARAMETERS)
        distillation = Distillation(read, options, teacher, PARAMETERS, EXPERT)
        with Store(store) as kept:
            version = distillation.prompts.version
            sender = Sender(teacher, kept, limits or Limits(), version, PARAMETERS, Stopwatch())
            replied = kept.replied

            def count(*args: Any) -> None:
                replied(*args)
                if stop_after is not None and sender.counts["replies"] + 1 >= stop_after:
                    sender.end(Ending.INTERRUPTED, "test")

            kept.replied = count  # type: ignore[method-assign, assignment]
            await distillation.fill(sender, 4, Silent())
            written = None
            if sender.stop is None or sender.stop.ending is Ending.CEILING:
                about = About({"q.jsonl": "hash"}, "other", (limits or Limits()).prices)
                written = await distillation.write(out, sender.known, about, Silent())
            await teacher.close()
        return written, sender

    return asyncio.run(whole())


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def rows(folder: Path, name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = pq.read_table(folder / f"{name}.parquet").to_pylist()
    return found


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    with serving() as server:
        written, sender = run(server, folder / "out", folder / "store")
        assert written is not None and written.left == 0 and sender.stop is None
        assert set(server.asked.values()) == {1}
    return folder


def test_sft_rows(undisturbed: Path) -> None:
    found = rows(undisturbed / "out", "sft")
    assert pq.read_schema(undisturbed / "out" / "sft.parquet") == SFT_SCHEMA
    golds = {question.uid: question for question in READ.questions}
    shares = Counter(row["kind"] for row in found)
    assert 2 <= shares["contrast"] <= int(0.3 * len(found) + 0.5) and shares["chain"] >= 8
    assert [golds[row["uid"]].index for row in found] == sorted(golds[row["uid"]].index for row in found)
    for row in found:
        prompt, response = (message["content"] for message in row["messages"])
        assert prompt.startswith(golds[row["uid"]].text) and "Rules" not in prompt
        assert "[R" not in prompt + response and "(" in response
        shown = prompt.count("\nRoute ")
        parsed = parse_response(response, shown)
        assert not parsed.problems and (shown > 0) == (row["kind"] == "contrast")
        score = compute_score("realm/search_relevance", response, golds[row["uid"]].gold, {"routes": []})
        assert score["outcome"] == 1


def test_bank_and_rl_rows(undisturbed: Path) -> None:
    bank, train = rows(undisturbed / "out", "bank"), rows(undisturbed / "out", "train")
    assert pq.read_schema(undisturbed / "out" / "bank.parquet") == BANK_SCHEMA
    assert pq.read_schema(undisturbed / "out" / "train.parquet") == RL_SCHEMA
    assert {row["label"] for row in bank} == {True, False}
    assert all((row["answer"] == row["gold"]) == row["label"] for row in bank)
    assert {row["source"] for row in bank} <= {"teacher/model", "teacher/model/rationalised"}
    assert len({row["writer"] for row in bank}) == 1
    assert len(train) == len(READ.questions) and all(len(row["extra_info"]["routes"]) <= 4 for row in train)
    assert all(SEARCH.check_row(row) == [] for row in train)


def test_counts_and_bill(undisturbed: Path) -> None:
    provenance = json.loads((undisturbed / "out" / "provenance.json").read_text())
    dropped = provenance["dropped"]
    assert dropped["question: not JSON"] == 1 and dropped["reply: truncated"] > 0
    assert {"reply: unknown rule cited", "reply: unparsable: no_answer"} < dropped.keys()
    assert "reply: right chain not taken: deciding rule not cited" in dropped
    lines = (undisturbed / "out" / "rejects.jsonl").read_text().splitlines()
    examples = Counter(json.loads(line)["reason"] for line in lines)
    assert examples == {reason: min(count, EXAMPLES) for reason, count in dropped.items()}
    with Store(undisturbed / "store", read_only=True) as store:
        assert provenance["teacher"]["replies"] == len(store) == store.counts["reply"]
    kept = sum(count for what, count in provenance["kept"].items() if what.startswith("sft"))
    assert kept == len(rows(undisturbed / "out", "sft"))
    assert provenance["teacher"]["model"] == "org/model" and "key" not in str(provenance["teacher"])


def test_a_finished_run_asks_for_nothing_and_writes_the_same(undisturbed: Path, tmp_path: Path) -> None:
    with serving() as server:
        run(server, tmp_path / "out", undisturbed / "store")
        assert not server.asked
    before, after = content(undisturbed / "out"), content(tmp_path / "out")
    assert before.keys() == after.keys() == FILES
    assert {name for name in FILES if before[name] != after[name]} <= {"provenance.json"}, "but for the port"


def test_interruptions_faults_and_a_torn_store_leave_no_trace(undisturbed: Path, tmp_path: Path) -> None:
    with serving(fail=often_at_first) as server:
        for number in range(2):
            written, sender = run(server, tmp_path / "out", tmp_path / "store", stop_after=15)
            assert written is None and sender.stop is not None and not (tmp_path / "out").exists()
            if number == 1:
                (shard,) = (tmp_path / "store").glob("*.jsonl")
                # Which came last is a matter of time: a reply, or the error of a try.
                torn_reply = json.loads(shard.read_bytes().splitlines()[-1])["t"] == "reply"
                os.truncate(shard, shard.stat().st_size - 30)
        written, _ = run(server, tmp_path / "out", tmp_path / "store")
        assert written is not None and server.faults.keys() > {"ok", "429", "500"}
        repeats = sum(server.served.values()) - len(server.served)
        assert repeats == torn_reply, "only the torn one is asked for again"
    before, after = content(undisturbed / "out"), content(tmp_path / "out")
    assert {name for name in FILES if before[name] != after[name]} <= {"provenance.json"}, "but for the port"
    described = [json.loads(files["provenance.json"]) for files in (before, after)]
    for each in described:
        del each["teacher"]["base_url"]
    assert described[0] == described[1]


def test_a_ceiling_writes_what_is_there_and_says_so(undisturbed: Path, tmp_path: Path) -> None:
    prices = Prices(Decimal(1), Decimal(1))
    with serving() as server:
        limits = Limits(prices=prices, max_cost=Decimal("0.03"))
        written, sender = run(server, tmp_path / "out", tmp_path / "store", limits=limits)
        assert written is not None and 0 < written.left < 18 and sender.stop is not None
        assert "**Partial: " in (tmp_path / "out" / "README.md").read_text()
        with Store(tmp_path / "store", read_only=True) as store:
            assert Decimal("0.02") < store.spent + store.unsettled <= Decimal("0.03")
        written, _ = run(server, tmp_path / "out", tmp_path / "store")
        assert written is not None and written.left == 0 and set(server.asked.values()) == {1}
    before, after = content(undisturbed / "out"), content(tmp_path / "out")
    assert before["sft.parquet"] == after["sft.parquet"] and before["README.md"] == after["README.md"]


class Refuse:
    """Refuses what a test says."""

    def __init__(self, wanted: Callable[[Candidate], bool]) -> None:
        self.wanted = wanted

    def refuse(self, candidate: Candidate) -> Refusal | None:
        return Refusal("not wanted", candidate.uid) if self.wanted(candidate) else None


def program(tmp_path: Path, options: Options) -> Written:
    assert EXPERT is not None
    teacher = ProgramTeacher("search_relevance", EXPERT)
    distillation = Distillation(READ, options, teacher, Parameters(), EXPERT)
    about = About({"q.jsonl": "hash"})
    return asyncio.run(distillation.write(tmp_path, known_to(teacher), about, Silent()))


BY_PROGRAM = Options(SEARCH, Plan(1, 1), PROGRAM)


def test_program(tmp_path: Path) -> None:
    written = program(tmp_path / "a", BY_PROGRAM)
    program(tmp_path / "b", BY_PROGRAM)
    assert content(tmp_path / "a") == content(tmp_path / "b")
    found, bank = rows(tmp_path / "a", "sft"), rows(tmp_path / "a", "bank")
    n = len(READ.questions)
    assert Counter(row["kind"] for row in found) == {
        "contrast": int(0.3 * n + 0.5),
        "chain": n - int(0.3 * n + 0.5),
    }
    assert all(row["first_error"] is not None for row in bank if not row["label"])
    assert {row["label"] for row in bank} == {True, False} and written.left == 0


def test_rules_can_stay_in_some_prompts(tmp_path: Path) -> None:
    program(tmp_path, replace(BY_PROGRAM, keep_rules=0.5))
    kept = [row for row in rows(tmp_path, "sft") if row["messages"][0]["content"].startswith("Rules, ")]
    assert 3 <= len(kept) <= 15
    assert all("Brand differs: Another brand" in row["messages"][0]["content"] for row in kept)
    assert all("R7" not in row["messages"][0]["content"] for row in kept)


def test_filters_of_questions_and_of_rows(tmp_path: Path) -> None:
    first = READ.questions[0].uid
    options = replace(
        BY_PROGRAM,
        filters=(Refuse(lambda candidate: "so Exact" in candidate.text),),
        question_filters=(Refuse(lambda candidate: candidate.uid == first),),
    )
    written = program(tmp_path, options)
    assert written.tally.dropped["question: not wanted"] == 1 and written.tally.dropped["row: not wanted"] > 1
    assert all(row["extra_info"]["uid"] != first for row in rows(tmp_path, "train"))
    assert all("so Exact" not in row["messages"][1]["content"] for row in rows(tmp_path, "sft"))


def test_shards_load_with_datasets(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    program(tmp_path, BY_PROGRAM)
    program(tmp_path, replace(BY_PROGRAM, rows_per_file=7))
    names = [path.name for path in sorted(tmp_path.glob("sft*"))]
    assert names == [f"sft-0000{n}-of-00003.parquet" for n in range(3)]
    for name, files in (("sft", "sft*"), ("bank", "bank*"), ("rl", "train*")):
        loaded = datasets.load_dataset(str(tmp_path), name, split="train", cache_dir=str(tmp_path / "cache"))
        assert len(loaded) == sum(pq.read_metadata(path).num_rows for path in tmp_path.glob(files)) > 7
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize(
    "wrong", [{"contrast_share": 1.5}, {"keep_rules": -1}, {"contrast_from": "people"}, {"routes": 0}]
)
def test_options_are_checked(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        replace(OPTIONS, **wrong)


def test_contrast_rows_by_program_need_an_expert() -> None:
    assert EXPERT is not None
    with pytest.raises(ValueError, match="has no expert"):
        Distillation(READ, BY_PROGRAM, ProgramTeacher("x", EXPERT), Parameters(), None)
    Distillation(
        READ, replace(BY_PROGRAM, contrast_from=NONE), ProgramTeacher("x", EXPERT), Parameters(), None
    )
