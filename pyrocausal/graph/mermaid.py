"""Causal graphs as Mermaid flowcharts, which many Markdown viewers draw."""

import html
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, NoReturn

from pyrocausal.graph.causal_graph import CausalGraph
from pyrocausal.graph.mixed_graph import fresh_name

__all__ = ["from_mermaid", "to_mermaid"]


def from_mermaid(text: str) -> CausalGraph:
    """Read a Mermaid flowchart.

    A node's name is its label where it has one, else its identifier. Dotted and thick arrows are
    plain edges, ``A <--> B`` and ``A <-.-> B`` are bidirected, and nodes of the class ``latent``
    or with a dashed border (``stroke-dasharray``) are latent. Labels of edges are left, and so is
    the front matter between lines of ``---``.

    Raises:
        ValueError: The text is no flowchart of directed and bidirected edges, or has subgraphs;
            the line is named.

    Example:
        >>> from_mermaid('''
        ... flowchart TD
        ...     U:::latent -.-> A["blood pressure"] & B
        ...     A -->|raises| B
        ... ''')
        CausalGraph(U -> blood pressure, B; blood pressure -> B | latent: U)

    References:
        https://mermaid.js.org/syntax/flowchart.html
    """
    return _Reader().read(text)


def to_mermaid(graph: CausalGraph) -> str:
    """Return the graph as a Mermaid flowchart, in the form that `from_mermaid` reads.

    Example:
        >>> print(to_mermaid(CausalGraph([("U", "blood pressure")], latent=["U"])))
        graph LR
            classDef latent stroke-dasharray: 5 5
            U:::latent
            n1["blood pressure"]
            U --> n1
    """
    ids = dict[str, str]()
    for i, name in enumerate(graph):
        plain = re.fullmatch(r"[A-Za-z_]\w*", name, re.ASCII) and name.lower() not in _KEYWORDS
        ids[name] = name if plain else fresh_name(f"n{i}", graph)
    labels = {name: "" if ids[name] == name else f'["{_escape(name)}"]' for name in graph}
    lines = ["classDef latent stroke-dasharray: 5 5"] if graph.latent else []
    lines += [ids[a] + labels[a] + (":::latent" if a in graph.latent else "") for a in graph]
    lines += [f"{ids[a]} --> {ids[b]}" for a, b in graph.edges]
    lines += [f"{ids[a]} <-.-> {ids[b]}" for a, b in graph.bidirected_pairs()]
    return "\n".join(["graph LR", *(f"    {line}" for line in lines)])


def _escape(name: str) -> str:
    """Return a name as the text of a label; Mermaid writes a character's number as ``#35;``."""
    return "".join(c if c.isprintable() and c not in '#"<>&`' else f"#{ord(c)};" for c in name)


def _unescape(label: str) -> str:
    return re.sub(r"#(\d+|[A-Za-z]+);", lambda m: _entity(m[1]), label)


def _entity(code: str) -> str:
    return html.unescape(f"&#{code};" if code.isdigit() else f"&{code};")


_KEYWORDS: Final = frozenset(
    {
        "graph",
        "flowchart",
        "subgraph",
        "end",
        "direction",
        "class",
        "classdef",
        "style",
        "linkstyle",
    }
    | {"click", "default", "href", "call"}
)

_HEADER: Final = re.compile(r"\s*(?:graph|flowchart)(?:\s+(?:TB|TD|BT|RL|LR))?\s*(?:;|$)")
_STYLE: Final = re.compile(r"\s*(classDef|class|style)\s+(\S+)\s+([^;]*)")
_IGNORED: Final = re.compile(r"\s*(linkStyle|click|direction|accTitle|accDescr)\b.*")
_NODE: Final = re.compile(
    r"""\s*(?P<id>\w+(?:[.-]\w+)*)
        (?:[\[({>]+[/\\]?(?:"(?P<quoted>[^"]*)"|(?P<bare>[^"\[\](){}]+?))[/\\]?[\])}]+)?
        (?::::(?P<style>[\w-]+))?\s*""",
    re.VERBOSE,
)
_ARROW: Final = re.compile(
    r"""(?P<left><)?
        (?:(?:--|==|-\.)[^-=.<>|](?:(?!--|==|\.-)[^<>|])*)?  # -- a label -->
        (?:-{2,}|={2,}|-?\.+-)>
        (?:\s*\|[^|]*\|)?                                    # -->|a label|
    """,
    re.VERBOSE,
)


