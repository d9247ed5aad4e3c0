"""scm: a decorator that turns a Pyro program into an SCM."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pyrocausal.model import SCM, Program
from pyrocausal.noise import Coupling

__all__ = ["scm"]


def scm(
    program: Program | None = None,
    *,
    latent: Sequence[str] = (),
    noise: Mapping[str, Coupling] | None = None,
    name: str | None = None,
) -> Any:
    """Turn a Pyro program into an SCM; a decorator, with or without arguments.

    Args:
        program: A function or module made of Pyro statements.
        latent: Variables that are never observed.
        noise: Site to coupling of a discrete site.
        name: A name for messages.

    Returns:
        The SCM; or, without a program, the decorator that makes it.

    Example:
        >>> @scm(latent=["u"])
        ... def confounded():
        ...     u = pyro.sample("u", dist.Normal(0.0, 1.0))
        ...     x = pyro.sample("x", dist.Normal(u, 1.0))
        ...     pyro.sample("y", dist.Normal(x + u, 1.0))
        >>> confounded.graph.latent_projection()
        CausalGraph(x -> y; x <-> y)
    """

    def decorate(program: Program) -> SCM:
        return SCM(program, latent=latent, noise=noise, name=name)

    return decorate if program is None else decorate(program)
