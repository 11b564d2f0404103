"""Reading a team's rule book with the loader that domains use; errors name the line.

Serves design.md, section Guided CoT distillation, item 1.
"""

from collections.abc import Sequence
from pathlib import Path

import yaml

from reward_fns.domains import Rule
from reward_fns.domains.base import rules_from_yaml


def read_rules(path: Path) -> tuple[Rule, ...]:
    """The rules of a file, in order of precedence.

    Raises:
        ValueError: it cannot be read or is no rule book; says in which line.
    """
    try:
        text = path.read_text(encoding="utf-8")
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} cannot be read: {error}") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        raise ValueError(f"{path}{line}: not YAML: {getattr(error, 'problem', None) or error}") from error
    if not isinstance(node, yaml.SequenceNode) or not node.value:
        raise ValueError(f"{path}, line 1: a rule book is a list of rules, each starting with `- id: ...`")
    for entry in node.value:
        _try([entry], text, f"{path}, line {entry.start_mark.line + 1}")
    for end in range(2, len(node.value) + 1):  # an id or precedence given twice shows at the second of them
        _try(node.value[:end], text, f"{path}, line {node.value[end - 1].start_mark.line + 1}")
    return rules_from_yaml(text)


def _try(entries: Sequence[yaml.Node], text: str, place: str) -> None:
    lines = "".join(yaml.serialize(yaml.SequenceNode("tag:yaml.org,2002:seq", list(entries))))
    try:
        rules_from_yaml(lines)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{place}: {error}") from error


def unmentioned(labels: Sequence[str], rules: Sequence[Rule]) -> list[str]:
    """The labels that no rule speaks of."""
    text = " ".join(f"{rule.text} {rule.example}" for rule in rules).casefold()
    return [label for label in labels if label.casefold() not in text]
