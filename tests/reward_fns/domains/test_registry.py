"""The registry: lazy built-ins, entry points, module paths, and one owner for each name."""

import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from reward_fns import compute_score, domains
from reward_fns.domains.base import Domain, rules_beside, rules_from_yaml

TRIAGE = """
from reward_fns.domains.base import Domain

class Triage(Domain):
    name = "triage"
    labels = ("now", "later")

    def extract(self, answer_text):
        text = answer_text.strip().lower()
        return text if text in self.labels else None

    def equivalent(self, prediction, gold):
        return prediction == gold

DOMAIN = Triage()
"""


class Other(Domain):
    def __init__(self, name: str) -> None:
        self.name = name  # type: ignore[misc]

    def extract(self, answer_text: str) -> str | None:
        return answer_text

    def equivalent(self, prediction: str, gold: str) -> bool:
        return prediction == gold


@pytest.fixture(autouse=True)
def own_registry(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(domains, "_registered", {})
    yield


@pytest.fixture
def triage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    (tmp_path / "my_triage.py").write_text(TRIAGE, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    yield "my_triage"
    sys.modules.pop("my_triage", None)


def offer(monkeypatch: pytest.MonkeyPatch, *points: tuple[str, str]) -> None:
    found = [EntryPoint(name, value, domains.ENTRY_POINT_GROUP) for name, value in points]
    monkeypatch.setattr(domains, "entry_points", lambda group: found)


def test_nothing_is_imported_before_it_is_asked_for() -> None:
    code = (
        "import sys, reward_fns; from reward_fns import domains; names = domains.names();"
        "assert {'math', 'search_relevance'} <= set(names), names;"
        "heavy = {'reward_fns.domains.math', 'yaml', 'numpy', 'torch', 'sympy', 'math_verify'} & set(sys.modules);"
        "assert not heavy, heavy; domains.get('math')"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_get_gives_the_same_object() -> None:
    assert domains.get("math") is domains.get("math")
    assert domains.domain_of("realm/math/unguided") is domains.domain_of("openai/gsm8k")


def test_duplicate_names_are_refused() -> None:
    with pytest.raises(ValueError, match=r"'math' already exists \(reward_fns.domains.math.MathDomain\)"):
        domains.register(Other("math"))
    mine = domains.register(Other("mine"))
    assert domains.register(mine) is mine
    with pytest.raises(ValueError, match="'mine' already exists"):
        domains.register(Other("mine"))


def test_only_named_domains_are_registered() -> None:
    with pytest.raises(TypeError, match="instance of a Domain"):
        domains.register(Other)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="non-empty `name`"):
        domains.register(Other("a/b"))


def test_module_path(triage: str) -> None:
    assert domains.load(triage) is domains.load(f"{triage}:DOMAIN") is domains.get("triage")
    with pytest.raises(ValueError, match="has no NOTHING"):
        domains.load(f"{triage}:NOTHING")


def test_module_path_in_compute_score(triage: str) -> None:
    for paths in (triage, [triage]):
        result = compute_score("realm/triage", "<answer> Now </answer>", "now", domains=paths)
        assert result["score"] == pytest.approx(1.05)


def test_entry_point(triage: str, monkeypatch: pytest.MonkeyPatch) -> None:
    offer(monkeypatch, ("triage", f"{triage}:DOMAIN"))
    assert "triage" in domains.names()
    assert domains.get("triage").labels == ("now", "later")


def test_entry_point_conflicts(triage: str, monkeypatch: pytest.MonkeyPatch) -> None:
    offer(monkeypatch, ("math", f"{triage}:DOMAIN"), ("a", f"{triage}:DOMAIN"), ("b", "x:y"), ("b", "z:y"))
    with pytest.raises(ValueError, match="'math' is offered by reward_fns.domains.math:DOMAIN and my_triage"):
        domains.get("math")
    with pytest.raises(ValueError, match="must hold a Domain instance named 'a'"):
        domains.get("a")
    with pytest.raises(ValueError, match="offered by x:y and z:y"):
        domains.get("b")


def test_rules_beside_a_module_in_no_package() -> None:
    with pytest.raises(ValueError, match="in none"):
        rules_beside(None)


def test_rules_file() -> None:
    rule = "- {id: R1, name: n, text: t, precedence: 2, example: e}\n"
    first = rule.replace("R1", "R0").replace("2", "1")
    assert [r.id for r in rules_from_yaml(rule + first)] == ["R0", "R1"]
    with pytest.raises(ValueError, match="share the id R1"):
        rules_from_yaml(rule + rule.replace("2", "3"))
    with pytest.raises(ValueError, match="share the precedence 2"):
        rules_from_yaml(rule + rule.replace("R1", "R2"))
    for bad in ("text", "- {id: R1}", "a: 1"):
        with pytest.raises(ValueError, match="a rule has exactly"):
            rules_from_yaml(bad)
