"""Many numbers in a few lines: by variable, by component, by world."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import product
from typing import Final

import torch
from torch import Tensor

__all__ = ["component_names", "summarize"]

MOST_CATEGORIES: Final = 6
MOST_COMPONENTS: Final = 6
MOST_WORLDS: Final = 8


def summarize(
    values: Mapping[str, Tensor], dims: Sequence[str], shared: Collection[str] = ()
) -> list[str]:
    r"""Return aligned lines about values: one for each component, in each world that differs.

    Args:
        values: Variable to value, shape ``(*dims, *inner plates, *event)``.
        dims: Names of the leading dimensions.
        shared: Variables without leading dimensions.

    Example:
        >>> print(*summarize({"x": torch.tensor([[1.0], [2.0]])}, ["world", "unit"]), sep="\n")
        x  world 0  1
           world 1  2
    """
    rows = [row for name in values for row in _rows(name, values, dims, shared)]
    for place in (0, 1):
        width = max((len(row[place]) for row in rows), default=0)
        gap = "  " if width else ""
        for row in rows:
            row[place] = f"{row[place]:<{width}}{gap}"
    return ["".join(row) for row in rows]


def component_names(name: str, shape: Sequence[int]) -> list[str]:
    """Name the numbers of one value: ``x``, or ``x[0]``, ``x[1]``, ..., or ``x[0,0]``, ...

    Example:
        >>> component_names("x", (2,))
        ['x[0]', 'x[1]']
    """
    if not shape:
        return [name]
    indices = product(*map(range, shape))
    return [f"{name}[{','.join(map(str, index))}]" for index in indices]


def _rows(
    name: str, values: Mapping[str, Tensor], dims: Sequence[str], shared: Collection[str]
) -> Iterator[list[str]]:
    dims = () if name in shared else dims
    value = values[name].detach().cpu()
    value = value.to(torch.float64) if value.is_floating_point() else value
    lead, shape = value.shape[: len(dims)], value.shape[len(dims) :]
    if shape.numel() > MOST_COMPONENTS or not shape.numel():
        yield [name, "", f"{_size(shape)} numbers{_range(value)}"]
        return
    parts = value.reshape(*lead, -1).unbind(-1)
    for label, part in zip(component_names(name, shape), parts, strict=True):
        world = dims.index("world") if "world" in dims else None
        if world is None:
            yield [label, "", _distribution(part)]
        else:
            for place, text in _by_world(part.movedim(world, 0)):
                yield [label, place, text]
                label = ""


def _by_world(worlds: Tensor) -> Iterator[tuple[str, str]]:
    if len(worlds) > 1 and bool((worlds == worlds[0]).all()):
        yield "all worlds", _distribution(worlds[0])
        return
    for index, world in enumerate(worlds[:MOST_WORLDS]):
        yield f"world {index}", _distribution(world)
    if len(worlds) > MOST_WORLDS:
        yield "...", f"{len(worlds)} worlds"


def _distribution(value: Tensor) -> str:
    flat = value.flatten()
    if bool((flat == flat[0]).all()):
        return f"{flat[0]:.4g}"
    if not flat.is_floating_point():
        # Codes of categories: their mean says nothing.
        codes, counts = flat.unique(return_counts=True)
        if len(codes) <= MOST_CATEGORIES:
            shares = (100 * counts / len(flat)).tolist()
            return ", ".join(
                f"{c} in {s:.3g} %" for c, s in zip(codes.tolist(), shares, strict=True)
            )
        flat = flat.to(torch.float64)
    low, high = (flat.kthvalue(_rank(q, len(flat))).values for q in (0.025, 0.975))
    return f"mean {flat.mean():.4g}, sd {flat.std():.4g}, 95% in [{low:.4g}, {high:.4g}]"


def _rank(quantile: float, number: int) -> int:
    return min(number, max(1, round(quantile * number + 0.5)))


def _size(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape))


def _range(value: Tensor) -> str:
    return f" from {value.min():.4g} to {value.max():.4g}" if value.numel() else ""
