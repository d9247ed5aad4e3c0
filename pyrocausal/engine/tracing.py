"""What a program is made of: its variables, read off by running it."""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import count
from math import isqrt
from typing import Any

import torch
from torch import Tensor, nn

from pyrocausal.engine.pinning import OTHER_SITES, run_pinned
from pyrocausal.engine.rows import (
    Program,
    RowMessenger,
    Site,
    current_units,
    run_on_rows,
    support_of,
)

__all__ = [
    "Anatomy",
    "Variable",
    "dissect",
    "distributions_of",
    "parts_of",
    "quiet_seed",
    "sample_values",
    "seed_all",
]


@dataclass(frozen=True)
class Variable:
    """One named statement of a program.

    Attributes:
        name: Its name.
        deterministic: Whether it is a function of its parents.
        shared: Whether it lies outside the units plate (one value for all units).
        inner: Sizes of the plates inside a unit.
        event_shape: Shape of one value.
        dtype: Type of its values.
        discrete: Whether its values are categories or counts.
    """

    name: str
    deterministic: bool
    shared: bool
    inner: tuple[int, ...]
    event_shape: tuple[int, ...]
    dtype: torch.dtype
    discrete: bool

    @property
    def unit_shape(self) -> tuple[int, ...]:
        """The shape of one unit's value."""
        return self.inner + self.event_shape


@dataclass(frozen=True)
class Anatomy:
    """What one probing run tells of a program.

    Attributes:
        variables: Name to variable, in the order of execution.
        opens_units: Whether the program opens the units plate itself.
        parameters: Names of its ``pyro.param`` statements.
    """

    variables: Mapping[str, Variable]
    opens_units: bool
    parameters: tuple[str, ...]

    @property
    def shared(self) -> tuple[str, ...]:
        """Names of the variables that all units share."""
        return tuple(v.name for v in self.variables.values() if v.shared)

    def prime_rows(self, above: int) -> int:
        """Return a prime number of rows above ``above`` that is no size in the program."""
        sizes = {size for v in self.variables.values() for size in v.unit_shape}
        return next(
            rows
            for rows in count(above + 1)
            if rows not in sizes and all(rows % factor for factor in range(2, isqrt(rows) + 1))
        )


class _Probe(RowMessenger):
    """Draws every site by its own ``sample`` and notes what the sites are."""

    def __init__(self, weights: Collection[str] = ()) -> None:
        super().__init__()
        self.weights = weights
        self.variables: dict[str, Variable] = {}
        self.parameters: list[str] = []

    def _pyro_post_param(self, msg: Any) -> None:
        self.parameters.append(msg["name"])

    def visit(self, site: Site) -> Tensor:
        if site.name in self.weights and not site.shared:
            raise ValueError(
                f"{site.name!r} is a PyroSample that is read inside the units plate, so that each "
                "unit would get weights of its own. Read it before: let the program open the plate "
                "with pc.units() after `w = self.name`."
            )
        value = site.fn.sample() if site.value is None else site.value
        support = support_of(site.fn)
        self.variables[site.name] = Variable(
            name=site.name,
            deterministic=site.deterministic,
            shared=site.shared,
            inner=site.inner,
            event_shape=tuple(value.shape[value.dim() - site.event_dim :]),
            dtype=value.dtype,
            discrete=not site.deterministic and getattr(support, "is_discrete", False),
        )
        return value


def dissect(
    program: Program,
    inputs: Callable[[int], Mapping[str, Any]],
    weights: Collection[str] = (),
) -> Anatomy:
    """Probe a program: its variables, and whether it opens the units plate.

    Args:
        program: The program.
        inputs: Returns the program's arguments for a number of rows.
        weights: Names of the sites that are random weights of modules.

    Raises:
        ValueError: The program has no sites, other sites on other runs, or weights of its own for
            each unit.
    """
    opens = _opens_units(program, inputs(7), 7)
    first, second = (
        _probe(program, inputs(rows), rows, seed, opens, weights)
        for rows, seed in ((7, 0), (11, 1))
    )
    differing = set(first.variables) ^ set(second.variables)
    if differing:
        raise ValueError(OTHER_SITES.format(", ".join(sorted(differing))))
    if not first.variables:
        raise ValueError(
            "The program has no variables: it ran no pyro.sample statement. Write one for each "
            "variable of a unit."
        )
    return Anatomy(first.variables, opens, tuple(second.parameters))


