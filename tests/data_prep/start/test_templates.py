"""The tests that `realm start` writes pass for labels as teams have them, and fail for a domain that can be tricked."""

import csv
from pathlib import Path
from types import ModuleType

import pytest
from typer.testing import CliRunner

from data_prep.start.folder import load_module
from realm_ext.cli import app
from reward_fns import domains
from tests.data_prep.start.support_case import RULES

LABELS = [
    ("Urgent", "Not urgent"),
    ("Compliant", "Not compliant"),
    ("compliant", "non-compliant"),
    ("Yes", "No", "Not sure"),
    ("Yes", "No", "Maybe"),
    ("Yes, fully", "Yes, partly", "No"),
    ("Art. 6(1)(b)", "Art. 6(1)(f)", "Art. 9"),
    ("U.S. law", "E.U. law", "No. 5"),
    ("Billing", "Billing (refund)", "Billing: other"),
    ("Right", "Wrong"),
    ("Correct", "Incorrect"),
    ("True", "False", "None"),
    ("0", "1", "-1"),
    ("C", "C++", "C#"),
    ("[a-z]+", "^x|y$", "(?i).*"),
    ('"quoted" text', "O'Brien", "it’s"),
    ("Größe", "Straße", "Ärger"),
    ("是", "否", "不确定（其他）"),
    ("Да", "Нет"),
    ("N/A", "A/B", "Other"),
    ("Spam?", "Ham!"),
    ("1. Liability", "2. Indemnity", "1.2 Term"),
    ("{x}", "y}", "100%"),
    ("A", "B", "A or B"),
    ("Option A", "Option B"),
    ("Wrong answer", "Right answer"),
    ("positive 😀", "negative 😞"),
    ("🙂", "🙁"),
    ("under $5", "$5 or more"),
]


def started(folder: Path, labels: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The test module of a folder with these labels, its domain registered."""
    with (folder / "in.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["text", "label"])
        for number in range(60):
            table.writerow([f"example {number}", labels[number % len(labels)]])
    (folder / "rules.yaml").write_text(RULES, encoding="utf-8")
    arguments = [
        "start",
        str(folder / "in.csv"),
        str(folder / "rules.yaml"),
        "--out",
        str(folder / "out"),
        "--name",
        "mine",
    ]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    domain = load_module(folder / "out" / "mine_domain" / "__init__.py", "mine").DOMAIN
    assert set(domain.labels) == set(labels)
    monkeypatch.setitem(domains._registered, "mine", domain)
    return load_module(folder / "out" / "tests" / "test_mine.py", "mine_tests")


@pytest.mark.parametrize("labels", LABELS, ids=" | ".join)
def test_the_tests_that_are_written_pass(
    labels: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = started(tmp_path, labels, monkeypatch)
    for side in ("train", "val", "test"):
        written.test_every_gold_answer_earns_the_reward(side)
    for label in labels:
        written.test_spellings_count(label)
        written.test_cheats_earn_nothing(label)


def test_they_fail_for_a_domain_that_takes_any_mention(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    labels = ("Urgent", "Not urgent", "Unknown")
    written = started(tmp_path, labels, monkeypatch)
    domain = domains.get("mine")

    def mentioned(self: object, text: str) -> str | None:
        return next((label for label in labels if label.casefold() in text.casefold()), None)

    monkeypatch.setattr(type(domain), "extract", mentioned)
    for label in ("Urgent", "Unknown"):
        with pytest.raises(AssertionError):
            written.test_cheats_earn_nothing(label)
