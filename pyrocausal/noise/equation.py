"""The structural equation of a site, and the registry from distribution type to equation."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from functools import cache
from math import prod
from typing import Any, ClassVar, TypeVar

import torch
from torch import Tensor
from torch.distributions import constraints

from pyrocausal.errors import NotAbducible
from pyrocausal.noise.streams import Stream

__all__ = [
    "COUPLINGS",
    "Coupling",
    "StructuralEquation",
    "device_of",
    "read_couplings",
    "register",
    "structural_equation",
]

Distribution = Any  # torch's and Pyro's distributions share no typed ancestor
COUPLINGS = ("gumbel-max", "quantile", "independent")


class StructuralEquation(ABC):
    """The assignment ``x = f(pa, u)`` behind one site, at given parents.

    ``x`` has the shape ``batch_shape + event_shape`` of the distribution, the exogenous noise
    ``u`` the shape ``batch_shape + noise_shape``; leading dimensions broadcast.

    A subclass must implement: ``from_uniform``, ``noise``, ``forward`` and ``posterior``;
    it sets ``noise_shape`` and, where a posterior draw is random, ``posterior_shape``.
    It may override: ``possible`` and ``route``.
    Assumed without a check: the law of ``from_uniform(v)`` does not depend on the parents;
    ``forward(from_uniform(v))`` has the distribution's law when the entries of ``v`` are
    independent and uniform; ``forward(posterior(x, v)) == x``; and ``posterior`` averaged over
    the law of ``x`` is the law of ``from_uniform``.

    Args:
        distribution: The distribution given the parents, of shape ``batch_shape + event_shape``.

    Attributes:
        route: The name of this way of abduction in answers.
        noise_shape: Shape of one element's noise.
        posterior_shape: Shape of the uniforms that one element's posterior draw consumes;
            ``None`` when ``u`` is a function of ``x`` (the equation inverts).

    Example:
        >>> equation = structural_equation(dist.Normal(1.0, 2.0))
        >>> isinstance(equation, StructuralEquation), equation.route
        (True, 'exact')
        >>> equation.forward(torch.tensor(0.5))
        tensor(2.)
    """

    route: ClassVar[str] = "exact"
    noise_shape: torch.Size = torch.Size()
    posterior_shape: torch.Size | None = None

    def __init__(self, distribution: Distribution) -> None:
        self.distribution = distribution

    @property
    def parts(self) -> tuple["StructuralEquation", ...]:
        """The equations whose noise is joined in this one's; none where it stands alone."""
        return ()

    @property
    def inverts(self) -> bool:
        """Whether the value determines the noise."""
        return self.posterior_shape is None

    @property
    @abstractmethod
    def noise(self) -> Distribution:
        """The noise's own distribution: ``batch_shape`` of the site, event shape ``noise_shape``."""

    @abstractmethod
    def from_uniform(self, v: Tensor) -> Tensor:
        """Turn independent uniforms in (0, 1), float64, shape ``(*batch, *noise_shape)``, to noise."""

    def draw(self, stream: Stream, inner: tuple[int, ...] = ()) -> Tensor:
        """Draw noise from the prior.

        Args:
            stream: The random numbers of the site.
            inner: Shape of the inner plates, the batch without its unit dimension.

        Returns:
            Noise of shape ``(draws, units, *inner, *noise_shape)``.
        """
        return self.from_uniform(stream.uniforms((*inner, *self.noise_shape)))

    @abstractmethod
    def forward(self, u: Tensor) -> Tensor:
        """Return ``x = f(u)``, of the distribution's dtype."""

    def forward_rows(self, u: Tensor, shape: tuple[int, int, int], inner: int) -> Tensor:
        """Return ``x = f(u)`` on the rows of several worlds, which share their units' noise.

        Args:
            u: Noise, shape ``(draws, 1, units, *inner, *noise_shape)``.
            shape: ``(draws, worlds, units)``; the rows are its product.
            inner: Number of inner plates; they lie left of the rows in ``x``.
        """
        rows = u.expand(*shape, *u.shape[3:]).reshape(prod(shape), *u.shape[3:])
        return self.forward(rows.movedim(0, inner) if inner else rows)

    @property
    def everywhere(self) -> bool:
        """Whether every finite value is possible; evidence is finite when it is read."""
        support = self.distribution.support
        while isinstance(support, constraints.independent):
            support = support.base_constraint
        return support in (constraints.real, constraints.real_vector)

    @abstractmethod
    def posterior(self, x: Tensor, v: Tensor | None = None) -> Tensor:
        """Draw ``u`` given ``x``.

        Args:
            x: Values, shape ``(*batch, *event)``.
            v: Uniforms of shape ``(*batch, *posterior_shape)``; unused where the equation inverts.
        """

    def possible(self, x: Tensor) -> Tensor:
        """Say, for each element of the batch, whether ``x`` has positive density or probability."""
        inside: Tensor = self.distribution.support.check(x)
        return inside


