"""How an SCM shows itself: in words, and by its graph."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyrocausal.building import GraphProgram
from pyrocausal.graph import CausalGraph
from pyrocausal.interventions import Edge, Set, Stochastic
from pyrocausal.naming import describe_evidence, describe_worlds
from pyrocausal.verbs.core import Core
from pyrocausal.verbs.standing import Standing

if TYPE_CHECKING:
    import graphviz

__all__ = ["Showing"]


class Showing:
    """The part of an SCM that prints and draws it.

    Attributes:
        name: Its name.
    """

    name: str
    _core: Core
    _standing: Standing

    @property
    def graph(self) -> CausalGraph:
        """The causal graph, read off the program; interventions that set a site cut its edges.

        Edges are found by changing one site at many values of the others. An edge that is active
        only at values which none of these meet isn't seen; a query that meets it adds it.
        """
        sites = {
            item[0]
            for world in self._standing.worlds
            for item in world
            if not isinstance(item, Edge) and isinstance(item[1], Set | Stochastic)
        }
        return self._core.graph.do(*sites) if sites else self._core.graph

    def __repr__(self) -> str:
        parts = [f"SCM {self.name}"]
        if self._standing.acts:
            parts.append(f"under {describe_worlds(self._standing.worlds)}")
        if self._standing.evidence:
            parts.append(f"given {describe_evidence(self._standing.evidence)}")
        return " ".join(parts)

    def __str__(self) -> str:
        """Return its name; of what ``from_graph`` built, what each variable is drawn from too."""
        program = self._core.program
        if not isinstance(program, GraphProgram) or self._standing.acts:
            return repr(self)
        words = program.described()
        width = max(map(len, words), default=0)
        lines = [f"  {name:<{width}}  {text}" for name, text in words.items()]
        return "\n".join([repr(self), *lines])

    def render(self, path: str | None = None) -> graphviz.Digraph:
        """Draw the graph; see ``CausalGraph.render``.

        Args:
            path: A file to write, whose ending says the format; None for none.

        Returns:
            The picture in Graphviz's words, which notebooks show.

        Example:
            >>> "X -> Y" in pc.zoo.chain().render().source
            True
        """
        return self.graph.render(path)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        try:
            graph = self.graph
        except Exception:
            # To be shown must not fail: the text stands in, and .graph says what is wrong.
            return {}
        return graph._repr_mimebundle_(include, exclude)
