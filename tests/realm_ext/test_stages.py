"""Stages: what is reused, what runs again, what an interruption leaves behind. The commands are real processes."""

import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from realm_ext.stages import Stage, StageFailedError, run_stages, write_json

# Appends a line to argv[1], so that tests can count runs, then writes argv[2].
WRITE = "import sys; open(sys.argv[1], 'a').write('x'); open(sys.argv[2], 'w').write(sys.argv[3])"
# The same, but half way it waits for the file argv[4].
WAIT = (
    "import os, sys, time\nopen(sys.argv[2], 'w').write('half')\nopen(sys.argv[1], 'a').write('x')\n"
    "while not os.path.exists(sys.argv[4]): time.sleep(0.02)\nopen(sys.argv[2], 'w').write(sys.argv[3])"
)
# Runs the stages that stand in argv[1] as JSON, in a process of its own that tests can kill.
RUN = (
    "import json, signal, sys\nfrom pathlib import Path\nfrom rich.console import Console\n"
    # A suite started in the background by a shell hands down an ignored SIGINT.
    "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
    "from realm_ext.stages import Stage, run_stages\n"
    "stages = [Stage(n, n, tuple(c), (Path(o),)) for n, c, o in json.loads(sys.argv[1])]\n"
    "run_stages(stages, Path(sys.argv[2]), Console())"
)


