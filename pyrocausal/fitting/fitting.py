"""fit: maximum likelihood of the mechanisms, by stochastic variational inference."""

from __future__ import annotations

import inspect
import json
import time
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import pyro
import torch
from torch import Tensor, nn

from pyrocausal.engine.parameters import evaluating, modules_of
from pyrocausal.engine.rows import undisturbed
from pyrocausal.engine.tracing import quiet_seed
from pyrocausal.fitting.checkpointing import Checkpoint
from pyrocausal.fitting.fit_report import FitReport, Score, baseline, compare
from pyrocausal.fitting.guiding import FittedGuide, rebase
from pyrocausal.fitting.objective import (
    Objective,
    check_sites,
    faults,
    negative_elbo,
    with_densities,
)
from pyrocausal.fitting.observing import Units, incomplete
from pyrocausal.fitting.options import check_settings, read_device, read_seed
from pyrocausal.fitting.supplying import Supply, open_supply
from pyrocausal.fitting.supports import within_supports
from pyrocausal.fitting.team import find_team, leads, own_device
from pyrocausal.fitting.training import Settings, Training, not_finite, training_mode
from pyrocausal.verbs.core import Core
from pyrocausal.verbs.standing import Standing

__all__ = ["fit"]

EXAMPLE = 32  # units kept to run the guide on after the fit
TOO_FEW = "no units were held out: they would be fewer than 20; raise validation to judge the fit"
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
) -> tuple[FitReport, dict[str, Tensor]]:
    """Fit the mechanisms to data; see ``SCM.fit``.

    Returns:
        How it went, and the program's parameters by name, as they were before.
    """
    started = time.perf_counter()
    check_settings(settings, validation)
    checkpoint = settings.checkpoint
    given = seed if checkpoint is None else checkpoint.seed(seed)
    seed = read_seed(given, "fit()")
    if device is not None:
        core.to(own_device(read_device(device, "fit()")))
    team = find_team(core.place())
    if team is not None and given is None:
        seed = team.agree(seed)
    progress = settings.progress if leads() else False
    settings = replace(settings, seed=seed, team=team, progress=progress)
    with core.session(grad=True), torch.enable_grad(), undisturbed(), quiet_seed(seed):
        supply = open_supply(core, standing, data, inputs, validation, settings.batch_size, seed)
        units, causes = supply.units, supply.causes
        if causes and guide is None:
            raise incomplete(causes)
        _forget_guide(core, guide)
        objective = Objective(core, units, guide, causes)
        modules = [module for _, module in _modules(objective)]
        for module in modules:
            module.to(core.place())  # a guide was perhaps made elsewhere
        with training_mode(modules):
            training, note = _prepare(objective, supply, modules, validation, settings)
            start = {
                n: p.detach().clone() for n, p in core.scope.named().items() if p.requires_grad
            }
            training.run()
        scores, total = _judge(objective, training)
        core.guide = _fitted(core, objective)
    core.forget()
    every = training.split.trained + len(training.split.held_out)
    report = FitReport(
        losses=torch.stack(training.losses).cpu() if training.losses else torch.zeros(0),
        stopped=training.stopped,
        scores=scores,
        total=total,
        seconds=time.perf_counter() - started,
        units=training.split.trained,
        held_out=len(training.split.held_out),
        parameters=sum(p.numel() for p in training.parameters),
        seed=seed,
        note=_noted(_with_limits(note, units), checkpoint),
        path=training.path,
        observed=frozenset(units.values),
        ranges=units.ranges() if every == units.number else {},
        falling=training.falling,
    )
    return report, start


def _prepare(
    objective: Objective,
    supply: Supply,
    modules: list[nn.Module],
    validation: float,
    settings: Settings,
) -> tuple[Training, str]:
    size, split = supply.size, supply.split(validation)
    # A first run registers the parameters, those of an AutoGuide too.
    rows = split.train[:size]
    units = objective.units.rows(rows)
    with within_supports(units, rows):
        traces = objective.run(rows, units, split.trained / len(rows))
    check_sites(objective, *traces)
    value, gradient = negative_elbo(*with_densities(*traces))
    if not bool(value.isfinite()):
        raise not_finite("at the start", faults(*traces))
    parameters = _parameters(objective)
    _check_registered(gradient, parameters, objective)
    _check_unseen(objective, modules, torch.cat([split.train[size:], split.held_out]), size)
    note = TOO_FEW if validation and not len(split.held_out) else ""
    per_unit = any(hasattr(p, "_pyro_subsample") for p in parameters)
    if per_unit and split.trained > len(split.train):
        raise ValueError(
            "The guide has parameters for each unit, but not all units of the files are at hand at "
            "once. Use a guide that computes them from the batch."
        )
    if per_unit and len(split.held_out):
        split, note = supply.split(0.0), PER_UNIT
    settings = replace(settings, batch_size=min(size, len(split.train)))
    if settings.team is not None:
        found = json.dumps(dict(split.digests()), sort_keys=True)
        settings.team.check_alike(zlib.crc32(found.encode()), "data")
    check = partial(_check_unseen, objective, modules, size=size)
    feed = supply.feed(split, settings.seed, check)
    return Training(objective, split, feed, parameters, modules, settings), note


