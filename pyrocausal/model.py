"""SCM: a Pyro program with the verbs of the three rungs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from pyrocausal.engine.abduction import Abduction
from pyrocausal.engine.evidence import as_sequence, columns_of
from pyrocausal.engine.tracing import Variable
from pyrocausal.fitting.amortizing import Amortizing
from pyrocausal.fitting.learning import Learning
from pyrocausal.fitting.options import read_device
from pyrocausal.inference import Method
from pyrocausal.interventions import read_worlds
from pyrocausal.noise import Coupling, read_couplings
from pyrocausal.results import Counterfactual, Samples
from pyrocausal.verbs.answering import abduction_of, counterfactual
from pyrocausal.verbs.calling import handled
from pyrocausal.verbs.core import Core
from pyrocausal.verbs.density import log_density
from pyrocausal.verbs.plan import Plan, make_plan
from pyrocausal.verbs.sampling import sample
from pyrocausal.verbs.showing import Showing
from pyrocausal.verbs.standing import Standing

__all__ = ["SCM", "Program"]

Program = Callable[..., Any]


class SCM(Learning, Amortizing, Showing):
    """A structural causal model: an ordinary Pyro program with the verbs of the three rungs.

    Every ``pyro.sample("X", D(parents))`` is an assignment ``X = f(parents, U_X)``; the exogenous
    noise ``U_X`` and ``f`` are derived from the distribution. The program describes one unit and
    is run on a batch of them: a scalar site has the shape ``(units,)``.

    Args:
        program: A function or module made of Pyro statements; or an SCM, for another one of its
            program, with the same modules and a copy of its parameters.
        latent: Variables that are never observed.
        noise: Site to coupling of a discrete site: ``"gumbel-max"``, ``"quantile"``,
            ``"independent"`` or a function from the distribution to a structural equation.
        name: A name for messages; the program's own by default.

    Example:
        >>> def clinic():
        ...     severity = pyro.sample("severity", dist.Normal(0.0, 1.0))
        ...     pyro.sample("recovery", dist.Normal(-severity, 0.5))
        >>> SCM(clinic).graph
        CausalGraph(severity -> recovery)
    """

    def __init__(
        self,
        program: Program,
        *,
        latent: Sequence[str] = (),
        noise: Mapping[str, Coupling] | None = None,
        name: str | None = None,
    ) -> None:
        if isinstance(program, type):
            raise TypeError(
                f"SCM() got the class {program.__name__}; expected a program. Give an instance of it."
            )
        if not callable(program):
            raise TypeError(f"SCM() takes a program, a callable; got {type(program).__name__}.")
        other = program if isinstance(program, SCM) else None
        if other is not None:
            program, latent, noise, name = other._own(latent, noise, name)
        self.name = str(name or getattr(program, "__name__", type(program).__name__))
        self._core = Core(program, as_sequence(latent, "latent") or (), read_couplings(noise))
        self._standing = Standing()
        if other is not None:
            # A scope that is opened inside another one takes over what that holds.
            with other._core.scope.open(), self._core.scope.open():
                pass

    def _own(
        self, latent: Sequence[str], noise: Mapping[str, Coupling] | None, name: str | None
    ) -> tuple[Program, Sequence[str], Mapping[str, Coupling], str]:
        """Return what an SCM of this SCM is made of, where nothing else was said."""
        if self._standing != Standing():
            raise ValueError(
                f"SCM() got {self!r}; expected a program, or an SCM as it was made. Ask this one "
                "itself, or give SCM() its program."
            )
        core = self._core
        couplings = core.couplings if noise is None else noise
        return core.program, latent or core.latent, couplings, name or self.name

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the program, with this SCM's parameters, under its interventions and evidence.

        It is what ``pc.condition(pc.do(program, ...), ...)`` runs: so an SCM goes wherever a Pyro
        program does, into guides, samplers and ``Predictive``.

        Raises:
            ValueError: The SCM has a list of worlds, or an edge is intervened on.

        Example:
            >>> from pyro.infer import Predictive
            >>> def clinic():
            ...     treated = pyro.sample("treated", dist.Bernoulli(0.5))
            ...     pyro.sample("recovery", dist.Normal(2.0 * treated, 0.5))
            >>> Predictive(SCM(clinic).do(treated=1.0), num_samples=3)()["treated"]
            tensor([1., 1., 1.])
        """
        with self._core.scope.open():
            return handled(self._core.program, self._standing, self)(*args, **kwargs)

    @property
    def program(self) -> Program:
        """The Pyro program."""
        return self._core.program

    @property
    def latent(self) -> frozenset[str]:
        """The variables that are never observed."""
        return frozenset(self._core.latent)

    @property
    def variables(self) -> Mapping[str, Variable]:
        """The variables in the order of execution, with what is known of each."""
        return self._core.anatomy.variables

    # Rungs 1 and 2: seeing and doing

    def sample(
        self,
        n: int,
        *,
        inputs: Mapping[str, Any] | None = None,
        variables: Sequence[str] | str | None = None,
        latent: bool = False,
        max_memory: int | None = None,
        seed: int | None = None,
    ) -> Samples:
        """Draw ``n`` units, under the interventions and evidence of this SCM.

        Args:
            n: Number of units.
            inputs: The program's arguments by name, units first.
            variables: Return these only.
            latent: Whether to return latent variables too.
            max_memory: Bytes to work in (default: a quarter of what is free), chunk by chunk if it
                must be; what is returned lies in memory besides.
            seed: One seed is one set of units on all rungs.

        Returns:
            Values of shape ``(world, unit, ...)``; the world dimension is there for a list.

        Raises:
            NotVectorized: The program mixes rows.
            UnknownVariable: A name that is no variable.
            ValueError: ``n`` is no positive number; the program has a ``pyro.factor``.

        Example:
            >>> zoo_free = SCM(lambda: pyro.sample("x", dist.Normal(0.0, 1.0)))
            >>> zoo_free.sample(3, seed=0)["x"].shape
            torch.Size([3])
        """
        return sample(self._core, self._standing, n, inputs, variables, latent, max_memory, seed)

    def do(self, interventions: Any = None, /, **by_name: Any) -> SCM:
        """Return this SCM under an intervention; a list gives one world each.

        Args:
            interventions: A mapping from variable to value or ``pc.shift``, ``pc.policy``, ...;
                a ``pc.edge``; a tuple of these; or a list of worlds.
            by_name: Interventions as keywords.

        Raises:
            UnknownVariable: A name that is no variable.
            ValueError: The SCM holds evidence, or already has a list of worlds.

        Example:
            >>> def clinic():
            ...     treated = pyro.sample("treated", dist.Bernoulli(0.5))
            ...     pyro.sample("recovery", dist.Normal(2.0 * treated, 0.5))
            >>> SCM(clinic).do(treated=1.0)
            SCM clinic under treated=1
        """
        worlds, listed = read_worlds(interventions, by_name)
        if self._standing.evidence:
            raise ValueError(
                "condition(...).do(...) is ambiguous. For evidence read before the action (rung 3) "
                "ask counterfactual(evidence=..., do=...); for evidence read after it (rung 2) "
                "write do(...).condition(...)."
            )
        if self._standing.listed and listed:
            raise ValueError(
                "do() got a list of worlds, but this SCM already has one. Combine them into one "
                "list, or use pc.grid(..., product=True)."
            )
        every = tuple((*old, *new) for old in self._standing.worlds for new in worlds)
        self._core.check_worlds(every)
        return self._with(
            replace(self._standing, worlds=every, listed=self._standing.listed or listed)
        )

    def condition(self, evidence: Any = None, /, **by_name: Any) -> SCM:
        """Return this SCM with evidence that is read after its interventions.

        Args:
            evidence: Mapping from variable to value, or DataFrame.
            by_name: Evidence as keywords.

        Raises:
            UnknownVariable: A name that is no variable.
            ValueError: No evidence.

        Example:
            >>> SCM(lambda: pyro.sample("x", dist.Normal(0.0, 1.0)), name="coin").condition(x=1.0)
            SCM coin given x=1
        """
        given = {**columns_of({} if evidence is None else evidence, "the evidence"), **by_name}
        if not given:
            raise ValueError("condition() got no evidence. Say what was seen, such as x=1.0.")
        if self._core.knows_sites:
            for name in given:
                self._core.known(name, "condition")
        return self._with(replace(self._standing, evidence={**self._standing.evidence, **given}))

    def log_prob(self, data: Any, *, inputs: Mapping[str, Any] | None = None) -> Tensor:
        """Return each unit's log density, ``sum_X log p(x | pa(x))``.

        Under ``do`` it is the density of the mutilated program: a site that was set gives none.

        Args:
            data: Mapping or DataFrame with all variables, latent ones included, units first. What
                was set, or is deterministic, may be left out. Of what has no effects
                ``pc.between`` may give limits, which count with their probability.
            inputs: The program's arguments by name, units first.

        Returns:
            Shape ``(units,)``.

        Raises:
            ValueError: A variable or a value is missing, or is not what it was set to, or what
                its causes make it; limits of a variable that another one depends on.

        Example:
            >>> def chain():
            ...     x = pyro.sample("x", dist.Normal(0.0, 1.0))
            ...     pyro.sample("y", dist.Normal(x, 1.0))
            >>> SCM(chain).log_prob({"x": [0.0], "y": [0.0]})  # two times log(1 / sqrt(2 pi))
            tensor([-1.8379])
        """
        with self._core.session(grad=torch.is_grad_enabled()):
            return log_density(self._core, self._standing, data, inputs)

    # Rung 3: imagining

    def plan(self, evidence: Any) -> Plan:
        """Tell, before any computing, how each site's noise would be had from the evidence.

        Args:
            evidence: Names of the observed variables, or the evidence itself.

        Example:
            >>> def chain():
            ...     x = pyro.sample("x", dist.Normal(0.0, 1.0))
            ...     pyro.sample("y", dist.Normal(x, 1.0))
            >>> SCM(chain).plan(["x"])
            x  exact  observed; Normal inverts
            y  prior  not observed, and nothing below it is
        """
        return make_plan(self._core, self._standing, evidence)

    def abduct(
        self,
        evidence: Any,
        *,
        inputs: Mapping[str, Any] | None = None,
        method: Method = "auto",
        num_draws: int | None = None,
        seed: int | None = None,
    ) -> Abduction:
        """Infer the exogenous noise of the units that were seen.

        Args:
            evidence: Mapping or DataFrame of variables, units first; NaN where missing.
            inputs: The program's arguments by name, units first.
            method: How to infer what is missing above the evidence: ``"gaussian"``,
                ``"enumeration"``, ``"guide"``, ``"importance"``, ``"nuts"``, or the best there is.
            num_draws: Number of draws of noise that the evidence does not determine.
            seed: The seed of those draws.

        Returns:
            The noise; pass it to ``counterfactual`` for several questions about the same units.

        Raises:
            IncompleteEvidence: There is no way to infer what is missing above the evidence.
            ValueError: Impossible evidence, wrong shapes, a method that doesn't fit.

        Example:
            >>> model = pc.zoo.homework()
            >>> joe = {"X": 0.5, "H": 1.0, "Y": 1.5}
            >>> noise = model.abduct(joe)
            >>> answer = model.counterfactual(joe, do={"H": 2.0}, abduction=noise)
            >>> round(answer["Y"].item(), 2)
            1.9
        """
        return abduction_of(self._core, self._standing, evidence, inputs, num_draws, seed, method)

    def counterfactual(
        self,
        evidence: Any = None,
        do: Any = None,
        *,
        inputs: Mapping[str, Any] | None = None,
        num_draws: int | None = None,
        variables: Sequence[str] | str | None = None,
        abduction: Abduction | None = None,
        grad: bool = False,
        max_memory: int | None = None,
        seed: int | None = None,
    ) -> Counterfactual:
        """Tell what would have been, unit by unit: abduction, action, prediction.

        Args:
            evidence: Mapping or DataFrame of the units' variables, units first; NaN where missing.
            do: The intervention, or a list of them (worlds); see ``do``.
            inputs: The program's arguments by name, units first.
            num_draws: Number of draws of noise that the evidence does not determine; ``None`` for
                one draw without a draw dimension.
            variables: Return these only.
            abduction: The result of an earlier abduction of the same evidence.
            grad: Whether gradients flow.
            max_memory: As in ``sample``; an answer in chunks keeps no abduction of its own.
            seed: The seed of those draws.

        Returns:
            Values of shape ``(draw, world, unit, ...)``; absent dimensions: no draw without
            ``num_draws``, no world for a single intervention, no unit for scalar evidence.

        Raises:
            IncompleteEvidence: There is no way to infer what is missing above the evidence.
            NotAbducible: The noise of a site that the intervention reaches can't be had.
            TypeError: No evidence, or no intervention.
            UnknownVariable: A name that is no variable.
            ValueError: Impossible evidence, wrong shapes, values that are no numbers.

        Example:
            >>> def clinic():
            ...     severity = pyro.sample("severity", dist.Normal(0.0, 1.0))
            ...     treated = pyro.sample("treated", dist.Bernoulli(logits=1.5 * severity))
            ...     pyro.sample("recovery", dist.Normal(2.0 * treated - severity, 0.5))
            >>> answer = SCM(clinic).counterfactual(
            ...     evidence={"severity": 0.3, "treated": 0.0, "recovery": -0.1},
            ...     do={"treated": 1.0},
            ... )
            >>> round(answer["recovery"].item(), 4)
            1.9
        """
        return counterfactual(
            self._core,
            self._standing,
            evidence,
            do,
            inputs,
            num_draws,
            variables,
            abduction,
            grad,
            max_memory,
            seed,
        )

    def to(self, device: torch.device | str) -> SCM:
        """Move the parameters, and the work, to a device; returns the SCM itself.

        Args:
            device: Such as ``"cuda"``, ``"cuda:1"`` or ``"cpu"``.

        Returns:
            The SCM itself.

        Raises:
            ValueError: No device, or one that is not available.

        Example:
            >>> model = pc.zoo.chain()
            >>> model.to("cpu") is model
            True
        """
        self._core.to(read_device(device, "to()"))
        return self

    def _with(self, standing: Standing) -> SCM:
        copy = object.__new__(type(self))
        copy.__dict__.update(self.__dict__)
        copy._standing = standing
        return copy
