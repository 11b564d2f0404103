"""Bad input ends a run before Ray starts, with one clear message and an exit code that is not 0."""

from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.e2e.conftest import Stack
from tests.e2e.stack import rl

pytestmark = pytest.mark.timeout(900)


@pytest.fixture
def files(data: Path, tmp_path: Path) -> dict[str, Path]:
    """Good and bad training files."""
    good = (data / "train.parquet").read_bytes()
    (tmp_path / "torn.parquet").write_bytes(good[: len(good) // 2])
    table = pq.read_table(data / "train.parquet")
    pq.write_table(table.drop_columns(["reward_model"]), tmp_path / "unrewarded.parquet")
    return {
        "good": data / "train.parquet",
        "val": data / "val.parquet",
        "missing": tmp_path / "missing.parquet",
        "torn": tmp_path / "torn.parquet",
        "unrewarded": tmp_path / "unrewarded.parquet",
    }


REFUSED = [
    (
        "actor_rollout_ref.model.path=./no/such/model",
        "no such folder; give an existing one or a Hugging Face id",
    ),
    ("data.train_files={missing}", "missing.parquet does not exist; prepare the data or correct the path"),
    ("data.train_files=null", "data.train_files: no file is given"),
    ("data.train_files={torn}", "torn.parquet cannot be read as parquet"),
    ("data.train_files={unrewarded}", "column reward_model is missing"),
    ("realm.weights.verdict=0.9", "a wrong answer could outrank a right one"),
    ("data.max_prompt_length=24", "longer than rollout.prompt_length=24 without any route"),
    ("realm.schedule.fade_steps=39", "the last quarter must be unguided"),
    ("+realm.schedul.kind=linear", "realm: unknown key schedul"),
]


@pytest.mark.parametrize(("override", "text"), REFUSED, ids=[text for _, text in REFUSED])
def test_refused(
    override: str,
    text: str,
    files: dict[str, Path],
    init: Path,
    tmp_path: Path,
    check: Callable[[list[str]], str],
) -> None:
    command = rl(tmp_path, init, files["good"], files["val"], override.format(**files))
    message = check(command[command.index("realm_quickstart") + 1 :])
    assert message.startswith("the run cannot start: ") and text in message
    assert "\n" not in message, "one problem, one line"


@pytest.fixture
def check() -> Callable[[list[str]], str]:
    """What main_ppo's own check says of the recipe with these overrides."""
    pytest.importorskip("verl")
    from hydra import compose, initialize_config_dir

    from realm_ext.paths import Folder, find_folder
    from realm_ext.preflight import ConfigError
    from realm_ext.preflight import check as check_config

    def message(overrides: list[str]) -> str:
        with initialize_config_dir(config_dir=str(find_folder(Folder.CONFIGS)), version_base=None):
            config = compose("realm_quickstart", overrides=overrides)
        with pytest.raises(ConfigError) as error:
            check_config(config)
        return str(error.value)

    return message


@pytest.mark.parametrize(
    ("overrides", "texts"),
    [
        (["actor_rollout_ref.model.path=./no/such/model"], ["./no/such/model: no such folder"]),
        (
            ["data.train_files={torn}", "realm.weights.decisive=0.95"],
            ["torn.parquet cannot be read as parquet", "a wrong answer could outrank a right one"],
        ),
    ],
    ids=["one problem", "two problems"],
)
def test_the_real_command_ends_before_ray(
    stack: Stack, init: Path, files: dict[str, Path], overrides: list[str], texts: list[str]
) -> None:
    given = [override.format(**files) for override in overrides]
    done = stack.run(rl(stack.folder / "bad", init, files["good"], files["val"], *given), 300)
    assert done.code == 1
    message = done.err.partition("[realm] ")[2]
    assert message.startswith("the run cannot start:") and all(text in message for text in texts)
    assert done.err.count("[realm] ") == 1 and "Traceback" not in done.err + done.out
    assert len(message.splitlines()) == (1 if len(texts) == 1 else 1 + len(texts)), message
    assert "ray init" not in done.out + done.err
    assert not (stack.folder / "bad").exists()
