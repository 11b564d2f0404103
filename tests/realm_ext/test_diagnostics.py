"""A failing diagnostic is said once, by name; nothing inside it ends what is around it."""

import pytest

from realm_ext import diagnostics
from realm_ext.diagnostics import diagnostic


def test_the_first_failure_of_each_name_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(diagnostics, "_failed", set())
    for name in ("one", "two", "one"):
        with diagnostic(name):
            raise KeyError("x")
    assert capsys.readouterr().out.splitlines() == [
        f"ReaLM: {name} failed, and the run goes on without it; said once: KeyError: 'x'"
        for name in ("one", "two")
    ]


def test_an_interruption_is_no_failure() -> None:
    with pytest.raises(KeyboardInterrupt), diagnostic("one"):
        raise KeyboardInterrupt
