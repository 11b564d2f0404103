"""What a user gets from the wheel: the data files, the commands, and folders that resolve."""

import os
import shutil
import subprocess
import sys
import tomllib
import zipfile
from email.parser import Parser
from importlib.metadata import requires
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

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
    assert set(metadata.get_all("Provides-Extra", [])) == {"cpu", "gpu", "flash", "distill", "dev"}


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


def pins_of(*locks: str) -> dict[str, str]:
    """Version by name of one environment's locks; each package is pinned exactly, and once."""
    pins: dict[str, str] = {}
    for lock in locks:
        for line in (REPOSITORY / "requirements" / f"{lock}.txt").read_text().splitlines():
            if line.startswith("#"):
                continue
            name, _, version = line.partition("==")
            assert version, f"{lock}.txt: {line!r} is not an exact pin"
            name = canonicalize_name(name)
            assert name not in pins, f"{lock}.txt: {name} is pinned twice"
            pins[name] = version
    return pins


def project() -> dict[str, Any]:
    return tomllib.loads((REPOSITORY / "pyproject.toml").read_text())


@pytest.mark.parametrize(
    ("locks", "extras"),
    [(("build", "cpu", "dev"), ("cpu", "distill", "dev")), (("build", "gpu"), ("gpu", "distill"))],
    ids=["cpu", "gpu"],
)
def test_locks_pin_each_package_once_and_agree_with_the_extras(
    locks: tuple[str, ...], extras: tuple[str, ...]
) -> None:
    pins, stated = pins_of(*locks), project()
    optional = stated["project"]["optional-dependencies"]
    needed = [*stated["build-system"]["requires"], *stated["project"]["dependencies"]]
    for text in [*needed, *(one for extra in extras for one in optional[extra])]:
        requirement = Requirement(text)
        assert pins[canonicalize_name(requirement.name)].removesuffix("+cpu") in requirement.specifier, text


def verls(extra: str) -> dict[str, SpecifierSet]:
    """What an extra of the installed verl asks for, by name; extras of verl within it are followed."""
    found: dict[str, SpecifierSet] = {}
    for text in requires("verl") or []:
        one = Requirement(text)
        if (
            one.marker is None
            or not one.marker.evaluate({"extra": extra})
            or one.marker.evaluate({"extra": ""})
        ):
            continue
        inner = [verls(other) for other in one.extras] if one.name == "verl" else [{one.name: one.specifier}]
        for name, specifier in ((n, s) for group in inner for n, s in group.items()):
            name = canonicalize_name(name)
            found[name] = found.get(name, SpecifierSet()) & specifier
    return found


def test_the_gpu_extra_is_verls_for_vllm_and_fsdp_without_flash_attn() -> None:
    pytest.importorskip("verl")
    optional = project()["project"]["optional-dependencies"]
    ours: set[str] = set()
    for text in optional["gpu"]:
        one = Requirement(text)
        ours |= {canonicalize_name(one.name)}
        ours |= {name for extra in one.extras if one.name == "verl" for name in verls(extra)}
    wanted = verls("vllm").keys() | verls("fsdp").keys()
    assert "flash-attn" in wanted and wanted - ours == {"flash-attn"}
    assert optional["flash"] == [f"flash-attn{verls('fsdp')['flash-attn']}"]


def test_the_gpu_lock_is_what_verl_asks_for() -> None:
    pytest.importorskip("verl")
    pins = pins_of("build", "gpu")
    for extra in ("vllm", "fsdp"):
        for name, specifier in verls(extra).items():
            if name != "flash-attn":
                assert pins[name] in specifier, f"{name} {pins[name]}, verl[{extra}] asks for {specifier}"


# Stands in for Python: makes an environment that holds itself, and writes down what it is asked to install.
PRETENDING = """#!/bin/bash
echo "$*" >> "$ASKED"
case "$*" in
    "-m venv "*) mkdir -p "$3/bin" && cp "$0" "$3/bin/python" ;;
    *"$FAILS"*) exit 1 ;;
esac
"""


class Made:
    """`make setup-gpu` of a copy of the Makefile, with a Python that pretends."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.stamp = folder, folder / ".venv-gpu" / ".setup-gpu-done"
        for name in ("Makefile", "pyproject.toml"):
            shutil.copy(REPOSITORY / name, folder)
        shutil.copytree(REPOSITORY / "requirements", folder / "requirements")
        (folder / "python").write_text(PRETENDING)
        (folder / "python").chmod(0o755)

    def __call__(self, target: str, fails: str = "nothing") -> tuple[int, str, list[str]]:
        """Exit code, what was printed, and what Python was asked to do."""
        asked = self.folder / "asked"
        asked.write_text("")
        environment = {k: v for k, v in os.environ.items() if k not in ("VENV", "MAKEFLAGS")}
        done = subprocess.run(
            ["make", target, f"PYTHON={self.folder / 'python'}"],
            cwd=self.folder,
            env=environment | {"ASKED": str(asked), "FAILS": fails},
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout + done.stderr, asked.read_text().splitlines()


def test_setup_gpu_that_was_cut_short_is_not_done(tmp_path: Path) -> None:
    make = Made(tmp_path)
    code, _, asked = make("setup-gpu", fails="gpu.txt")
    assert code != 0 and not make.stamp.exists()
    assert not any("--editable" in line for line in asked), "realm is there before what it needs"
    assert make("setup-gpu", fails="pip check")[0] != 0 and not make.stamp.exists()
    code, _, asked = make("setup-gpu")
    assert code == 0 and make.stamp.exists()
    assert [line for line in asked if "install" in line][-1].endswith("--editable .")
    assert make("setup-gpu")[2] == [], "a second time there is nothing to do"


def test_setup_gpu_that_fails_later_takes_its_stamp_away(tmp_path: Path) -> None:
    make = Made(tmp_path)
    assert make("setup-gpu")[0] == 0
    os.utime(
        make.stamp, (1, 1)
    )  # as if the lock had changed since: two writes may fall into one tick of the clock
    assert make("setup-gpu", fails="gpu.txt")[0] != 0 and not make.stamp.exists()


@pytest.mark.parametrize(
    ("fails", "said"),
    [("is_available", ""), ("import flash_attn", "does not import")],
    ids=["no GPU", "broken"],
)
def test_flash_attn_is_left_out_where_it_would_not_run(tmp_path: Path, fails: str, said: str) -> None:
    make = Made(tmp_path)
    (tmp_path / "nvcc").write_text("#!/bin/sh\n")
    (tmp_path / "nvcc").chmod(0o755)
    code, printed, asked = make("setup-gpu-flash", fails=fails)
    assert code != 0 and said in printed
    installed = [line for line in asked if "flash-attn==2.8.3" in line]
    assert len(installed) == (0 if fails == "is_available" else 1)
    assert any("uninstall" in line for line in asked) is (fails != "is_available")
    assert make.stamp.exists(), "the environment itself is whole"
