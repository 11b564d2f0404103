"""Fixtures that several test folders share, the `e2e` mark of everything under tests/e2e, and what runs side by side."""

import gc
import os
import shutil
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path

import pytest
import setuptools  # noqa: F401  (before any test looks for pip: from then on it refuses to load, and vLLM with it)
from filelock import FileLock

REPOSITORY = Path(__file__).resolve().parents[1]
# Files whose tests wait longest on programs that they start, the longest first: they begin, so that none ends alone.
SLOW_FILES = ("test_configs.py", "test_packaging.py", "test_docs.py", "test_cpu_platform.py", "test_tasks.py")


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Collecting loads torch, verl and the like: 700,000 objects, none of them garbage, that each full collection walks.

    So there is none until they are loaded, and none walks them afterwards.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
        gc.freeze()


def pytest_sessionfinish() -> None:
    """Let them go in the usual way."""
    gc.unfreeze()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of tests/e2e, so that none of them can forget to; the slow files begin."""
    for item in items:
        if (REPOSITORY / "tests" / "e2e") in item.path.parents:
            item.add_marker(pytest.mark.e2e)
    items.sort(key=lambda item: _rank(item.path.name))


def _rank(name: str) -> int:
    return SLOW_FILES.index(name) if name in SLOW_FILES else len(SLOW_FILES)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real inputs that lies beside the checkout; skips where there is none."""
    folder = REPOSITORY.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"needs the real data in {folder}, which this machine does not have")
    return folder


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `dist` (wheel and sdist) and `site` (the wheel installed), made once for all workers of xdist."""
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent
    made = folder / "built"
    with FileLock(folder / "built.lock"):
        if not made.exists():
            partial = folder / "built.partial"
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir()
            _build(partial / "dist")
            _install(partial)
            partial.rename(made)
    return made


@pytest.fixture(scope="session")
def wheel(built: Path) -> Path:
    """The wheel of this checkout, built through the sdist, so that what the sdist lacks shows."""
    (found,) = (built / "dist").glob("*.whl")
    return found


@pytest.fixture(scope="session")
def installed_wheel(built: Path) -> Path:
    """A folder with the installed wheel: put it into PYTHONPATH to run as a user without a checkout."""
    return built / "site"


def _build(dist: Path) -> None:
    hatchling = [sys.executable, "-m", "hatchling", "build", "-d", str(dist)]
    subprocess.run([*hatchling, "-t", "sdist"], cwd=REPOSITORY, check=True, timeout=120)
    (sdist,) = dist.glob("*.tar.gz")
    subprocess.run(["tar", "-xzf", sdist.name], cwd=dist, check=True, timeout=60)
    unpacked = dist / sdist.name.removesuffix(".tar.gz")
    subprocess.run([*hatchling, "-t", "wheel"], cwd=unpacked, check=True, timeout=120)


def _install(folder: Path) -> None:
    (wheel_file,) = (folder / "dist").glob("*.whl")
    options = ["--quiet", "--no-deps", "--no-index", "--target", str(folder / "site")]
    pip = [sys.executable, "-m", "pip", "install", *options, str(wheel_file)]
    subprocess.run(pip, check=True, timeout=120)
