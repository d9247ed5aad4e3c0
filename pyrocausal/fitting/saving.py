"""Saving an SCM's parameters, and putting them back; one file, no code in it."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Callable, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import pyro
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from pyrocausal.building import GraphProgram
from pyrocausal.engine.evidence import columns_of, read_inputs
from pyrocausal.engine.tracing import quiet_seed
from pyrocausal.fitting.headers import DAMAGED, read_tensors
from pyrocausal.fitting.team import leads
from pyrocausal.fitting.uncertainty import ParameterLaw
from pyrocausal.noise import Coupling
from pyrocausal.verbs.core import Core
from pyrocausal.verbs.learnt import Learnt
from pyrocausal.verbs.standing import Standing
from pyrocausal.writing import replacing

if TYPE_CHECKING:
    from pyrocausal.fitting.learning import Learning

    Model = TypeVar("Model", bound=Learning)

__all__ = ["load", "rebuilt", "save"]

GUIDE = "amortized "  # what the names of an amortized guide's tensors begin with
LAW = "law "  # the same of the draws of what data left open of the parameters
HEADER = "pyrocausal"  # the key of the header in the file's metadata
FORMAT = 4
READABLE = (2, 3, 4)  # the second has no amortized guide, the third no law of the parameters
KEYS = ("name", "variables", "latent", "noise", "own_noise", "guide", "constraints", "recipe")


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
        "guide": core.guide is not None and core.guide.guide is not core.amortized,
        "learnt": _learnt(core),
        "law": _method(core),
        "constraints": _constraints(core),
        "recipe": _recipe(core.program),
        "amortized": None if core.amortized is None else core.amortized.config(),
    }
    # A copy each: the file holds no views, and two names may stand for one tensor.
    every = {**_tensors(core), **_of_guide(core), **_of_law(core)}
    tensors = {key: t.detach().cpu().clone().contiguous() for key, t in every.items()}
    path = Path(path)
    if not path.parent.is_dir():
        raise FileNotFoundError(
            f"There is no folder {path.parent} to save {path.name} in. Create it first."
        )
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder; expected a file, such as {path}/scm.st.")
    if not leads():
        return  # the first of the processes that share a fit writes for all
    try:
        with replacing(path) as beside:
            save_file(tensors, beside, {HEADER: json.dumps(header)})
    except SafetensorError as error:
        raise OSError(f"{path} can't be written: {error}") from error


def load(
    kind: Callable[..., Model],
    path: str | os.PathLike[str],
    program: Any,
    inputs: Any,
    noise: Mapping[str, Coupling] | None,
) -> Model:
    """Build an SCM on a program and give it the parameters of a file; see ``SCM.load``."""
    header, tensors = _read(Path(path))
    guide, law = (_taken(tensors, prefix) for prefix in (GUIDE, LAW))
    if program is None:
        program = _rebuilt(path, header["recipe"])
    scm = kind(program, noise=_couplings(header, noise), name=header["name"])
    core = scm._core
    given = {} if inputs is None else columns_of(inputs, "inputs")
    if given:
        units = next((len(v) for v in given.values() if hasattr(v, "__len__")), 1)
        core.remember(read_inputs(given, units, core.place()))
    variables, own = core.anatomy.variables, _tensors(core)  # a probing run registers them
    _check_names("variables", path, dict.fromkeys(header["variables"]), dict.fromkeys(variables))
    _check_names("parameters", path, _kinds(tensors), _kinds(own))
    _check_names("constraints", path, header["constraints"], _constraints(core))
    core.latent = tuple(header["latent"])
    core.learnt = _read_learnt(header.get("learnt"))
    _put(core, tensors)
    if header.get("law") is not None:
        core.law = _read_law(core, path, header["law"], law)
    core.forget()
    if header.get("amortized") is not None:
        _put_guide(core, path, header["amortized"], guide)
    if header["guide"]:
        warnings.warn(
            f"{path} was saved after a fit with a guide, which is a program of its own and not in "
            "the file: sites that all units share are drawn from the prior until fit(data, guide) "
            "is called again.",
            stacklevel=3,
        )
    return scm


def rebuilt(path: str | os.PathLike[str]) -> GraphProgram:
    """Return the program that a file describes; its parameters start afresh.

    Raises:
        FileNotFoundError: No such file.
        ValueError: A file of another kind, or that can't tell the program.
    """
    return _rebuilt(path, _read(Path(path))[0]["recipe"])


def _tensors(core: Core) -> dict[str, Tensor]:
    guide = () if core.guide is None else core.guide.parameters
    parameters = {k: tensor for k, tensor in core.scope.named().items() if k not in guide}
    return {
        **{f"parameter {name}": tensor for name, tensor in parameters.items()},
        **{f"buffer {name}": tensor for name, tensor in core.scope.buffers().items()},
    }


def _of_guide(core: Core) -> dict[str, Tensor]:
    state = {} if core.amortized is None else core.amortized.state_dict()
    return {f"{GUIDE}{name}": tensor for name, tensor in state.items()}


def _taken(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): tensors.pop(k) for k in list(tensors) if k.startswith(prefix)}


def _learnt(core: Core) -> dict[str, Any] | None:
    if core.learnt is None:
        return None
    return {"observed": sorted(core.learnt.observed), "ranges": dict(core.learnt.ranges)}


def _read_learnt(saved: Any) -> Learnt | None:
    if saved is None:
        return None
    if isinstance(saved, list):  # an earlier format has no ranges
        return Learnt(frozenset(saved))
    ranges = {name: (low, high) for name, (low, high) in saved["ranges"].items()}
    return Learnt(frozenset(saved["observed"]), ranges)


def _method(core: Core) -> str | None:
    # A posterior is drawn by a guide, which a file does not hold.
    return None if core.law is None or core.law.method == "posterior" else core.law.method


def _of_law(core: Core) -> dict[str, Tensor]:
    if _method(core) is None:
        return {}
    return {f"{LAW}{name}": draws for name, draws in core.law.by_name(core).items()}


def _read_law(
    core: Core, path: str | os.PathLike[str], method: Any, tensors: Mapping[str, Tensor]
) -> ParameterLaw:
    try:
        return ParameterLaw.of(core, method, tensors)
    except (KeyError, ValueError, RuntimeError) as error:
        raise _damaged(path, f"its draws of the parameters: {error}") from error


def _put_guide(
    core: Core, path: str | os.PathLike[str], config: Any, tensors: dict[str, Tensor]
) -> None:
    from pyrocausal.guides.attaching import restored

    try:
        restored(core, config, tensors)
    except (KeyError, TypeError, RuntimeError) as error:
        raise _damaged(path, f"its amortized guide: {error}") from error


def _constraints(core: Core) -> dict[str, str]:
    # The file holds unconstrained values, which another constraint would read as other numbers.
    guide = () if core.guide is None else core.guide.parameters
    return {name: c for name, c in core.scope.constraints().items() if name not in guide}


def _recipe(program: Any) -> dict[str, Any] | None:
    if not isinstance(program, GraphProgram):
        return None
    with quiet_seed(0):
        return program.recipe()


def _rebuilt(path: str | os.PathLike[str], recipe: Any) -> GraphProgram:
    if recipe is None:
        raise ValueError(
            f"{path} holds the parameters of a program, but not its code. Pass the program too: "
            "SCM.load(path, program)."
        )
    try:
        lacking = [name for name, part in recipe["mechanisms"].items() if part is None]
        if not lacking:
            with quiet_seed(0):
                return GraphProgram.from_recipe(recipe)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise _damaged(path, error) from error
    raise ValueError(
        f"{path} can't tell the mechanisms of {', '.join(lacking)}, which are code of your own. "
        "Build the SCM from the same mechanisms, and pass it too: "
        "SCM.load(path, SCM.from_graph(graph, mechanisms))."
    )


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
        header, tensors = read_tensors(path, HEADER)
    except DAMAGED as error:
        raise _damaged(path, error) from error
    if not isinstance(header, dict) or "format" not in header:
        raise ValueError(f"{path} was not written by SCM.save(); it holds no header of an SCM.")
    if header["format"] not in READABLE:
        raise ValueError(
            f"{path} has the format {header['format']} of pyrocausal "
            f"{header.get('version', 'unknown')}; this version reads up to {FORMAT}. Load it "
            "with that version."
        )
    lacking = [key for key in KEYS if key not in header]
    if lacking:
        raise _damaged(path, f"its header lacks {', '.join(lacking)}")
    return header, tensors


def _damaged(path: str | os.PathLike[str], fault: object) -> ValueError:
    return ValueError(
        f"{path} is damaged or was cut off, and can't be read ({fault}). Save the SCM again."
    )


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