def _probe(
    program: Program,
    inputs: Mapping[str, Any],
    rows: int,
    seed: int,
    opens: bool,
    weights: Collection[str],
) -> _Probe:
    probe = _Probe(weights)
    with quiet_seed(seed):
        run_on_rows(program, probe, rows, inputs, opens_units=opens)
    return probe


class _Opened(Exception):
    """The program has opened the units plate itself."""


def _opens_units(program: Program, inputs: Mapping[str, Any], rows: int) -> bool:
    # pc.units() raises inside this run, so that nothing after it can fail for another reason.
    class Watch(_Probe):
        def visit(self, site: Site) -> Tensor:
            plate = current_units.get()
            if plate is not None and plate.opened:
                raise _Opened
            return super().visit(site)

    with quiet_seed(0):
        try:
            run_on_rows(program, Watch(), rows, inputs, opens_units=True)
        except _Opened:
            return True
        except Exception:
            # Without a units plate a program written for a batch may fail in any way; the next
            # run, inside the plate, shows whether the fault is the program's own.
            return False
    return False


def sample_values(
    program: Program, anatomy: Anatomy, inputs: Mapping[str, Any], rows: int
) -> dict[str, Tensor]:
    """Draw every site once on some rows, in program shape, without moving any generator."""
    probe = _Probe()
    with quiet_seed(2):
        run_on_rows(program, probe, rows, inputs, opens_units=anatomy.opens_units)
    return probe.values


def distributions_of(
    program: Program, anatomy: Anatomy, inputs: Callable[[int], Mapping[str, Any]]
) -> dict[str, Any]:
    """Return each sample site's distribution on a few rows drawn from the prior."""
    rows = anatomy.prime_rows(above=6)
    given = inputs(rows)
    values = sample_values(program, anatomy, given, rows)
    found = run_pinned(program, values, rows, given, opens_units=anatomy.opens_units)
    return {name: fn for name, fn in found.items() if not isinstance(fn, Tensor)}


def parts_of(thing: Any, path: str = "", depth: int = 0) -> Iterator[tuple[str, Tensor]]:
    """Yield the tensors inside a distribution, with their paths; modules are parent-free."""
    if isinstance(thing, Tensor):
        yield path, thing.detach()
        return
    if depth > 8 or isinstance(thing, nn.Module | torch.Generator | type):
        return
    for key, part in _members(thing):
        yield from parts_of(part, f"{path}.{key}", depth + 1)


def _members(thing: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(thing, Mapping):
        yield from ((str(key), part) for key, part in thing.items())
    elif isinstance(thing, tuple | list):
        yield from ((str(key), part) for key, part in enumerate(thing))
    elif isinstance(thing, partial):
        yield from (("args", thing.args), ("keywords", thing.keywords))
    elif callable(thing) and getattr(thing, "__closure__", None):
        yield from ((str(i), cell.cell_contents) for i, cell in enumerate(thing.__closure__))
    elif isinstance(
        thing, torch.distributions.Distribution | torch.distributions.transforms.Transform
    ):
        yield from thing.__dict__.items()


class quiet_seed:
    """Seed torch's generators inside, and leave them as they were outside."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def __enter__(self) -> None:
        self._fork = torch.random.fork_rng(_cuda_devices())
        self._fork.__enter__()
        seed_all(self.seed)

    def __exit__(self, *args: Any) -> None:
        self._fork.__exit__(*args)


def seed_all(seed: int) -> None:
    """Seed torch's generators, without waking a GPU that nobody uses."""
    torch.default_generator.manual_seed(seed)
    if _cuda_devices():
        torch.cuda.manual_seed_all(seed)


def _cuda_devices() -> list[int]:
    # Forking all generators starts CUDA, and warns where there are several devices.
    return list(range(torch.cuda.device_count())) if torch.cuda.is_initialized() else []
