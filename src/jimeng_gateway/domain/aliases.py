"""Other names for models: those that programs have built in, and those that an operator chooses.

A name may end in `*` and then stands for all that begin so. The table of a key comes first, then the
operator's, then the models' own names, and last the names of other services (aliases.toml).
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources

from jimeng_gateway.domain.catalogue import Catalogue, Model, ModelStatus
from jimeng_gateway.domain.errors import InvalidRequest
from jimeng_gateway.domain.request import Kind

#: Targets that stand for the model that serves a request without a model.
_DEFAULTS = {f"default-{kind}": kind for kind in Kind}


@dataclass(frozen=True, slots=True)
class Alias:
    """A name and the model that it stands for."""

    name: str
    model: str


@cache
def builtin() -> Mapping[str, str]:
    """The names that other services' programs have built in."""
    text = resources.files(__package__).joinpath("aliases.toml").read_text("utf-8")
    table: dict[str, str] = {}
    for names in tomllib.loads(text).values():
        table |= names
    return table


def resolve(name: str, catalogue: Catalogue, *chosen: Mapping[str, str]) -> str:
    """The model's own name behind what a caller calls it; `chosen` tables in the order of their weight.

    A name that no table knows is given back as it is: the catalogue says what is wrong with it.
    """
    for table in chosen:
        target = _target(name, table)
        if target is not None:
            return _model(target, catalogue)
    if _known(name, catalogue):
        return name
    target = _target(name, builtin())
    return name if target is None else _model(target, catalogue)


def listed(catalogue: Catalogue, *chosen: Mapping[str, str]) -> tuple[Alias, ...]:
    """All names that are no patterns and lead to a model that there is, in the order of their weight."""
    found: dict[str, Alias] = {}
    for name in (name for table in (*chosen, builtin()) for name in table if not name.endswith("*")):
        own = _known(name, catalogue) and not any(_target(name, table) for table in chosen)
        target = resolve(name, catalogue, *chosen)
        if not own and _known(target, catalogue):
            found.setdefault(name.casefold(), Alias(name, catalogue.find(target).name))
    return tuple(found.values())


def unknown(table: Mapping[str, str], catalogue: Catalogue) -> InvalidRequest | None:
    """What is wrong with a table that somebody wants to use; None if nothing is."""
    for name, target in table.items():
        if target not in _DEFAULTS and not _known(target, catalogue):
            allowed = ", ".join([*_DEFAULTS, *(model.name for model in catalogue.models)])
            return InvalidRequest(
                f"aliases: {name[:80]!r} leads to {target[:80]!r}, which is no model; allowed: {allowed}",
                param="aliases",
            )
    return None


def _target(name: str, table: Mapping[str, str]) -> str | None:
    wanted = name.strip().casefold()
    exact = next((model for alias, model in table.items() if alias.casefold() == wanted), None)
    if exact is not None:
        return exact
    patterns = sorted((alias for alias in table if alias.endswith("*")), key=len, reverse=True)
    return next((table[one] for one in patterns if wanted.startswith(one[:-1].casefold())), None)


def _model(target: str, catalogue: Catalogue) -> str:
    kind = _DEFAULTS.get(target)
    return target if kind is None else catalogue.default(kind).name


def _known(name: str, catalogue: Catalogue) -> bool:
    return any(name.strip().casefold() == own.casefold() for own in _names(catalogue.models))


def _names(models: Sequence[Model]) -> Iterator[str]:
    for model in models:
        if model.status is not ModelStatus.RETIRED:
            yield from (model.name, model.key, *model.aliases)
