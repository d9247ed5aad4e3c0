"""What data leave open about the parameters of networks: fits to random halves of the rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

import torch
from torch import Tensor
from tqdm import tqdm

from pyrocausal.engine.casting import as_tensor
from pyrocausal.engine.evidence import columns_of, read_inputs
from pyrocausal.engine.intervals import Between
from pyrocausal.engine.parameters import put_back
from pyrocausal.fitting.fitting import fit
from pyrocausal.fitting.training import Settings
from pyrocausal.fitting.uncertainty import ParameterLaw
from pyrocausal.verbs.core import Core
from pyrocausal.verbs.standing import Standing

__all__ = ["FITS", "refitted"]

FITS: Final = 20  # a standard deviation of so many is known to 16 %


def refitted(
    core: Core,
    standing: Standing,
    data: Any,
    inputs: Mapping[str, Any] | None,
    validation: float,
    settings: Settings,
    start: Mapping[str, Tensor],
    seed: int,
) -> ParameterLaw:
    r"""Fit again to random halves of the rows, in the same way and from the same start.

    An estimate from :math:`m` of :math:`n` rows, drawn without replacement, strays from that of
    all rows with variance :math:`\sigma^2 (1/m - 1/n)`: with :math:`m = n/2` it is the sampling
    variance :math:`\sigma^2 / n`. Rows drawn with replacement would come twice, among those trained
    on and those held out, and stopping early would not work.

    Args:
        core: The fitted SCM.
        standing: Its interventions and evidence.
        data: What it was fitted to.
        inputs: The program's arguments.
        validation: Fraction of the rows that are held out.
        settings: How it was fitted.
        start: Name to parameter, before the fit.
        seed: Of the halves.

    Raises:
        ValueError: A fit with a guide.

    References:
        Politis, Romano (1994), Large sample confidence regions based on subsamples under minimal
        assumptions.
    """
    if core.guide is not None:
        raise ValueError(
            'uncertainty="bootstrap" fits networks to complete data; this fit has a guide for what '
            "was not observed. Leave uncertainty out."
        )
    with core.session():
        rows = core.read(data, inputs, where="data").units
        arguments = read_inputs(inputs, rows, core.place())
    columns = {
        n: v if isinstance(v, Between) else as_tensor(v, f"data[{n!r}]")
        for n, v in columns_of(data, "data").items()
    }
    every = core.scope.named()
    named = {name: every[name] for name in start}
    found = {name: p.detach().clone() for name, p in named.items()}
    quiet = replace(settings, progress=False, checkpoint=None)
    shown = None if settings.progress is None else not settings.progress
    generator = torch.Generator().manual_seed(seed % 2**63)
    draws = []
    try:
        for turn in tqdm(range(FITS), desc="fits to halves", disable=shown):
            put_back(named.values(), start.values())
            half = torch.randperm(rows, generator=generator)[: rows // 2]
            fit(
                core,
                standing,
                {n: _some(v, half, rows) for n, v in columns.items()},
                None,
                {n: _some(v, half, rows) for n, v in arguments.items()} or None,
                validation,
                None,
                (seed + 1 + turn) % 2**63,
                quiet,
            )
            draws.append({name: p.detach().clone() for name, p in named.items()})
    finally:
        put_back(named.values(), found.values())
        core.forget()
    return ParameterLaw.of(
        core, "bootstrap", {n: torch.stack([d[n] for d in draws]).double().cpu() for n in found}
    )


def _some(column: Any, half: Tensor, rows: int) -> Any:
    if isinstance(column, Between):
        parts = (column.low, column.high, column.values)
        return Between(
            *(None if p is None else _some(as_tensor(p, "limits"), half, rows) for p in parts)
        )
    whole = isinstance(column, Tensor) and column.dim() > 0 and len(column) == rows
    return column[half.to(column.device)] if whole else column
