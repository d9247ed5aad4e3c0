"""fit: maximum likelihood of the mechanisms, by stochastic variational inference."""

from __future__ import annotations

import inspect
import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pyro
import torch
from torch import Tensor, nn

from pyrocausal.core import Core, Standing
from pyrocausal.evidence import read_inputs
from pyrocausal.fit_report import FitReport, baseline, compare
from pyrocausal.guiding import FittedGuide, posterior_draws, rebase, undisturbed
from pyrocausal.noise import draw_seed
from pyrocausal.objective import Objective, check_sites, faults, negative_elbo
from pyrocausal.observing import Units, incomplete, missing_causes, read_units
from pyrocausal.parameters import modules_of
from pyrocausal.training import Settings, Split, Training, not_finite, training_mode

__all__ = ["fit", "posterior_draws"]

WHOLE = 4096  # up to so many units are taken at a time, unless batch_size says otherwise
BATCH = 1024
EXAMPLE = 32  # units kept to run the guide on after the fit
PER_UNIT = (
    "no units were held out, since the guide has parameters for each unit; a guide that computes "
    "them from the batch can be judged on new units"
)


def fit(
    core: Core,
    standing: Standing,
    data: Any,
    guide: Any,
    inputs: Mapping[str, Any] | None,
    validation: float,
    device: torch.device | str | None,
    seed: int | None,
    settings: Settings,
) -> FitReport:
    """Fit the mechanisms to data; see ``SCM.fit``."""
    started = time.perf_counter()
    _check_settings(settings, validation)
    data = _with_evidence(data, standing)
    if device is not None:
        core.to(_available(torch.device(device)))
    seed = draw_seed() if seed is None else seed
    with core.session(grad=True), torch.enable_grad(), undisturbed(seed):
        units, causes = _read(core, data, inputs)
        if causes and guide is None:
            raise incomplete(causes)
        with _fresh_parameters(core, guide):
            objective = Objective(core, units, guide, causes)
            modules = [*core.scope.modules.values(), *modules_of(objective.guide.guide).values()]
            with training_mode(modules):
                training, note = _prepare(objective, modules, validation, settings)
                training.run()
            core.guide = _fitted(core, objective, guide)
        scores, total = _judge(objective, training)
    core.forget()
    return FitReport(
        losses=torch.stack(training.losses).cpu() if training.losses else torch.zeros(0),
        stopped=training.stopped,
        scores=scores,
        total=total,
        seconds=time.perf_counter() - started,
        units=len(training.split.train),
        held_out=len(training.split.held_out),
        parameters=sum(p.numel() for p in training.parameters),
        seed=seed,
        note=note,
    )
