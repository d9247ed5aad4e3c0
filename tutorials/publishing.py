"""What the pages need besides Sphinx: tutorials as notebooks, two directives, links, formulas.

``reference`` documents names of the library, ``zoo`` shows models with known truth.
"""

import html
import importlib
import inspect
import re
from pathlib import Path
from types import ModuleType

import jupytext
from docutils import nodes
from docutils.utils.math import MathError
from docutils.utils.math.latex2mathml import tex2mathml
from nbformat import NotebookNode
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective
from sphinx.writers.html5 import HTML5Translator

import pyrocausal as pc

LOGGER = logging.getLogger(__name__)
PICTURES = Path(__file__).parent / "_build" / "zoo"
# Bases whose methods are documented elsewhere.
FOREIGN = ("Module", "Graph", "DiGraph", "Mapping", "dict", "tuple")
# Where a bare name is looked for, after the module that says it.
HOMES = ("pyrocausal", "pyrocausal.queries", "pyrocausal.results")
# Code in prose that is a name of the library, as it is or called.
NAMED = re.compile(
    r"(?:(?:pc|pyrocausal)\.([\w.]+)|((?:SCM|CausalGraph)\.\w+)|scm\.(\w+))(?:\(.*\))?"
)


def read_tutorial(text: str) -> NotebookNode:
    """Return a script in py:percent form as a notebook of the kernel that builds the pages."""
    notebook = jupytext.reads(text, fmt="py:percent")
    notebook.metadata["kernelspec"] = {
        "name": "python3",
        "display_name": "Python 3",
        "language": "python",
    }
    notebook.metadata["language_info"] = {"name": "python"}
    return notebook


def documented(module: str, name: str) -> list[str]:
    """Return the lines of reStructuredText that document one name of a module."""
    found = getattr(importlib.import_module(module), name)
    if isinstance(found, ModuleType):
        return ["", f".. automodule:: {module}.{name}", "", ".. currentmodule:: None"]
    options: list[str] = []
    if inspect.isclass(found):
        kind = "exception" if issubclass(found, Exception) else "class"
        options = ["   :members:", f"   :inherited-members: {', '.join(FOREIGN)}"]
    else:
        kind = "function" if inspect.isroutine(found) else "data"
    return ["", f".. auto{kind}:: {module}.{name}", *options]


class Reference(SphinxDirective):
    """``{reference} MODULE`` with names below: a table of them, then their docstrings."""

    required_arguments = 1
    has_content = True

    def run(self) -> list[nodes.Node]:
        module, names = self.arguments[0], " ".join(self.content).split()
        table = [".. autosummary::", "", *(f"   ~{module}.{name}" for name in names)]
        if len(names) == 1:
            table = []  # a table of one says nothing
        parts = [line for name in names for line in documented(module, name)]
        return self.parse_text_to_nodes("\n".join(["```{eval-rst}", *table, *parts, "```"]))


class Zoo(SphinxDirective):
    """``{zoo}`` with names below: each model with its graph, its docstring and its answers."""

    has_content = True

    def run(self) -> list[nodes.Node]:
        lines = [line for name in " ".join(self.content).split() for line in _shown(name)]
        return self.parse_text_to_nodes("\n".join(lines), allow_section_headings=True)


def _shown(name: str) -> list[str]:
    """Return the lines of Markdown about one model of the zoo."""
    model = {**pc.zoo.MODELS, **pc.zoo.CONFOUNDED}[name]
    _draw(model.scm(), PICTURES / f"{name}.svg")
    told = documented("pyrocausal.zoo", name) if name in pc.zoo.MODELS else []
    truths = [(truth.rung, str(truth).replace("|", r"\|")) for truth in model.truths]
    return [
        *(f"## {name}", "", f"![The graph of {name}](/_build/zoo/{name}.svg)", ""),
        *("```{eval-rst}", *told, "```", ""),
        *("| rung | known answer |", "| --- | --- |"),
        *(f"| {rung} | `{answer}` |" for rung, answer in truths),
        "",
    ]


def _draw(scm: pc.SCM, path: Path) -> None:
    """Draw the graph of a model into a file."""
    import matplotlib as mpl
    from matplotlib import pyplot

    mpl.use("agg")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure = pc.plot.graph(scm).figure
    figure.savefig(path, bbox_inches="tight", metadata={"Date": None})
    pyplot.close(figure)


def qualify(app: Sphinx, doctree: nodes.document) -> None:
    """Give the bare names in docstrings and annotations the module that documents them."""
    for reference in doctree.findall(pending_xref):
        name = reference.get("reftarget", "")
        if reference.get("refdomain") != "py" or "." in name:
            continue
        for home in (reference.get("py:module") or "pyrocausal", *HOMES):
            if name in getattr(importlib.import_module(home), "__all__", ()):
                reference["reftarget"] = f"{home}.{name}"
                break


def link_code(app: Sphinx, doctree: nodes.document) -> None:
    """Link code in prose, such as ``pc.ate`` or ``scm.fit(...)``, to what documents it."""
    for code in list(doctree.findall(nodes.literal)):
        match = NAMED.fullmatch(code.astext())
        if match and not isinstance(code.parent, pending_xref | nodes.reference):
            target = match[1] or match[2] or f"SCM.{match[3]}"
            link = pending_xref(
                "",
                code.deepcopy(),
                refdomain="py",
                reftype="obj",
                reftarget=f"pyrocausal.{target}",
                refdoc=app.env.docname,
                refwarn=True,
            )
            link.source, link.line = code.source, code.line
            code.replace_self(link)


def write_math(writer: HTML5Translator, node: nodes.math | nodes.math_block) -> None:
    """Write a formula as MathML, which browsers read without a script."""
    block = isinstance(node, nodes.math_block)
    tex = node.astext().replace(r"\iff", r"\Longleftrightarrow")
    try:
        written = tex2mathml(tex, as_block=block)
    except MathError as error:
        LOGGER.warning("%s: %s", tex, error, location=node)
        written = html.escape(tex)
    writer.body.append(f'<div class="math">{written}</div>' if block else written)
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict[str, bool]:
    """Make all this known to Sphinx."""
    app.add_directive("reference", Reference)
    app.add_directive("zoo", Zoo)
    app.add_html_math_renderer("mathml", (write_math, None), (write_math, None))
    app.connect("doctree-read", qualify)
    app.connect("doctree-read", link_code)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
