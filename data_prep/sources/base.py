"""What a source is: how the records of one public data set become questions, gold answers and routes.

Serves design.md, section Data. A source is one module of this folder with a `make` function and a `SOURCE`; reading
files, checking, splitting, counting and writing are the same for all and live in `convert`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from reward_fns.domains import Domain
from reward_fns.routes import Route

TRAINING_SPLITS = ("train", "routes")
"""Splits whose rows leave the regime to the schedule; rows of any other split are validation rows."""


class Refused(ValueError):
    """A record that cannot be used; the message is the reason."""


class Skipped(ValueError):
    """A record that was not asked for, such as one of another split: counted, but not kept as a reject."""


@dataclass(frozen=True)
class Item:
    """One question of a source. `split` is where its publisher put it, None where that is what was asked for."""

    question: str
    gold: str
    routes: tuple[Route, ...] = ()
    split: str | None = None


@dataclass
class Ledger:
    """What one pass over an input counts.

    Attributes:
        domain: judges gold answers and labels routes.
        split: the split asked for.
        refuse: called with reason and text of each refused route.
        compared, disagreements: routes with a published label, and those whose label differs from it.
    """

    domain: Domain
    split: str
    refuse: Callable[[str, str], None]
    compared: int = 0
    disagreements: int = 0

    def label(self, answer: str, gold: str) -> bool:
        """Whether the domain's verifier takes `answer` for right."""
        read = self.domain.extract(answer)
        return read is not None and self.domain.equivalent(read, gold)

    def route(
        self,
        gold: str,
        steps: Sequence[str],
        answer: str,
        source: str,
        *,
        published: bool | None = None,
        sound: bool | None = None,
        first_error: int | None = None,
    ) -> Route:
        """A route labelled by the domain's verifier; the published label, if any, is compared and counted.

        Raises:
            ValueError: `first_error` is outside the steps.
        """
        label = self.label(answer, gold)
        if published is not None:
            self.compared += 1
            self.disagreements += label != published
        return Route(tuple(steps), answer, label, sound, first_error, source)


@dataclass(frozen=True)
class Source:
    """One data set that `realm prep` can convert.

    Attributes:
        name: the sub-command.
        title, summary, tags, warning: for help and dataset card; `warning` is printed too.
        domain: name of the domain that judges its answers.
        licence: of the data as published, an identifier of the Hub; the Hub's own is taken where it is read from there.
        example: a file of it, as its publisher names it, for the help.
        hub: where the Hub has it, as `owner/name` or `owner/name:configuration`; empty where it does not.
        make: one record to an `Item`. Raises `Refused` for one that cannot be used, `Skipped` for one that was not
            asked for.
        split: the split written where none is named.
    """

    name: str
    title: str
    summary: str
    domain: str
    licence: str
    example: str
    hub: str
    make: Callable[[Mapping[str, Any], Ledger], Item]
    tags: tuple[str, ...] = ()
    warning: str = ""
    split: str = "train"


def text_at(record: Mapping[str, Any], key: str) -> str:
    """The text under a key.

    Raises:
        Refused: there is none, it is blank, or it cannot be written as UTF-8.
    """
    value = record.get(key)
    if isinstance(value, str) and value.strip() and is_unicode(value):
        return value.strip()
    raise Refused(f"no text under `{key}`")


def is_unicode(text: str) -> bool:
    """Whether the text can be written: JSON may escape half a surrogate pair."""
    return text.isascii() or not any("\ud800" <= character <= "\udfff" for character in text)
