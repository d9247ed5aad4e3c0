"""Why: the root causes of one unit's value, or of a change between two models."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Final, Literal

import torch
from torch import Tensor

from pyrocausal.answers import Effect, Interval, check_level, normal_interval
from pyrocausal.engine.evidence import count_of, read_inputs
from pyrocausal.engine.rows import Layout
from pyrocausal.engine.structural import StructuralRun
from pyrocausal.errors import UnknownVariable
from pyrocausal.noise.streams import draw_seed
from pyrocausal.queries.asking import introduce
from pyrocausal.queries.reading import name_of
from pyrocausal.queries.shapley import EXACT, Shares, shapley
from pyrocausal.verbs.standing import Standing

if TYPE_CHECKING:
    from pyrocausal.model import SCM

__all__ = ["attribute"]

FEWEST: Final = 20  # draws of the parameters
FEWER_ORDERS: Final = 20  # orders of many causes, at each of these
RUNS: Final = 3000  # of the program, that the draws may take where there are more

Score = Literal["value", "tail"]


def attribute(
    scm: SCM,
    unit: Any,
    target: str,
    *,
    score: Score = "value",
    inputs: Mapping[str, Any] | None = None,
    num_samples: int = 2000,
    level: float = 0.95,
    seed: int | None = None,
) -> Effect:
    """Share out a unit's value, or a change of the mean, among the variables that caused it.

    Of a unit: each variable's exogenous noise is the unit's own or a fresh draw, and its Shapley
    value is what its own noise adds to the target on average over all orders. Of two models (a
    second SCM in the place of the unit): each mechanism is the first one's or the second's, and
    the shares sum to the change of the target's mean. What data left open of the parameters is
    asked at fewer draws of these the more causes there are, 20 at least.

    Args:
        scm: The model.
        unit: What was seen of one unit, or another SCM of the same variables.
        target: The variable whose value is explained.
        score: ``"value"``, its distance from the mean, in its units; or ``"tail"``, how
            unlikely it is to lie as far out, ``-log P(|Y - E[Y]| >= |y - E[Y]|)``, in nats.
        inputs: The program's arguments by name, one unit.
        num_samples: Number of draws of the other noise.
        level: Level of the intervals.
        seed: Gives the same draws again.

    Returns:
        One number for each variable, the target among them.

    Raises:
        UnknownVariable: A name that is no variable.
        ValueError: Several units, or models of other variables.

    Example:
        >>> def service():
        ...     load = pyro.sample("load", dist.Normal(0.0, 1.0))
        ...     cache = pyro.sample("cache", dist.Normal(load, 1.0))
        ...     pyro.sample("latency", dist.Normal(load + 2.0 * cache, 1.0))
        >>> slow = {"load": 0.0, "cache": 5.0, "latency": 10.0}
        >>> why = attribute(pc.SCM(service), slow, "latency", seed=0)
        >>> dict(zip(why.index, why.value.round().int().tolist(), strict=True))
        {'load': 0, 'cache': 10, 'latency': 0}

    References:
        Budhathoki, Minorics, Bloebaum, Janzing (2022), Causal Structure-Based Root Cause Analysis
        of Outliers; Budhathoki, Janzing, Bloebaum, Ng (2021), Why Did the Distribution Change?
    """
    from pyrocausal.model import SCM as Model

    introduce(scm, {"inputs": inputs})
    check_level(level)
    if name_of(target, "target") not in scm.variables:
        raise UnknownVariable(target, scm.variables, "attribute")
    if scm.variables[target].unit_shape:
        raise ValueError(f"{target!r} has several numbers a unit; expected a target with one.")
    if score not in ("value", "tail"):
        raise ValueError(f'score got {score!r}; expected "value" or "tail".')
    seed, size = draw_seed() if seed is None else seed, count_of(num_samples, "num_samples")
    if scm._standing != Standing():
        raise ValueError(
            f"attribute() got {scm!r}; expected an SCM as it was made. Ask it without do(...) and "
            "condition(...)."
        )
    above = scm.graph.ancestors(target) | {target}
    causes = [n for n, v in scm.variables.items() if n in above and not v.deterministic]
    change = isinstance(unit, Model)

    def play() -> _Root | _Change:
        if change:
            return _Change(scm, unit, target, causes, inputs, size, seed)
        return _Root(scm, unit, target, score, inputs, size, seed)

    game = play()
    shares = shapley(causes, game, seed)
    models = [scm, unit] if change else [scm]
    varied = _varied(models, lambda: shapley(causes, play(), seed, FEWER_ORDERS).value, causes)
    text = f"{target} {'less its mean' if score == 'value' else 'as an outlier'}, by noise"
    if change:
        text = f"change of E[{target}] by mechanism"
    return _effect(shares, causes, text, game, models, varied, level)


class _Root:
    """What a unit's own noise of some variables makes of the target, the rest drawn afresh."""

    rung = 3

    def __init__(
        self,
        scm: SCM,
        unit: Any,
        target: str,
        score: Score,
        inputs: Mapping[str, Any] | None,
        size: int,
        seed: int,
    ) -> None:
        self.core, self.target, self.size = scm._core, target, size
        abduction = scm.abduct(unit, inputs=inputs, num_draws=size, seed=seed)
        if abduction.evidence.units != 1:
            raise ValueError(
                f"attribute() got {abduction.evidence.units} units; expected one. Ask about each "
                "alone, such as df.iloc[0]."
            )
        self.routes = abduction.routes
        # The draws of the one unit become units: its noise may be random given the evidence.
        self.own = {
            name: noise.transpose(0, 2) if isinstance(noise, Tensor) else noise
            for name, noise in abduction.noise.known.items()
        }
        self.value = abduction.factual[target][:, 0, 0].to(torch.float64)
        self.score, self.inputs = score, _repeated(scm, inputs, size)
        self.seed = seed
        self.mean = self._values(frozenset()).mean()

    def __call__(self, coalition: frozenset[str]) -> Tensor:
        values = self._values(coalition)
        if self.score == "value":
            return values
        far = ((values - self.mean).abs() >= (self.value - self.mean).abs() - 1e-6).double()
        chance = far.mean().clamp(min=1 / (self.size + 1))
        # Its mean is the log of the chance, and it varies as the delta method says.
        return chance.log() + (far - far.mean()) / chance

    def _values(self, coalition: frozenset[str]) -> Tensor:
        with self.core.session():
            # Other units than those whose noise was drawn in the abduction.
            query = self.core.query(self.inputs, self.size, self.seed + 1)
            noise = query.noise(self.size)
            noise.known = {name: self.own[name] for name in coalition}
            run = StructuralRun(query, Layout(self.size, 1), noise)
            run.run()
        return run.values[self.target].to(torch.float64)


