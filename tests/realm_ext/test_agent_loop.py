"""The agent loop on a fake engine and tokenizer: who sees what, the length budget, what reaches the reward."""

import asyncio
import re
from collections.abc import Callable, Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("verl")

from verl.workers.rollout.replica import TokenOutput

from realm_ext.agent_loop import Prepared, RealmAgentLoop, final_only_params
from realm_ext.config import RealmConfig
from realm_ext.prompt import UNGUIDED

ROUTES = [
    {
        "steps": [f"step {i}"],
        "answer": str(i),
        "label": i == 0,
        "sound": None,
        "first_error": None,
        "source": "x",
    }
    for i in range(4)
]


class CharacterTokens:
    """One token per character, and a record of what was tokenised."""

    eos_token_id = 3

    def __init__(self) -> None:
        self.seen: list[str] = []

    def build_initial_tokens(self, messages: Sequence[Mapping[str, Any]]) -> list[int]:
        text = "".join(message["content"] for message in messages)
        self.seen.append(text)
        return [ord(character) for character in text]

    def decode(self, ids: Sequence[int]) -> str:
        return "".join(map(chr, ids))


class Engine:
    """Answers every prompt with tokens 1, 2, 3, or the first `most` of them, and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.most = 3

    async def generate(self, **request: Any) -> TokenOutput:
        self.asked.append(request)
        fields = {"global_steps": 5, "min_global_steps": 5, "max_global_steps": 5}
        n = self.most
        return TokenOutput(token_ids=[1, 2, 3][:n], log_probs=[-0.1, -0.2, -0.3][:n], extra_fields=fields)


def make_loop(prompt_length: int = 10_000, exposure: float = 1.0, **options: Any) -> RealmAgentLoop:
    loop = RealmAgentLoop.__new__(RealmAgentLoop)
    loop.realm = RealmConfig(schedule={"kind": "constant"}, **options)
    loop.schedule = lambda step: exposure
    loop.prompt_length, loop.response_length = prompt_length, 2
    loop.context = prompt_length + 2
    loop.engine_params = {"detokenize": False}
    loop.continuous_token_builder = loop.tokenizer = CharacterTokens()
    loop.server_manager = Engine()
    loop.rollout_config = SimpleNamespace(n=8)
    return loop


def row(**info: Any) -> dict[str, Any]:
    return {
        "raw_prompt": [{"role": "user", "content": "2+3?"}],
        "extra_info": info,
        "global_steps": 5,
    }


def run(loop: RealmAgentLoop, action: Callable[[], Any]) -> Any:
    async def inside() -> Any:
        loop.loop = asyncio.get_running_loop()
        return await action()

    return asyncio.run(inside())


def prepare(loop: RealmAgentLoop, given: dict[str, Any], n: int = 8) -> Prepared:
    found = run(loop, lambda: loop.prepare(given, n))
    assert isinstance(found, Prepared)
    return found


def text(ids: Sequence[int]) -> str:
    return "".join(map(chr, ids))


def test_each_distinct_prompt_is_tokenised_once() -> None:
    loop = make_loop()
    prepared = prepare(loop, row(uid="q", regime=None, routes=ROUTES))
    assert len(loop.continuous_token_builder.seen) == 2
    assert sum(prepared.plan.guided) == 6
    assert text(prepared.unguided_ids) == "2+3?" + UNGUIDED
    assert all(f"step {i}" in text(prepared.guided_ids) for i in range(4))


def test_shown_is_the_order_of_numbering() -> None:
    prepared = prepare(make_loop(), row(uid="q", regime="guided", routes=ROUTES))
    prompt = text(prepared.guided_ids)
    for number, index in enumerate(prepared.plan.shown, start=1):
        assert f"Route {number}\n1. step {index}\nAnswer {number}: {index}\n" in prompt


def test_unguided_prompts_hold_nothing_of_a_route() -> None:
    for exposure, regime in ((0.0, None), (1.0, "unguided")):
        loop = make_loop(exposure=exposure)
        prepared = prepare(loop, row(uid="q", regime=regime, routes=ROUTES))
        assert not any(prepared.plan.guided)
        assert prepared.plan.shown == ()
        assert loop.continuous_token_builder.seen == ["2+3?" + UNGUIDED]


def test_rows_without_the_routes_key_keep_their_prompt() -> None:
    for info in ({}, {"index": 3}, None):
        given = {**row(), "extra_info": info}
        prepared = prepare(make_loop(), given)
        assert text(prepared.unguided_ids) == "2+3?"
        assert prepared.row_uid == ""


@pytest.mark.parametrize("kind", ["image", "video", "audio"])
def test_images_are_never_dropped_in_silence(kind: str) -> None:
    parts = [{"type": kind, kind: "file:///a"}, {"type": "text", "text": "what is this?"}]
    for info in ({}, {"uid": "q", "regime": None, "routes": ROUTES}):
        given = {**row(**info), "raw_prompt": [{"role": "user", "content": parts}], "index": 7}
        with pytest.raises(ValueError, match=f"row 7 holds parts of type {kind}.*reads text only"):
            prepare(make_loop(), given)


def test_full_determinism_gives_each_rollout_an_id_and_a_seed_of_its_own_and_the_same_again() -> None:
    """verl's `det-{priority}` and its one seed would make a group's rollouts one and the same here."""

    def asked(seed: int, step: int = 5) -> list[tuple[str, int]]:
        loop = make_loop()
        loop.rollout_config = SimpleNamespace(n=8, full_determinism=True, seed=seed, name="vllm")
        given = {**row(uid="q", regime=None, routes=ROUTES), "global_steps": step}
        prepared = prepare(loop, given)
        for session_id in range(8):
            run(loop, lambda i=session_id: loop.generate(prepared, i, {"temperature": 1.0}))  # type: ignore[misc]
        return [(r["request_id"], r["sampling_params"]["seed"]) for r in loop.server_manager.asked]

    first = asked(0)
    assert asked(0) == first
    assert len({request_id for request_id, _ in first}) == len({seed for _, seed in first}) == 8
    assert all(request_id.startswith("det-") and 0 <= seed < 2**31 for request_id, seed in first)
    assert not set(first) & set(asked(1)) and not set(first) & set(asked(0, step=6))


def test_without_it_ids_are_drawn_anew_and_no_seed_is_set() -> None:
    loop = make_loop()
    prepared = prepare(loop, row())
    for _ in range(2):
        run(loop, lambda: loop.generate(prepared, 0, {}))
    one, two = loop.server_manager.asked
    assert one["request_id"] != two["request_id"] and "seed" not in one["sampling_params"]


def test_rows_with_no_routes_get_the_instruction() -> None:
    prepared = prepare(make_loop(), row(uid="q", regime="guided", routes=[]))
    assert text(prepared.unguided_ids) == "2+3?" + UNGUIDED


def test_over_the_budget_whole_routes_go() -> None:
    full = len(prepare(make_loop(), row(uid="q", regime="guided", routes=ROUTES)).guided_ids)
    prepared = prepare(make_loop(prompt_length=full - 1), row(uid="q", regime="guided", routes=ROUTES))
    assert (len(prepared.plan.shown), prepared.routes_dropped) == (3, 1)
    assert len(prepared.guided_ids) <= full - 1
    assert prepared.plan.guided == (True,) * 8


def test_when_no_route_fits_the_group_is_unguided() -> None:
    budget = len("2+3?" + UNGUIDED)
    prepared = prepare(make_loop(prompt_length=budget), row(uid="q", regime="guided", routes=ROUTES))
    assert prepared.plan.guided == (False,) * 8
    assert (prepared.plan.shown, prepared.routes_dropped) == ((), 4)
    assert len(prepared.unguided_ids) == budget


@pytest.mark.parametrize("info", [{"uid": "q", "regime": None, "routes": ROUTES}, {"index": 7}])
def test_a_question_is_never_cut(info: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="never cut"):
        prepare(make_loop(prompt_length=3), row(**info))


def test_a_rollout_says_what_it_saw_and_keeps_the_engines_fields() -> None:
    loop = make_loop(exposure=0.9, fade=("routes",))
    given = row(uid="q", regime=None, routes=ROUTES)
    params = {"temperature": 1.0}

    async def both() -> Any:
        prepared = await loop.prepare(given, 8)
        return prepared, await loop.generate(prepared, 0, params), await loop.generate(prepared, 7, params)

    prepared, guided, unguided = run(loop, both)
    assert guided.extra_fields["shown"] == list(prepared.plan.shown)
    assert unguided.extra_fields["shown"] == []
    assert (guided.extra_fields["guided"], unguided.extra_fields["guided"]) == (True, False)
    assert guided.extra_fields["exposure"] == 0.9
    assert guided.extra_fields["row_uid"] == "q"
    assert guided.extra_fields["min_global_steps"] == 5
    assert guided.prompt_ids == list(prepared.guided_ids)
    assert unguided.prompt_ids == list(prepared.unguided_ids)
    assert (guided.response_ids, guided.response_mask, guided.response_logprobs) == (
        [1, 2],
        [1, 1],
        [-0.1, -0.2],
    )
    assert params == {"temperature": 1.0}
    assert loop.server_manager.asked[0]["sampling_params"] == {"temperature": 1.0, "detokenize": False}


@pytest.mark.parametrize(("end", "opened"), [("<|assistant|>\n<think>\n", True), ("<|assistant|>\n", False)])
def test_a_rollout_says_whether_the_prompt_opened_its_thinking(end: str, opened: bool) -> None:
    loop = make_loop()
    given = row(index=7)
    given["raw_prompt"].append({"role": "assistant", "content": end})
    output = run(loop, lambda: loop.run({}, session_id=0, **given))
    assert output.extra_fields["thinking_opened"] is opened


@pytest.mark.parametrize(
    ("budget", "context", "cut"),
    [
        (2, 100, True),  # the engine's [1, 2, 3], of which two fit
        (3, 100, False),  # full, but the last token ends the response
        (4, 100, False),
        (4, len("2+3?") + 3, False),
        (4, len("2+3?") + 2, True),  # the prompt leaves room for two
    ],
)
def test_a_rollout_says_whether_it_was_cut(budget: int, context: int, cut: bool) -> None:
    loop = make_loop()
    loop.response_length, loop.context = budget, context
    loop.server_manager.most = context - len("2+3?")
    prepared = prepare(loop, row())
    assert run(loop, lambda: loop.generate(prepared, 0, {})).extra_fields["cut"] is cut


def test_an_empty_response_was_not_cut() -> None:
    loop = make_loop()
    loop.server_manager.most = 0
    prepared = prepare(loop, row())
    assert run(loop, lambda: loop.generate(prepared, 0, {})).extra_fields["cut"] is False


def test_verls_own_way_in_makes_the_same_decisions() -> None:
    loop = make_loop(exposure=0.5)
    given = row(uid="q", regime=None, routes=ROUTES)
    plan = prepare(loop, given).plan

    async def one_by_one() -> list[Any]:
        return [await loop.run({}, session_id=i, **given) for i in range(8)]

    outputs = run(loop, one_by_one)
    assert tuple(output.extra_fields["guided"] for output in outputs) == plan.guided


def test_engine_params_are_ones_vllm_takes() -> None:
    vllm = pytest.importorskip("vllm.sampling_params")
    assert vllm.SamplingParams(**final_only_params()).detokenize is False


LONG = [{**route, "steps": [f"step {i}.{s}" for s in range(6)]} for i, route in enumerate(ROUTES)]


def test_steps_that_are_cut_are_not_in_the_prompt() -> None:
    prepared = prepare(make_loop(exposure=0.5, fade=("steps",)), row(uid="q", regime=None, routes=LONG))
    prompt = text(prepared.guided_ids)
    assert len(prepared.plan.shown) == 4
    for index, n_steps in zip(prepared.plan.shown, prepared.plan.shown_steps, strict=True):
        assert 0 < n_steps < 6
        for step in range(6):
            assert (f"step {index}.{step}\n" in prompt) == (step < n_steps)
        assert not re.search(rf"Answer \d: {index}", prompt)


def test_the_reward_is_told_what_was_cut() -> None:
    loop = make_loop(exposure=0.5, fade=("steps", "presence"))
    prepared = prepare(loop, row(uid="q", regime=None, routes=LONG))
    guided = run(loop, lambda: loop.generate(prepared, 0, {})).extra_fields
    assert (guided["shown"], guided["shown_steps"]) == (
        list(prepared.plan.shown),
        list(prepared.plan.shown_steps),
    )
    unguided = run(loop, lambda: loop.generate(prepared, 7, {})).extra_fields
    assert (unguided["shown"], unguided["shown_steps"]) == ([], [])
    assert (unguided["session_id"], unguided["train_step"]) == (7, 5)


def test_over_the_budget_the_routes_that_stay_keep_their_steps() -> None:
    arguments: dict[str, Any] = {"exposure": 0.5, "fade": ("steps",)}
    given = row(uid="q", regime=None, routes=LONG)
    full = prepare(make_loop(**arguments), given)
    steps = dict(zip(full.plan.shown, full.plan.shown_steps, strict=True))
    less = prepare(make_loop(prompt_length=len(full.guided_ids) - 1, **arguments), given)
    assert less.routes_dropped == 1
    assert less.plan.shown_steps == tuple(steps[i] for i in less.plan.shown)


def test_the_rows_own_exposure_is_taken_before_the_schedules() -> None:
    given = {**row(uid="q", regime=None, routes=ROUTES), "realm_exposure": 0.0}
    prepared = prepare(make_loop(exposure=1.0), given)
    assert (prepared.plan.exposure, any(prepared.plan.guided)) == (0.0, False)


def test_a_row_handed_out_again_is_planned_as_of_its_own_step() -> None:
    given = row(uid="q", regime=None, routes=LONG)
    first = prepare(make_loop(exposure=0.5), given)
    again = prepare(
        make_loop(exposure=0.5), {**given, "global_steps": 9, "realm_step": given["global_steps"]}
    )
    assert again == first
    other = [prepare(make_loop(exposure=0.5), {**given, "global_steps": step}) for step in range(6, 12)]
    assert any(one.plan != first.plan for one in other)