class Chain:
    """Three stages a, b, c in a run folder; each counts its runs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.run_dir = folder / "run"
        self.contents = {"a": "1", "b": "1", "c": "1"}
        self.waiting: set[str] = set()

    def stage(self, name: str) -> Stage:
        script = (WAIT, str(self.folder / "go")) if name in self.waiting else (WRITE,)
        arguments = (str(self.count_file(name)), str(self.output(name)), self.contents[name])
        command = (sys.executable, "-c", script[0], *arguments, *script[1:])
        return Stage(name, f"makes {name}", command, (self.output(name),))

    def stages(self) -> list[Stage]:
        return [self.stage(name) for name in self.contents]

    def run(self) -> dict[str, str]:
        """Run the chain; returns the status of each stage."""
        records = run_stages(self.stages(), self.run_dir, Console(file=io.StringIO()))
        return {record["name"]: record["status"] for record in records}

    def start(self) -> "subprocess.Popen[bytes]":
        """Run the chain in a process of its own."""
        stages = [(s.name, s.command, str(s.outputs[0])) for s in self.stages()]
        command = [sys.executable, "-c", RUN, json.dumps(stages), str(self.run_dir)]
        return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def output(self, name: str) -> Path:
        return self.folder / f"{name}.out"

    def count_file(self, name: str) -> Path:
        return self.folder / f"{name}.runs"

    def counts(self) -> str:
        """How often a, b and c were started, as in "111"."""
        files = [self.count_file(name) for name in self.contents]
        return "".join(str(len(file.read_text())) if file.exists() else "0" for file in files)

    def wait_for(self, condition: Callable[[], bool]) -> None:
        end = time.monotonic() + 60
        while not condition():
            assert time.monotonic() < end, f"nothing happened for 60 s; runs so far {self.counts()}"
            time.sleep(0.02)


@pytest.fixture
def chain(tmp_path: Path) -> Chain:
    return Chain(tmp_path)


DONE = {"a": "done", "b": "done", "c": "done"}
REUSED = {"a": "reused", "b": "reused", "c": "reused"}


def test_what_is_done_is_reused(chain: Chain) -> None:
    assert chain.run() == DONE
    assert chain.run() == REUSED
    assert chain.counts() == "111"


def test_record_names_times_and_hashes(chain: Chain) -> None:
    before = time.time()
    chain.run()
    records = json.loads((chain.run_dir / "stages.json").read_text())
    assert [record["name"] for record in records] == ["a", "b", "c"]
    assert len({record["command_hash"] for record in records}) == 3
    for record in records:
        assert before <= record["started"] <= time.time()
        assert 0 < record["seconds"] < 60
        assert (chain.run_dir / "logs" / f"{record['name']}.log").read_text().startswith("$ ")


def test_a_changed_command_runs_again_with_all_after_it(chain: Chain) -> None:
    chain.run()
    chain.contents["b"] = "2"
    assert chain.run() == {"a": "reused", "b": "done", "c": "done"}
    assert chain.counts() == "122"


def test_a_missing_output_is_made_again_with_all_after_it(chain: Chain) -> None:
    chain.run()
    chain.output("a").unlink()
    assert chain.run() == DONE


def test_a_stage_put_between_runs_with_all_after_it(chain: Chain) -> None:
    chain.contents = {"a": "1", "c": "1"}
    chain.run()
    chain.contents = {"a": "1", "b": "1", "c": "1"}
    assert chain.run() == {"a": "reused", "b": "done", "c": "done"}


def failing(chain: Chain, code: str, *outputs: Path) -> str:
    stages = [
        chain.stage("a"),
        Stage("bad", "fails", (sys.executable, "-c", code), outputs),
        chain.stage("c"),
    ]
    with pytest.raises(StageFailedError) as error:
        run_stages(stages, chain.run_dir, Console(file=io.StringIO()))
    assert chain.counts()[2] == "0", "the stage after the failed one was run"
    return str(error.value)


def test_a_failing_command_is_named_with_its_log(chain: Chain) -> None:
    text = failing(chain, "import sys; print('the é cause'); sys.exit(3)")
    assert "stage bad ended with exit code 3" in text
    assert str(chain.run_dir / "logs" / "bad.log") in text and text.endswith("the é cause\n")
    failing(chain, "import sys; sys.exit('another cause')")
    assert chain.counts()[0] == "1", "the stage before the failed one was not reused"


def test_only_the_end_of_this_attempts_log_is_shown(chain: Chain) -> None:
    failing(chain, "import sys; print('first attempt'); sys.exit(1)")
    text = failing(chain, "import sys; print('x' * 9000); sys.exit(1)")
    assert "first attempt" not in text and len(text) < 3000
    log = (chain.run_dir / "logs" / "bad.log").read_text()
    assert "first attempt" in log and "x" * 9000 in log


def test_a_killed_command_is_a_failure(chain: Chain) -> None:
    text = failing(chain, "import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
    assert "exit code -9" in text


def test_a_command_that_does_not_write_its_output_fails(chain: Chain) -> None:
    missing = chain.folder / "never"
    assert f"stage bad did not write {missing}" in failing(chain, "", missing)


def test_a_torn_record_is_refused_with_its_cure(chain: Chain) -> None:
    chain.run()
    for content in ('[{"name": "a", "comm', "", "null", "[1]", "\x00\x00"):
        (chain.run_dir / "stages.json").write_text(content)
        with pytest.raises(StageFailedError, match="stages.json is not readable .* remove it"):
            chain.run()
    assert chain.counts() == "111"
    (chain.run_dir / "stages.json").unlink()
    assert chain.run() == DONE


def test_the_record_is_replaced_and_leaves_no_other_file(chain: Chain) -> None:
    chain.run()
    assert {path.name for path in chain.run_dir.iterdir()} == {"stages.json", "logs"}


def test_an_unwritable_value_leaves_the_old_record(tmp_path: Path) -> None:
    write_json(tmp_path / "x.json", {"a": 1})
    with pytest.raises(TypeError):
        write_json(tmp_path / "x.json", {"a": object()})
    assert json.loads((tmp_path / "x.json").read_text()) == {"a": 1}


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=lambda s: s.name)
def test_an_interrupted_run_resumes(chain: Chain, sent: signal.Signals) -> None:
    chain.waiting = {"b"}
    process = chain.start()
    chain.wait_for(lambda: chain.counts() == "110")
    process.send_signal(sent)
    assert process.wait(timeout=60) != 0
    (chain.folder / "go").touch()
    assert chain.run() == {"a": "reused", "b": "done", "c": "done"}
    assert chain.counts() == "121"


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=lambda s: s.name)
def test_an_interrupted_run_ends_its_command(chain: Chain, sent: signal.Signals) -> None:
    """A command left running would write into the folder beside the one that resumes."""
    pid_file = chain.folder / "pid"
    code = f"import os, time; open({str(pid_file)!r}, 'w').write(str(os.getpid())); time.sleep(120)"
    command = [sys.executable, "-c", code]
    stages = json.dumps([("a", command, str(chain.output("a")))])
    process = subprocess.Popen(
        [sys.executable, "-c", RUN, stages, str(chain.run_dir)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    chain.wait_for(lambda: pid_file.exists() and bool(pid_file.read_text()))
    pid = int(pid_file.read_text())
    try:
        process.send_signal(sent)
        process.wait(timeout=60)
        chain.wait_for(lambda: not is_running(pid))
    finally:
        if is_running(pid):
            os.kill(pid, signal.SIGKILL)


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] != "Z"
    except FileNotFoundError:
        return False


def test_what_follows_a_rerun_runs_again_even_after_an_interruption(chain: Chain) -> None:
    chain.run()
    chain.contents["a"] = "2"
    chain.waiting = {"b"}  # b's command changes too; the run is killed in it
    process = chain.start()
    chain.wait_for(lambda: chain.counts() == "221")
    process.kill()
    process.wait(timeout=60)
    (chain.folder / "go").touch()
    chain.waiting = set()  # b's command is the one of the first run again, but b stands on the new a
    assert chain.run() == {"a": "reused", "b": "done", "c": "done"}


def test_going_back_to_a_command_whose_output_was_half_overwritten(chain: Chain) -> None:
    chain.run()
    chain.contents["a"], chain.waiting = "2", {"a"}
    process = chain.start()
    chain.wait_for(lambda: chain.counts() == "211")
    process.kill()
    process.wait(timeout=60)
    assert chain.output("a").read_text() == "half"
    chain.contents["a"], chain.waiting = "1", set()
    assert chain.run() == DONE
    assert chain.output("a").read_text() == "1"


def test_the_environment_reaches_the_command(chain: Chain, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REALM_TEST_OUTER", "outer")
    code = (
        "import os, sys; open(sys.argv[1], 'w').write(os.environ['REALM_TEST_OUTER'] + os.environ['INNER'])"
    )
    stage = Stage(
        "a",
        "",
        (sys.executable, "-c", code, str(chain.output("a"))),
        (chain.output("a"),),
        {"INNER": "+inner"},
    )
    run_stages([stage], chain.run_dir, Console(file=io.StringIO()))
    assert chain.output("a").read_text() == "outer+inner"
