"""`realm link-tasks`: links are made, found by lm-eval, repaired, and taken away without a trace."""

import shutil
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from eval_tasks import link

app = typer.Typer()
app.command()(link.link_tasks)


@pytest.fixture
def target(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "tasks" / "realm"
    folder.parent.mkdir()
    monkeypatch.setattr(link, "find_target", lambda: folder)
    return folder


def run(*arguments: str, code: int = 0) -> str:
    result = CliRunner().invoke(app, list(arguments))
    assert result.exit_code == code, result.output
    return result.output


def test_links_every_task_file_and_lm_eval_finds_them(target: Path) -> None:
    manager = pytest.importorskip("lm_eval.tasks").TaskManager
    assert run().count("linked") == len(link.task_files()) >= 4
    found = manager(include_path=target.parent, include_defaults=False).all_tasks
    assert len(found) == len(link.task_files())
    assert {"realm_vertical", "realm_vertical_guided", "realm_general", "realm_parquet"} <= set(found)


def test_links_and_include_path_together_are_no_clash(target: Path) -> None:
    manager = pytest.importorskip("lm_eval.tasks").TaskManager
    run()
    both = manager(include_path=[target.parent, link.SOURCE], include_defaults=False)
    assert len(both.all_tasks) == len(link.task_files())
    assert set(both.load(["realm_vertical"])["tasks"]) >= {"realm_search_relevance", "realm_law"}


def test_the_copies_of_a_wheel_are_left_alone(target: Path) -> None:
    shutil.copytree(link.SOURCE, target)
    assert "nothing to do: the wheel's copies" in run()
    assert not any(path.is_symlink() for path in target.iterdir())
    (target / "law.yaml").unlink()
    assert run().count("linked") == 1 and (target / "law.yaml").is_symlink()
    assert run("--undo").count("removed") == 1 and len(list(target.iterdir())) > 40


def test_undo_leaves_no_trace(target: Path) -> None:
    run()
    assert run("--undo").count("removed") == len(link.task_files())
    assert not target.exists()
    assert "nothing to do" in run("--undo")


def test_undo_leaves_what_others_put_there(target: Path) -> None:
    run()
    (target / "theirs.yaml").write_text("task: theirs\n")
    (target / "link.yaml").symlink_to(target.parent)
    run("--undo")
    assert sorted(path.name for path in target.iterdir()) == ["link.yaml", "theirs.yaml"]


def test_running_twice_repairs(target: Path) -> None:
    run()
    (target / "search_relevance.yaml").unlink()
    (target / "search_relevance.yaml").symlink_to(target / "gone.yaml")
    (target / "dropped.yaml").symlink_to(link.SOURCE / "dropped.yaml")
    run()
    assert (target / "search_relevance.yaml").resolve() == link.SOURCE / "search_relevance.yaml"
    assert not (target / "dropped.yaml").is_symlink()


@pytest.mark.parametrize("name", ["search_relevance.yaml", ""])
def test_refuses_to_replace_a_real_file(target: Path, name: str) -> None:
    in_the_way = target / name
    in_the_way.parent.mkdir(exist_ok=True)
    in_the_way.write_text("mine")
    assert "not ours to replace" in run(code=1)
    assert in_the_way.read_text() == "mine"


def test_finds_the_installed_lm_eval() -> None:
    pytest.importorskip("lm_eval")
    assert link.find_target().parent.is_dir()


def test_says_when_lm_eval_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link, "find_spec", lambda name: None)
    assert "not installed" in run(code=1)
