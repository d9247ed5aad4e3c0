"""The layout promises: one package, no stray top-level names, every folder listed."""

import importlib
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