def _check_unseen(
    objective: Objective, modules: list[nn.Module], others: Tensor, size: int
) -> None:
    """Check the supports at units that the first run has left out; nothing moves."""
    with torch.no_grad(), evaluating(modules), quiet_seed(0):
        for rows in others.split(size) if len(others) else ():
            units = objective.units.rows(rows)
            with within_supports(units, rows):
                objective.run(rows, units, 1.0)


def _with_limits(note: str, units: Units) -> str:
    if not units.limits:
        return note
    said = f"of {', '.join(units.limits)} some limits only are known, so that there is no baseline"
    return f"{note}; {said}" if note else said


def _noted(note: str, checkpoint: Checkpoint | None) -> str:
    if checkpoint is None or not checkpoint.resumed:
        return note
    return (
        f"{note}; " * bool(note) + f"went on from step {checkpoint.resumed} of {checkpoint.path}"
    )


def _parameters(objective: Objective) -> list[Tensor]:
    """Return what is optimized: the store's parameters, and those of program and guide."""
    found = [tensor for _, tensor in pyro.get_param_store().named_parameters()]
    for program in (objective.core.program, objective.guide.guide):
        owner = program.__self__ if inspect.ismethod(program) else program
        if isinstance(owner, nn.Module):
            found += owner.parameters()
    return [tensor for tensor in {id(t): t for t in found}.values() if tensor.requires_grad]


def _modules(objective: Objective) -> list[tuple[str, nn.Module]]:
    guide = objective.guide.guide
    reached = {} if guide is None else modules_of(guide)
    return [*objective.core.scope.modules.items(), *reached.items()]


def _check_registered(loss: Tensor, parameters: list[Tensor], objective: Objective) -> None:
    known = {id(tensor) for tensor in parameters}
    strangers = {id(tensor): tensor for tensor in _leaves(loss) if id(tensor) not in known}
    for name, module in _modules(objective):
        names = [key for key, tensor in module.named_parameters() if id(tensor) in strangers]
        if names:
            more = ", ..." if len(names) > 4 else ""
            raise ValueError(
                f"The loss depends on the parameters {', '.join(names[:4])}{more} of {name}, "
                f"which are not registered and would stay as they are. {_cure(name, objective)}, "
                f"or freeze them with {name}.requires_grad_(False)."
            )
    if strangers:
        shape = tuple(next(iter(strangers.values())).shape)
        raise ValueError(
            f"The loss depends on a tensor of shape {shape} that requires a gradient but is not "
            "registered. Make it a pyro.param, or detach it."
        )
    if not parameters or not loss.requires_grad:
        raise ValueError(
            "There is nothing to fit: the program has no parameters that its density depends on. "
            "Add pyro.param or pyro.module statements."
        )


def _cure(name: str, objective: Objective) -> str:
    owners = [other for other, _ in _modules(objective) if name.startswith(f"{other}.")]
    if owners:
        return (
            f"{owners[0]} keeps it in a plain container: make that an nn.ModuleList or ModuleDict"
        )
    return f'Add pyro.module("{name}", {name}) to the program'


def _leaves(loss: Tensor) -> Iterator[Tensor]:
    """Yield the tensors at which the gradient of ``loss`` ends."""
    seen, todo = set(), [loss.grad_fn]
    while todo:
        node = todo.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if hasattr(node, "variable"):
            yield node.variable
        todo += [following for following, _ in node.next_functions]


def _forget_guide(core: Core, guide: Any) -> None:
    # A new guide starts afresh, also where it calls its parameters as the last one did.
    if core.guide is not None and core.guide.guide is not guide:
        store = pyro.get_param_store()
        for name in core.guide.parameters:
            if name in store:
                del store[name]


def _fitted(core: Core, objective: Objective) -> FittedGuide | None:
    guide = objective.guide.guide
    if guide is None:
        return None
    rebase(guide, objective.model, core.program)  # lets go of the data
    units = objective.units
    few = torch.arange(min(EXAMPLE, units.number), device=core.place())
    own = [name for name in pyro.get_param_store() if name not in core.anatomy.parameters]
    return FittedGuide(guide, tuple(own), units.rows(few), units.number)


def _judge(objective: Objective, training: Training) -> tuple[tuple[Score, ...], Score | None]:
    if not training.held_out:
        return (), None
    limits = objective.units.limits
    parts = {n: s for n, s in training.held_out.by_variable().items() if n not in limits}
    if not parts:
        return (), None
    return compare(parts, baseline(objective.units, training.split.train, training.split.held_out))
