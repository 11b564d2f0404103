"""What a user gets from the wheel: the data files, the commands, and folders that resolve."""

import os
import subprocess
import sys
import tomllib
import zipfile
from email.parser import Parser
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.forked import Program, run_forked

REPOSITORY = Path(__file__).resolve().parents[1]
DEAR = "import matplotlib.pyplot, numpy, pandas, pyarrow.parquet, rich.console, scipy.integrate, typer, yaml"
PACKAGES = ("realm_ext", "reward_fns", "data_prep", "eval_tasks", "configs")


def names_in(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def run_installed(site: Path, cwd: Path, *arguments: str) -> str:
    """Run Python against the installed wheel, away from the checkout; returns what it prints."""
    environment = os.environ | {"PYTHONPATH": str(site)}
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def script(site: Path) -> str:
    """The script `realm` of the installed wheel."""
    return str(site / "bin" / "realm")


def test_wheel_holds_every_file_of_the_packages(wheel: Path) -> None:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", *PACKAGES],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    if listed.returncode != 0:
        pytest.skip("needs a git checkout, to know which files belong to the project")
    expected = {name for name in listed.stdout.splitlines() if (REPOSITORY / name).is_file()}
    assert expected - names_in(wheel) == set()


@pytest.mark.parametrize("package", ["realm_ext", "reward_fns", "data_prep", "eval_tasks"])
def test_wheel_is_typed(wheel: Path, package: str) -> None:
    assert f"{package}/py.typed" in names_in(wheel)


def test_wheel_holds_no_tests_and_no_caches(wheel: Path) -> None:
    tops = {name.partition("/")[0] for name in names_in(wheel)}
    assert {top for top in tops if not top.endswith(".dist-info")} == {*PACKAGES, "lm_eval"}
    assert not [name for name in names_in(wheel) if "__pycache__" in name]


def test_wheel_ships_the_tasks_where_lm_eval_looks(
    wheel: Path, installed_wheel: Path, tmp_path: Path
) -> None:
    theirs = {name for name in names_in(wheel) if name.startswith("lm_eval/")}
    ours = {name for name in names_in(wheel) if name.startswith("eval_tasks/tasks/")}
    assert theirs == {name.replace("eval_tasks/tasks/", "lm_eval/tasks/realm/") for name in ours}
    if find_spec("lm_eval") is None:
        pytest.skip("needs lm-eval, to load the tasks from there")
    load = (
        "import sys; from lm_eval.tasks import TaskManager\n"
        "manager = TaskManager(include_path=sys.argv[1], include_defaults=False)\n"
        "print(sorted(manager.load(['realm_vertical'])['tasks']))"
    )
    folder = str(installed_wheel / "lm_eval" / "tasks")
    assert "realm_medicine" in run_installed(installed_wheel, tmp_path, "-c", load, folder)


def test_wheel_metadata(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (path,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        metadata = Parser().parsestr(archive.read(path).decode())
    assert metadata["License-Expression"] == "Apache-2.0"
    assert set(metadata.get_all("Provides-Extra", [])) == {"cpu", "gpu", "distill", "dev"}


@pytest.mark.parametrize("folder", ["configs", "eval_tasks", "reward_fns"])
def test_installed_paths_resolve_from_another_directory(
    installed_wheel: Path, tmp_path: Path, folder: str
) -> None:
    printed = run_installed(installed_wheel, tmp_path, script(installed_wheel), "paths", folder)
    assert Path(printed.strip()) == installed_wheel.resolve() / folder


def test_every_registered_command_exists(installed_wheel: Path, tmp_path: Path) -> None:
    """Reading the help of each command loads it."""
    listing = (
        "from importlib.metadata import entry_points\n"
        "for e in entry_points(group='realm.commands'): print(e.name)"
    )
    commands = run_installed(installed_wheel, tmp_path, "-c", listing).split()
    assert "paths" in commands
    run = "import runpy, sys; sys.argv = sys.argv[1:]; runpy.run_path(sys.argv[0], run_name='__main__')"
    programs = [Program(run, (script(installed_wheel), command, "--help")) for command in commands]
    environment = os.environ | {"PYTHONPATH": str(installed_wheel)}
    for done in run_forked(programs, tmp_path, preload=DEAR, environment=environment):
        assert done.returncode == 0 and "Usage" in done.stdout, done.stderr


def test_locks_pin_each_package_once_and_agree_with_the_extras() -> None:
    pins: dict[str, str] = {}
    for lock in sorted((REPOSITORY / "requirements").glob("*.txt")):
        for line in lock.read_text().splitlines():
            if line.startswith("#"):
                continue
            name, _, version = line.partition("==")
            assert version, f"{lock.name}: {line!r} is not an exact pin"
            assert name.lower() not in pins, f"{lock.name}: {name} is pinned twice"
            pins[name.lower()] = version
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
    extras = project["project"]["optional-dependencies"]
    stated = [*project["build-system"]["requires"], *extras["cpu"], *extras["distill"], *extras["dev"]]
    for requirement in stated:
        name, _, version = requirement.partition("==")
        assert pins[name.partition("[")[0].lower()].removesuffix("+cpu") == version, requirement
