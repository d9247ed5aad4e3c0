"""Answers as labelled arrays: xarray's DataTree, the form that ArviZ reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from pyrocausal.engine.evidence import Evidence
from pyrocausal.engine.rows import over_events

if TYPE_CHECKING:
    import xarray as xr

    from pyrocausal.answers import Answer
    from pyrocausal.results import Samples

__all__ = ["answer_tree", "posterior_tree", "samples_tree"]

Values = Mapping[str, Tensor]
Tables = Mapping[str, tuple[Values, tuple[str, ...]]]


def samples_tree(answer: Samples, tables: Tables, evidence: Evidence | None) -> xr.DataTree:
    """Return a group for each table of an answer, and one for what was observed.

    Args:
        answer: What a verb returned.
        tables: Group to values and the names of their leading dimensions.
        evidence: What was seen of the units.
    """
    arrays = _xarray()
    found = {
        group: _dataset(values, dims, answer.shared, _labels(answer, dims))
        for group, (values, dims) in tables.items()
        if values
    }
    if evidence is not None:
        dims = () if evidence.scalar else ("unit",)
        found["observed_data"] = _dataset(
            _observed(evidence), dims, frozenset(), _labels(answer, dims)
        )
    about = {"query": answer.query, "rung": answer.rung, "seed": answer.seed}
    lists = {"routes": _pairs(answer.routes), "assumptions": [*answer.assumptions]}
    tree: xr.DataTree = arrays.DataTree.from_dict(
        {"/": arrays.Dataset(attrs=about | lists), **found}
    )
    return tree


def answer_tree(answer: Answer) -> xr.DataTree:
    """Return the numbers of an answer with their errors and limits, over what they belong to."""
    arrays = _xarray()
    frame = answer.to_frame()
    if answer.index is None:
        numbers = arrays.Dataset({name: float(frame[name].iloc[0]) for name in frame})
    else:
        frame.index.names = [name or f"index_{i}" for i, name in enumerate(frame.index.names)]
        numbers = arrays.Dataset.from_dataframe(frame)
    numbers.attrs = {
        "query": answer.query,
        "rung": answer.rung,
        "routes": _pairs(answer.routes),
        "assumptions": [*answer.assumptions],
        "warnings": [*answer.warnings],
    }
    tree: xr.DataTree = arrays.DataTree(numbers)
    return tree


def posterior_tree(draws: Values) -> xr.DataTree:
    """Return draws, units of one chain, as the group ``posterior``."""
    arrays = _xarray()
    found = {"posterior": _dataset(draws, ("draw",), frozenset(), {})}
    tree: xr.DataTree = arrays.DataTree.from_dict(found)
    return tree


def _dataset(
    values: Values, dims: Sequence[str], shared: frozenset[str], labels: Mapping[str, Any]
) -> xr.Dataset:
    """Return values with named dimensions; draws are those of one chain, as ArviZ has them."""
    arrays = _xarray()
    columns = {}
    for name, value in values.items():
        lead = () if name in shared else tuple(dims)
        own = tuple(f"{name}_dim_{i}" for i in range(value.ndim - len(lead)))
        columns[name] = ((*lead, *own), value.detach().cpu().numpy())
    found: xr.Dataset = arrays.Dataset(columns)
    places = {dim: range(found.sizes[dim]) for dim in found.dims if dim in dims}
    for dim, coordinate in (places | {d: v for d, v in labels.items() if d in places}).items():
        found = found.assign_coords(_coordinate(str(dim), coordinate))
    return found.expand_dims(chain=[0]) if "draw" in found.dims else found


def _coordinate(dim: str, labels: Any) -> Any:
    if getattr(labels, "nlevels", 1) > 1:
        return _xarray().Coordinates.from_pandas_multiindex(labels, dim)
    return {dim: list(labels)}


def _labels(answer: Samples, dims: Sequence[str]) -> dict[str, Any]:
    """Return the names of worlds and units, where there are some."""
    from pyrocausal.plot.rungs import world_names

    labels = {} if answer.units is None else {"unit": answer.units}
    return labels | ({"world": world_names(answer)} if "world" in dims else {})


def _observed(evidence: Evidence) -> dict[str, Tensor]:
    """Return what was seen, NaN where it was not."""
    found = {}
    for name, value in evidence.values.items():
        if (seen := evidence.observed.get(name)) is not None:
            value = torch.where(over_events(seen, value), value, torch.nan)
        found[name] = value[0] if evidence.scalar else value
    return found


def _pairs(routes: Mapping[str, str]) -> list[str]:
    return [f"{name}: {route}" for name, route in routes.items()]


def _xarray() -> Any:
    try:
        import xarray
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "to_datatree() needs xarray: pip install 'pyrocausal[arviz]'."
        ) from error
    return xarray
