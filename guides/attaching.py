"""A guide and the SCM it belongs to: whether they fit together, and where it is kept."""

from __future__ import annotations

from typing import Any, Final

from pyrocausal.guides.amortized import Amortized
from pyrocausal.guides.fingerprints import fingerprint
from pyrocausal.guides.reading import read_spaces
from pyrocausal.verbs.core import Core

__all__ = ["attach", "restored"]

METHODS: Final = ("covers", "draw", "check", "to", "config", "state_dict")


def attach(core: Core, guide: Any) -> None:
    """Keep a guide with an SCM.

    A guide that the last ``fit`` trained along with the program belongs to the parameters there
    are now. Besides an ``Amortized`` one it may be any that proposes values of missing variables,
    see ``inference.Proposal``, and has the methods of a module by which it is moved and saved; its
    ``config()`` is ``None`` where its parameters are the program's.

    Raises:
        TypeError: No guide.
        ValueError: The guide of another SCM.
    """
    if guide is not None and not all(callable(getattr(guide, name, None)) for name in METHODS):
        raise TypeError(
            f"Got a {type(guide).__name__} as the guide of an SCM; expected an Amortized one, as "
            f"amortize() makes, a guide with {', '.join(METHODS)}, or None."
        )
    if isinstance(guide, Amortized):
        if core.guide is not None and core.guide.guide is guide:
            guide.fingerprint = fingerprint(core)
        _check_sites(core, guide)
        guide.check(core)
    if guide is not None:
        guide.to(core.place())
    core.amortized = guide


def restored(core: Core, config: dict[str, Any], tensors: dict[str, Any]) -> Amortized:
    """Make a guide again from what ``config()`` and ``state_dict()`` gave.

    Raises:
        ValueError: The guide of another SCM.
        RuntimeError: Tensors of another guide.
    """
    shape = {name: config[name] for name in ("patterns", "head", "encoder", "hidden", "layers")}
    ignored = [v.name for v in core.anatomy.variables.values() if v.deterministic]
    guide = Amortized(read_spaces(core), core.latent, ignored, **shape)
    guide.fingerprint = config["fingerprint"]
    guide.load_state_dict(tensors)
    attach(core, guide)
    return guide


def _check_sites(core: Core, guide: Amortized) -> None:
    own = {space.name: space.described for space in read_spaces(core)}
    if own == guide.sites:
        return
    names = sorted({name for name, _ in own.items() ^ guide.sites.items()})
    parts = [
        f"{name} is {guide.sites.get(name, 'no variable')} in the guide and "
        f"{own.get(name, 'no random variable')} in the program"
        for name in names
    ]
    raise ValueError(
        f"The guide is one of another SCM: {'; '.join(parts)}. Call amortize() on this one."
    )
