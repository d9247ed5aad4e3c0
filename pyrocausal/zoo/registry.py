"""A model with known truth: a program, its graph, and the answers it must give."""

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise, product
from types import MappingProxyType
from typing import Literal

import torch
from torch import Tensor

from pyrocausal.model import SCM

__all__ = ["MODELS", "Intervention", "Model", "Truth", "Value", "add", "models", "register"]

Program = Callable[[], None]
Value = float | Sequence[float]
Intervention = Mapping[str | tuple[str, str], Value]
"""Variable to value; a pair of variables is the edge between them, set for its child alone."""


@dataclass(frozen=True)
class Truth:
    """The answer to one causal query, an average of a function of one variable.

    On rungs 1 and 2 the average is over units, in the world of ``do``, among those where
    ``given`` holds. On rung 3 it is over the draws of one unit with this ``evidence``; without
    evidence, over units.

    Example:
        >>> print(Truth(2, "E[Y | do(X=1)]", "Y", 0.5, do={"X": 1.0}))
        E[Y | do(X=1)] = 0.5
    """

    rung: Literal[1, 2, 3]
    """1 for seeing, 2 for doing, 3 for imagining."""
    query: str
    """The query in symbols."""
    variable: str
    """The variable that is averaged."""
    value: float
    """The answer."""
    do: Intervention | tuple[Intervention, ...] | None = None
    """The intervention; a tuple is a list of worlds of the same units."""
    given: Mapping[str, float] = field(default_factory=dict)
    """What must hold in the world of ``do``, on discrete variables."""
    evidence: Mapping[str, Value] = field(default_factory=dict)
    """What was seen of one unit before the action; may leave variables out."""
    statistic: Literal["mean", "probability"] | Callable[[Tensor], Tensor] = "mean"
    """What is averaged: the variable, whether it is 1, or any function of it, row by row. Under
    a list of worlds the function gets them stacked in front and returns one number a row."""
    exact: bool = False
    """Whether every unit and every draw has this value, not only their average."""

    @property
    def worlds(self) -> tuple[Intervention, ...]:
        """The interventions as a tuple, one for each world; no action is the empty one."""
        return self.do if isinstance(self.do, tuple) else (self.do or {},)

    def measure(self, values: Tensor) -> Tensor:
        """Return what is averaged, for values of the variable.

        Args:
            values: Values of the variable, shape ``(*world, *inner plates, rows, *event)``.

        Returns:
            One float64 number for each row (and inner plate).

        Example:
            >>> truth = Truth(1, "P(Y=1)", "Y", 0.5, statistic="probability")
            >>> truth.measure(torch.tensor([0.0, 1.0, 2.0])).tolist()
            [0.0, 1.0, 0.0]
        """
        if self.statistic == "mean":
            return values.to(torch.float64)
        if self.statistic == "probability":
            return (values == 1).to(torch.float64)
        return self.statistic(values).to(torch.float64)

    def __str__(self) -> str:
        return f"{self.query} = {self.value:.4g}"


@dataclass(frozen=True)
class Model:
    """A program with its graph and its truths.

    Example:
        >>> from pyrocausal import zoo
        >>> zoo.MODELS["bow"].latent
        ('U',)
        >>> sorted(zoo.MODELS["bow"].edges)
        [('U', 'X'), ('U', 'Y'), ('X', 'Y')]
    """

    name: str
    """The model's name in the registry."""
    program: Program
    """The plain Pyro program, to be run inside one plate of rows."""
    edges: frozenset[tuple[str, str]]
    """Pairs of parent and child, latent and deterministic variables included."""
    latent: tuple[str, ...] = ()
    """The variables that are never observed."""
    truths: tuple[Truth, ...] = ()
    """Known answers."""

    @property
    def variables(self) -> list[str]:
        """The names of all variables, latent and deterministic ones included."""
        return sorted({name for edge in self.edges for name in edge})

    def scm(self) -> SCM:
        """Return a fresh structural causal model of the program."""
        return SCM(self.program, latent=self.latent, name=self.name)


_models: dict[str, Model] = {}
MODELS: Mapping[str, Model] = MappingProxyType(_models)
"""All models of the zoo by name."""


def models() -> Mapping[str, Model]:
    """Return all models of the zoo by name, read-only.

    Example:
        >>> from pyrocausal import zoo
        >>> "simpson" in zoo.models()
        True
    """
    return MODELS


def add(model: Model) -> None:
    """Enter a model into the registry.

    Raises:
        ValueError: If the name is taken.

    Example:
        >>> add(MODELS["chain"])
        Traceback (most recent call last):
        ValueError: The zoo has a model 'chain' already: choose another name.
    """
    if model.name in _models:
        raise ValueError(f"The zoo has a model {model.name!r} already: choose another name.")
    _models[model.name] = model


def register(
    edges: str, truths: Sequence[Truth], latent: Sequence[str] = ()
) -> Callable[[Program], Callable[[], SCM]]:
    """Enter a program into the registry; its name then stands for a builder of fresh SCMs.

    Args:
        edges: The graph in the form of `parse_edges`.
        truths: Known answers.
        latent: The variables that are never observed.

    Returns:
        A decorator that takes the program and returns the builder.
    """

    def decorate(program: Program) -> Callable[[], SCM]:
        name = program.__name__
        model = Model(name, program, parse_edges(edges), tuple(latent), tuple(truths))
        add(model)

        @functools.wraps(program)
        def build() -> SCM:
            return model.scm()

        build.__annotations__ = {"return": SCM}  # it is told from a program by what it returns
        return build

    return decorate


def parse_edges(text: str) -> frozenset[tuple[str, str]]:
    """Return the edges of a graph written in arrows.

    Args:
        text: Paths separated by semicolons; a step of a path may list several variables.

    Example:
        >>> sorted(parse_edges("X -> M -> Y; U -> X, Y"))
        [('M', 'Y'), ('U', 'X'), ('U', 'Y'), ('X', 'M')]
    """
    paths = ([step.replace(",", " ").split() for step in p.split("->")] for p in text.split(";"))
    return frozenset(
        edge for path in paths for tails, heads in pairwise(path) for edge in product(tails, heads)
    )
