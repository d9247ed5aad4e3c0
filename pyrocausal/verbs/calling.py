"""Running a program under what was done and seen, for whoever takes a Pyro program."""

from collections.abc import Callable
from typing import Any

from pyrocausal.handlers import condition, do
from pyrocausal.interventions import Edge
from pyrocausal.verbs.standing import Standing

__all__ = ["handled"]


def handled(program: Callable[..., Any], standing: Standing, who: object) -> Callable[..., Any]:
    """Return a program inside the handlers that stand for what was done and seen.

    Args:
        program: The program.
        standing: Its interventions and evidence.
        who: The SCM, for messages.

    Raises:
        ValueError: A list of worlds, or an edge that is intervened on.
    """
    if standing.listed:
        raise ValueError(
            f"{who!r} has a list of worlds, and one run of the program is in one. Ask "
            "sample(), or run pc.worlds(scm.program, [...], size=...)."
        )
    acts = []
    for item in standing.worlds[0]:
        if isinstance(item, Edge):
            raise ValueError(
                f"{who!r} intervenes on an edge, which takes a second run of the program. "
                "Ask sample() or counterfactual()."
            )
        acts.append({item[0]: item[1]})
    program = do(program, tuple(acts)) if acts else program
    return condition(program, standing.evidence) if standing.evidence else program
