"""Rule 2 of the do-calculus: where to observe is the same as to set."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from pyrocausal.identification.admg import Admg, Nodes

__all__ = ["conditions_that_act"]


def conditions_that_act(
    g: Admg, outcome: Iterable[str], do: Collection[str], given: Collection[str]
) -> Nodes:
    r"""Return the conditions of ``P(y | do(x), z)`` that may be made actions: the loop of IDC.

    A condition is moved while :math:`Y \perp z \mid X, Z \setminus z` where edges into X and out
    of z are cut; the largest set that can be moved is the same in any order.

    Args:
        g: The graph.
        outcome: Y.
        do: X, what is set.
        given: Z, what is observed.

    Example:
        >>> from pyrocausal import CausalGraph
        >>> g = Admg.from_graph(CausalGraph([("Z", "X"), ("Z", "Y"), ("X", "Y")]))
        >>> sorted(conditions_that_act(g, ["Y"], [], ["X", "Z"]))
        ['X', 'Z']

    References:
        Shpitser, Pearl (2006), Identification of conditional interventional distributions.
    """
    y, x, z = frozenset(outcome), frozenset(do), frozenset(given)
    while True:
        for name in g.sorted(z):
            if g.cut(into=x, out_of=[name]).separated(y, [name], x | z - {name}):
                x, z = x | {name}, z - {name}
                break
        else:
            return frozenset(given) - z
