"""The notations of a causal graph: languages, and the graphs of other libraries."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from pyrocausal.graph.mixed_graph import MixedGraph

if TYPE_CHECKING:
    from pyrocausal.graph.causal_graph import CausalGraph

__all__ = ["Notations"]


class Notations(MixedGraph):
    """The part of a causal graph that reads and writes it: ``from_...`` and ``to_...``.

    Latent variables and bidirected edges are kept by each. None of the libraries is needed, except
    to write a graph of its own kind.
    """

    @classmethod
    def from_networkx(cls, graph: Any) -> CausalGraph:
        """Read a directed networkx graph; see `pyrocausal.graph.formats.from_networkx`.

        Example:
            >>> import networkx as nx
            >>> pc.CausalGraph.from_networkx(nx.DiGraph([("x", "y")]))
            CausalGraph(x -> y)
        """
        from pyrocausal.graph.formats import from_networkx

        return from_networkx(graph)

    @classmethod
    def from_dot(cls, text: str) -> CausalGraph:
        """Read a graph in Graphviz's DOT language; see `pyrocausal.graph.formats.from_dot`.

        Example:
            >>> pc.CausalGraph.from_dot("digraph { U [style=dashed]; U -> x -> y }")
            CausalGraph(U -> x; x -> y | latent: U)
        """
        from pyrocausal.graph.formats import from_dot

        return from_dot(text)

    @classmethod
    def from_dagitty(cls, text: str) -> CausalGraph:
        """Read a graph in dagitty's language; see `pyrocausal.graph.formats.from_dagitty`.

        Example:
            >>> pc.CausalGraph.from_dagitty("dag { x [exposure]; x -> y; x <-> y }")
            CausalGraph(x -> y; x <-> y)
        """
        from pyrocausal.graph.formats import from_dagitty

        return from_dagitty(text)

    @classmethod
    def from_mermaid(cls, text: str) -> CausalGraph:
        """Read a Mermaid flowchart; see `pyrocausal.graph.mermaid.from_mermaid`.

        Example:
            >>> pc.CausalGraph.from_mermaid("graph LR; A[dose] --> B[response]")
            CausalGraph(dose -> response)
        """
        from pyrocausal.graph.mermaid import from_mermaid

        return from_mermaid(text)

    @classmethod
    def from_pgmpy(cls, graph: Any) -> CausalGraph:
        """Read a graph of pgmpy; see `pyrocausal.graph.libraries.from_pgmpy`.

        Example:
            >>> from pgmpy.base import DAG  # doctest: +SKIP
            >>> pc.CausalGraph.from_pgmpy(DAG([("x", "y")]))  # doctest: +SKIP
            CausalGraph(x -> y)
        """
        from pyrocausal.graph.libraries import from_pgmpy

        return from_pgmpy(graph)

    @classmethod
    def from_dowhy(cls, model: Any) -> CausalGraph:
        """Read the graph of a DoWhy model; see `pyrocausal.graph.libraries.from_dowhy`.

        Example:
            >>> import networkx as nx
            >>> pc.CausalGraph.from_dowhy(nx.DiGraph([("x", "y")]))
            CausalGraph(x -> y)
        """
        from pyrocausal.graph.libraries import from_dowhy

        return from_dowhy(model)

    @classmethod
    def from_causal_learn(cls, graph: Any) -> CausalGraph:
        """Read a graph of causal-learn; see `pyrocausal.graph.libraries.from_causal_learn`.

        Example:
            >>> from causallearn.search.ConstraintBased.PC import pc  # doctest: +SKIP
            >>> pc.CausalGraph.from_causal_learn(pc(data))  # doctest: +SKIP
            CausalGraph(X1 -> X3; X2 -> X3)
        """
        from pyrocausal.graph.libraries import from_causal_learn

        return from_causal_learn(graph)

    def to_networkx(self) -> Any:
        """Return a plain ``networkx.DiGraph``; see `pyrocausal.graph.formats.to_networkx`.

        Example:
            >>> type(pc.CausalGraph([("x", "y")]).to_networkx()).__name__
            'DiGraph'
        """
        from pyrocausal.graph.formats import to_networkx

        return to_networkx(self._own())

    def to_dot(self) -> str:
        """Return the graph in Graphviz's DOT language; see `pyrocausal.graph.formats.to_dot`.

        Example:
            >>> print(pc.CausalGraph([("x", "y")]).to_dot())
            digraph {
                x
                y
                x -> y
            }
        """
        from pyrocausal.graph.formats import to_dot

        return to_dot(self._own())

    def to_dagitty(self) -> str:
        """Return the graph in dagitty's language; see `pyrocausal.graph.formats.to_dagitty`.

        Example:
            >>> print(pc.CausalGraph([("x", "y")], latent=["x"]).to_dagitty())
            dag {
                x [latent]
                y
                x -> y
            }
        """
        from pyrocausal.graph.formats import to_dagitty

        return to_dagitty(self._own())

    def to_mermaid(self) -> str:
        """Return the graph as a Mermaid flowchart; see `pyrocausal.graph.mermaid.to_mermaid`.

        Example:
            >>> print(pc.CausalGraph([("x", "y")]).to_mermaid())
            graph LR
                x
                y
                x --> y
        """
        from pyrocausal.graph.mermaid import to_mermaid

        return to_mermaid(self._own())

    def to_pgmpy(self) -> Any:
        """Return pgmpy's ``DAG`` or ``ADMG``; see `pyrocausal.graph.libraries.to_pgmpy`.

        Example:
            >>> pc.CausalGraph([("x", "y")]).to_pgmpy().edges  # doctest: +SKIP
            OutEdgeView([('x', 'y')])
        """
        from pyrocausal.graph.libraries import to_pgmpy

        return to_pgmpy(self._own())

    def to_dowhy(self) -> Any:
        """Return the graph as DoWhy takes it; see `pyrocausal.graph.libraries.to_dowhy`.

        Example:
            >>> pc.CausalGraph([("x", "y")], latent=["x"]).to_dowhy().nodes["x"]
            {'observed': 'no'}
        """
        from pyrocausal.graph.libraries import to_dowhy

        return to_dowhy(self._own())

    def to_causal_learn(self) -> Any:
        """Return causal-learn's graph; see `pyrocausal.graph.libraries.to_causal_learn`.

        Example:
            >>> pc.CausalGraph([("x", "y")]).to_causal_learn().get_num_edges()  # doctest: +SKIP
            1
        """
        from pyrocausal.graph.libraries import to_causal_learn

        return to_causal_learn(self._own())

    def _own(self) -> CausalGraph:
        """Return this graph as what it is: CausalGraph alone inherits from this class."""
        return cast("CausalGraph", self)
