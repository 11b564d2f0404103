"""Reasoning in steps: the one reader of what models write, and the one writer of what a student reads.

In goes the reasoning of a reply or a response, out come its steps without their numbers. Distillation takes the last
list that counts from 1 (`last_list`); sampling loses nothing of a text (`split_steps`).
"""

import re
from collections.abc import Iterable, Sequence

_BOLD = r"(?:\*\*|__)?"
# `1. `, `2)`, `3:`, `(4) `, `**5.** `, `Step 6: `, `### Step 7`, `- **Step 8 -** `: what models put before a step.
_MARK = re.compile(
    rf"[ \t]*(?:#{{1,6}}[ \t]+|[-*+•][ \t]+)?(?P<bold>{_BOLD})[ \t]*"
    rf"(?:(?:step[ \t]+)?(?P<plain>\d{{1,4}}){_BOLD}[ \t]*\\?[.):．：）、]{_BOLD}"
    rf"|\((?P<bracketed>\d{{1,4}})\){_BOLD}"
    rf"|step[ \t]+(?P<titled>\d{{1,4}}){_BOLD}[ \t]*(?:[-–—]+|$){_BOLD})"
    r"(?:[ \t]+|$|(?=[^\W\d_]))",
    re.IGNORECASE,
)
_SENTENCE = re.compile(r"(?<=[.!?])\s+(?=[A-Z0-9\"'(\[$\\])")


def last_list(reasoning: str) -> tuple[str, ...]:
    """The steps of the last list that counts from 1; empty where there is none, or where a step is empty.

    A line without the next number goes on with the step before it; so does a list further indented, within a step.

    >>> last_list("Plan: see below.\\n**Step 1:** Add 2 and 3.\\n**Step 2:** That is 5.")
    ('Add 2 and 3.', 'That is 5.')
    """
    _, steps = _read_list(reasoning.splitlines(), restart=True)
    return tuple(steps) if all(steps) else ()


def split_steps(reasoning: str) -> list[str]:
    """The steps of a chain: its numbered lines if it numbers them from 1, else its lines, else its sentences.

    What stands before the first number is a step of its own, and blanks in a step become single ones.
    """
    lines = [line for line in reasoning.splitlines() if line.strip()]
    before, steps = _read_list(lines, restart=False)
    if steps:
        steps = [before, *steps]
    else:
        steps = lines if len(lines) > 1 else _SENTENCE.split(reasoning)
    cleaned = (" ".join(step.split()) for step in steps)
    return [step for step in cleaned if step]


def numbered(steps: Sequence[str]) -> str:
    """Steps as the thinking of a response."""
    return "\n".join(f"{number}. {step}" for number, step in enumerate(steps, start=1))


def _read_list(lines: Iterable[str], *, restart: bool) -> tuple[str, list[str]]:
    """What stands before a list that counts from 1, and its steps; `restart`: a later list takes the place of an earlier."""
    before: list[str] = []
    steps: list[list[str]] = []
    margin = 0
    for line in lines:
        mark, indent = _MARK.match(line), len(line) - len(line.lstrip())
        number = int(mark["plain"] or mark["bracketed"] or mark["titled"]) if mark else 0
        is_item = mark is not None and (not steps or indent <= margin)
        if mark and is_item and number == 1 and (restart or not steps):
            steps, margin = [[_rest(line, mark)]], indent
        elif mark and is_item and steps and number == len(steps) + 1:
            steps.append([_rest(line, mark)])
        else:
            (steps[-1] if steps else before).append(line.strip())
    return _joined(before), [_joined(parts) for parts in steps]


def _joined(parts: Sequence[str]) -> str:
    return " ".join(part for part in parts if part)


def _rest(line: str, mark: re.Match[str]) -> str:
    """A line behind its mark; bold print that began in the mark (`**Step 1: Add.** So ...`) ends with it."""
    rest, bold = line[mark.end() :].strip(), mark["bold"]
    return rest.replace(bold, "", 1) if bold and mark[0].count(bold) == 1 else rest
