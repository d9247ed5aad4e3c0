"""Choosing mechanisms by what the columns of a table hold."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, Literal, final

import torch
from torch import Tensor
from torch.distributions import NegativeBinomial, Normal

from pyrocausal.engine.casting import as_tensor
from pyrocausal.engine.evidence import columns_of
from pyrocausal.errors import UnknownVariable
from pyrocausal.graph import CausalGraph
from pyrocausal.mechanisms import MLP, Mechanism, Parent, Table, heads

__all__ = ["Column", "choose_mechanisms"]

FEW = 10  # up to so many different whole numbers are codes of categories
COMPONENTS = 4  # normals in the mixture of a root
ROWS = 200  # fewer give a root one normal
ROWS_PER_CELL = 10  # fewer rows for each entry of a table, and a network takes its place
MOST_BELOW = 10**6  # whole numbers below the least one, whose chances are summed
UNLIKELY = 1e-3  # a chance that speaks against a count
CERTAIN = 3  # standard errors
POISSON = 1e-2  # parts of the mean by which the variance of a count exceeds it at least, to start

Kind = Literal["binary", "categorical", "count", "continuous", "codes", "constant", "vector"]


@final
@dataclass(frozen=True)
class Column:
    """One variable's data.

    Attributes:
        name: The variable.
        values: Shape ``(rows, *event)``, float64, NaN where missing.
        kind: ``codes`` are few whole numbers that don't count from 0.
    """

    name: str
    values: Tensor
    kind: Kind

    @classmethod
    def read(cls, name: str, given: Any) -> "Column":
        """Read a column and tell its kind.

        Raises:
            TypeError: Values that are no numbers, such as strings or dates.
            ValueError: Infinite values, or none at all.

        Example:
            >>> Column.read("sex", [0, 1, 1, 0]).kind
            'binary'
        """
        _check_type(name, given)
        values = as_tensor(given, f"data[{name!r}]").detach().cpu().to(torch.float64)
        if bool(values.isinf().any()):
            raise ValueError(f"data[{name!r}] holds an infinity. Give finite numbers, or NaN.")
        if values.dim() == 0 or bool(values.isnan().all()):
            raise ValueError(
                f"data[{name!r}] has no values; expected a column with one value for each unit. "
                "A variable that was never observed is latent: CausalGraph(..., latent=[...])."
            )
        return cls(name, values, _kind_of(values))

    @property
    def seen(self) -> Tensor:
        """The values that are there."""
        return self.values[~self.values.isnan()]

    @property
    def categories(self) -> int:
        """How many values a binary or categorical variable has; 0 for any other."""
        return int(self.seen.max()) + 1 if self.kind in ("binary", "categorical") else 0

    @property
    def parent(self) -> Parent:
        """What a mechanism has to know of this variable as a parent."""
        if self.kind == "binary":
            return Parent.binary()
        if self.kind == "categorical":
            return Parent.categorical(self.categories)
        if self.kind == "count":
            logs = self.seen.log1p()
            return Parent.count(float(logs.mean()), float(logs.std()))
        scale = _spread(self.values)
        return Parent.continuous(self.values.shape[1:], self.values.nanmean(0), scale)


def choose_mechanisms(
    graph: CausalGraph, data: Any, *, given: Collection[str] = ()
) -> dict[str, Mechanism]:
    """Choose a mechanism for each variable by the kind of its column; nothing is fitted.

    ======================================  ============================================
    column                                  distribution given the parents
    ======================================  ============================================
    0 and 1                                 ``Bernoulli``
    codes 0, 1, ..., k - 1, all there,
    k up to 10                              ``Categorical``
    other whole numbers that are spread
    like counts, see below                  ``NegativeBinomial``
    other numbers                           ``Normal``, its mean and deviation both learned;
                                            for a root a mixture of four
    ======================================  ============================================

    Whole numbers are spread like counts where all of this holds: none is negative; the least one
    is within a standard deviation of 0, so that ages of adults are no counts; the variance is not
    below the mean, but for chance; they are likelier under the negative binomial distribution of
    their mean and variance than under the normal one, which marks out of 100 are not; and under
    the former no value below the least one had to be expected. ``print(scm)`` shows what was
    chosen, and ``mechanisms={"visits": ...}`` of ``SCM.from_graph`` overrules it.

    Their parameters are the outputs of a perceptron (`MLP`) of the standardized parents. A
    discrete variable whose parents are all discrete gets a `Table` where there are ten rows for
    each entry; it starts at the frequencies. A latent parent counts as a standardized number.

    Args:
        graph: The causal graph.
        data: Mapping or DataFrame of its observed variables, units first; NaN where missing.
        given: The variables that have a mechanism already.

    Raises:
        UnknownVariable: A column that is no variable.
        TypeError: A column that holds no numbers.
        ValueError: A variable without column, or with one that tells no mechanism.

    Example:
        >>> graph = CausalGraph([("treated", "recovery")])
        >>> data = {"treated": [0, 1, 0, 1], "recovery": [0.3, 1.9, -0.2, 2.4]}
        >>> {name: type(m).__name__ for name, m in choose_mechanisms(graph, data).items()}
        {'treated': 'MLP', 'recovery': 'MLP'}
    """
    columns = _read(graph, data, given)
    return {
        name: _choose(columns[name], [columns.get(p) for p in graph.predecessors(name)])
        for name in graph
        if name not in given
    }


def _read(graph: CausalGraph, data: Any, given: Collection[str]) -> dict[str, Column]:
    found = columns_of(data, "data")
    for name in found:
        if name not in graph:
            error = UnknownVariable(name, graph, "data")
            error.add_note("Columns that are not in the graph are left out by data[list(graph)].")
            raise error
    hidden = [name for name in graph if name in graph.latent and name not in given]
    if hidden:
        raise ValueError(
            f"{', '.join(hidden)} is latent, so that data can't choose its mechanism. Give one: "
            f"mechanisms={{{hidden[0]!r}: dist.Normal(0.0, 1.0)}}, for a root."
        )
    missing = [name for name in graph if name not in found and name not in graph.latent]
    if missing:
        raise ValueError(
            f"data lack {', '.join(missing)}; expected a column for each observed variable. Add "
            "it, or say that it was never observed: CausalGraph(..., latent=[...])."
        )
    return {name: Column.read(name, found[name]) for name in found if name not in graph.latent}


def _check_type(name: str, given: Any) -> None:
    """Say how to turn a column of another type into numbers."""
    what, kind = f"data[{name!r}]", str(getattr(given, "dtype", ""))
    if kind.startswith("datetime"):
        raise TypeError(
            f"{what} holds dates; expected numbers. Count from the first: "
            f"({what} - {what}.min()).dt.days."
        )
    if kind.startswith("timedelta"):
        raise TypeError(
            f"{what} holds durations; expected numbers, such as {what}.dt.total_seconds()."
        )


def _choose(column: Column, parents: Sequence[Column | None]) -> Mechanism:
    if column.kind in ("codes", "constant", "vector"):
        raise _no_choice(column)
    family = [column, *(parent for parent in parents if parent)]
    sizes = [member.categories for member in family]
    rows = len(column.values)
    if len(family) == 1 + len(parents) and 0 < prod(sizes) * ROWS_PER_CELL <= rows:
        return _table(column, family[1:])
    specs = [parent.parent if parent else Parent.continuous() for parent in parents]
    return MLP(specs, head=_head(column, root=not parents))


def _head(column: Column, *, root: bool) -> heads.Head:
    if column.kind == "binary":
        return heads.Bernoulli()
    if column.kind == "categorical":
        return heads.Categorical(column.categories)
    if column.kind == "count":
        return _counting(column.seen)
    loc, scale = float(column.seen.mean()), float(_spread(column.values))
    if root and len(column.values) >= ROWS:
        return heads.Mixture(COMPONENTS, loc=loc, scale=scale)
    return heads.Normal(heteroscedastic=True, loc=loc, scale=scale)


def _counting(seen: Tensor) -> heads.NegativeBinomial:
    """Return a head that starts at the mean and the variance of the column."""
    mean, variance = seen.mean(), seen.var()
    head = heads.NegativeBinomial(scale=float(mean))
    shape = mean**2 / (variance - mean).clamp(min=POISSON * mean)
    with torch.no_grad():
        head.log_concentration.fill_(float(shape.log()))
    return head


def _table(column: Column, parents: Sequence[Column]) -> Table:
    family = torch.stack([c.values for c in (*parents, column)])
    codes = family[:, ~family.isnan().any(0)].long()
    counts = torch.zeros([c.categories for c in (*parents, column)])
    counts.index_put_(tuple(codes), torch.ones(codes.shape[1]), accumulate=True)
    # One more unit for each combination of the parents, so that no probability is 0.
    marginal = torch.bincount(column.seen.long()) / len(column.seen)
    probs = (counts + marginal) / (counts.sum(-1, keepdim=True) + 1)
    if column.kind == "binary":
        return Table(probs[..., 1], binary=True, learn=True)
    return Table(probs, learn=True)


def _kind_of(values: Tensor) -> Kind:
    if values.dim() > 1:
        return "vector"
    seen = values[~values.isnan()]
    different = seen.unique()
    if len(different) == 1:
        return "constant"
    if bool((seen != seen.round()).any()):
        return "continuous"
    if len(different) <= FEW:
        if not torch.equal(different, torch.arange(len(different), dtype=seen.dtype)):
            return "codes"
        return "binary" if len(different) == 2 else "categorical"
    return "count" if _like_counts(seen) else "continuous"


def _like_counts(seen: Tensor) -> bool:
    """Say whether whole numbers are spread as the negative binomial of their moments tells."""
    mean, deviation, least = seen.mean(), seen.std(), seen.min()
    # It is never narrower than a Poisson distribution, whose variance is known up to chance.
    error = CERTAIN * (2 / len(seen)) ** 0.5
    if bool(least < 0) or bool(least > deviation) or bool(deviation**2 < (1 - error) * mean):
        return False
    shape = mean**2 / (deviation**2 - mean).clamp(min=POISSON * mean)
    law = NegativeBinomial(shape, logits=mean.log() - shape.log(), validate_args=False)
    if bool(law.log_prob(seen).sum() < Normal(mean, deviation).log_prob(seen).sum()):
        return False
    below = torch.arange(min(int(least), MOST_BELOW), dtype=seen.dtype)
    chance = law.log_prob(below).exp().sum().clamp(max=1.0)
    return bool((1 - chance) ** len(seen) >= UNLIKELY)


def _spread(values: Tensor) -> Tensor:
    """Return the standard deviation over the rows, 1 where nothing varies."""
    present = ~values.isnan()
    centred = torch.where(present, values - values.nanmean(0), torch.zeros_like(values))
    deviation = (centred.square().sum(0) / present.sum(0)).sqrt()
    return torch.where(deviation > 0, deviation, torch.ones_like(deviation))


def _no_choice(column: Column) -> ValueError:
    different = column.seen.unique()
    values = ", ".join(f"{value:g}" for value in different[:FEW].tolist())
    name = column.name
    give = f"give its mechanism: mechanisms={{{name!r}: ...}}"
    if column.kind == "vector":
        shape = tuple(column.values.shape[1:])
        return ValueError(f"data[{name!r}] holds values of shape {shape}: {give}.")
    if column.kind == "constant":
        return ValueError(
            f"data[{name!r}] has the one value {values}, from which nothing can be learned. Leave "
            f"the variable out of the graph, or {give}."
        )
    return ValueError(
        f"data[{name!r}] holds {len(different)} whole numbers ({values}) that may be categories, a "
        "number or a count. Recode categories as 0, 1, ..., such as by "
        f"data[{name!r}].factorize(sort=True)[0]; otherwise {give}."
    )