class _Change:
    """The target when some mechanisms are the second model's and the rest the first one's."""

    rung = 2
    routes: Mapping[str, str] = {}

    def __init__(
        self,
        before: SCM,
        after: SCM,
        target: str,
        causes: list[str],
        inputs: Mapping[str, Any] | None,
        size: int,
        seed: int,
    ) -> None:
        if set(before.variables) != set(after.variables):
            raise ValueError(
                f"attribute() got models of other variables: {', '.join(before.variables)} and "
                f"{', '.join(after.variables)}. Give two of the same program."
            )
        self.models, self.target = (before, after), target
        self.inputs = _repeated(before, inputs, size)
        order = list(before.variables)
        self.order = [name for name in order[: order.index(target) + 1] if name in causes]
        self.size, self.seed = size, seed
        self.found: dict[tuple[bool, ...], Tensor] = {}

    def __call__(self, coalition: frozenset[str]) -> Tensor:
        values: dict[str, Tensor] = {}
        path: tuple[bool, ...] = ()
        for name in self.order:
            path = (*path, name in coalition)
            if path not in self.found:
                self.found[path] = self._drawn(self.models[path[-1]], name, values)
            values[name] = self.found[path]
        return values[self.target].to(torch.float64)

    def _drawn(self, model: SCM, name: str, before: dict[str, Tensor]) -> Tensor:
        """Draw a variable by a model, from what was drawn of its causes."""
        acted = model.do(dict(before)) if before else model
        answer = acted.sample(self.size, inputs=self.inputs, variables=[name], seed=self.seed)
        return answer[name]


def _varied(
    models: Sequence[SCM], play: Callable[[], Tensor], causes: Sequence[str]
) -> Tensor | None:
    """Return the shares at draws of the parameters, ``(draw, cause)``; None where none are known."""
    laws = [(model._core.law, model._core) for model in models if model._core.law is not None]
    if not laws:
        return None
    coalitions = 2 ** min(len(causes), EXACT)
    draws = max(FEWEST, min(len(laws[0][0].draws), RUNS // coalitions))
    with ExitStack() as stack:
        puts = [stack.enter_context(law.varying(core)) for law, core in laws]
        found = []
        for draw in range(draws):
            # From both ends: draws of one number and one seed are not independent.
            for put, at in zip(puts, (draw, -1 - draw), strict=False):
                put(at)
            found.append(play())
    return torch.stack(found)


def _effect(
    shares: Shares,
    causes: list[str],
    text: str,
    game: _Root | _Change,
    models: Sequence[SCM],
    varied: Tensor | None,
    level: float,
) -> Effect:
    import pandas as pd

    value, sources = shares.value, {"Monte Carlo": shares.se}
    said: dict[str, Any] = {}
    if varied is not None:
        sources["parameters"] = varied.std(0)
        said = {"draws of the parameters": len(varied)}
        if any(m._core.law is not None and m._core.law.method == "posterior" for m in models):
            value = varied.mean(0)  # the shares themselves are at a single draw of the posterior
    interval: Interval | None = normal_interval(value, sources, level)
    if any(model._core.learnt is not None and model._core.law is None for model in models):
        interval, said = None, {"interval": "none: an SCM was fitted without uncertainty="}
    return Effect(
        value=value,
        se=shares.se,
        interval=interval,
        query=text,
        rung=game.rung,
        routes=game.routes,
        assumptions=("the program is the true mechanism of every variable",),
        index=pd.Index(causes, name="variable"),
        details={
            **said,
            "total": shares.total.item(),
            "draws": game.size,
            "seed": game.seed,
        },
    )


def _repeated(scm: SCM, inputs: Mapping[str, Any] | None, size: int) -> Mapping[str, Any] | None:
    """Return the arguments of the one unit, for each draw of it."""
    if inputs is None:
        return None
    read = read_inputs(inputs, 1, scm._core.place())
    return {
        n: v.expand(size, *v.shape[1:]) if isinstance(v, Tensor) else v for n, v in read.items()
    }