def _below_front_matter(text: str) -> Iterator[tuple[int, str]]:
    """Yield the lines, with their numbers, that follow the title and settings at the top."""
    lines = list(enumerate(text.splitlines(), start=1))
    marks = [i for i, (_, line) in enumerate(lines) if line.strip() == "---"]
    first = next((i for i, (_, line) in enumerate(lines) if line.strip()), None)
    if len(marks) > 1 and marks[0] == first:
        lines = lines[marks[1] + 1 :]
    yield from lines


@dataclass
class _Reader:
    """A reader of one line after another that collects the nodes and edges of a flowchart."""

    line: int = 0
    labels: dict[str, str] = field(default_factory=dict)
    styles: dict[str, set[str]] = field(default_factory=dict)
    dashed: set[str] = field(default_factory=lambda: {"latent"})
    edges: list[tuple[str, str]] = field(default_factory=list)
    bidirected: list[tuple[str, str]] = field(default_factory=list)

    def read(self, text: str) -> CausalGraph:
        started = False
        for self.line, line in _below_front_matter(text):
            if not line.strip() or line.lstrip().startswith("%%"):
                continue
            header = None if started else _HEADER.match(line)
            if not started and header is None:
                self.fail(line, "'graph LR' or 'flowchart TD' (with any direction)")
            started = True
            self.statements(line[header.end() :] if header else line)
        if not started:
            self.fail("", "'graph LR' or 'flowchart TD'")
        return self.graph()

    def graph(self) -> CausalGraph:
        """Return the graph under the nodes' labels."""
        names = {name: self.labels.get(name) or name for name in self.styles}
        if len(set(names.values())) < len(names):
            shared = sorted({n for n in names.values() if list(names.values()).count(n) > 1})
            raise ValueError(
                f"Mermaid: several nodes have the label {shared[0]!r}; tell them apart."
            )
        return CausalGraph(
            [(names[a], names[b]) for a, b in self.edges],
            [names[name] for name, styles in self.styles.items() if styles & self.dashed],
            [(names[a], names[b]) for a, b in self.bidirected],
            nodes=names.values(),
        )

    def fail(self, got: str, expected: str) -> NoReturn:
        raise ValueError(f"Mermaid, line {self.line}: expected {expected}, got {got.strip()!r}.")

    def statements(self, line: str) -> None:
        """Read the statements of one line, which semicolons separate."""
        while line.strip(" \t;"):
            line = line.lstrip(" \t;")
            style = _STYLE.match(line)
            ignored = _IGNORED.match(line)
            if re.match(r"(subgraph|end)\b", line):
                self.fail(line, "nodes and edges without subgraphs")
            elif style:
                self.style(*style.groups())
                line = line[style.end() :]
            elif ignored:
                line = line[ignored.end() :]
            else:
                line = self.chain(line)

    def style(self, keyword: str, names: str, value: str) -> None:
        """Read ``classDef names css``, ``class nodes name`` or ``style nodes css``."""
        dashed = "stroke-dasharray" in value
        if keyword == "classDef":
            self.dashed.update(names.split(",") if dashed else ())
            return
        style = value.strip() if keyword == "class" else "latent" if dashed else ""
        for node in names.split(","):
            self.styles.setdefault(node, set()).add(style)

    def chain(self, line: str) -> str:
        """Read nodes joined by arrows; return what follows them."""
        left, line = self.group(line)
        while arrow := _ARROW.match(line):
            right, line = self.group(line[arrow.end() :])
            found = self.bidirected if arrow["left"] else self.edges
            found += [(a, b) for a in left for b in right]
            left = right
        if line and not line.startswith(";"):
            self.fail(line, "an arrow such as '-->', '-.->' or '<-.->'")
        return line

    def group(self, line: str) -> tuple[list[str], str]:
        """Read one node, or several joined by ``&``; return them and what follows."""
        nodes = list[str]()
        while True:
            node = _NODE.match(line)
            if node is None:
                self.fail(line, "a node such as 'A' or 'A[label]'")
            nodes.append(node["id"])
            styles = self.styles.setdefault(node["id"], set())
            styles.update([node["style"]] if node["style"] else [])
            label = node["quoted"] or node["bare"]
            if label:
                self.labels[node["id"]] = _unescape(label.strip() if node["bare"] else label)
            line = line[node.end() :]
            if not line.startswith("&"):
                return nodes, line
            line = line[1:]
