"""What the verbs return: tensors by variable, with what the answer rests on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from pyrocausal.engine.abduction import Abduction
from pyrocausal.errors import UnknownVariable

if TYPE_CHECKING:
    import pandas as pd

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
    """

    data: Mapping[str, Tensor]
    natural: Mapping[str, Tensor]
    dims: tuple[str, ...]
    query: str
    rung: int
    seed: int
    routes: Mapping[str, str] = field(default_factory=dict)
    assumptions: tuple[str, ...] = ()

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

    def to_frame(self) -> pd.DataFrame:
        """Return a table: a row for each draw, world and unit, a column for each number.

        A variable with several numbers a unit gives columns ``name[0]``, ``name[1]``, ...
        """
        import pandas as pd

        columns: dict[str, object] = {}
        sizes = next((v.shape[: len(self.dims)] for v in self.data.values()), torch.Size())
        for name, value in self.data.items():
            flat = value.detach().cpu().reshape(sizes.numel(), -1)
            names = (
                [name] if flat.shape[1] == 1 else [f"{name}[{i}]" for i in range(flat.shape[1])]
            )
            columns.update(zip(names, flat.unbind(1), strict=True))
        index = pd.MultiIndex.from_product([range(size) for size in sizes], names=self.dims)
        frame = pd.DataFrame({name: column.numpy() for name, column in columns.items()})  # type: ignore[attr-defined]
        return frame.set_index(index) if self.dims else frame

    def __repr__(self) -> str:
        lines = [f"{self.query}", f"rung: {RUNGS[self.rung]}"]
        if self.routes:
            lines.append("routes: " + _grouped(self.routes))
        lines += [f"assumes: {text}" for text in self.assumptions]
        lines.append(f"dimensions: ({', '.join((*self.dims, '...'))}), seed {self.seed}")
        return "\n".join([*lines, *self._summary()])

    def _summary(self) -> list[str]:
        rows = [_row(name, value, self.dims) for name, value in self.data.items()]
        width = max((len(name) for name, _ in rows), default=0)
        return [f"  {name:<{width}}  {text}" for name, text in rows]


@dataclass(frozen=True, repr=False, eq=False)
class Counterfactual(Samples):
    """What would have been, unit by unit.

    Attributes:
        factual: Variable to value in the factual world, of the same leading dimensions without
            the world.
        abduction: The units' noise; pass it on to ask further questions about the same units.
    """

    factual: Mapping[str, Tensor] = field(default_factory=dict)
    abduction: Abduction | None = None


def _grouped(routes: Mapping[str, str]) -> str:
    by_route: dict[str, list[str]] = {}
    for name, route in routes.items():
        by_route.setdefault(route, []).append(name)
    return "; ".join(f"{route}: {', '.join(names)}" for route, names in by_route.items())


def _row(name: str, value: Tensor, dims: tuple[str, ...]) -> tuple[str, str]:
    flat = value.detach().to(torch.float64).cpu()
    if flat.numel() == 1:
        return name, f"{flat.item():.4g}"
    if "world" in dims:
        by_world = flat.movedim(dims.index("world"), 0).flatten(1)
        means = ", ".join(f"{mean:.4g}" for mean in by_world.mean(1)[:8].tolist())
        more = ", ..." if len(by_world) > 8 else ""
        return name, f"mean by world {means}{more}"
    flat = flat.flatten()
    low, high = (flat.kthvalue(_rank(q, flat.numel())).values for q in (0.025, 0.975))
    return name, f"mean {flat.mean():.4g}, sd {flat.std():.4g}, 95% in [{low:.4g}, {high:.4g}]"


def _rank(quantile: float, number: int) -> int:
    return min(number, max(1, round(quantile * number + 0.5)))
