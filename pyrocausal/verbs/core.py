"""What an SCM and its ``do`` and ``condition`` copies share: program, parameters, findings."""

import inspect
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from functools import wraps
from numbers import Integral
from typing import Any, TypeVar

import networkx as nx
import pyro
import torch
from torch import Tensor, nn

from pyrocausal.engine.checks import check_rows
from pyrocausal.engine.evidence import (
    Evidence,
    as_sequence,
    columns_of,
    read_evidence,
    read_inputs,
    selecting,
)
from pyrocausal.engine.graph_finding import find_graph
from pyrocausal.engine.parameters import ParameterScope, evaluating, random_weights
from pyrocausal.engine.pinning import SitesChanged
from pyrocausal.engine.querying import Query, Run, Tensors
from pyrocausal.engine.replaying import Replays
from pyrocausal.engine.tracing import Anatomy, Variable, dissect, distributions_of
from pyrocausal.errors import UnknownVariable
from pyrocausal.graph import CausalGraph
from pyrocausal.interventions import Edge, World
from pyrocausal.noise import Coupling, draw_seed
from pyrocausal.verbs.learnt import Learnt

__all__ = ["Core", "probing_again"]

_LEARNT = 256  # units that are kept for finding the graph
Program = Callable[..., Any]
Result = TypeVar("Result")


def probing_again(verb: Callable[..., Result]) -> Callable[..., Result]:
    """Let a verb probe the program once more when its sites have changed since."""

    @wraps(verb)
    def attempt(core: "Core", *args: Any, **kwargs: Any) -> Result:
        try:
            return verb(core, *args, **kwargs)
        except (SitesChanged, UnknownVariable):
            # A name may be unknown because the program has other sites than when it was probed.
            core.forget()
            return verb(core, *args, **kwargs)

    return attempt


