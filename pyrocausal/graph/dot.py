"""A parser for Graphviz's DOT language and dagitty's dialect of it, DOT with more arrows.

A library was tried: pydot prints syntax errors and returns None instead of raising, loses the
order of the nodes, knows no ``<->``, and would add two packages to the core.
"""

import re
from typing import Final, NamedTuple, NoReturn

__all__ = ["Parser"]

_TOKEN: Final = re.compile(
    r"""(?P<space>\s+|//[^\n]*|\#[^\n]*|/\*.*?\*/)
      | (?P<arrow><->|<-@|<-|->|--@|--|@->|@-@|@--)
      | "(?P<quoted>(?:[^"\\]|\\.)*)"
      | (?P<word>-?[\w.]+)
      | (?P<html><(?:[^<>]|<[^<>]*>)*>)
      | (?P<mark>[][{}=;,:])""",
    re.VERBOSE | re.DOTALL,
)


_ESCAPE: Final = re.compile(r"\\(.)", re.DOTALL)


class _Token(NamedTuple):
    kind: str
    text: str
    line: int


class Parser:
    """A recursive-descent parser that collects the nodes and edges of one graph.

    Args:
        text: What to read.
        language: The name of the language in error messages.

    Attributes:
        nodes: The attributes of each node, by its name.
        edges: The directed edges.
        bidirected: The bidirected edges.

    Example:
        >>> parser = Parser("digraph { a -> {b c} }", "DOT")
        >>> parser.read("digraph")
        >>> parser.edges
        [('a', 'b'), ('a', 'c')]
    """

    def __init__(self, text: str, language: str) -> None:
        self.language = language
        self.nodes: dict[str, dict[str, str]] = {}
        self.edges: list[tuple[str, str]] = []
        self.bidirected: list[tuple[str, str]] = []
        self._tokens = self._tokenize(text)

    def read(self, keyword: str) -> None:
        """Read one graph, such as ``digraph name { ... }``.

        Raises:
            ValueError: The text is something else; the line is named.
        """
        strict = self._keyword() == "strict"
        if strict:
            self._next()
        if self._keyword() != keyword:
            self._fail(self._peek(), f"'{keyword} {{'")
        self._next()
        if not self._at("{"):
            self._name()
        self._statements({}, {})
        if self._peek().kind != "end":
            self._fail(self._peek(), "the end of the text")
        if strict:  # what is said twice is one edge
            self.edges = list(dict.fromkeys(self.edges))
            self.bidirected = list({frozenset(pair): pair for pair in self.bidirected}.values())

    def _tokenize(self, text: str) -> list[_Token]:
        """Return the tokens in reverse, so that the next one is popped from the end."""
        tokens, place, line = list[_Token](), 0, 1
        while place < len(text):
            match = _TOKEN.match(text, place)
            if match is None:
                rest = _Token("", text[place:].split("\n", 1)[0], line)
                self._fail(rest, "a name, an arrow or a bracket (quotes must close)")
            kind = str(match.lastgroup)
            if kind != "space":
                tokens.append(_Token(kind, match[kind], line))
            line += match[0].count("\n")
            place = match.end()
        return [_Token("end", "the end of the text", line), *reversed(tokens)]

    def _peek(self) -> _Token:
        return self._tokens[-1]

    def _next(self) -> _Token:
        # The end stays, so that whoever reads past it gets an error that says so.
        return self._tokens.pop() if len(self._tokens) > 1 else self._tokens[0]

    def _fail(self, token: _Token, expected: str) -> NoReturn:
        raise ValueError(
            f"{self.language}, line {token.line}: expected {expected}, got {token.text!r}."
        )

    def _keyword(self) -> str:
        """Return the next token as a keyword; a quoted name is none."""
        return self._peek().text.lower() if self._peek().kind == "word" else ""

    def _at(self, mark: str, ahead: int = 0) -> bool:
        """Tell whether a bracket or other mark comes next, or after so many tokens."""
        token = self._tokens[max(-1 - ahead, -len(self._tokens))]
        return token.kind == "mark" and token.text == mark

    def _accept(self, mark: str) -> bool:
        """Pass over a mark if it comes next."""
        found = self._at(mark)
        if found:
            self._next()
        return found

    def _name(self) -> str:
        token = self._next()
        if token.kind == "quoted":
            # DOT knows one escape, \"; all other backslashes stay.
            return _ESCAPE.sub(lambda m: '"' if m[1] == '"' else m[0], token.text)
        if token.kind not in {"word", "html"}:
            self._fail(token, "a name")
        return token.text

    def _statements(self, node: dict[str, str], edge: dict[str, str]) -> list[str]:
        """Read what stands in braces; the defaults of the group outside hold inside."""
        node, edge, members = dict(node), dict(edge), list[str]()
        if not self._accept("{"):
            self._fail(self._peek(), "'{'")
        while not self._accept("}"):
            defaults = {"graph": dict[str, str](), "node": node, "edge": edge}.get(self._keyword())
            if self._at("=", ahead=1):
                self._name(), self._next(), self._name()
            elif defaults is not None:
                self._next()
                defaults.update(self._attributes())
            elif not (self._accept(";") or self._accept(",")):
                members += self._chain(node, edge)
        return members

    def _chain(self, node: dict[str, str], edge: dict[str, str]) -> list[str]:
        """Read a node, or nodes joined by arrows, and the attributes that follow."""
        groups, arrows = [self._group(node, edge)], list[_Token]()
        while self._peek().kind == "arrow":
            arrows.append(self._next())
            groups.append(self._group(node, edge))
        attributes = self._attributes()
        if not arrows and len(groups[0]) == 1:
            self.nodes[groups[0][0]].update(attributes)
        for left, arrow, right in zip(groups, arrows, groups[1:], strict=False):
            for a in left:
                for b in right:
                    self._join(a, arrow, b, edge | attributes)
        return [name for group in groups for name in group]

    def _group(self, node: dict[str, str], edge: dict[str, str]) -> list[str]:
        """Read one end of an edge: a node, or several in braces."""
        if self._keyword() == "subgraph":
            self._next()
            if not self._at("{"):
                self._name()
        if self._at("{"):
            return list(dict.fromkeys(self._statements(node, edge)))
        name = self._name()
        self.nodes.setdefault(name, dict(node))
        while self._accept(":"):
            self._name()
        return [name]

    def _join(self, a: str, arrow: _Token, b: str, attributes: dict[str, str]) -> None:
        """Keep one edge; in DOT its attribute ``dir`` tells where the heads are."""
        turned = {"forward": "->", "back": "<-", "both": "<->"}
        heads = attributes.get("dir", "forward")
        kind = turned.get(heads) if arrow.text == "->" else arrow.text
        if kind == "->":
            self.edges.append((a, b))
        elif kind == "<-":
            self.edges.append((b, a))
        elif kind == "<->":
            self.bidirected.append((a, b))
        else:
            self._fail(arrow, f"a directed or bidirected edge between {a!r} and {b!r}")

    def _attributes(self) -> dict[str, str]:
        """Read any number of lists in square brackets; an attribute without a value is "yes"."""
        found = dict[str, str]()
        while self._accept("["):
            while not self._accept("]"):
                key = self._name()
                found[key] = self._name() if self._accept("=") else "yes"
                _ = self._accept(",") or self._accept(";")
        return found
