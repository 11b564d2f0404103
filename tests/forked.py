"""Programs that each need a Python which has loaded none of ours, as forks of one that has loaded what is dear.

Importing torch, Ray and the like takes seconds; a fork has them at once. What is under test, and what it patches, each
program still imports for itself.
"""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

UNDER_TEST = ("realm_ext", "reward_fns", "data_prep", "eval_tasks", "configs", "verl", "vllm")

_PARENT = """
import json, os, sys, traceback
work = json.loads(sys.argv[1])
exec(work["preload"], {})
loaded = set(work["under_test"]) & set(sys.modules)
assert not loaded, f"the forks would share {loaded}"
for number, program in enumerate(work["programs"]):
    if (child := os.fork()) == 0:
        code = 1
        try:
            for stream, name in ((1, "out"), (2, "err")):
                os.dup2(os.open(f"{work['folder']}/{number}.{name}", os.O_WRONLY | os.O_CREAT), stream)
            before = os.environ.get("PYTHONPATH", "").split(os.pathsep)
            os.environ.update(program["environment"])
            after = filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))
            sys.path[1:] = [*after, *(path for path in sys.path[1:] if path not in before)]
            sys.argv[1:] = program["arguments"]
            os.chdir(program["cwd"])
            exec(program["code"], {"__name__": "__main__"})
            code = 0
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else int(end.code is not None)
            if isinstance(end.code, str):
                print(end.code, file=sys.stderr)
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush(), sys.stderr.flush()
            os._exit(code)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


@dataclass(frozen=True)
class Program:
    """Python code as `python -c` would run it, with what is added to the environment; PYTHONPATH takes effect."""

    code: str
    arguments: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Done:
    """How a program ended."""

    returncode: int
    stdout: str
    stderr: str


def run_forked(
    programs: Sequence[Program],
    folder: Path,
    *,
    preload: str,
    environment: Mapping[str, str] | None = None,
    timeout: float = 280,
) -> list[Done]:
    """Run programs one after the other.

    Args:
        folder: where they run, and where their output is kept; away from the checkout.
        preload: imports that they share, none of `UNDER_TEST`.
        environment: of all of them; by default this process's.
        timeout: seconds for all of them.
    """
    work = {
        "preload": preload,
        "under_test": UNDER_TEST,
        "folder": str(folder),
        "programs": [asdict(program) | {"cwd": str(folder)} for program in programs],
    }
    ran = subprocess.run(
        [sys.executable, "-c", _PARENT, json.dumps(work)],
        cwd=folder,
        env=dict(os.environ if environment is None else environment),
        capture_output=True,
        text=True,
        check=False,
        timeout=timeout,
    )
    codes = [int(line) for line in ran.stdout.split()]
    assert len(codes) == len(programs), ran.stderr
    return [
        Done(code, *((folder / f"{number}.{end}").read_text() for end in ("out", "err")))
        for number, code in enumerate(codes)
    ]