class Core:
    """What an SCM and its ``do`` and ``condition`` copies share: program, parameters, findings."""

    def __init__(
        self, program: Program, latent: tuple[str, ...], couplings: Mapping[str, Coupling]
    ) -> None:
        self.program, self.latent, self.couplings = program, latent, couplings
        self.scope = ParameterScope(program)
        self.device: torch.device | None = None
        self.examples: dict[str, Any] = {}
        self.moved: dict[tuple[Any, ...], set[str]] = {}
        self.guide: Any = None  # the FittedGuide of the last fit
        self.report: Any = None  # its FitReport
        self.learnt: Learnt | None = None  # what a fit has made of the parameters
        self.law: Any = None  # its ParameterLaw, where it was asked for
        self.posterior_seed: int | None = None  # picks the shared variables, whatever the query's
        self.amortized: Any = None  # the guide that infers what evidence lacks
        self.replays = Replays(program, *couplings.values())
        self.forget()

    def forget(self) -> None:
        """Drop what was found out about the program."""
        self._anatomy: Anatomy | None = None
        self._graph: CausalGraph | None = None
        self._met: dict[str, Tensor] | None = None  # units that showed an edge of the graph
        self._checked = False
        self.bytes_per_row: int | None = None  # of a run, where it was asked for
        self.replays.forget()
        self._found: dict[tuple[str, str], frozenset[str]] = {}
        self.moved.clear()

    def place(self) -> torch.device:
        """Return the device of the parameters and of the work."""
        return self.device or self.scope.device() or torch.get_default_device()

    @contextmanager
    def session(self, *, grad: bool = False) -> Iterator[None]:
        """Open the parameters, evaluation mode, the device and (usually) no gradients."""
        device = self.place()
        on_device = torch.device(device) if device.type != "cpu" else nullcontext()
        with (
            self.scope.open(),
            evaluating(list(self.scope.modules.values())),
            on_device,
            nullcontext() if grad else torch.no_grad(),
        ):
            yield

    def to(self, device: torch.device) -> None:
        """Move what belongs to the SCM."""
        self.scope.to(device)
        if self.guide is not None:
            self.guide.to(device)
        if self.amortized is not None:
            self.amortized.to(device)
        self.device = device
        self.replays.forget()
        self.examples = {
            k: v.to(device) if isinstance(v, Tensor) else v for k, v in self.examples.items()
        }

    def remember(self, inputs: Mapping[str, Any]) -> None:
        """Keep a few rows of the inputs, to probe the program with."""
        self._check_arguments(inputs)
        self.examples = {
            name: value[:32] if isinstance(value, Tensor) else value
            for name, value in inputs.items()
        }

    def example_inputs(self, rows: int) -> dict[str, Any]:
        """Return arguments for a probing run, from those of an earlier query."""
        self._check_arguments(self.examples)
        return {
            name: value[torch.arange(rows, device=value.device) % len(value)]
            if isinstance(value, Tensor)
            else value
            for name, value in self.examples.items()
        }

    def _check_arguments(self, inputs: Mapping[str, Any]) -> None:
        """Check that the program takes these inputs, and needs no other."""
        program = self.program.forward if isinstance(self.program, nn.Module) else self.program
        parameters = inspect.signature(program).parameters.values()
        named = {p.name: p for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)}
        if not any(p.kind is p.VAR_KEYWORD for p in parameters):
            for name in inputs:
                if name not in named:
                    cure = selecting(named, bool(named) and len(inputs) > 1)
                    raise UnknownVariable(name, named, "inputs", kind="input", cure=cure)
        missing = [
            name for name, p in named.items() if p.default is p.empty and name not in inputs
        ]
        if missing:
            raise ValueError(
                f"The program takes {', '.join(missing)}. Pass inputs={{{missing[0]!r}: ...}} (units "
                "first) to a verb; after that the graph is known too."
            )

    @property
    def anatomy(self) -> Anatomy:
        """What the program is made of."""
        if self._anatomy is None:
            with self.session():
                weights = random_weights(self.scope.modules.values())
                self._anatomy = dissect(self.program, self.example_inputs, weights)
                guide = () if self.guide is None else self.guide.parameters
                self.scope.keep_only([*self._anatomy.parameters, *guide])
        for where, names in (("latent", self.latent), ("noise", self.couplings)):
            for name in names:
                if name not in self._anatomy.variables:
                    raise UnknownVariable(name, self._anatomy.variables, where)
        return self._anatomy

    @property
    def graph(self) -> CausalGraph:
        """The graph of the program without interventions."""
        if self._graph is None:
            with self.session():
                self._graph = find_graph(
                    self.program, self.anatomy, self.example_inputs, self.latent, self._met
                )
        return self._graph

    def learn(
        self, values: Mapping[str, Tensor], inputs: Mapping[str, Any], units: Tensor
    ) -> None:
        """Look for the edges of the graph at the values of some units too.

        Args:
            values: Variable to value, shape ``(units, ...)``, NaN where not known.
            inputs: The program's arguments for these units.
            units: Where the graph was found to lack an edge, booleans of shape ``(units,)``.
        """
        chosen = units.nonzero().flatten()[:_LEARNT]
        arguments = {name: v for name, v in inputs.items() if isinstance(v, Tensor)}
        met = {name: value[chosen] for name, value in {**values, **arguments}.items()}
        if self._met is not None and self._met.keys() == met.keys():
            met = {name: torch.cat((met[name], self._met[name]))[:_LEARNT] for name in met}
        self._met, self._graph = met, None
        self._found.clear()
        self.replays.forget()

    def ancestors(self, name: str) -> frozenset[str]:
        """Return what lies above a variable."""
        return self._relatives("ancestors", name)

    def descendants(self, name: str) -> frozenset[str]:
        """Return what lies below a variable."""
        return self._relatives("descendants", name)

    def _relatives(self, kind: str, name: str) -> frozenset[str]:
        # A search of the graph costs more than a site of a query.
        key = kind, name
        if key not in self._found:
            self._found[key] = frozenset(getattr(self.graph, kind)(name))
        return self._found[key]

    def replay(
        self, kind: Hashable | None, query: Query, tensors: Tensors, run: Run
    ) -> tuple[Tensors, Any]:
        """Do a run, or play one of the same kind again."""
        settings = {k: v for k, v in query.inputs.items() if not isinstance(v, Tensor)}
        plain = all(isinstance(value, bool | int | float | str) for value in settings.values())
        if kind is None or not plain or torch.is_grad_enabled():
            return run(query, tensors)
        inputs = {k: v for k, v in query.inputs.items() if isinstance(v, Tensor)}
        held = pyro.get_param_store().get_state()["params"].values()

        def with_inputs(query: Query, given: Tensors) -> tuple[Tensors, Any]:
            return run(replace(query, inputs={**settings, **given["inputs"]}), given)

        return self.replays.run(
            # 1, 1.0 and True are equal, and a program may tell them apart.
            (kind, str(query.device), *((k, type(v), repr(v)) for k, v in settings.items())),
            query,
            {"inputs": inputs, **tensors},
            with_inputs,
            tuple(held),
        )

    def check(self) -> None:
        """Run the row check, once."""
        if not self._checked:
            with self.session():
                check_rows(self.program, self.anatomy, self.example_inputs)
            self._checked = True

    def query(self, inputs: Mapping[str, Any] | None, units: int, seed: int | None) -> Query:
        """Read the inputs, check the program once, and say what a run needs to know."""
        device = self.place()
        read = read_inputs(inputs, units, device)
        if read:
            self.remember(read)
        else:
            self._check_arguments(read)
        self.check()
        return Query(
            program=self.program,
            inputs=read,
            opens_units=self.anatomy.opens_units,
            variables=self.anatomy.variables,
            couplings=self.couplings,
            seed=_seed(seed),
            device=device,
        )

    def read(
        self,
        evidence: Any,
        inputs: Mapping[str, Any] | None,
        *,
        units: int | None = None,
        where: str = "evidence",
    ) -> Evidence:
        """Read evidence about units; the inputs may say how many there are."""
        arguments = {} if inputs is None else columns_of(inputs, "inputs")
        if units is None:
            units = _units_of(arguments)
        if arguments:
            self.remember(read_inputs(arguments, units or 1, self.place()))
        columns = columns_of(evidence, where)
        if not columns and not arguments:
            raise ValueError(
                f"{where} is empty. Say what was seen of the units; do(...).sample(n) asks about "
                "units of which nothing is known."
            )
        for name in columns:
            if name in self.examples:
                raise ValueError(
                    f"{where}[{name!r}]: it is an input of the program, not a variable. Pass it as "
                    f"inputs={{{name!r}: ...}}."
                )
        return read_evidence(
            columns, self.anatomy.variables, device=self.place(), units=units, where=where
        )

    @property
    def knows_sites(self) -> bool:
        """Whether the program can be probed, or has been."""
        if self._anatomy is not None:
            return True
        try:
            self.example_inputs(1)
        except ValueError:
            # The program's arguments come with the query, and its names are checked then.
            return False
        return True

    def known(self, name: str, where: str) -> Variable:
        """Return a variable, or raise ``UnknownVariable``."""
        if name not in self.anatomy.variables:
            self.forget()  # the program may have other sites than when it was probed
        if name not in self.anatomy.variables:
            raise UnknownVariable(name, self.anatomy.variables, where)
        return self.anatomy.variables[name]

    def check_worlds(self, worlds: Sequence[World]) -> None:
        """Check the names and edges of interventions, where the sites can be known."""
        if not self.knows_sites:
            return
        for item in (item for world in worlds for item in world):
            if isinstance(item, Edge):
                self._refuse_shared(item)
                _check_edge(self.graph, item)
            elif item[0] in self.examples:
                raise ValueError(
                    f"do({item[0]!r}): it is an input of the program, not a variable. Pass other "
                    "inputs, or make it a site."
                )
            else:
                self.known(item[0], "do")

    def _refuse_shared(self, item: Edge) -> None:
        for name in (item.source, item.target):
            if name in self.anatomy.variables and self.anatomy.variables[name].shared:
                raise ValueError(
                    f"edge({item.source!r}, {item.target!r}): {name!r} is shared by all units, and "
                    "an edge can be intervened on only between variables of a unit."
                )

    def distributions(self) -> dict[str, Any]:
        """Return each site's distribution on a few rows drawn from the prior."""
        with self.session():
            return distributions_of(self.program, self.anatomy, self.example_inputs)

    def chosen(
        self, values: Mapping[str, Tensor], variables: Sequence[str] | str | None, latent: bool
    ) -> dict[str, Tensor]:
        """Return the variables asked for; latent ones only where asked for."""
        names = as_sequence(variables, "variables")
        if names is None:
            hidden = () if latent else self.latent
            return {name: value for name, value in values.items() if name not in hidden}
        for name in names:
            self.known(name, "variables")
            if name not in values:
                raise ValueError(
                    f"{name!r} is shared by all units; a counterfactual holds what belongs to a "
                    "unit. Its value is in the answer's abduction.shared."
                )
        return {name: values[name] for name in names}


def _check_edge(graph: CausalGraph, item: Edge) -> None:
    for name in (item.source, item.target):
        if name not in graph:
            raise UnknownVariable(name, graph.nodes, "edge")
    if graph.has_edge(item.source, item.target):
        return
    every = nx.all_simple_paths(graph, item.source, item.target)
    paths = [" -> ".join(path) for path in every if len(path) > 1]
    raise ValueError(
        f"There is no edge {item.source} -> {item.target}. "
        + (
            f"Paths between them: {'; '.join(paths)}. Name one of their edges."
            if paths
            else "No path leads there either."
        )
    )


def _units_of(inputs: Mapping[str, Any]) -> int | None:
    # What has no length is one number, or a setting.
    arrays = (v for v in inputs.values() if getattr(v, "shape", None) or isinstance(v, list))
    return next((len(value) for value in arrays), None)


def _seed(seed: int | None) -> int:
    if seed is None:
        return draw_seed()
    if isinstance(seed, bool) or not isinstance(seed, Integral):
        raise TypeError(f"seed is {seed!r}; expected a whole number, or None to draw one.")
    return int(seed)
