"""The layout promises: one package, no stray top-level names, every folder listed."""

import ast
import importlib
import re
import shutil
import subprocess
import sys
import tomllib
from importlib.resources import files
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
SETUPTOOLS = PYPROJECT["tool"]["setuptools"]


def packages_in(folder: str, name: str) -> set[str]:
    """Return the dotted names of all packages under ``folder``."""
    inits = (ROOT / folder).rglob("__init__.py")
    parts = (init.parent.relative_to(ROOT / folder).parts for init in inits)
    return {".".join((name, *part)) for part in parts}


def test_every_package_is_listed() -> None:
    found = set().union(*(packages_in(d, n) for n, d in SETUPTOOLS["package-dir"].items()))
    assert found == set(SETUPTOOLS["packages"])


@pytest.mark.parametrize("name", SETUPTOOLS["packages"])
def test_every_package_imports(name: str) -> None:
    assert importlib.import_module(name).__name__ == name


@pytest.mark.parametrize("name", ["models", "guides"])
def test_links_show_the_checkout_in_the_shape_of_the_installed_package(name: str) -> None:
    link = ROOT / "pyrocausal" / name
    assert link.is_symlink()
    assert link.readlink() == Path("..") / name


def test_every_public_name_exists() -> None:
    for package in SETUPTOOLS["packages"]:
        module = importlib.import_module(package)
        missing = [name for name in getattr(module, "__all__", []) if not hasattr(module, name)]
        assert not missing, f"{package}.__all__ names what isn't there: {missing}"


def test_shipped_data_and_types_are_found_as_resources() -> None:
    package = files("pyrocausal")
    assert (package / "py.typed").is_file()
    assert (package / "data" / "README.md").is_file()


def test_command_line_script_exists() -> None:
    module, function = PYPROJECT["project"]["scripts"]["pyrocausal"].split(":")
    assert callable(getattr(importlib.import_module(module), function))


def test_import_loads_no_optional_and_no_slow_package() -> None:
    lazy = {"matplotlib", "pandas", "zuko"}
    code = f"import sys, pyrocausal; print(*sorted({lazy} & set(sys.modules)))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.split() == []


def _loaded_after(code: str) -> set[str]:
    code += "; import sys; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(run.stdout.split())


def test_import_loads_nothing_heavy_that_torch_and_pyro_do_not_load() -> None:
    extra = _loaded_after("import torch, pyro, pyrocausal") - _loaded_after("import torch, pyro")
    packages = {name.partition(".")[0] for name in extra}
    assert not packages & {"networkx", "scipy", "pandas", "matplotlib", "sympy", "zuko", "tqdm"}
    assert not {name for name in extra if name.startswith(("torch.", "pyro."))}


def test_the_program_with_its_verbs_loads_nothing_that_only_other_tasks_need() -> None:
    rooms = {
        name.rpartition(".")[2] for name in _loaded_after("import pyrocausal; pyrocausal.SCM")
    }
    assert not rooms & {"identification", "bounding", "datasets", "zoo", "scipy", "pandas"}


def test_names_at_run_time_are_the_names_that_type_checkers_see() -> None:
    source = (ROOT / "pyrocausal" / "__init__.py").read_text()
    block = next(n for n in ast.walk(ast.parse(source)) if isinstance(n, ast.If))
    seen = {
        alias.name: node.module
        for node in ast.walk(block)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    pc = importlib.import_module("pyrocausal")
    assert seen.keys() == set(pc.__all__)
    for name, module in seen.items():
        home = importlib.import_module(str(module))
        assert getattr(pc, name) is getattr(home, name)


def test_modules_are_attributes_that_load_when_they_are_used() -> None:
    code = (
        "import sys, pyrocausal as pc; before = 'pyrocausal.zoo' in sys.modules;"
        "print(before, pc.zoo.simpson.__name__, pc.datasets.nhefs.__name__, pc.mechanisms.MLP.__name__)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["False", "simpson", "nhefs", "MLP"]


def test_the_version_is_an_attribute_and_a_misspelt_one_is_none() -> None:
    pc = importlib.import_module("pyrocausal")
    assert pc.__version__ in {PYPROJECT["project"]["version"], "(not installed)"}
    assert {"zoo", "__version__", "scm"} <= set(dir(pc))
    with pytest.raises(AttributeError, match="module 'pyrocausal' has no attribute 'zooo'"):
        _ = pc.zooo


@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
def test_make_help_names_every_target() -> None:
    made = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True)
    phony = re.search(r"^\.PHONY: (help .*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert phony
    assert set(phony[1].split()) == set(re.findall(r"^  make (\w+)  ", made.stdout, re.MULTILINE))