Rule = Callable[[Distribution], StructuralEquation]
Coupling = str | Rule
_Rule = TypeVar("_Rule", bound=Rule)
_RULES: dict[tuple[type, str | None], Rule] = {}


def register(*families: type, coupling: str | None = None) -> Callable[[_Rule], _Rule]:
    """Register the equation of a distribution family; a decorator for ``rule(distribution)``.

    Args:
        families: Distribution classes. Torch's class stands for Pyro's wrapper of it too.
        coupling: For discrete families, the name of the coupling this rule implements;
            ``None`` makes it the default of the family.

    Returns:
        A decorator that registers the rule and returns it as it is.

    Example:
        >>> class Shifted(dist.Normal):
        ...     def sample(self, shape=torch.Size()):
        ...         return super().sample(shape) + 1
        >>> @register(Shifted)
        ... def shifted_equation(d):
        ...     return structural_equation(dist.Normal(d.loc + 1, d.scale))
    """

    def decorate(rule: _Rule) -> _Rule:
        for family in families:
            _RULES[family, coupling] = rule
        _find_rule.cache_clear()
        return rule

    return decorate


def read_couplings(noise: Mapping[str, Coupling] | None) -> dict[str, Coupling]:
    """Read what a user passes as ``noise``.

    Args:
        noise: Site to coupling, or None for the defaults.

    Returns:
        Site to coupling, empty for the defaults.

    Raises:
        TypeError: No mapping.
        ValueError: A coupling that is not known.

    Example:
        >>> read_couplings({"visits": "quantile"})
        {'visits': 'quantile'}
    """
    if noise is not None and not isinstance(noise, Mapping):
        raise TypeError(
            f"noise={noise!r}: expected a mapping from variable to coupling, such as "
            "{'x': 'quantile'}."
        )
    for site, coupling in (noise or {}).items():
        if not callable(coupling) and coupling not in COUPLINGS:
            raise ValueError(
                f"noise[{site!r}] is {coupling!r}; expected one of {', '.join(COUPLINGS)} or a "
                "function from the distribution to a structural equation."
            )
    return dict(noise or {})


def structural_equation(
    distribution: Distribution, coupling: Coupling | None = None, site: str | None = None
) -> StructuralEquation:
    """Return the structural equation behind ``distribution``: its noise, ``f`` and ``f^-1``.

    Args:
        distribution: A torch or Pyro distribution.
        coupling: How a discrete variable's counterfactuals hang together: ``"gumbel-max"``,
            ``"quantile"``, ``"independent"`` or a function from the distribution to an equation.
            ``None`` takes the family's default.
        site: Name of the site, for the error message.

    Raises:
        NotAbducible: No equation is known for this family under this coupling.

    Example:
        >>> equation = structural_equation(dist.Normal(1.0, 2.0))
        >>> equation.posterior(torch.tensor(5.0))
        tensor(2.)
    """
    if callable(coupling):
        return coupling(distribution)
    own = getattr(distribution, "structural_equation", None)
    if own is not None and coupling is None:
        return own()  # type: ignore[no-any-return]
    rule = _find_rule(type(distribution), coupling)  # type: ignore[arg-type]
    if rule is None:
        name = type(distribution).__name__
        under = f" under the coupling {coupling!r}" if coupling else ""
        raise NotAbducible(
            site or name,
            f"no structural equation is registered for {name}{under}. Write the site with a "
            "family that has one, give the distribution a method structural_equation(), or "
            "register one with pyrocausal.noise.register.",
        )
    try:
        return rule(distribution)
    except NotAbducible as error:
        raise NotAbducible(site or error.site, error.reason) from None


def device_of(distribution: Distribution) -> torch.device | None:
    """Return where a distribution's parameters live, the first that is found; ``None`` without.

    Example:
        >>> device_of(dist.Normal(torch.zeros(2), 1.0).to_event(1))
        device(type='cpu')
    """
    for part in vars(distribution).values():
        if isinstance(part, Tensor):
            return part.device
        if isinstance(part, torch.distributions.Distribution):
            return device_of(part)
    return None


@cache
def _find_rule(family: type, coupling: str | None) -> Rule | None:
    # A subclass inherits the rule only if it inherits the law: never a silent guess.
    for ancestor in family.__mro__:
        rule = _RULES.get((ancestor, coupling))
        if rule is not None:
            return rule if _same_law(family, ancestor) else None
    return None


def _same_law(family: type, ancestor: type) -> bool:
    # Pyro's wrapper of a torch class bears its name; it overrides methods for speed only.
    if family.__module__ == "pyro.distributions.torch" and family.__name__ == ancestor.__name__:
        return True
    law = ("sample", "rsample", "log_prob")
    return all(getattr(family, m, None) is getattr(ancestor, m, None) for m in law)
