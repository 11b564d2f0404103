"""The registry of domains: found by name, built in, from an entry point, or registered by hand.

Serves the section "Domains" of the design. Nothing is imported before a domain is asked for. A name
belongs to one domain: a second one under the same name is refused.
"""

from __future__ import annotations

import importlib
import threading
from importlib.metadata import EntryPoint, entry_points

from reward_fns.domains.base import Domain, Rule

__all__ = ["Domain", "Rule", "domain_of", "get", "load", "names", "register"]

ENTRY_POINT_GROUP = "realm.domains"
BUILT_IN = {
    "choice": "reward_fns.domains.choice",
    "logic": "reward_fns.domains.logic",
    "math": "reward_fns.domains.math",
    "numeric": "reward_fns.domains.numeric",
    "search_relevance": "reward_fns.domains.search_relevance",
}
FOREIGN_SOURCES = {
    "openai/gsm8k": "math",
    "lighteval/MATH": "math",
    "DigitalLearningGmbH/MATH-lighteval": "math",
    "HuggingFaceH4/MATH-500": "math",
}
"""verl's own `data_source` names of data sets that a built-in domain can judge."""

_registered: dict[str, Domain] = {}
_lock = threading.RLock()


def register(domain: Domain) -> Domain:
    """Make a domain known under its name; registering the same object again does nothing.

    Raises:
        ValueError: another domain has this name.
        TypeError: not a `Domain` instance, or without a name.
    """
    if not isinstance(domain, Domain):
        raise TypeError(f"register takes an instance of a Domain subclass; got {domain!r}")
    name = getattr(domain, "name", None)
    if not isinstance(name, str) or not name or "/" in name:
        raise TypeError(f"domain {type(domain).__name__} needs a non-empty `name` without '/'; got {name!r}")
    with _lock:
        owner = _registered.get(name)
    if owner is None:
        owner = _provided(name)
    if owner is not None and owner is not domain:
        place = f"{type(owner).__module__}.{type(owner).__name__}"
        raise ValueError(f"a domain named {name!r} already exists ({place}); give this one another name")
    with _lock:
        winner = _registered.setdefault(name, domain)
    if winner is not domain:
        raise ValueError(f"a domain named {name!r} was registered at the same time; give one another name")
    return domain


def get(name: str) -> Domain:
    """The domain of that name, imported on first use.

    Raises:
        ValueError: no such domain (the message lists the known names), or two packages offer one.
    """
    with _lock:
        known = _registered.get(name)
    if known is not None:
        return known
    provided = _provided(name)
    if provided is not None:
        return register(provided)
    raise ValueError(
        f"unknown domain {name!r}; known are {', '.join(names())}. Register it, install a package with an "
        f"entry point in {ENTRY_POINT_GROUP!r}, or name its module in the config"
    )


def load(path: str) -> Domain:
    """Import and register the domain at `package.module` (attribute DOMAIN) or `package.module:NAME`.

    Raises:
        ValueError: the module has no such attribute, or the name is taken.
        ImportError: the module cannot be imported.
    """
    return register(_attribute(path))


def names() -> tuple[str, ...]:
    """All names that `get` knows, sorted; nothing is imported."""
    with _lock:
        return tuple(sorted({*_registered, *BUILT_IN, *(point.name for point in _entry_points())}))


def domain_of(data_source: str) -> Domain:
    """The domain that judges rows of this `data_source`.

    That is the second part of `realm/<domain>` or `realm/<domain>/guided`, or the domain of one of verl's
    own data sets in `FOREIGN_SOURCES`.

    Raises:
        ValueError: the data source names no known domain.
    """
    if data_source in FOREIGN_SOURCES:
        return get(FOREIGN_SOURCES[data_source])
    parts = str(data_source).split("/")
    if len(parts) < 2 or not parts[1]:
        raise ValueError(
            f"data_source {data_source!r} names no domain; use 'realm/<domain>', "
            f"where domain is one of {', '.join(names())}"
        )
    return get(parts[1])


def _entry_points(name: str | None = None) -> list[EntryPoint]:
    points = entry_points(group=ENTRY_POINT_GROUP)
    return [point for point in points if name is None or point.name == name]


def _provided(name: str) -> Domain | None:
    """The domain that is built in or offered by an installed package under this name.

    Not called under the lock: a module that registers itself while it is imported would wait for ever.
    """
    points = _entry_points(name)
    places = [*([f"{BUILT_IN[name]}:DOMAIN"] if name in BUILT_IN else []), *(point.value for point in points)]
    if len(places) > 1:
        raise ValueError(
            f"a domain named {name!r} is offered by {' and '.join(places)}; remove or rename one"
        )
    if name in BUILT_IN:
        return _attribute(BUILT_IN[name])
    if not points:
        return None
    domain = points[0].load()
    if not isinstance(domain, Domain) or domain.name != name:
        raise ValueError(
            f"entry point {name!r} ({places[0]}) must hold a Domain instance named {name!r}; got {domain!r}"
        )
    return domain


def _attribute(path: str) -> Domain:
    module_name, _, attribute = path.partition(":")
    module = importlib.import_module(module_name)
    attribute = attribute or "DOMAIN"
    if not hasattr(module, attribute):
        raise ValueError(f"module {module_name} has no {attribute}; a domain module holds its instance there")
    domain: Domain = getattr(module, attribute)
    return domain
