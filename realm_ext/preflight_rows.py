"""What is wrong with the rows of a run's files: every row is looked at, a batch of columns at a time.

`RowCheck` takes Arrow batches of one file and gathers faults by row number, and what the files hold. It works on columns;
only gold answers that are neither text nor number become Python objects, as `reward_fns.ground_truth` reads those.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from realm_ext.exposure import REGIMES
from realm_ext.preflight_columns import (
    child,
    content_lengths,
    either,
    has_child,
    is_filled,
    is_number,
    is_text,
    mask,
    number,
    parents,
    text,
)
from reward_fns.ground_truth import golds
from reward_fns.routes import FIELDS

AGENT = "realm"
ROWS_NAMED = 5


class Faults:
    """Numbers of rows, from 0, by what is wrong with them."""

    def __init__(self) -> None:
        self._rows: dict[str, tuple[int, list[int]]] = {}

    def add(self, reason: str, rows: Any) -> None:
        """Rows (an array of numbers, in order) that have this fault."""
        if len(rows):
            count, named = self._rows.get(reason, (0, []))
            self._rows[reason] = count + len(rows), [*named, *map(int, rows[:ROWS_NAMED])][:ROWS_NAMED]

    def texts(self) -> list[str]:
        """One line for each fault, with the first rows that have it."""
        return [_line(reason, *found) for reason, found in self._rows.items()]


def _line(reason: str, count: int, named: list[int]) -> str:
    if count == 1:
        return f"row {named[0]}: {reason}"
    more = ", ..." if count > len(named) else ""
    return f"{count} rows ({', '.join(map(str, named))}{more}): {reason}"


class BatchFacts:
    """What a batch holds, an entry a row.

    Attributes:
        first: number of the first row in its file.
        n_rows: rows of the batch.
        of_realm: the agent is `realm`.
        is_rendered: that agent adds its instruction to the prompt (the row has a bank, empty or not).
        n_routes: routes in the bank.
        has_media: the prompt comes with images, videos or audio.
        is_bad: the row has a fault.
        characters: of all messages.
    """

    def __init__(self, first: int, n_rows: int) -> None:
        self.first, self.n_rows = first, n_rows
        self.of_realm, self.is_rendered, self.has_media, self.is_bad = np.zeros((4, n_rows), bool)
        self.n_routes: Any = np.zeros(n_rows, np.int64)
        self.characters: Any = np.zeros(n_rows)


@dataclass
class RowCheck:
    """The check of one file.

    Attributes:
        prompt_key: column of the chat messages.
        media_keys: columns of images, videos and audio.
        default_agent: agent of rows where the file has no column `agent_name`.
        reads_gold: `reward_fns` scores, so that it must be able to read the gold answers.
        faults: what is wrong, by row.
        notes: what may be wrong, by row.
        sources: the first row of each `data_source`.
        has_realm_agent: a row is the agent `realm`'s.
        has_routes: a row of that agent has routes.
    """

    prompt_key: str
    media_keys: tuple[str, ...]
    default_agent: str
    reads_gold: bool
    faults: Faults = field(default_factory=Faults)
    notes: Faults = field(default_factory=Faults)
    sources: dict[str, int] = field(default_factory=dict)
    has_realm_agent: bool = False
    has_routes: bool = False
    _unread_gold: str = ""

    def columns(self, schema: pa.Schema) -> list[str]:
        """The columns that `add` reads, of those that a file has."""
        wanted = (
            self.prompt_key,
            "data_source",
            "reward_model",
            "extra_info",
            "agent_name",
            *self.media_keys,
        )
        return [name for name in wanted if name in schema.names]

    def add(self, batch: pa.RecordBatch, first: int) -> BatchFacts:
        """Check a batch whose first row has number `first` in its file."""
        named = {name: batch.column(name) for name in batch.schema.names}
        facts = BatchFacts(first, batch.num_rows)
        for key in self.media_keys:
            if key in named:
                facts.has_media |= is_filled(named[key])
        self._check_agents(named, facts)
        self._check_info(named.get("extra_info"), facts)
        self._check_prompts(named[self.prompt_key], facts)
        self._check_sources(named["data_source"], facts)
        self._check_golds(named["reward_model"], facts)
        self._fault(
            "images, videos or audio, which the agent `realm` does not show; give the row another agent_name, as "
            "single_turn_agent, or leave it out",
            facts.has_media & facts.of_realm,
            facts,
        )
        self.notes.add(
            "routes, but another agent than `realm`: none of them is shown",
            first + np.flatnonzero(facts.n_routes.astype(bool) & ~facts.of_realm),
        )
        self.has_realm_agent |= bool(facts.of_realm.any())
        self.has_routes |= bool(facts.n_routes[facts.of_realm].any())
        return facts

    def _fault(self, reason: str, where: Any, facts: BatchFacts) -> None:
        facts.is_bad |= where
        self.faults.add(reason, facts.first + np.flatnonzero(where))

    def _check_agents(self, named: dict[str, pa.Array], facts: BatchFacts) -> None:
        if "agent_name" not in named:
            facts.of_realm[:] = self.default_agent == AGENT
            return
        names = named["agent_name"]
        self._fault("agent_name must be a text, got null", mask(pc.is_null(names)), facts)
        if is_text(names.type):
            facts.of_realm = mask(pc.equal(text(names), AGENT))

    def _check_sources(self, sources: pa.Array, facts: BatchFacts) -> None:
        self._fault("data_source must be a text, got null", mask(pc.is_null(sources)), facts)
        values = text(sources) if is_text(sources.type) else sources
        for value in pc.unique(values).to_pylist():
            if value is not None and str(value) not in self.sources:
                self.sources[str(value)] = facts.first + pc.index(values, value).as_py()

    def _check_prompts(self, prompts: pa.Array, facts: BatchFacts) -> None:
        self._fault("prompt must be a list of messages, got null", mask(pc.is_null(prompts)), facts)
        is_empty = mask(pc.equal(pc.list_value_length(prompts), 0))
        self._fault("prompt holds no message", is_empty, facts)
        messages, row = prompts.flatten(), parents(prompts)
        if not len(messages):
            return
        role = text(child(messages, "role"))
        self._fault("a message has no role", _rows_with(mask(pc.is_null(role)), row, facts), facts)
        is_user = mask(pc.equal(role, "user"))
        has_user = _rows_with(is_user, row, facts)
        lacks_user = ~has_user & ~is_empty & mask(pc.is_valid(prompts))
        lacking = "a prompt needs a message with role 'user'"
        self._fault(f"{lacking}, to which the instruction is added", lacks_user & facts.is_rendered, facts)
        self.notes.add(
            f"{lacking} in most chat templates", facts.first + np.flatnonzero(lacks_user & ~facts.is_rendered)
        )
        content = child(messages, "content")
        asked = is_user | mask(pc.equal(role, "system"))
        self._fault(
            "a message has no content, got null",
            _rows_with(mask(pc.is_null(content)) & asked, row, facts),
            facts,
        )
        length, full_length, has_media = content_lengths(content)
        facts.characters = np.bincount(row, full_length, facts.n_rows)
        facts.has_media |= _rows_with(has_media, row, facts)
        asks_nothing = np.bincount(row[is_user], length[is_user], facts.n_rows) == 0
        self._fault("the prompt is empty", asks_nothing & has_user & ~facts.has_media, facts)

    def _check_golds(self, reward_model: pa.Array, facts: BatchFacts) -> None:
        self._fault("reward_model must hold ground_truth, got null", mask(pc.is_null(reward_model)), facts)
        if not self.reads_gold:
            return
        gold = child(reward_model, "ground_truth")
        there, kind = mask(pc.is_valid(reward_model)), gold.type
        if is_text(kind):
            blank = pc.equal(pc.utf8_trim_whitespace(text(gold)), "")
            self._fault(
                "ground_truth is missing or blank", mask(either(pc.is_null(gold), blank)) & there, facts
            )
        elif pa.types.is_integer(kind) or pa.types.is_boolean(kind):
            self._fault("ground_truth is missing", mask(pc.is_null(gold)) & there, facts)
        elif pa.types.is_floating(kind):
            self._fault("ground_truth is missing or no number", ~mask(pc.is_finite(gold)) & there, facts)
        else:
            unread: Any = np.zeros(facts.n_rows, bool)
            for i, value in enumerate(gold.to_pylist()):
                try:
                    golds(value)
                except ValueError as error:
                    unread[i] = True
                    self._unread_gold = self._unread_gold or str(error)
            self._fault(self._unread_gold, unread & there, facts)

    def _check_info(self, info: pa.Array | None, facts: BatchFacts) -> None:
        if info is None or not has_child(info.type, "routes"):
            return
        facts.is_rendered = mask(pc.is_valid(info)) & facts.of_realm
        routes = child(info, "routes")
        has_bank = mask(pc.is_valid(routes))
        uid = text(child(info, "uid"))
        self._fault(
            "extra_info.uid must be a text, got none (it is the row's content hash, from which all draws are made)",
            mask(either(pc.is_null(uid), pc.equal(uid, ""))) & has_bank,
            facts,
        )
        if has_child(info.type, "regime"):
            regime = text(child(info, "regime"))
            known = pc.is_in(regime, value_set=pa.array(REGIMES, regime.type))
            self._fault(
                f"extra_info.regime must be {', '.join(REGIMES)} or null",
                mask(pc.and_(pc.is_valid(regime), pc.invert(known))) & has_bank,
                facts,
            )
        facts.n_routes = pc.fill_null(pc.list_value_length(routes), 0).to_numpy(zero_copy_only=False)
        self._check_routes(routes, facts)

    def _check_routes(self, routes: pa.Array, facts: BatchFacts) -> None:
        flat, row = routes.flatten(), parents(routes)
        if not len(flat):
            return

        def fault(reason: str, where: Any) -> None:
            self._fault(reason, _rows_with(where, row, facts), facts)

        there = mask(pc.is_valid(flat))
        fault("a route is null", ~there)
        parts = {name: child(flat, name) for name in FIELDS if has_child(flat.type, name)}
        for name in ("steps", "answer", "label"):
            fault(f"a route lacks {name}", there & mask(pc.is_null(parts[name], nan_is_null=True)))
        texts, route = parts["steps"].flatten(), parents(parts["steps"])
        without: Any = np.zeros(len(flat), bool)
        without[route[mask(pc.is_null(texts))]] = True
        fault("a route has a step that is null", without)
        for name in ("label", "sound"):
            if name in parts and is_number(parts[name].type):
                value = number(parts[name])
                fault(
                    f"route {name} must be true or false",
                    mask(pc.and_(pc.not_equal(value, 0), pc.not_equal(value, 1))),
                )
        if "first_error" in parts and is_number(parts["first_error"].type):
            error = number(parts["first_error"])
            n_steps = pc.list_value_length(parts["steps"])
            off = either(
                either(pc.less(error, 0), pc.greater_equal(error, n_steps)),
                pc.not_equal(error, pc.floor(error)),
            )
            fault("first_error must be null, or the number of a step counted from 0", mask(off))


def _rows_with(where: Any, row: Any, facts: BatchFacts) -> Any:
    """The rows in which a value is marked: `where` by value, `row` the number of each value's row."""
    found: Any = np.zeros(facts.n_rows, bool)
    found[row[where]] = True
    return found
