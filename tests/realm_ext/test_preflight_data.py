"""Files of a run: what is wrong with them is found before Ray, and what verl alone can read is let through and named."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from omegaconf import DictConfig, OmegaConf

from data_prep.schema import RL_SCHEMA
from realm_ext.preflight import ConfigError, check
from realm_ext.preflight_data import read_data
from tests.realm_ext.conftest import make_row, write

ROUTES = RL_SCHEMA.field("extra_info").type.field("routes").type


def refused(config: DictConfig) -> str:
    with pytest.raises(ConfigError) as error:
        check(config)
    return str(error.value)


def test_torn_parquet(config: DictConfig) -> None:
    path = Path(config.data.train_files)
    path.write_bytes(path.read_bytes()[:-20])
    assert "train.parquet cannot be read as parquet" in refused(config)


@pytest.mark.parametrize(
    ("drop", "text"),
    [
        ("prompt", "column prompt is missing"),
        ("data_source", "column data_source is missing"),
        ("reward_model", "column reward_model is missing"),
    ],
)
def test_missing_columns(config: DictConfig, drop: str, text: str) -> None:
    schema = pa.schema([field for field in RL_SCHEMA if field.name != drop])
    write(Path(config.data.train_files), [make_row(0)], schema)
    assert text in refused(config)


@pytest.mark.parametrize(
    ("name", "changed", "value", "text"),
    [
        ("prompt", pa.string(), "q", "column prompt must be a list of chat messages"),
        ("reward_model", pa.string(), "5", "column reward_model must be a struct with ground_truth"),
        ("extra_info", pa.string(), "x", "column extra_info must be a struct"),
        (
            "extra_info",
            pa.struct([("routes", pa.null())]),
            {"routes": None},
            "routes must be a list of structs",
        ),
        (
            "extra_info",
            pa.struct([("routes", pa.list_(pa.struct([("steps", pa.string())])))]),
            {"routes": []},
            "routes lacks the field answer, label",
        ),
        ("extra_info", pa.struct([("routes", ROUTES)]), {"routes": []}, "routes but no uid"),
    ],
)
def test_wrong_types(config: DictConfig, name: str, changed: pa.DataType, value: Any, text: str) -> None:
    schema = pa.schema([pa.field(f.name, changed if f.name == name else f.type) for f in RL_SCHEMA])
    write(Path(config.data.train_files), [{**make_row(0), name: value}], schema)
    assert text in refused(config)


@pytest.mark.parametrize(
    ("row", "text"),
    [
        (make_row(0, uid=None), "extra_info.uid must be a text"),
        (make_row(0, regime="half"), "regime must be guided, unguided or null"),
        ({**make_row(0), "data_source": "realm/astrology"}, "unknown domain 'astrology'"),
        ({**make_row(0), "extra_info": {"uid": "u", "routes": [{"steps": None}]}}, "route lacks"),
    ],
)
def test_bad_rows(config: DictConfig, row: dict[str, Any], text: str) -> None:
    write(Path(config.data.train_files), [row])
    assert text in refused(config)


def test_an_empty_file(config: DictConfig) -> None:
    write(Path(config.data.val_files[0]), [])
    assert "val.parquet has no rows" in refused(config)


def test_the_longest_prompt_is_found_in_a_large_file(
    config: DictConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("realm_ext.preflight_data.MAX_TOKENISED", 10)
    rows = [make_row(i) for i in range(40)]
    rows[33] = make_row(33, question="x" * 300)
    write(Path(config.data.train_files), rows)
    message = refused(config)
    assert "row 33 of" in message
    assert "a question is never cut" in message


def test_rows_that_verls_filter_leaves_out_are_only_mentioned(
    config: DictConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    config.data.filter_overlong_prompts = True
    write(Path(config.data.train_files), [make_row(i) for i in range(8)] + [make_row(8, question="x" * 300)])
    check(config)
    assert "leaves out at least 1 row" in capsys.readouterr().out


@pytest.mark.parametrize(
    "path",
    [
        "hdfs://nn/train.parquet",
        "s3://bucket/train.parquet",
        "gs://bucket/train.jsonl",
        "https://x.org/a.json",
    ],
)
def test_files_elsewhere_are_left_to_verl_and_named(
    config: DictConfig, path: str, capsys: pytest.CaptureFixture[str]
) -> None:
    config.data.train_files = path
    config.actor_rollout_ref.rollout.n = 3  # too few where routes are trained on, which is not known here
    check(config)
    out = capsys.readouterr().out
    assert "not checked before Ray" in out
    assert f"data.train_files={path}" in out


def test_a_model_elsewhere_is_left_to_verl_and_named(
    config: DictConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    config.actor_rollout_ref.model.path = "hdfs://nn/models/m"
    config.actor_rollout_ref.rollout.prompt_length = 1  # prompts cannot be counted without its tokenizer
    check(config)
    assert "actor_rollout_ref.model.path=hdfs://nn/models/m" in capsys.readouterr().out


def test_rows_of_a_users_data_set_are_his_own_matter(
    config: DictConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pq.write_table(pa.table({"question": ["2+3?"]}), tmp_path / "own.parquet")
    OmegaConf.set_struct(config, False)
    config.data.custom_cls = {"path": "mine.py", "name": "Mine"}
    config.data.train_files = [str(tmp_path / "own.parquet"), "a database"]
    config.data.val_files = None
    check(config)
    assert "the rows that data.custom_cls (mine.py) makes" in capsys.readouterr().out


def test_patterns_are_looked_into_as_verl_does(config: DictConfig, tmp_path: Path) -> None:
    for name in ("part-0.parquet", "part-1.parquet"):
        write(tmp_path / name, [make_row(i, right=2) for i in range(5)])
    config.data.train_files = str(tmp_path / "part-*.parquet")
    report = read_data(config, with_lengths=False)
    assert (report.problems, report.n_train_rows, report.right_share) == ([], 10, 0.5)
    write(tmp_path / "part-2.parquet", [make_row(0, uid="")])
    assert "part-2.parquet: row 0: extra_info.uid must be a text" in refused(config)
    config.data.train_files = f"file://{tmp_path}/part-0.parquet"
    assert read_data(config, with_lengths=False).n_train_rows == 5


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("train.csv", "train.csv: verl reads names that end in .parquet, .json, .jsonl"),
        ("s3://bucket/train.csv", "verl reads names that end in"),
        ("~/train.parquet", "verl takes ~ for a folder of that name, write it out"),
        ("no-*.parquet", "no-*.parquet does not exist"),
        ("train.jsonl", "train.jsonl does not exist"),
    ],
)
def test_paths_that_verl_cannot_read(config: DictConfig, path: str, text: str) -> None:
    config.data.train_files = path
    assert text in refused(config)


def test_a_domain_of_the_users_own_is_known_here_too(
    config: DictConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "stars_domain.py").write_text(
        "from reward_fns.domains.math import DOMAIN as MATH\n"
        "class Stars(type(MATH)):\n    name = 'stars'\nDOMAIN = Stars()\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    write(Path(config.data.train_files), [{**make_row(i), "data_source": "realm/stars"} for i in range(8)])
    assert "row 0: unknown domain 'stars'" in refused(config)
    OmegaConf.set_struct(config, False)
    config.reward.custom_reward_function.reward_kwargs = {"domains": ["stars_domain"]}
    check(config)
    config.reward.custom_reward_function.reward_kwargs = {"domains": ["no_such_domain"]}
    assert "reward_kwargs.domains: no_such_domain cannot be loaded: No module named" in refused(config)


def test_verls_own_scores_do_not_know_our_sources(config: DictConfig) -> None:
    schema = pa.schema([f for f in RL_SCHEMA if f.name != "extra_info"])
    for path in (config.data.train_files, config.data.val_files[0]):
        write(Path(path), [make_row(i) for i in range(8)], schema)
    config.reward.custom_reward_function.path = None
    assert "verl's own scores know no data_source 'realm/math'" in refused(config)


def test_shares_are_measured_on_good_rows_alone(config: DictConfig) -> None:
    rows = [make_row(0, right=1), make_row(1, right=3), make_row(2, right=4, uid=None)]
    write(Path(config.data.train_files), rows)
    assert read_data(config, with_lengths=False).right_share == 0.5  # (1/4 + 3/4) / 2


def test_guess_rates_count_first_errors_by_length(config: DictConfig) -> None:
    rows = [make_row(i) for i in range(400)]
    for i, row in enumerate(rows):
        wrong = {"steps": ["a", "b"], "label": False, "sound": False, "first_error": i % 4 // 3}
        row["extra_info"]["routes"] = [{"answer": "6", "source": "x", **wrong}]
    write(Path(config.data.train_files), rows)
    assert read_data(config, with_lengths=False).guess_rates == {2: (0.75, 0.25)}


def test_every_row_is_checked_beyond_those_that_are_tokenised(
    config: DictConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("realm_ext.preflight_data.BATCH_ROWS", 16)
    monkeypatch.setattr("realm_ext.preflight_data.MAX_TOKENISED", 4)
    monkeypatch.setattr("realm_ext.preflight_data.MAX_BANKS", 4)
    rows = [make_row(i) for i in range(101)]
    rows[97]["extra_info"]["routes"][3]["label"] = None
    write(Path(config.data.train_files), rows)
    assert "train.parquet: row 97: a route lacks label" in refused(config)
