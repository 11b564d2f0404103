"""Sampling into a bank: nothing asked twice, whatever is killed; seeds by content; every reply a route or a counted reason."""

import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from data_prep.routes.bank import Question, questions_of, read_bank
from data_prep.routes.engine import Reply, Request, Sampling
from data_prep.routes.sampling import SamplePlan, read_footer, request_seed, sample_into, shards_of
from realm_ext.prompt import UNGUIDED
from tests.data_prep.routes.banks import rl_rows, write_rl

PLAN = SamplePlan("w1", "student", 4, 0, Sampling(), shard_rows=10)


@pytest.fixture
def questions(tmp_path: Path) -> list[Question]:
    return list(questions_of(write_rl(tmp_path / "train.parquet", rl_rows(12))))


class Program:
    """An engine: right, wrong, cut off or refused by the sample's number; `stop_after` replies it is killed."""

    def __init__(self, stop_after: int | None = None, out_of_order: bool = False) -> None:
        self.asked: list[Request] = []
        self.stop_after = stop_after
        self.out_of_order = out_of_order

    def __call__(self, requests: Iterable[Request]) -> Iterator[Reply]:
        waiting = reversed(list(requests)) if self.out_of_order else requests
        for request in waiting:
            if self.stop_after is not None and len(self.asked) >= self.stop_after:
                raise KeyboardInterrupt
            self.asked.append(request)
            yield self.reply(request)

    def reply(self, request: Request) -> Reply:
        number = request.messages[-1]["content"].split()[2]
        right = str(2 * int(number))
        text = f"<think> 1. sample {request.sample}\n2. so </think><answer> {{}} </answer>"
        return {
            0: Reply(request.uid, 0, text.format(right), 9),
            1: Reply(request.uid, 1, text.format(7), 9),
            2: Reply(request.uid, 2, "<think> and so on", 9, truncated=True),
            3: Reply(request.uid, 3, "", refused="the question does not fit the model's context"),
        }[request.sample]


def test_replies_become_routes_and_counted_reasons(questions: list[Question], tmp_path: Path) -> None:
    engine = Program()
    sampled = sample_into(tmp_path / "bank", [*questions, questions[0]], PLAN, lambda: engine)
    assert (sampled.asked, sampled.reused, sampled.tokens) == (48, 0, 12 * 27)
    assert sampled.outcomes == {
        "route": 24,
        "cut off at the token limit": 12,
        "the question does not fit the model's context": 12,
    }
    rows = list(read_bank(tmp_path / "bank"))
    assert len(rows) == 24 and sampled.right == sum(row["label"] for row in rows) == 12
    assert {row["uid"] for row in rows} == {question.uid for question in questions}
    assert all(row["writer"] == "w1" and row["source"] == "student" and not row["stale"] for row in rows)
    assert {row["steps"][0] for row in rows} == {"sample 0", "sample 1"}
    assert [reject["reason"] for reject in sampled.rejects].count("cut off at the token limit") == 12
    assert len(sampled.files) == 5 and sum(file.rows for file in sampled.files) == 24


def test_prompts_are_unguided_and_seeds_come_from_content(questions: list[Question], tmp_path: Path) -> None:
    engine = Program()
    sample_into(tmp_path / "bank", questions, PLAN, lambda: engine)
    assert all(request.messages[-1]["content"].endswith(UNGUIDED) for request in engine.asked)
    assert len({request.seed for request in engine.asked}) == 48
    assert all(request.seed == request_seed(0, request.uid, request.sample) for request in engine.asked)
    assert request_seed(1, "u", 0) != request_seed(0, "u", 0) and 0 <= request_seed(0, "u", 1) < 2**31


@pytest.mark.parametrize("kill_at", [0, 1, 9, 10, 11, 25, 47])
def test_killed_and_called_again_asks_for_what_is_missing_only(
    kill_at: int, questions: list[Question], tmp_path: Path
) -> None:
    whole, bank = tmp_path / "whole", tmp_path / "bank"
    sample_into(whole, questions, PLAN, Program)
    killed = Program(stop_after=kill_at)
    with pytest.raises(KeyboardInterrupt):
        sample_into(bank, questions, PLAN, lambda: killed)
    stored = {(uid, n) for shard in shards_of(bank) for uid, n, _ in read_footer(shard)["replies"]}
    assert len(stored) == kill_at // 10 * 10, "all but the unwritten shard"
    again = Program()
    sampled = sample_into(bank, questions, PLAN, lambda: again)
    assert stored.isdisjoint({(r.uid, r.sample) for r in again.asked})
    assert sampled.reused == len(stored) and sampled.asked == 48 - len(stored)
    key = ("uid", "steps")
    first, second = (
        sorted(read_bank(path), key=lambda row: [str(row[k]) for k in key]) for path in (whole, bank)
    )
    assert first == second

    def nothing_to_load() -> Program:
        raise AssertionError("the engine was loaded with nothing to ask")

    assert sample_into(bank, questions, PLAN, nothing_to_load).asked == 0


