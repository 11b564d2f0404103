"""README and docs/ say only what is there: commands, options, recipes, files, names and links; cheap examples run.

Marks are HTML comments on the line before a fence: `run` runs it (bash or python), `output` is what the fence before
printed, `file: PATH` writes it. The marked fences of a page run in order, in one empty folder.
"""

import ast
import importlib.util
import os
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest
import yaml

from data_prep.distill.experts import ENTRY_POINT_GROUP as EXPERT_GROUP
from realm_ext.cli import COMMAND_GROUP, find_commands, load_command
from realm_ext.config import read_config
from realm_ext.schedule import KINDS
from reward_fns import compute_score
from reward_fns.domains import ENTRY_POINT_GROUP

REPOSITORY = Path(__file__).resolve().parents[1]
PAGES = [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").glob("*.md"))]
PACKAGES = ("realm_ext", "reward_fns", "data_prep", "eval_tasks")
# Programs that are not checked further.
OTHER_PROGRAMS = {"echo", "ls", "pip", "ray", "sort", "source", "tail", "vllm"}
TRAINERS = ("verl.trainer.main_ppo", "verl.trainer.sft_trainer")

_FENCE = re.compile(r"(?:^<!-- ([^\n]*) -->\n)?^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_SUBSTITUTION = re.compile(r"\$\(([^()]*)\)")
_SPAN = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_PATH = re.compile(rf"(?:{'|'.join(PACKAGES)}|\.ci|configs|docs|packaging|requirements|tests)/[\w./-]*")
_NAME = re.compile(rf"(?:{'|'.join(PACKAGES)})(?:\.\w+)+")
_OPTION = re.compile(
    r"(?:actor_rollout_ref|algorithm|data|ray_kwargs|realm|reward|trainer)(?:\.[a-z]\w*)+(?==|$)"
)


@dataclass(frozen=True)
class Fence:
    """A fenced block: its mark (empty if none), language, text, and `page:line`."""

    mark: str
    language: str
    text: str
    place: str


def fences_of(page: Path) -> list[Fence]:
    text = page.read_text(encoding="utf-8")
    return [
        Fence(m[1] or "", m[2], m[3], f"{page.name}:{text.count(chr(10), 0, m.start(3))}")
        for m in _FENCE.finditer(text)
    ]


def prose_of(page: Path) -> str:
    return _FENCE.sub("", page.read_text(encoding="utf-8"))


def commands_in(text: str) -> Iterator[list[str]]:
    """The commands of a shell text as words, those inside `$(...)` included; assignments in front are left out."""
    for line in text.replace("\\\n", " ").splitlines():
        for inner in _SUBSTITUTION.findall(line):
            yield from commands_in(inner)
        words = shlex.split(_SUBSTITUTION.sub("SUBSTITUTED", line), comments=True)
        command: list[str] = []
        for word in [*words, ";"]:
            if word in (";", "|", "&&"):
                if command:
                    yield command
                command = []
            elif command or not re.match(r"\w+=", word):
                command.append(word)


def shell_commands() -> list[Any]:
    return [
        pytest.param(words, id=f"{fence.place} {' '.join(words[:4])}")
        for page in PAGES
        for fence in fences_of(page)
        if fence.language == "bash"
        for words in commands_in(fence.text)
    ]


def spans(pattern: re.Pattern[str]) -> list[Any]:
    """The parts of `code spans` that match from their start, once a page."""
    found = {
        (page.name, match.group())
        for page in PAGES
        for span in _SPAN.findall(prose_of(page))
        if (match := pattern.match(span.removeprefix("+")))
    }
    return [pytest.param(text, id=f"{page} {text}") for page, text in sorted(found)]


# ------------------------------ what a command needs to be right ------------------------------


def check_realm(words: list[str], whole: bool = True) -> None:
    """The sub-command and its options exist; if `whole`, as many arguments are given as it takes."""
    entries = find_commands(entry_points(group=COMMAND_GROUP))
    assert words and words[0] in entries, f"no command `realm {' '.join(words[:1])}`"
    command, rest = load_command(entries[words[0]]), words[1:]
    while rest and (inner := getattr(command, "commands", None)):
        assert rest[0] in inner, f"no command `realm {words[0]} {rest[0]}`; there are {', '.join(inner)}"
        command, rest = inner[rest[0]], rest[1:]
    options = {
        name: parameter
        for parameter in command.params
        if parameter.param_type_name == "option"
        for name in (*parameter.opts, *parameter.secondary_opts)
    }
    given, waiting = 0, False
    for word in rest:
        name, is_joined, _ = word.partition("=")
        if waiting:
            waiting = False
        elif word.startswith("-") and name != "--help":
            assert name in options, f"no option {name}; there are {', '.join(options)}"
            waiting = not options[name].is_flag and not is_joined
        elif name != "--help":
            given += 1
    arguments = [p for p in command.params if p.param_type_name == "argument"]
    if whole and not getattr(command, "commands", None) and "--help" not in rest:
        assert not waiting, f"{rest[-1]} needs a value"
        most = given if any(a.nargs == -1 for a in arguments) else len(arguments)
        assert sum(a.required for a in arguments) <= given <= most, f"{given} arguments: {words}"


def check_module(words: list[str]) -> None:
    """The module behind `-m` exists; a trainer's recipe composes with the overrides."""
    module, rest = words[0], words[1:]
    assert importlib.util.find_spec(module) is not None, f"no module {module}"
    if module in TRAINERS:
        config = rest[rest.index("--config-name") + 1]
        path = rest[rest.index("--config-path") + 1]
        assert path == "SUBSTITUTED", f"--config-path {path}: write $(realm paths configs)"
        assert (REPOSITORY / "configs" / f"{config}.yaml").is_file(), f"no recipe {config}"
        overrides = [re.sub(r"\$\w+", "VALUE", word) for word in rest if "=" in word and word[0] != "-"]
        compose_recipe(config, overrides)


def compose_recipe(name: str, overrides: list[str]) -> Any:
    pytest.importorskip("verl")
    from hydra import compose, initialize_config_dir

    with initialize_config_dir(str(REPOSITORY / "configs"), version_base=None):
        return compose(name, overrides=overrides)  # Hydra refuses keys that are not there


def task_names() -> set[str]:
    text = "\n".join(path.read_text() for path in (REPOSITORY / "eval_tasks" / "tasks").glob("*.yaml"))
    return set(re.findall(r"^(?:task|group): (\w+)$", text, re.MULTILINE))


def check_lm_eval(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("lm_eval")
    from lm_eval._cli import HarnessCLI

    monkeypatch.setattr(sys, "argv", ["lm_eval", *words])
    arguments = HarnessCLI().parse_args()  # ends the program on an unknown option
    tasks = arguments.tasks if isinstance(arguments.tasks, list) else str(arguments.tasks).split(",")
    assert set(tasks) <= task_names(), f"unknown task in {tasks}"


def check_make(words: list[str]) -> None:
    targets = re.findall(r"^([a-z-]+):", (REPOSITORY / "Makefile").read_text(), re.MULTILINE)
    for word in words:
        assert word in targets or re.match(r"[A-Z]+=", word), f"no target {word} in the Makefile"


@pytest.mark.timeout(600)
@pytest.mark.parametrize("words", shell_commands())
def test_command_is_one_that_exists(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    program, rest = words[0], words[1:]
    if program == "realm":
        check_realm(rest)
    elif program == "lm_eval":
        check_lm_eval(rest, monkeypatch)
    elif program == "make":
        check_make(rest)
    elif program == "torchrun" or (program == "python" and rest[0] == "-m"):
        check_module(rest[rest.index("-m") + 1 :])
    elif program == "python":
        assert any(fence.mark == f"file: {rest[0]}" for page in PAGES for fence in fences_of(page))
    else:
        assert program in OTHER_PROGRAMS, f"{program}: check it, then add it to OTHER_PROGRAMS"


# ------------------------------ what stands in the text ------------------------------


@pytest.mark.parametrize("text", spans(re.compile(r"(?:realm|make|lm_eval) .*")))
def test_command_in_the_text_exists(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    program, *rest = shlex.split(text)
    if program == "realm":
        check_realm(rest, whole=False)
    elif program == "make":
        check_make(rest)
    else:
        check_lm_eval(rest, monkeypatch)


@pytest.mark.parametrize("path", spans(_PATH))
def test_path_exists(path: str) -> None:
    assert (REPOSITORY / path).exists()


@pytest.mark.parametrize("name", spans(_NAME))
def test_python_name_exists(name: str) -> None:
    module, _, inner = name.rpartition(".")
    if _module_file(name):
        return
    path = _module_file(module)
    assert path is not None, f"no module {module}"
    names: set[str] = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names |= {target.id for target in targets if isinstance(target, ast.Name)}
        elif isinstance(node, ast.ImportFrom):
            names |= {alias.asname or alias.name for alias in node.names}
    assert inner in names, f"{module} has no {inner}"


def _module_file(name: str) -> Path | None:
    base = REPOSITORY / name.replace(".", "/")
    return next((p for p in (base.with_suffix(".py"), base / "__init__.py") if p.is_file()), None)


@pytest.mark.timeout(600)
def test_config_options_exist() -> None:
    added = (
        "trainer.v1.realm_sync.poll_interval=0.1",
        "realm.schedule.stages=[]",
        "realm.schedule.rate=5",
        "ray_kwargs.ray_init.address=local",
    )
    configs = (
        compose_recipe("realm_zero", [f"+{option}" for option in added]),
        compose_recipe("realm_sft", []),
    )
    for parameter in spans(_OPTION):
        option = str(parameter.values[0])
        if option in (COMMAND_GROUP, ENTRY_POINT_GROUP, EXPERT_GROUP):
            continue
        assert any(_has(config, option) for config in configs), f"{parameter.id}: no such option"


def _has(node: Any, option: str) -> bool:
    for key in option.split("."):
        if node is None or key not in node:
            return False
        node = node[key]
    return True


@pytest.mark.parametrize("name", spans(re.compile(r"realm_\w+$")))
def test_recipe_or_task_exists(name: str) -> None:
    recipes = {path.stem for path in (REPOSITORY / "configs").glob("*.yaml")}
    assert name in recipes | task_names() | {"realm_grpo", "realm_sync", "realm_colocate_async"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_resolve(page: Path) -> None:
    for target in _LINK.findall(prose_of(page)):
        if re.match(r"https?://", target):
            continue
        path, _, anchor = target.partition("#")
        found = page.parent / path if path else page
        assert found.exists(), f"{page.name} links to {target}"
        if anchor:
            titles = re.findall(r"^#+ (.*)$", prose_of(found), re.MULTILINE)
            slugs = [re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles]
            assert anchor in slugs, f"{page.name} links to {target}"


def test_every_page_is_linked_from_the_readme() -> None:
    linked = set(_LINK.findall(prose_of(PAGES[0])))
    assert {f"docs/{page.name}" for page in PAGES[1:]} <= linked


# ------------------------------ nothing left out ------------------------------


def test_every_option_schedule_and_reward_key_is_explained() -> None:
    train, fading = (
        (REPOSITORY / "docs" / page).read_text(encoding="utf-8") for page in ("train.md", "fading.md")
    )
    defaults = yaml.safe_load((REPOSITORY / "configs" / "realm_defaults.yaml").read_text())["realm"]
    options = {f"realm.{key}" for key, value in defaults.items() if not isinstance(value, dict)}
    options |= {
        f"realm.{key}.{inner}"
        for key, value in defaults.items()
        if isinstance(value, dict)
        for inner in value
    }
    keys = set(compute_score("realm/math", "", "1")) - {"score"}
    assert {name for name in options | keys if f"`{name}`" not in train} == set()
    assert {kind for kind in KINDS if f"`{kind}`" not in fading} == set()


def test_every_patch_is_listed() -> None:
    pytest.importorskip("torch")
    from realm_ext.patches import PATCHES

    page = (REPOSITORY / "docs" / "cpu.md").read_text(encoding="utf-8")
    assert {patch.symbol for patch in PATCHES if patch.symbol not in page} == set()


def test_the_domain_of_the_guide_is_short() -> None:
    files = {
        fence.mark.removeprefix("file: triage/"): len(fence.text.splitlines())
        for fence in fences_of(REPOSITORY / "docs" / "add_a_domain.md")
        if fence.mark.startswith("file: ")
    }
    parts = ("triage_domain/__init__.py", "triage_domain/rules.yaml", "test_triage.py")
    assert sum(files[part] for part in parts) < 60


# ------------------------------ examples ------------------------------


@pytest.mark.parametrize("fence", [pytest.param(f, id=f.place) for page in PAGES for f in fences_of(page)])
def test_fence_is_well_formed(fence: Fence) -> None:
    assert fence.language in ("bash", "python", "yaml", "toml", "text"), "name the fence's language"
    assert re.fullmatch(r"|run|output|file: [\w./-]+", fence.mark)
    if fence.language == "python":
        compile(fence.text, fence.place, "exec")
    elif fence.language == "toml":
        tomllib.loads(fence.text)
    elif fence.language == "yaml":
        content = yaml.safe_load(fence.text)
        if "realm" in content:
            read_config(content)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_marked_examples_run(page: Path, tmp_path: Path) -> None:
    """Packages that a page installs go into a folder of the test, not into this environment."""
    marked = [fence for fence in fences_of(page) if fence.mark]
    site = str(tmp_path / "site")
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": site,
        "PIP_TARGET": site,
        "PIP_NO_INDEX": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    work, printed = tmp_path / "work", ""
    work.mkdir()
    for fence in marked:
        if fence.mark.startswith("file: "):
            path = work / fence.mark.removeprefix("file: ")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(fence.text, encoding="utf-8")
        elif fence.mark == "output":
            assert printed == fence.text, f"{fence.place}: prints\n{printed}"
        else:
            program = (
                ["bash", "-euo", "pipefail", "-c"] if fence.language == "bash" else [sys.executable, "-c"]
            )
            done = subprocess.run(
                [*program, fence.text],
                cwd=work,
                env=environment,
                capture_output=True,
                text=True,
                timeout=300,
                check=False,
            )
            assert done.returncode == 0, f"{fence.place}: exit code {done.returncode}\n{done.stderr[-3000:]}"
            printed = done.stdout


@pytest.mark.parametrize("page", ["README.md", "docs/distil.md"])
def test_the_worked_question_is_answered_as_the_engine_answers(page: str) -> None:
    from data_prep.search_relevance.datasets import teach
    from data_prep.search_relevance.expert import with_names

    text = (REPOSITORY / page).read_text(encoding="utf-8")
    chain = with_names(teach(text[text.index("Query: ") :], "full"))
    steps = "\n".join(f"{number}. {step}" for number, step in enumerate(chain.steps, start=1))
    assert f"<think> {steps}\nAnswer 1: " in text or f"<think> {steps} </think>" in text
    assert f"<answer> {chain.answer} </answer>" in text
