"""Questions with lettered options in one form, whatever the set calls its fields. Used by the sources of `choice`.

Serves design.md, section Domains (`choice`).
"""

from collections.abc import Mapping, Sequence
from typing import Any

from data_prep.sources.base import Item, Ledger, Refused
from reward_fns.domains.choice.letters import LETTERS


def choice_item(question: str, options: Sequence[tuple[str, str]], key: object, ledger: Ledger) -> Item:
    """A question with its options lettered from A, in their order.

    The gold answer is the letter with the option's words, so that both count; where the domain cannot read that (words
    that name another option, or two options alike), the letter alone.

    Args:
        question: the question without its options.
        options: pairs of the set's own key (a letter or a digit) and text.
        key: the key of the right option.
        ledger: holds the domain.

    Raises:
        Refused: fewer than 2 or more than 10 options, an empty one, or no option with that key.
    """
    if not 2 <= len(options) <= len(LETTERS):
        raise Refused(f"{len(options)} options; expected 2 to {len(LETTERS)}")
    if not all(text.strip() for _, text in options):
        raise Refused("an option is empty")
    right = next((place for place, (own, _) in enumerate(options) if own == key), None)
    if right is None:
        raise Refused(f"no option has the answer's key {key!r}")
    lines = [
        f"({letter}) {' '.join(text.split())}" for letter, (_, text) in zip(LETTERS, options, strict=False)
    ]
    letter, gold = LETTERS[right], lines[right]
    words = [line[4:].casefold() for line in lines]
    if (
        words.count(words[right]) > 1
        or not ledger.label(letter, gold)
        or ledger.domain.extract(gold) != letter
    ):
        gold = letter
    return Item("\n".join([question, *lines, "Answer with the letter of the right option."]), gold)


def labelled_options(value: object) -> list[tuple[str, str]]:
    """Pairs of key and text out of `{"label": [...], "text": [...]}`, `[{"label": ..., "text": ...}]`,
    `[{"key": ..., "value": ...}]` or `{"A": ...}`.

    Raises:
        Refused: it is none of these.
    """
    if isinstance(value, Mapping) and {"label", "text"} <= value.keys():
        pairs: list[Any] = list(zip(value["label"], value["text"], strict=False))
    elif isinstance(value, Mapping):
        pairs = sorted((key, text) for key, text in value.items() if text is not None)
    elif isinstance(value, Sequence) and all(isinstance(one, Mapping) for one in value):
        pairs = [(one.get("label", one.get("key")), one.get("text", one.get("value"))) for one in value]
    else:
        pairs = []
    if not pairs or not all(isinstance(part, str) for pair in pairs for part in pair):
        raise Refused("no options with keys and texts")
    return pairs
