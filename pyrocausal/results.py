"""What the verbs return: tensors by variable, with what the answer rests on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import TYPE_CHECKING, Any

from torch import Tensor

from pyrocausal.engine.abduction import Abduction
from pyrocausal.errors import UnknownVariable
from pyrocausal.naming import grouped
from pyrocausal.summaries import component_names, summarize

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr
    from matplotlib.figure import Figure

    from pyrocausal.inference import Quality

__all__ = ["Counterfactual", "Samples"]

RUNGS = {1: "1 (seeing)", 2: "2 (doing)", 3: "3 (imagining)"}


@dataclass(frozen=True, repr=False, eq=False)
class Samples(Mapping[str, Tensor]):
    """Values of variables; behaves as a mapping from name to tensor.

    Attributes:
        data: Variable to value, shape ``(draw, world, unit, *inner plates, *event)``; a
            dimension that the query doesn't have is absent.
        natural: Intervened variable to what it would have been without its intervention.
        dims: Names of the leading dimensions that are there.
        query: The question in symbols.
        rung: 1 seeing, 2 doing, 3 imagining.
        seed: Gives the same units again.
        routes: Variable to the way its noise was had.
        assumptions: What the answer rests on and the data can't check.
        shared: Variables that all units share; they have no leading dimensions.
        units: The labels of the units, a pandas index, where the evidence has some.
        quality: How good the draws of what had to be inferred are; ``None`` where nothing had.

    Example:
        >>> answer = pc.zoo.chain().do([{"X": 0.0}, {"X": 1.0}]).sample(5, seed=0)
        >>> answer.dims, answer["Y"].shape, answer.rung
        (('world', 'unit'), torch.Size([2, 5]), 2)
    """

    data: Mapping[str, Tensor]
    natural: Mapping[str, Tensor]
    dims: tuple[str, ...]
    query: str
    rung: int
    seed: int
    routes: Mapping[str, str] = field(default_factory=dict)
    assumptions: tuple[str, ...] = ()
    shared: frozenset[str] = frozenset()
    units: Any = None
    quality: Quality | None = None

    # Equality of tensors is elementwise; two answers are equal when they are one.
    __eq__ = object.__eq__
    __hash__ = object.__hash__

    def __getitem__(self, name: str) -> Tensor:
        if name not in self.data:
            raise UnknownVariable(name, self.data, "this answer")
        return self.data[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.data)

    def __len__(self) -> int:
        return len(self.data)

    def to_frame(self, of: str = "data") -> pd.DataFrame:
        """Return a table: a row for each draw, world and unit, a column for each number.

        A variable with several numbers a unit gives columns ``name[0]``, ``name[1]``, ...; one
        that all units share is repeated. The units bear the labels of the evidence's table.

        Args:
            of: Which values: ``"data"``, ``"natural"`` or, of a counterfactual, ``"factual"``.

        Raises:
            ValueError: There are no such values.

        Example:
            >>> x = torch.tensor([1.0, 2.0])
            >>> Samples({"x": x}, {}, ("unit",), "P(V)", rung=1, seed=0).to_frame()
                    x
            unit
            0     1.0
            1     2.0
        """
        tables = self._tables()
        if of not in tables:
            raise ValueError(f"to_frame() got {of!r}; expected one of {', '.join(tables)}.")
        values, dims = tables[of]
        return _frame(values, _sizes(values, dims, self.shared), self)

    def to_datatree(self) -> xr.DataTree:
        """Return labelled arrays in the form of ArviZ, with what the answer rests on.

        The group ``data``, or ``posterior`` of a counterfactual, has the dimensions draw, world,
        unit as far as the question has them; where there are draws they are those of one
        ``chain``. ``natural``, ``factual`` and ``observed_data`` are groups of their own.

        Raises:
            ModuleNotFoundError: xarray is not installed, the extra ``arviz``.

        Example:
            >>> x = torch.tensor([1.0, 2.0])
            >>> tree = Samples({"x": x}, {}, ("unit",), "P(V)", rung=1, seed=0).to_datatree()
            >>> tree["data/x"].dims, tree.attrs["query"]
            (('unit',), 'P(V)')
        """
        from pyrocausal.trees import samples_tree

        return samples_tree(self, self._tables(), None)

    def plot(self, *variables: str) -> Figure:
        """Draw the distribution of each variable, by world; see ``pyrocausal.plot``.

        Args:
            variables: Which; the first eight that are one number a unit by default.

        Returns:
            The figure, one panel for each variable.

        Raises:
            ModuleNotFoundError: matplotlib is not installed.

        Example:
            >>> x = torch.tensor([1.0, 2.0])
            >>> len(Samples({"x": x}, {}, ("unit",), "P(V)", rung=1, seed=0).plot().axes)
            1
        """
        from pyrocausal.plot.rungs import distributions

        return distributions(self, variables)

    def _tables(self) -> dict[str, tuple[Mapping[str, Tensor], tuple[str, ...]]]:
        return {"data": (self.data, self.dims), "natural": (self.natural, self.dims)}

    def __repr__(self) -> str:
        lines = [f"{self.query}", f"rung: {RUNGS[self.rung]}"]
        if self.routes:
            lines.append("routes: " + grouped(self.routes))
        lines += [f"assumes: {text}" for text in self.assumptions]
        lines += self._caveats()
        if self.quality is not None:
            lines.append(f"inferred: {self.quality}")
        sizes = _sizes(self.data, self.dims, self.shared).items()
        if sizes:
            lines.append(f"dimensions: {', '.join(f'{name} {size}' for name, size in sizes)}")
        lines.append(f"seed: {self.seed}")
        return "\n".join(
            [*lines, *(f"  {row}" for row in summarize(self.data, self.dims, self.shared))]
        )

    def _caveats(self) -> list[str]:
        return []


@dataclass(frozen=True, repr=False, eq=False)
class Counterfactual(Samples):
    """What would have been, unit by unit.

    Attributes:
        factual: Variable to value in the factual world, of the same leading dimensions without
            the world.
        abduction: The units' noise; pass it on to ask further questions about the same units.
        random: Variables whose noise the answer uses and the evidence does not determine.

    Example:
        >>> joe = {"X": 0.5, "H": 1.0, "Y": 1.5}
        >>> answer = pc.zoo.homework().counterfactual(joe, do={"H": 2.0})
        >>> round(answer["Y"].item(), 2), answer.factual["H"].item(), answer.random
        (1.9, 1.0, ())
    """

    factual: Mapping[str, Tensor] = field(default_factory=dict)
    abduction: Abduction | None = None
    random: tuple[str, ...] = ()

    def to_datatree(self) -> xr.DataTree:
        from pyrocausal.trees import samples_tree

        tables = self._tables()
        evidence = None if self.abduction is None else self.abduction.evidence
        return samples_tree(self, {"posterior": tables.pop("data"), **tables}, evidence)

    def plot(self, *variables: str) -> Figure:
        """Draw each unit's way from what was seen to what would have been.

        Args:
            variables: Which; the first eight that the action moves by default.

        Returns:
            The figure, one panel for each variable.
        """
        from pyrocausal.plot.rungs import moves

        return moves(self, variables)

    def _tables(self) -> dict[str, tuple[Mapping[str, Tensor], tuple[str, ...]]]:
        dims = tuple(dim for dim in self.dims if dim != "world")
        return {**super()._tables(), "factual": (self.factual, dims)}

    def _caveats(self) -> list[str]:
        if not self.random or "draw" in self.dims:
            return []
        names, verb = ", ".join(self.random), "is" if len(self.random) == 1 else "are"
        return [f"one draw; {names} {verb} random given the evidence (num_draws= gives more)"]


def _sizes(
    values: Mapping[str, Tensor], dims: tuple[str, ...], shared: frozenset[str]
) -> dict[str, int]:
    """Return the sizes of the leading dimensions; none where all that is there is shared."""
    shape = next((value.shape for name, value in values.items() if name not in shared), ())
    return dict(zip(dims, shape, strict=False))


def _frame(
    values: Mapping[str, Tensor], sizes: Mapping[str, int], answer: Samples
) -> pd.DataFrame:
    import pandas as pd

    lead, columns = tuple(sizes.values()), dict[str, object]()
    for name, value in values.items():
        shape = value.shape if name in answer.shared else value.shape[len(lead) :]
        flat = value.detach().cpu().expand((*lead, *shape)).reshape(prod(lead), prod(shape))
        numbers = flat.numpy().swapaxes(0, 1)
        columns.update(zip(component_names(name, shape), numbers, strict=True))
    levels = [pd.RangeIndex(size, name=dim) for dim, size in sizes.items()]
    if answer.units is not None and "unit" in sizes:
        levels[-1] = answer.units
    if len(levels) < 2:
        return pd.DataFrame(columns, index=levels[0] if levels else range(prod(lead)))
    return pd.DataFrame(columns, index=_product(levels))


def _product(levels: Sequence[Any]) -> Any:
    import pandas as pd

    flat = [level.to_flat_index() for level in levels]
    return pd.MultiIndex.from_product(flat, names=[level.name or "unit" for level in levels])
