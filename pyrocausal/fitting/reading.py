"""Reading the data of a fit: units, and what is missing above what was observed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from pyrocausal.engine.casting import as_tensor
from pyrocausal.engine.evidence import columns_of, read_inputs
from pyrocausal.engine.graph_finding import find_graph
from pyrocausal.engine.intervals import Between
from pyrocausal.fitting.observing import Units, missing_causes, read_units
from pyrocausal.graph import CausalGraph
from pyrocausal.verbs.core import Core

__all__ = ["read_data"]


def read_data(
    core: Core, data: Any, inputs: Mapping[str, Any] | None
) -> tuple[Units, dict[str, str]]:
    """Read the data of a fit.

    Returns:
        The units, and the variables that are missing above observed ones, with the words that say
        where.

    Raises:
        UnknownVariable: A column that is no variable.
        ValueError: No data or no units, a column without values, wrong shapes.
    """
    if not columns_of(data, "data") and not inputs:
        raise ValueError(
            "fit() got no data: data is empty. Pass a DataFrame, or a mapping from variable to "
            "values, units first."
        )
    if not inputs:
        _check_plates(core, data)
    seen = core.read(data, inputs, where="data")
    if seen.scalar:
        raise ValueError(
            "fit() got no units: data hold one value for each variable. Pass arrays, units first."
        )
    variables = core.anatomy.variables
    causes: dict[str, str] = {}
    if seen.observed or seen.limits:
        graph, gaps = _possible_graph(core), {**seen.observed, **seen.limits}
        lacking = {name: ~seen.known(name, variables[name]) for name in gaps}
        causes = missing_causes(seen, lacking, graph, variables)
        within = {name: limits.within for name, limits in seen.limits.items()}
        _refuse_limits(missing_causes(seen, within, graph, variables))
    for name, observed in seen.observed.items():
        if name not in causes and name not in seen.limits and not bool(observed.any()):
            raise ValueError(
                f"data[{name!r}] has no values: all {seen.units} are missing, so that there is "
                "nothing to learn its mechanism from. Give some, or fit a program without it."
            )
    return read_units(seen, read_inputs(inputs, seen.units, core.place()), variables), causes


def _refuse_limits(above: Mapping[str, str]) -> None:
    if above:
        raise ValueError(
            f"data are known up to limits of {'; '.join(above.values())}. A fit takes limits of "
            "what has no observed effect: give values, or leave what lies below out."
        )


def _check_plates(core: Core, data: Any) -> None:
    """Tell a program that holds its units in a plate of its own what to do about it."""
    if not core.knows_sites:
        return
    variables = core.anatomy.variables
    shapes = {
        name: tuple(as_tensor(value, f"data[{name!r}]").shape)
        for name, value in columns_of(data, "data").items()
        if name in variables and not isinstance(value, Between)
    }
    some = any(len(shape) > len(variables[name].unit_shape) for name, shape in shapes.items())
    for name, shape in shapes.items():
        variable = variables[name]
        constant = some and shape == variable.unit_shape  # the same in all units
        if not variable.inner or len(shape) != len(variable.unit_shape) or constant:
            continue
        size = variable.inner[-1]
        raise ValueError(
            f"data[{name!r}] has the shape {shape}, but the program opens a plate of {size} around "
            f"{name!r}, inside each unit: expected {('units', *variable.unit_shape)}. If that "
            "plate stands for the units, leave it out: fit() opens it. With parameters outside "
            "it that all units share, open it with pc.units()."
        )


def _possible_graph(core: Core) -> CausalGraph:
    """Return the graph with the effects that are zero only at the parameters there are now."""
    before = core.graph
    tensors = [tensor for tensor in core.scope.named().values() if tensor.is_floating_point()]
    kept = [tensor.detach().clone() for tensor in tensors]
    with core.session():
        try:
            for tensor in tensors:
                tensor.add_(torch.randn_like(tensor))
            other = find_graph(core.program, core.anatomy, core.example_inputs, core.latent)
        finally:
            for tensor, value in zip(tensors, kept, strict=True):
                tensor.copy_(value)
    return CausalGraph({*before.edges, *other.edges}, nodes=before.nodes)
