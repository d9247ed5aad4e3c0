"""Walking through the program: densities of what is missing and of what was seen."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import torch
from pyro.distributions.util import sum_rightmost
from torch import Tensor
from torch.distributions import biject_to

from pyrocausal.engine.rows import Layout, Site, over_events, support_of
from pyrocausal.engine.structural import StructuralRun
from pyrocausal.engine.tracing import quiet_seed
from pyrocausal.engine.within import draw_within, law_within
from pyrocausal.errors import NotAbducible
from pyrocausal.inference.limited import Limited, bijection_within
from pyrocausal.inference.problem import Problem

__all__ = ["Walk"]


class Walk(StructuralRun):
    """Runs the program with values for what is missing, and notes the densities.

    A missing variable gets the value that is given, or that a vector of real numbers stands for;
    else it draws from its mechanism. The walk ends where nothing more depends on what is missing.

    Args:
        problem: What is missing, and what was seen.
        count: How many values there are for each unit.
        values: Missing variable to values, shape ``(count, units, *inner, *event)``.
        free: Missing continuous variable to real numbers that stand for the missing elements of
            its value, ``(count, units, elements, *event)``.

    Attributes:
        log_prior: Log density of the missing variables, ``(count, units)``.
        log_likelihood: That of what was seen and depends on them.
        log_slope: ``log |d value / d real number|`` of the continuous missing variables.
        found: Variable to value, ``(count, units, *inner, *event)``.
        real: Continuous missing variable to the numbers that stand for its value.
        laws: Variable to its distribution, in program shape.
        masked: Variables that don't count for every unit.
    """

    def __init__(
        self,
        problem: Problem,
        count: int,
        *,
        values: Mapping[str, Tensor] | None = None,
        free: Mapping[str, Tensor] | None = None,
    ) -> None:
        layout, query = Layout(problem.size, 1, count), problem.query
        noise = query.noise(problem.size, count)
        super().__init__(query, layout, noise, (problem.world,), dict(problem.shared))
        self.problem, self.given, self.free = problem, values or {}, free or {}
        zero = torch.zeros(count, problem.size, dtype=torch.float64, device=query.device)
        self.log_prior: Tensor = zero
        self.log_likelihood: Tensor = zero
        self.log_slope: Tensor = zero
        self.found: dict[str, Tensor] = {}
        self.real: dict[str, Tensor] = {}
        self.laws: dict[str, Any] = {}
        self.masked: set[str] = set()
        self.limited: dict[str, Limited] = {}
        self._waiting = {*problem.missing, *problem.factors}
        with suppress(_Done):
            query.run(self, layout)

    @property
    def log_joint(self) -> Tensor:
        """Log density of the missing variables and of what was seen, ``(count, units)``."""
        return self.log_prior + self.log_likelihood

    def visit(self, site: Site) -> Tensor:
        value = super().visit(site)
        if not self._waiting:
            raise _Done
        return value

    def _refuse_nan(self, site: Site, value: Tensor) -> None:
        """Accept NaN: a proposal may lie where the program breaks down, and then has no density."""

    def natural(self, site: Site) -> Tensor:
        if self.edges_at(site):
            site = self.through_edges(site)
        if site.value is not None:
            return site.value
        name, problem = site.name, self.problem
        if name not in self._waiting:
            return self._unasked(site)
        if name in problem.limits:
            self.limited[name] = self._limits_of(site)
        value = self._missing(site) if name in problem.missing else self._seen(site)
        self._waiting.discard(name)
        self._note(site, value)
        return value

    def _unasked(self, site: Site) -> Tensor:
        """Return what was seen of a site, or anything possible where nothing asks for it."""
        if site.name in self.problem.values:
            return self._seen(site)
        with quiet_seed(0):
            return site.fn.sample()  # type: ignore[no-any-return]

    def _limits_of(self, site: Site) -> Limited:
        limits = self.problem.limits[site.name].rows(self.layout, len(site.inner))
        try:
            return Limited(site, limits, law_within(self.query, site, limits))
        except NotAbducible:
            return Limited(site, limits, None)

    def _within(self, site: Site) -> Tensor:
        """Draw a site, where the CDF is known within its limits."""
        law = self.limited[site.name].law
        if law is None:
            return self.structural(site)
        return draw_within(law, self.noise, self.layout, site).detach()

    def _seen(self, site: Site) -> Tensor:
        if site.name not in self.problem.values:
            return self._within(site)
        value = self._rows(self.problem.values[site.name][None], site)
        if site.name not in self.problem.seen:
            return value
        with quiet_seed(0):
            anything = site.fn.sample()
        return torch.where(over_events(self._elements(site), value), value, anything)

    def _missing(self, site: Site) -> Tensor:
        name = site.name
        if name in self.given:
            value = self._rows(self.given[name], site)
        elif name in self.free:
            value = self._freed(site)
        else:
            value = self._within(site) if name in self.limited else self.structural(site)
        if name not in self.problem.seen:
            return value
        seen = self._rows(self.problem.values[name][None], site)
        return torch.where(over_events(self._elements(site), seen), seen, value)

    def _freed(self, site: Site) -> Tensor:
        """Return the value that real numbers stand for."""
        numbers, absent = self.free[site.name], self.problem.absent(site.name)
        lead, event = numbers.shape[:2], numbers.shape[3:]
        whole = numbers.new_zeros(*lead, absent.numel(), *event)
        whole[:, :, absent.flatten()] = numbers
        whole = whole.reshape(*lead, *absent.shape, *event)
        return self._bijection(site)(self._rows(whole, site)).to(self._dtype(site))  # type: ignore[no-any-return]

    def _bijection(self, site: Site) -> Any:
        """Return the map from real numbers to the values that are possible."""
        if site.name in self.limited:
            return bijection_within(site.fn.support, self.limited[site.name].limits)
        return biject_to(site.fn.support)

    def _note(self, site: Site, value: Tensor) -> None:
        name, layout = site.name, self.layout
        self.laws[name] = site.fn
        self.found[name] = layout.from_rows(value, site.event_dim)[:, 0]
        density, missing = self._density(site, value), name in self.problem.missing
        if name in self.limited:
            limited = self.limited[name]
            mass = layout.from_rows(limited.likelihood(value))[:, 0]
            mass = mass.flatten(2).sum(2) if mass.dim() > 2 else mass
            self.log_likelihood = self.log_likelihood + mass
            density = limited.prior(value, density) if missing else density
        density = layout.from_rows(density)[:, 0]
        if not missing:
            if name in self.problem.values:
                self.log_likelihood = self.log_likelihood + self._summed(density, site, seen=True)
            return
        self.log_prior = self.log_prior + self._summed(density, site, seen=False)
        if name in self.problem.seen:
            self.log_likelihood = self.log_likelihood + self._summed(density, site, seen=True)
        if not self.query.variables[name].discrete:
            self._note_real(site, value)

    def _note_real(self, site: Site, value: Tensor) -> None:
        """Note the real numbers that stand for a continuous value, where there are any."""
        try:
            transform = self._bijection(site)
        except NotImplementedError:
            return
        real = transform.inv(value)
        slope = transform.log_abs_det_jacobian(real, value)
        slope = sum_rightmost(slope, site.event_dim - transform.codomain.event_dim)
        slope = self.layout.from_rows(slope.expand(value.shape[: value.dim() - site.event_dim]))
        self.log_slope = self.log_slope + self._summed(slope[:, 0], site, seen=False)
        absent = self.problem.absent(site.name)
        numbers = self.layout.from_rows(real, site.event_dim)[:, 0]
        lead, event = numbers.shape[:2], numbers.shape[2 + absent.dim() :]
        flat = numbers.reshape(*lead, absent.numel(), *event)
        self.real[site.name] = flat[:, :, absent.flatten()]

    def _summed(self, density: Tensor, site: Site, *, seen: bool) -> Tensor:
        """Sum a density of shape ``(count, units, *inner)`` over what was seen, or was not."""
        mask, density = self.problem.seen.get(site.name), density.double()
        if mask is not None:
            density = torch.where(mask if seen else ~mask, density, 0.0)
        return density.flatten(2).sum(2) if density.dim() > 2 else density

    def _density(self, site: Site, value: Tensor) -> Tensor:
        """Return a log density that is minus infinity where a value is impossible."""
        density: Tensor = site.fn.log_prob(value)
        possible = self._possible(site, value)
        if possible is not None:
            density = torch.where(possible, density, -torch.inf)
        density = torch.where(density.isnan(), -torch.inf, density)
        if site.mask is not None and site.name not in self.problem.missing:
            self.masked.add(site.name)
            density = torch.where(torch.as_tensor(site.mask), density, 0.0)
        return density

    def _possible(self, site: Site, value: Tensor) -> Tensor | None:
        if site.name in self.free:
            return None  # it lies in the support by construction
        try:
            equation = self.query.equation(site)
        except NotAbducible:
            support = support_of(site.fn)
            return None if support is None else support.check(value)
        return None if equation.everywhere else equation.possible(value)

    def _elements(self, site: Site) -> Tensor:
        return self._rows(self.problem.seen[site.name][None, None], site)

    def _rows(self, value: Tensor, site: Site) -> Tensor:
        return self.layout.to_rows(value[:, None], len(site.inner))

    def _dtype(self, site: Site) -> torch.dtype:
        return self.query.variables[site.name].dtype  # type: ignore[no-any-return]


class _Done(Exception):
    """Nothing more depends on what is missing."""
