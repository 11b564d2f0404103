"""`realm preview` on a small data set: its figures are those of the plans, and a fault ends in one line."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import typer
from omegaconf import DictConfig, OmegaConf
from typer.testing import CliRunner

from data_prep.schema import RL_SCHEMA, rl_row
from realm_ext.config import RealmConfig, read_config
from realm_ext.preview import command
from realm_ext.preview.drawing import draw, draw_beside
from realm_ext.preview.levels import view_levels
from realm_ext.preview.planning import (
    look_ahead,
    plan_of,
    render_plan,
    steps_to_view,
    view_lengths,
    view_step,
)
from realm_ext.preview.sampling import Question, Sample, compose_config, sample_questions
from realm_ext.report.style import LIGHT
from reward_fns.routes import Route

STEPS = 4
ROUTES = tuple(
    Route(tuple(f"r{i}s{s}" for s in range(STEPS)), str(i), i == 0, None, None, "t") for i in range(4)
)


def realm_config(**options: Any) -> RealmConfig:
    return read_config({"realm": {"schedule": {"kind": "linear", "fade_steps": 8}, **options}})


def questions(n: int = 300) -> list[Question]:
    return [
        Question(f"q{i}", [{"role": "user", "content": f"{i}?"}], ROUTES, None, "realm/math")
        for i in range(n)
    ]


def count(messages: Any) -> int:
    return sum(len(message["content"]) for message in messages)


def test_a_step_is_what_its_exposure_says() -> None:
    view = view_step(questions(), 4, realm_config(fade=["presence"]), 8)
    assert view.exposure == 0.5
    assert view.guided_share == pytest.approx(0.5 * 6 / 8, abs=0.04)
    assert (view.routes, view.steps_shown) == (4.0, 1.0)
    view = view_step(questions(), 4, realm_config(fade=["routes", "steps"]), 8)
    assert view.guided_share == pytest.approx(0.75, abs=0.03)
    assert view.routes == pytest.approx(2.0, abs=0.15)
    assert view.steps_shown == pytest.approx(0.5, abs=0.05)


def test_from_the_end_of_fading_on_nothing_is_shown() -> None:
    view = view_step(questions(5), 8, realm_config(), 8)
    assert (view.exposure, view.guided_share, view.routes, view.steps_shown) == (0.0, 0.0, 0.0, 0.0)
    assert view_lengths(questions(5), 8, realm_config(), 8, count, 100) is None


def test_prompt_lengths_against_the_budget() -> None:
    realm = realm_config(fade=["presence"])
    whole = max(
        count(render_plan(question, plan_of(question, 1, realm, 8), realm)) for question in questions(20)
    )
    found = view_lengths(questions(20), 1, realm, 8, count, whole)
    assert found is not None and found.percentiles[-1] <= whole and found.over_budget == 0.0
    over = view_lengths(questions(20), 1, realm, 8, count, 10)
    assert over is not None and over.over_budget == 1.0


@pytest.mark.parametrize(
    ("last", "fade", "at_most"), [(1, None, 9), (40, 30, 9), (3, 2, 9), (1000, 999, 120)]
)
def test_steps_begin_and_end_with_the_run(last: int, fade: int | None, at_most: int) -> None:
    steps = steps_to_view(last, fade, at_most)
    assert (steps[0], steps[-1]) == (1, last)
    assert fade is None or fade in steps
    assert len(steps) <= at_most + 1


def write_rows(path: Path, n: int, with_routes: bool = True) -> Path:
    rows = [
        rl_row(f"What is {i}+1?", "1", domain="math", index=i, split="train", routes=ROUTES * with_routes)
        for i in range(n)
    ]
    pq.write_table(pa.Table.from_pylist(rows, schema=RL_SCHEMA), path)
    return path


def config_for(*paths: Path) -> DictConfig:
    return OmegaConf.create({"data": {"train_files": [str(path) for path in paths]}})


def test_questions_are_spread_over_all_files(tmp_path: Path) -> None:
    one, other = write_rows(tmp_path / "a.parquet", 10), write_rows(tmp_path / "b.parquet", 20)
    sample = sample_questions(config_for(one, other), 6)
    assert sample.n_rows == 30 and len(sample.questions) == 6
    assert [q.messages[0]["content"] for q in sample.questions][:3] == [f"What is {i}+1?" for i in (0, 5, 0)]
    assert sample.questions[0].routes == ROUTES
    assert len(sample_questions(config_for(one), 500).questions) == 10


def test_what_cannot_be_previewed_is_said(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="holds routes"):
        sample_questions(config_for(write_rows(tmp_path / "a.parquet", 3, with_routes=False)), 5)
    with pytest.raises(ValueError, match="is no local file"):
        sample_questions(config_for(tmp_path / "none.parquet"), 5)
    with pytest.raises(ValueError, match="no file is given"):
        sample_questions(config_for(), 5)
    with pytest.raises(ValueError, match="no config realm_nothing"):
        compose_config("realm_nothing", [])


class FakeTokens:
    """One token per character."""

    def __init__(self, config: DictConfig) -> None:
        self.count = count

    def render(self, messages: Any) -> str:
        return "".join(message["content"] for message in messages)


def test_a_file_that_is_no_data_is_said(tmp_path: Path) -> None:
    (tmp_path / "torn.parquet").write_bytes(b"PAR1 and nothing more")
    pq.write_table(pa.table({"text": ["a"]}), tmp_path / "other.parquet")
    for name, text in (
        ("torn", "cannot be read as parquet"),
        ("other", "column prompt, data_source, reward_model"),
    ):
        with pytest.raises(ValueError, match=rf"{name}.parquet.*{text}"):
            sample_questions(config_for(tmp_path / f"{name}.parquet"), 5)
    row = rl_row("What?", "1", domain="math", index=0, split="train", routes=ROUTES)
    row["extra_info"]["uid"] = None
    pq.write_table(pa.Table.from_pylist([row], schema=RL_SCHEMA), tmp_path / "uid.parquet")
    with pytest.raises(ValueError, match="uid must be a text"):
        sample_questions(config_for(tmp_path / "uid.parquet"), 5)


@pytest.fixture
def app(monkeypatch: pytest.MonkeyPatch) -> typer.Typer:
    monkeypatch.setattr(command, "PromptTokens", FakeTokens)
    monkeypatch.setattr(command, "model_problem", lambda path: None)
    made = typer.Typer()
    made.command()(command.preview)
    return made


def test_the_command_prints_and_plots(app: typer.Typer, tmp_path: Path) -> None:
    pytest.importorskip("verl")
    rows, out = write_rows(tmp_path / "a.parquet", 64), tmp_path / "pictures" / "preview.png"
    overrides = [f"data.train_files={rows}", "data.max_prompt_length=400", "realm.fade=[presence,steps]"]
    done = CliRunner().invoke(app, ["realm_quickstart", *overrides, "--out", str(out)])
    assert done.exit_code == 0, done.output
    assert out.read_bytes().startswith(b"\x89PNG")
    assert "budget of 400" in done.output and "64 questions sampled of 64" in done.output
    assert done.output.count("--- ") == 3 and "--- unguided ---" in done.output
    assert "Routes to judge:" in done.output and "(cut here)" in done.output


def test_variants_stand_beside_each_other(app: typer.Typer, tmp_path: Path) -> None:
    pytest.importorskip("verl")
    rows, out = write_rows(tmp_path / "a.parquet", 64), tmp_path / "beside.png"
    adaptive = "realm.adaptive.kind=per_question realm.adaptive.lower_by=0.5"
    options = ["--out", str(out), "--beside", "realm.schedule.kind=linear", "--beside", adaptive]
    done = CliRunner().invoke(app, ["realm_quickstart", f"data.train_files={rows}", *options])
    assert done.exit_code == 0, done.output
    assert out.read_bytes().startswith(b"\x89PNG")
    titles = [line.strip() for line in done.output.splitlines()]
    assert [
        title for title in ("as given", "realm.schedule.kind=linear", adaptive) if title not in titles
    ] == []


def test_a_model_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    pytest.importorskip("verl")
    made = typer.Typer()
    made.command()(command.preview)
    overrides = [
        f"data.train_files={write_rows(tmp_path / 'a.parquet', 9)}",
        "actor_rollout_ref.model.path=/no/model",
    ]
    done = CliRunner().invoke(made, ["realm_quickstart", *overrides, "--out", str(tmp_path / "x.png")])
    assert done.exit_code == 1
    assert done.output.startswith("realm preview: actor_rollout_ref.model.path=/no/model: no such folder")


def test_a_fault_is_one_line(app: typer.Typer) -> None:
    done = CliRunner().invoke(app, ["no_such_recipe"])
    assert done.exit_code == 1
    assert done.output.startswith("realm preview: no config no_such_recipe in ")


def test_a_run_without_any_guided_step_is_drawn_too(tmp_path: Path) -> None:
    config = OmegaConf.create(
        {
            "actor_rollout_ref": {"rollout": {"n": 4, "prompt_length": 50}},
            "trainer": {"total_training_steps": None, "total_epochs": 2},
            "data": {"train_batch_size": 4},
        }
    )
    realm = realm_config(schedule={"kind": "constant", "start": 0.0})
    found = look_ahead(config, realm, questions(8), 8, count)
    assert [view.step for view in found.steps] == [1, 2, 3, 4] and found.lengths == []
    draw(found, LIGHT, tmp_path / "x.png")
    draw_beside([("one", found), ("other", found)], LIGHT, tmp_path / "y.png")
    assert (tmp_path / "x.png").stat().st_size > 0 and (tmp_path / "y.png").stat().st_size > 0
    sample = Sample(tuple(questions(8)), 8)
    tokens: Any = FakeTokens(config)
    variant = command.Variant("t", config, realm, sample, tokens, found)
    assert [title for title, *_ in command.example_prompts(variant)] == ["unguided"]


def test_more_rows_in_a_step_than_there_are(tmp_path: Path) -> None:
    config = OmegaConf.create(
        {
            "actor_rollout_ref": {"rollout": {"n": 4, "prompt_length": 50}},
            "trainer": {"total_training_steps": 3, "total_epochs": 2},
            "data": {"train_batch_size": 16},
        }
    )
    with pytest.raises(ValueError, match="no step: data.train_batch_size=16 with 8 rows"):
        look_ahead(config, realm_config(), questions(8), 8, count)


def test_adaptive_levels_at_assumed_rates_of_success() -> None:
    """Never right: the ceiling. Always right, one visit a step: down by 0.5 a visit. Half: between."""
    steps = [1, 2, 3, 4, 7, 8]
    realm = realm_config(adaptive={"kind": "per_question", "lower_by": 0.5})
    never, half, always = view_levels(questions(50), steps, realm, 1)
    assert never.exposure == pytest.approx([1 - step / 8 for step in steps])
    assert always.exposure == pytest.approx([7 / 8, 6 / 8 / 2, 0.0, 0.0, 0.0, 0.0])
    for low, middle, high in zip(always.exposure, half.exposure, never.exposure, strict=True):
        assert low <= middle <= high
    assert always.exposure[1] < half.exposure[1] < never.exposure[1]
    assert view_levels(questions(5), steps, realm_config(), 1) == []


def test_a_question_is_visited_once_an_epoch() -> None:
    realm = realm_config(adaptive={"kind": "per_question", "lower_by": 1.0})
    (*_, always) = view_levels(questions(60), [1, 2, 3, 4], realm, 4)
    left = [exposure / (1 - step / 8) for step, exposure in zip((1, 2, 3, 4), always.exposure, strict=True)]
    # Questions not visited yet have their bucket's level, and it is 0 after the first visits of any.
    assert left == pytest.approx([1.0, 0.0, 0.0, 0.0])
