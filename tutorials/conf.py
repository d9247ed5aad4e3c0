"""Sphinx's settings: the tutorials are read as notebooks, executed, and shown with what they print."""

import hashlib
import os
import shutil
import sys
import urllib.request
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))  # for publishing.py

project = "pyrocausal"
author = "the authors of pyrocausal"
extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.intersphinx",
    "sphinx.ext.napoleon",
    "publishing",
]
include_patterns = ["index.md", "pages/**", "[0-9][0-9]_*.py"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = "pyrocausal"
html_show_copyright = False
html_show_sphinx = False
html_math_renderer = "mathml"  # read by browsers as it is, without a network

# Pages: Markdown with formulas, definition lists, and an anchor for each heading.
myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 4

# Docstrings.
default_role = "autolink"  # `name` links where it is a name of the library
autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True  # attributes are told in the class's docstring, and not once more below
python_use_unqualified_type_names = True
toc_object_entries = False
# What docstrings name of the library must be documented; of others' things the names are enough.
nitpicky = True
nitpick_ignore_regex = [("py:class", ".*"), ("py:.*", r"(?!pyrocausal\.).*")]

# Links to others' pages, where there is a network; without one the names stand without a link.
ELSEWHERE = {
    "numpy": "https://numpy.org/doc/stable/",
    "pandas": "https://pandas.pydata.org/docs/",
    "pyro": "https://docs.pyro.ai/en/stable/",
    "python": "https://docs.python.org/3/",
    "torch": "https://docs.pytorch.org/docs/stable/",
}


def reachable(address: str) -> bool:
    """Say whether the list of names of another project's pages can be had."""
    try:
        with urllib.request.urlopen(address + "objects.inv", timeout=3):
            return True
    except OSError:
        return False


intersphinx_mapping = {
    name: (address, None) for name, address in ELSEWHERE.items() if reachable(address)
}
intersphinx_timeout = 10


def executed() -> Path:
    """Return the folder of executed tutorials, named after all that they depend on but their text."""
    rooms = ("pyrocausal", "pyrocausal/models", "pyrocausal/guides")
    sources = {path for room in rooms for path in (HERE.parent / room).rglob("*.py")}
    digest = hashlib.sha256()
    own = {HERE / "conf.py", HERE / "publishing.py"}
    for path in sorted({*HERE.glob("[a-z]*.py"), *HERE.glob("peers/*"), *sources} - own):
        digest.update(path.read_bytes() if path.is_file() else b"")
    profile = os.environ.get("TUTORIALS", "full")
    folder = HERE / "_build" / "executed" / f"{profile}-{digest.hexdigest()[:12]}"
    for old in folder.parent.glob(f"{profile}-*"):
        if old != folder:
            shutil.rmtree(old)  # the library has changed since
    return folder


# The tutorials: executed when they or the library have changed.
os.environ["PYTHONWARNINGS"] = "ignore:IProgress not found"  # tqdm's wish for widgets
nb_custom_formats = {".py": "publishing.read_tutorial"}
nb_execution_mode = "cache"
nb_execution_cache_path = str(executed())
nb_execution_raise_on_error = True
nb_execution_timeout = 600
nb_output_stderr = "warn"  # a warning of a tutorial is one of the build
nb_merge_streams = True
nb_code_prompt_show = "Show the solution"
nb_code_prompt_hide = "Hide the solution"
