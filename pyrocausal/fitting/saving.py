"""Saving an SCM's parameters, and putting them back; one file, no code in it."""

from __future__ import annotations

import json
import os
import secrets
import warnings
from collections.abc import Callable, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import pyro
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from pyrocausal.engine.evidence import read_inputs
from pyrocausal.noise import Coupling
from pyrocausal.verbs.core import Core, Standing

if TYPE_CHECKING:
    from pyrocausal.fitting.learning import Learning

    Model = TypeVar("Model", bound=Learning)

__all__ = ["load", "save"]

HEADER = "pyrocausal"  # the key of the header in the file's metadata
FORMAT = 1


def save(core: Core, standing: Standing, name: str, path: str | os.PathLike[str]) -> None:
    """Write the parameters and buffers to a safetensors file; see ``SCM.save``."""
    if standing != Standing():
        raise ValueError(
            "save() keeps the model, not what was done to it. Save the SCM itself, and ask "
            "do(...) or condition(...) again after loading it."
        )
    header = {
        "format": FORMAT,
        "version": _version(),
        "name": name,
        "variables": list(core.anatomy.variables),
        "latent": list(core.latent),
        "noise": {site: c for site, c in core.couplings.items() if isinstance(c, str)},
        "own_noise": [site for site, c in core.couplings.items() if not isinstance(c, str)],
        "guide": core.guide is not None,
    }
    # A copy each: the file holds no views, and two names may stand for one tensor.
    tensors = {key: t.detach().cpu().clone().contiguous() for key, t in _tensors(core).items()}
    path = Path(path)
    beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        save_file(tensors, beside, {HEADER: json.dumps(header)})
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)


def load(
    kind: Callable[..., Model],
    path: str | os.PathLike[str],
    program: Any,
    inputs: Mapping[str, Any] | None,
    noise: Mapping[str, Coupling] | None,
) -> Model:
    """Build an SCM on a program and give it the parameters of a file; see ``SCM.load``."""
    header, tensors = _read(Path(path))
    scm = kind(program, noise=_couplings(header, noise), name=header["name"])
    core = scm._core
    if inputs:
        units = next((len(v) for v in inputs.values() if hasattr(v, "__len__")), 1)
        core.remember(read_inputs(inputs, units, core.place()))
    variables, own = core.anatomy.variables, _tensors(core)  # a probing run registers them
    _check_names("variables", path, dict.fromkeys(header["variables"]), dict.fromkeys(variables))
    _check_names("parameters", path, _kinds(tensors), _kinds(own))
    core.latent = tuple(header["latent"])
    _put(core, tensors)
    core.forget()
    if header["guide"]:
        warnings.warn(
            f"{path} was saved after a fit with a guide, which is a program of its own and not in "
            "the file: sites that all units share are drawn from the prior until fit(data, guide) "
            "is called again.",
            stacklevel=3,
        )
    return scm


def _tensors(core: Core) -> dict[str, Tensor]:
    guide = () if core.guide is None else core.guide.parameters
    parameters = {k: tensor for k, tensor in core.scope.named().items() if k not in guide}
    return {
        **{f"parameter {name}": tensor for name, tensor in parameters.items()},
        **{f"buffer {name}": tensor for name, tensor in core.scope.buffers().items()},
    }


def _put(core: Core, tensors: Mapping[str, Tensor]) -> None:
    own, device = _tensors(core), core.place()
    store = pyro.get_param_store()
    modules = core.scope.modules.values()
    inside = {id(t) for m in modules for t in [*m.parameters(), *m.buffers()]}
    with core.session():
        state = store.get_state()
        for key, tensor in tensors.items():
            if id(own[key]) in inside:
                own[key].copy_(tensor)
            else:
                # A new tensor: the old one may be the global store's too.
                name = key.removeprefix("parameter ")
                state["params"][name] = tensor.to(device, copy=True).requires_grad_()
        store.set_state(state)


def _read(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    if not path.is_file():
        raise FileNotFoundError(f"There is no file {path}.")
    try:
        with safe_open(path, framework="pt") as file:
            text = (file.metadata() or {}).get(HEADER)
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - no dict
        header = None if text is None else json.loads(text)
    except (SafetensorError, json.JSONDecodeError) as error:
        raise ValueError(
            f"{path} is damaged or was cut off, and can't be read ({error}). Save the SCM again."
        ) from error
    if not isinstance(header, dict) or "format" not in header:
        raise ValueError(f"{path} was not written by SCM.save(); it holds no header of an SCM.")
    if header["format"] != FORMAT:
        raise ValueError(
            f"{path} has the format {header['format']} of pyrocausal {header['version']}; "
            f"this version reads format {FORMAT}. Load it with that version."
        )
    return header, tensors


def _couplings(
    header: Mapping[str, Any], noise: Mapping[str, Coupling] | None
) -> dict[str, Coupling]:
    missing = [site for site in header["own_noise"] if site not in (noise or {})]
    if missing:
        raise ValueError(
            f"The noise of {', '.join(missing)} was coupled by a function, which a file can't "
            f"hold. Pass it again: SCM.load(path, program, noise={{{missing[0]!r}: ...}})."
        )
    return {**header["noise"], **(noise or {})}


def _check_names(
    what: str, path: str | os.PathLike[str], saved: Mapping[str, Any], own: Mapping[str, Any]
) -> None:
    only_saved, only_own = saved.keys() - own.keys(), own.keys() - saved.keys()
    differing = [k for k in saved.keys() & own.keys() if saved[k] != own[k]]
    if not (only_saved or only_own or differing):
        return
    parts = [
        f"{who}: {', '.join(sorted(names))}"
        for who, names in (("in the file only", only_saved), ("in the program only", only_own))
        if names
    ]
    parts += [
        f"{k} is {saved[k]} in the file and {own[k]} in the program" for k in sorted(differing)
    ]
    raise ValueError(
        f"{path} was saved from another program; the {what} differ. {'; '.join(parts)}. Load it "
        "with the program it was saved from."
    )


def _kinds(tensors: Mapping[str, Tensor]) -> dict[str, str]:
    return {
        key: f"{str(t.dtype).removeprefix('torch.')} {tuple(t.shape)}"
        for key, t in tensors.items()
    }


def _version() -> str:
    try:
        return version("pyrocausal")
    except PackageNotFoundError:
        return "unknown"  # run from a checkout
