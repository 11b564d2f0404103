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
    for end in range(1, len(node.value) + 1):  # an id or precedence given twice shows at the second of them
        try:
            rules_from_yaml(yaml.serialize(yaml.SequenceNode(node.tag, node.value[:end])))
        except (ValueError, TypeError, yaml.YAMLError) as error:
            reason = getattr(error, "problem", None) or str(error)
            if "int()" in reason:
                reason = f"precedence is a whole number ({reason})"
            line = node.value[end - 1].start_mark.line + 1
            raise ValueError(f"{path}, line {line}: {reason}") from error
    return rules_from_yaml(text)


def unmentioned(labels: Sequence[str], rules: Sequence[Rule]) -> list[str]:
    """The labels that no rule speaks of."""
    text = " ".join(f"{rule.text} {rule.example}" for rule in rules).casefold()
    return [label for label in labels if label.casefold() not in text]
