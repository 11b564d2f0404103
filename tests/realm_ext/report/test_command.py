"""`realm report` from a folder to the page: self-contained, escaped, honest about what is missing."""

import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import typer
from typer.testing import CliRunner

from realm_ext.report.command import report
from realm_ext.report.plots import PLOTS

VOID = {"meta", "img", "source", "link", "br", "hr", "input"}


class Checker(HTMLParser):
    """Fails on tags that do not nest, and collects what a browser would fetch."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.fetched: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.fetched += [value or "" for name, value in attrs if name in ("src", "srcset", "href")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def run(*arguments: str) -> tuple[int, str, str]:
    app = typer.Typer()
    app.command()(report)
    result = CliRunner().invoke(app, arguments)
    return result.exit_code, result.stdout, result.stderr


def check(page: str) -> Checker:
    checker = Checker()
    checker.feed(page)
    assert checker.open == []
    return checker


def test_a_whole_run_gives_page_pictures_and_tables_and_escapes_what_comes_from_files(run_dir: Path) -> None:
    code, out, _ = run(str(run_dir))
    assert code == 0
    folder = run_dir / "report"
    assert {path.name for path in folder.iterdir()} == {"index.html", *(f"{plot.name}.png" for plot in PLOTS)}
    page = (folder / "index.html").read_text(encoding="utf-8")
    fetched = check(page).fetched
    assert len(fetched) == 2 * len(PLOTS)
    assert all(value.startswith("data:image/png;base64,") for value in fetched)
    assert not re.search(r"https?://|url\(|<script|@import", page)
    for text in ("ReaLM - SFT", "+30.0", "better", "within noise", "2 min 13 s", "more than noise"):
        assert text in out
    assert "Missing or left out" not in page
    for heading in ("Accuracy by checkpoint", "Paired differences", "What each stage brought"):
        (line,) = re.findall(f"{heading}[^<]*", page)
        assert "one training run" in line
    assert " ".join(out.split()).count("one training run") == 3 and "One training run." in out
    assert "rl &lt;b&gt;" in page and "demo &lt;run&gt;" in page
    assert "<b>" not in page and "<run>" not in page


def test_what_is_missing_is_said_on_the_page_and_the_terminal(
    tmp_path: Path, write_events: Callable[..., Path]
) -> None:
    write_events(tmp_path / "run" / "rl" / "tensorboard", {"realm/exposure": [(1, 1.0), (2, 0.0)]})
    out_dir = tmp_path / "out"
    out_dir.mkdir()
    (out_dir / "stages.png").write_bytes(b"of an earlier report")
    code, out, _ = run(str(tmp_path / "run"), "--out", str(out_dir))
    assert code == 0
    assert {path.name for path in out_dir.iterdir()} == {"index.html", "exposure.png"}
    page = (out_dir / "index.html").read_text(encoding="utf-8")
    check(page)
    assert "Not drawn: needs lm_eval results under eval/." in page
    for title in (plot.title for plot in PLOTS if not plot.needs):
        assert title not in page  # not every run has these
    for text in (page, out):
        assert "eval is missing" in text and "stages.json is missing" in text


def test_a_wrong_folder_is_one_line_and_a_failure(tmp_path: Path) -> None:
    code, _, err = run(str(tmp_path / "absent"))
    assert code == 1
    assert err.startswith("realm report:") and err.count("\n") == 1


def test_names_with_markup_do_not_upset_the_terminal(tmp_path: Path) -> None:
    (tmp_path / "stages.json").write_text('[{"name": "[bold]x[/red]", "seconds": 1}]')
    code, out, _ = run(str(tmp_path))
    assert code == 0
    assert "[bold]x[/red]" in out
