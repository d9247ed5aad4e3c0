"""The program of a graph: each variable is drawn from its mechanism at its parents' values."""

from collections.abc import Callable, Iterable, Mapping
from inspect import signature
from typing import TYPE_CHECKING, Any, Self, TypeAlias, final

import pyro
import torch
from torch import Tensor, nn

from pyrocausal.choosing import choose_mechanisms
from pyrocausal.engine.parameters import modules_of
from pyrocausal.engine.placing import map_tensors
from pyrocausal.errors import UnknownVariable
from pyrocausal.graph import CausalGraph
from pyrocausal.mechanisms import MLP, Flow, Linear, Table
from pyrocausal.mechanisms.base import Distribution, Mechanism
from pyrocausal.mechanisms.recipes import from_recipe, recipe_of

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Edges", "GraphProgram", "Mechanisms", "build"]

Edges: TypeAlias = "CausalGraph | Iterable[tuple[str, str]] | pd.DataFrame"
Mechanisms = Mapping[str, Callable[..., Distribution] | Distribution]


@final
class GraphProgram(nn.Module):
    """A Pyro program that draws each variable of a graph, causes first.

    ``x_i ~ mechanism_i(pa_i)``, the parents in the order of ``graph.predecessors``.

    Args:
        graph: The causal graph; latent variables have mechanisms like any other.
        mechanisms: Variable to what returns its distribution: a ``Mechanism`` or other module, a
            function, or for a root the distribution itself. A module in a function's closure is
            registered.

    Attributes:
        parents: Variable to the names of its parents, in the order of the call; causes first.
        latent: The variables that are never observed.

    Raises:
        UnknownVariable: A mechanism of what is no variable.
        ValueError: A variable without mechanism, or a bidirected edge, which has none.

    Example:
        >>> import pyrocausal as pc
        >>> graph = pc.CausalGraph([("x", "y")])
        >>> y = lambda x: dist.Normal(2.0 * x, 0.1)
        >>> pc.SCM(GraphProgram(graph, {"x": dist.Normal(0.0, 1.0), "y": y})).graph
        CausalGraph(x -> y)
    """

    def __init__(self, graph: CausalGraph, mechanisms: Mechanisms) -> None:
        super().__init__()
        _check(graph, mechanisms)
        self.parents = {x: tuple(graph.predecessors(x)) for x in graph.topological_order()}
        self.latent = tuple(name for name in graph if name in graph.latent)
        self.mechanisms = nn.ModuleDict(
            {_key(x): _as_module(x, mechanisms[x], parents) for x, parents in self.parents.items()}
        )

    def forward(self) -> dict[str, Tensor]:
        """Draw every variable once; returns them by name."""
        values: dict[str, Tensor] = {}
        for name, parents in self.parents.items():
            given = self.mechanisms[_key(name)](*(values[parent] for parent in parents))
            if not hasattr(given, "log_prob"):
                raise TypeError(
                    f"The mechanism of {name!r} returned a {type(given).__name__}, expected a "
                    "distribution. A function of the parents alone is dist.Delta(value)."
                )
            values[name] = pyro.sample(name, given)
        return values

    def recipe(self) -> dict[str, Any]:
        """Return what this program was built from, as data that JSON can hold.

        What has no recipe, a function or a module of one's own, is ``None`` there; see
        ``mechanisms.recipes``.
        """
        return {
            "parents": {name: list(parents) for name, parents in self.parents.items()},
            "latent": list(self.latent),
            "mechanisms": {x: _recipe(self.mechanisms[_key(x)]) for x in self.parents},
        }

    def described(self) -> dict[str, str]:
        """Return in words what each variable is drawn from, such as ``"Normal, MLP of x"``.

        Example:
            >>> graph = pc.CausalGraph([("x", "y")])
            >>> mechanisms = {"x": dist.Normal(0.0, 1.0), "y": Linear(1, head="poisson")}
            >>> GraphProgram(graph, mechanisms).described()
            {'x': 'Normal', 'y': 'Poisson, Linear of x'}
        """
        return {
            x: _words(self.mechanisms[_key(x)], parents) for x, parents in self.parents.items()
        }

    @classmethod
    def from_recipe(cls, recipe: Mapping[str, Any]) -> Self:
        """Build the program that a whole recipe describes; its parameters start afresh.

        Raises:
            KeyError: A part of the recipe is missing.
            ValueError: A mechanism that is none.
        """
        parents = recipe["parents"]
        edges = [(parent, name) for name in parents for parent in parents[name]]
        graph = CausalGraph(edges, latent=recipe["latent"], nodes=list(parents))
        return cls(graph, {name: from_recipe(part) for name, part in recipe["mechanisms"].items()})


def build(graph: Edges, mechanisms: Mechanisms | None, data: Any) -> GraphProgram:
    """Return the program of a graph, not yet fitted; see ``SCM.from_graph``."""
    if not isinstance(graph, CausalGraph):
        graph = CausalGraph(graph)
    given = dict(mechanisms or {})
    if data is not None:
        _check_bidirected(graph)
        _check_names(graph, given)
        given |= choose_mechanisms(graph, data, given=given)
    return GraphProgram(graph, given)


