"""Fixtures that several test folders share, and the `e2e` mark of everything under tests/e2e."""

import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of tests/e2e, so that none of them can forget to."""
    for item in items:
        if (REPOSITORY / "tests" / "e2e") in item.path.parents:
            item.add_marker(pytest.mark.e2e)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real inputs that lies beside the checkout; skips where there is none."""
    folder = REPOSITORY.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"needs the real data in {folder}, which this machine does not have")
    return folder


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this checkout, built through the sdist, so that what the sdist lacks shows."""
    work = tmp_path_factory.mktemp("wheel")
    hatchling = [sys.executable, "-m", "hatchling", "build", "-d", str(work)]
    subprocess.run([*hatchling, "-t", "sdist"], cwd=REPOSITORY, check=True, timeout=120)
    (sdist,) = work.glob("*.tar.gz")
    subprocess.run(["tar", "-xzf", sdist.name], cwd=work, check=True, timeout=60)
    unpacked = work / sdist.name.removesuffix(".tar.gz")
    subprocess.run([*hatchling, "-t", "wheel"], cwd=unpacked, check=True, timeout=120)
    (built,) = work.glob("*.whl")
    return built


@pytest.fixture(scope="session")
def installed_wheel(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the installed wheel: put it into PYTHONPATH to run as a user without a checkout."""
    target = tmp_path_factory.mktemp("site")
    pip = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--no-index",
        "--target",
        str(target),
    ]
    subprocess.run([*pip, str(wheel)], check=True, timeout=120)
    return target