def test_more_samples_and_questions_later(questions: list[Question], tmp_path: Path) -> None:
    sample_into(tmp_path, questions[:6], replace(PLAN, n=2), Program)
    engine = Program()
    sampled = sample_into(tmp_path, questions, PLAN, lambda: engine)
    assert (sampled.asked, sampled.reused) == (36, 12)
    other = sample_into(tmp_path, questions[:2], replace(PLAN, writer="w2"), Program)
    assert other.asked == 8, "another checkpoint is asked anew"
    assert {row["writer"] for row in read_bank(tmp_path)} == {"w1", "w2"}


def test_an_engine_may_answer_in_any_order(questions: list[Question], tmp_path: Path) -> None:
    sampled = sample_into(tmp_path, questions, PLAN, lambda: Program(out_of_order=True))
    assert sampled.outcomes["route"] == 24


def test_another_way_of_sampling_into_the_same_bank_is_refused(
    questions: list[Question], tmp_path: Path
) -> None:
    sample_into(tmp_path, questions, PLAN, Program)
    warm = replace(PLAN, sampling=Sampling(temperature=0.5))
    with pytest.raises(ValueError, match=r"temperature 1\.0, not 0\.5: repeat that, or give another folder"):
        sample_into(tmp_path, questions, warm, Program)


@pytest.mark.parametrize(
    ("engine", "message"),
    [
        (lambda requests: iter([Reply("stranger", 0, "")]), "uid stranger, sample 0, which nobody waits for"),
        (lambda requests: (Reply(r.uid, 0, "") for r in requests), "which nobody waits for"),
        (
            lambda requests: (Reply(r.uid, r.sample, "") for r in list(requests)[:-1]),
            "left 1 questions without",
        ),
    ],
)
def test_an_engine_that_does_not_answer_each_request_once_is_refused(
    engine: object, message: str, questions: list[Question], tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=message):
        sample_into(tmp_path, questions, PLAN, lambda: engine)  # type: ignore[arg-type, return-value]


def test_a_foreign_file_with_a_shards_name_is_named(questions: list[Question], tmp_path: Path) -> None:
    write_rl(tmp_path / "sampled-w1-00000.parquet", rl_rows(1))
    with pytest.raises(ValueError, match=r"sampled-w1-00000\.parquet has the name of a shard"):
        sample_into(tmp_path, questions, PLAN, Program)


@pytest.mark.parametrize("bad", [{"temperature": -1}, {"top_p": 0}, {"max_tokens": 0}])
def test_impossible_sampling_is_refused(bad: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="sampling needs"):
        Sampling(**bad)  # type: ignore[arg-type]


_SAMPLE = """
import sys
from pathlib import Path
from data_prep.routes.bank import questions_of
from data_prep.routes.engine import Reply, Sampling
from data_prep.routes.sampling import SamplePlan, sample_into

def engine(requests):
    for request in requests:
        yield Reply(request.uid, request.sample, f"<think> 1. {request.sample}</think><answer> 7 </answer>", 9)

data, bank, half = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
questions = list(questions_of(data))[half::2]
print("ready", flush=True)
sys.stdin.readline()
sample_into(bank, questions, SamplePlan("w1", "student", 4, 0, Sampling(), shard_rows=10), lambda: engine)
"""


def test_two_processes_that_sample_into_one_bank_lose_nothing(tmp_path: Path) -> None:
    data, bank = write_rl(tmp_path / "train.parquet", rl_rows(24)), tmp_path / "bank"
    both = [
        subprocess.Popen(
            [sys.executable, "-c", _SAMPLE, data, bank, str(half)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for half in (0, 1)
    ]
    for process in both:
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
    for process in both:
        process.communicate("go\n", timeout=60)
    assert [process.returncode for process in both] == [0, 0]
    answered = [(uid, n) for shard in shards_of(bank) for uid, n, _ in read_footer(shard)["replies"]]
    assert len(answered) == len(set(answered)) == 24 * 4
    assert len(list(read_bank(bank))) == 24 * 4


def test_replies_of_no_use_end_the_sampling_and_are_kept(tmp_path: Path) -> None:
    questions = list(questions_of(write_rl(tmp_path / "train.parquet", rl_rows(30))))

    def useless(requests: Iterable[Request]) -> Iterator[Reply]:
        return (Reply(request.uid, request.sample, "I cannot say.", 3) for request in requests)

    with pytest.raises(
        ValueError, match=r"0 of the first 50 replies can be used\. Most often: no answer \(50\)"
    ):
        sample_into(tmp_path / "bank", questions, PLAN, lambda: useless)
    assert sum(len(read_footer(shard)["replies"]) for shard in shards_of(tmp_path / "bank")) == 50
    sampled = sample_into(tmp_path / "bank", questions, replace(PLAN, min_usable=0), lambda: useless)
    assert (sampled.reused, sampled.asked) == (50, 70)