@final
class _Function(Mechanism):
    """A function as a mechanism, which owns the modules that the function reaches."""

    def __init__(self, function: Callable[..., Distribution]) -> None:
        super().__init__()
        self.function = function
        self.reached = nn.ModuleList(modules_of(function).values())

    def forward(self, *parents: Tensor) -> Distribution:
        return self.function(*parents)


@final
class _Fixed(Mechanism):
    """A distribution as the mechanism of a root: it follows the module to a device or dtype."""

    def __init__(self, distribution: Distribution) -> None:
        super().__init__()
        self.distribution = distribution

    def forward(self, *parents: Tensor) -> Distribution:
        return self.distribution

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        self.distribution = map_tensors(self.distribution, fn)
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        return self


def _words(mechanism: nn.Module, parents: tuple[str, ...]) -> str:
    made_of: Any = mechanism
    if isinstance(mechanism, _Fixed | _Function):
        made_of = mechanism.distribution if isinstance(mechanism, _Fixed) else mechanism.function
    name = getattr(made_of, "__name__", type(made_of).__name__).replace("<lambda>", "function")
    if isinstance(made_of, Table):
        law = "Bernoulli" if made_of.binary else "Categorical"
    else:
        law = type(made_of.head).__name__ if isinstance(made_of, Linear | MLP) else ""
    if law == "Mixture":
        law = f"Mixture of {made_of.head.components} normals"
    if not parents:
        return law or name
    return f"{law}{', ' * bool(law)}{name} of {', '.join(parents)}"


def _recipe(mechanism: nn.Module) -> Any:
    made_of = mechanism.distribution if isinstance(mechanism, _Fixed) else mechanism
    try:
        recipe = recipe_of(made_of)
        twin = from_recipe(recipe)
    except (TypeError, ValueError):
        return None
    # A mechanism whose parts were exchanged is not what it was made as.
    parts = (twin if isinstance(twin, nn.Module) else _Fixed(twin)).state_dict()
    own = mechanism.state_dict()
    same = parts.keys() == own.keys() and all(parts[k].shape == own[k].shape for k in own)
    return recipe if same else None


def _as_module(name: str, mechanism: Any, parents: tuple[str, ...]) -> nn.Module:
    if isinstance(mechanism, torch.distributions.Distribution):
        # Pyro's distributions are callable, but a call draws a value.
        if parents:
            raise ValueError(
                f"The mechanism of {name!r} is a {type(mechanism).__name__}, the same for all "
                f"values of {', '.join(parents)}. Give a function of {len(parents)} values that "
                "returns a distribution, or drop the edges."
            )
        return _Fixed(mechanism)
    if isinstance(mechanism, type) and issubclass(mechanism, nn.Module):
        raise TypeError(
            f"The mechanism of {name!r} is the class {mechanism.__name__}; expected an instance "
            f"of it, such as {mechanism.__name__}(parents={len(parents)})."
        )
    if not callable(mechanism):
        raise TypeError(
            f"The mechanism of {name!r} is a {type(mechanism).__name__}; expected a Mechanism, or "
            "a function from the parents' values to a distribution."
        )
    _check_arity(name, mechanism, parents)
    return mechanism if isinstance(mechanism, nn.Module) else _Function(mechanism)


def _check_arity(name: str, mechanism: Any, parents: tuple[str, ...]) -> None:
    """Check that a mechanism can be called with the values of the parents."""
    called = mechanism.forward if isinstance(mechanism, nn.Module) else mechanism
    try:
        form = signature(called)
    except (TypeError, ValueError):
        return  # a builtin that doesn't tell
    declared = getattr(mechanism, "parents", getattr(mechanism, "cardinalities", parents))
    wrong = isinstance(mechanism, Flow | Linear | MLP | Table) and len(declared) != len(parents)
    try:
        form.bind(*parents)
    except TypeError:
        wrong = True
    if wrong:
        takes = f"{len(declared)} parents" if len(declared) != len(parents) else f"{form}"
        raise TypeError(
            f"The mechanism of {name!r} takes {takes}, but is called with "
            + (f"the values of {', '.join(parents)}, in this order" if parents else "nothing")
            + ". Give one that can be, or change the edges."
        )


def _check(graph: CausalGraph, mechanisms: Mechanisms) -> None:
    _check_bidirected(graph)
    _check_names(graph, mechanisms)
    missing = [name for name in graph if name not in mechanisms]
    if missing:
        raise ValueError(
            f"There is no mechanism for {', '.join(missing)}. Give one by name, such as "
            f"mechanisms={{{missing[0]!r}: Linear(parents=...)}}, or pass data to choose from."
        )


def _check_names(graph: CausalGraph, mechanisms: Mechanisms) -> None:
    for name in mechanisms:
        if name not in graph:
            raise UnknownVariable(name, graph, "mechanisms")


def _check_bidirected(graph: CausalGraph) -> None:
    for a, b in graph.bidirected_pairs():
        raise ValueError(
            f"{a} <-> {b} stands for a common cause that has no mechanism. graph.explicit() makes "
            f"it the latent variable U_{a}_{b}: give that one a mechanism, and fit with a guide."
        )


def _key(name: str) -> str:
    """Return a name's key among the modules, which allow no dot and no method's name."""
    return f"p({name.replace('%', '%25').replace('.', '%2E')})"
