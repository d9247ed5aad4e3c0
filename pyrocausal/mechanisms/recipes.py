"""Recipes: what a mechanism was made with, as plain data; another one is made from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from inspect import signature
from typing import Any, Final, TypeVar

import pyro.distributions as dist
import torch
from torch import Tensor, nn

from pyrocausal.mechanisms import heads
from pyrocausal.mechanisms.encoder import Parent
from pyrocausal.mechanisms.flow import Flow
from pyrocausal.mechanisms.regression import MLP, Linear
from pyrocausal.mechanisms.table import Table

__all__ = ["from_recipe", "recipe_of", "recorded"]

Kind = TypeVar("Kind")
_HEADS = (
    "Bernoulli",
    "Categorical",
    "Mixture",
    "NegativeBinomial",
    "Normal",
    "Ordinal",
    "Poisson",
)
# Each keeps what it was made with, under the names of its constructor's arguments.
_KINDS: Final[dict[str, type]] = {
    **{kind.__name__: kind for kind in (Flow, Linear, MLP, Parent, Table)},
    **{f"heads.{name}": getattr(heads, name) for name in _HEADS},
}
_NAMES: Final = {kind: name for name, kind in _KINDS.items()}


def recorded(kind: type[Kind]) -> type[Kind]:
    """Let recipes be written of a further mechanism of this library: a decorator.

    Its objects keep what they were made with, under the names of the constructor's arguments.
    """
    _KINDS[kind.__name__], _NAMES[kind] = kind, kind.__name__
    return kind


def recipe_of(thing: Any) -> Any:
    """Return what one of the library's mechanisms was made with, as data that JSON can hold.

    Parameters are not part of it: a mechanism made from the recipe has the same shape, and starts
    afresh.

    Args:
        thing: A mechanism, head or parent of this library, a plain distribution, an activation
            of ``torch.nn``, or data.

    Raises:
        TypeError: Anything else, whose code a file can't hold.

    Example:
        >>> recipe_of(Linear(1, head="poisson"))["make"]
        'Linear'
    """
    if thing is None or isinstance(thing, bool | int | float | str):
        return thing
    if isinstance(thing, Tensor):
        return thing.tolist()
    if isinstance(thing, list | tuple):
        return [recipe_of(part) for part in thing]
    if type(thing) in _NAMES:
        names = signature(type(thing)).parameters
        return {"make": _NAMES[type(thing)], "with": _recipes(thing, names)}
    if isinstance(thing, type) and _activation(thing.__name__) is thing:
        return {"activation": thing.__name__}
    if isinstance(thing, torch.distributions.Distribution):
        return _of_distribution(thing)
    raise TypeError(f"There is no recipe for {thing!r}: a file holds no code.")


def from_recipe(recipe: Any) -> Any:
    """Make what a recipe describes; its parameters start afresh.

    Args:
        recipe: What ``recipe_of`` returned, perhaps by way of JSON.

    Raises:
        ValueError: A recipe that makes nothing.

    Example:
        >>> from_recipe(recipe_of(Table.uniform([2], 3)))(torch.tensor(1)).probs.shape
        torch.Size([3])
    """
    if isinstance(recipe, list):
        return tuple(from_recipe(part) for part in recipe)
    if not isinstance(recipe, dict):
        return recipe
    maker = _maker(recipe)
    try:
        return maker(**{name: from_recipe(part) for name, part in recipe.get("with", {}).items()})
    except (TypeError, AttributeError) as error:
        raise ValueError(f"The recipe {recipe} makes nothing: {error}") from error


def _maker(recipe: Mapping[str, Any]) -> Any:
    match recipe:
        case {"make": str(name), "with": dict()} if name in _KINDS:
            return _KINDS[name]
        case {"distribution": str(name), "with": dict()} if _family(name) is not None:
            family = _family(name)
            return lambda **given: family(**{k: torch.tensor(v) for k, v in given.items()})
        case {"entries": int(ndims), "with": dict()}:
            return lambda base: base.to_event(ndims)
        case {"activation": str(name)} if _activation(name) is not None:
            return lambda: _activation(name)
    raise ValueError(f"The recipe {recipe} makes nothing that this library knows.")


def _recipes(thing: Any, names: Sequence[str] | Mapping[str, Any]) -> dict[str, Any]:
    return {name: recipe_of(getattr(thing, name)) for name in names}


def _of_distribution(thing: Any) -> dict[str, Any]:
    if isinstance(thing, torch.distributions.Independent):
        ndims = thing.reinterpreted_batch_ndims
        return {"entries": ndims, "with": {"base": recipe_of(thing.base_dist)}}
    kind, known = type(thing), vars(thing)
    names = [
        n for n in thing.arg_constraints if n in known or isinstance(getattr(kind, n), property)
    ]
    if "probs" in names and "logits" in names:
        names.remove("logits" if thing._param is thing.probs else "probs")  # one is the other
    recipe = {"distribution": kind.__name__, "with": _recipes(thing, names)}
    if _family(kind.__name__) is kind and _makes(recipe, thing, names):
        return recipe
    raise TypeError(f"There is no recipe for {thing!r}: its parameters don't tell all of it.")


def _makes(recipe: dict[str, Any], thing: Any, names: Sequence[str]) -> bool:
    """Say whether a recipe makes a distribution like the one it was written from."""
    try:
        twin = from_recipe(recipe)
    except ValueError:
        return False
    pairs = [(torch.as_tensor(getattr(d, n)) for d in (thing, twin)) for n in names]
    return (twin.batch_shape, twin.event_shape) == (thing.batch_shape, thing.event_shape) and all(
        a.dtype == b.dtype and torch.equal(a.cpu(), b) for a, b in pairs
    )


def _family(name: str) -> Any:
    found = getattr(dist, name, None)
    known = isinstance(found, type) and issubclass(found, torch.distributions.Distribution)
    return found if known else None


def _activation(name: str) -> Any:
    found = getattr(nn, name, None)
    return found if isinstance(found, type) and issubclass(found, nn.Module) else None
