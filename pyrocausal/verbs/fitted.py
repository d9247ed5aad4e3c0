"""What is asked of a fitted SCM that its data may not determine."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

from pyrocausal.interventions import World
from pyrocausal.verbs.core import Core

__all__ = ["left_open", "unwarned", "warn_if_unidentified"]

_QUIET = ContextVar("quiet", default=False)


@contextmanager
def unwarned() -> Iterator[None]:
    """Leave what the data don't determine to the one who asks, and knows what for."""
    token = _QUIET.set(True)
    try:
        yield
    finally:
        _QUIET.reset(token)


def warn_if_unidentified(
    core: Core,
    worlds: Sequence[World],
    verb: str,
    given: Iterable[str] = (),
    variables: Iterable[str] | str | None = None,
) -> None:
    """Warn where a fit to observations can't have learnt what an action does.

    Args:
        core: The SCM.
        worlds: The interventions of each world.
        verb: What was asked.
        given: Variables that are observed after the action.
        variables: Variables that are asked about; by default all.
    """
    if _QUIET.get() or not _may_be_open(core, worlds):
        return
    # Identification stands above the verbs, and is loaded by the few that need it.
    from pyrocausal.identification.unidentified import warn_unidentified

    asked = [variables] if isinstance(variables, str) else variables
    warn_unidentified(core, worlds, verb, given, asked)


def left_open(core: Core, worlds: Sequence[World], variables: Iterable[str]) -> str:
    """Say what of some variables under an action the fit can't have learnt; empty if nothing.

    Args:
        core: The SCM.
        worlds: The interventions of each world.
        variables: Variables that are asked about; none stand for all.
    """
    if not _may_be_open(core, worlds):
        return ""
    from pyrocausal.identification.unidentified import left_open

    return left_open(core, worlds, (), tuple(variables) or tuple(core.anatomy.variables))


def _may_be_open(core: Core, worlds: Sequence[World]) -> bool:
    """Say whether something was acted on, and the fit had no data of some variable of a unit."""
    if core.learnt is None or not any(worlds):
        return False
    variables, observed = core.anatomy.variables.values(), core.learnt.observed
    return any(not (v.shared or v.deterministic or v.name in observed) for v in variables)
