"""Running a program on rows: a row is one unit in one world and one draw."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Protocol

import pyro
import pyro.distributions as dist
import torch
from pyro.poutine.broadcast_messenger import BroadcastMessenger
from pyro.poutine.indep_messenger import IndepMessenger
from pyro.poutine.messenger import Messenger
from pyro.poutine.runtime import _DIM_ALLOCATOR, _PYRO_STACK
from pyro.poutine.subsample_messenger import SubsampleMessenger
from torch import Tensor

from pyrocausal.errors import NotVectorized

__all__ = [
    "UNITS",
    "Layout",
    "RowMessenger",
    "Site",
    "UnitsPlate",
    "current_units",
    "in_units",
    "is_factor",
    "is_subsample",
    "over_events",
    "run_on_rows",
    "support_of",
    "undisturbed",
    "units_where",
    "unmasked",
]

UNITS = "units"
Program = Callable[..., Any]

# The units plate of the query that is running, for programs that open it with pc.units().
current_units: ContextVar["UnitsFrame | None"] = ContextVar("current_units", default=None)


class UnitsFrame(Protocol):
    """What ``pc.units()`` opens inside a query: a context manager that notes being opened."""

    opened: bool

    def __enter__(self) -> Any: ...

    def __exit__(self, *args: Any) -> Any: ...


@dataclass(frozen=True)
class Layout:
    """How rows are ordered: draws outermost, then worlds, then units.

    A value's *program shape* is ``(*inner, rows, *event)``, since Pyro puts inner plates left of
    the units; its *result shape* is ``(draws, worlds, units, *inner, *event)``.
    """

    units: int
    worlds: int = 1
    draws: int = 1

    @property
    def rows(self) -> int:
        """How many rows the program runs on."""
        return self.draws * self.worlds * self.units

    @property
    def shape(self) -> tuple[int, int, int]:
        """The three leading dimensions of a result."""
        return self.draws, self.worlds, self.units

    def to_rows(self, value: Tensor, inner: int = 0) -> Tensor:
        """Bring a result-shaped value (leading sizes may be 1) to the program shape."""
        flat = value.expand(*self.shape, *value.shape[3:]).reshape(self.rows, *value.shape[3:])
        return flat.movedim(0, inner) if inner else flat

    def from_rows(self, value: Tensor, event_dim: int = 0) -> Tensor:
        """Bring a value of program shape to the result shape."""
        dim = value.dim() - 1 - event_dim
        flat = value.movedim(dim, 0) if dim else value
        return flat.reshape(*self.shape, *flat.shape[1:])

    def world(self, value: Tensor, index: int, event_dim: int = 0) -> Tensor:
        """Select the rows of one world from a value of program shape."""
        if self.worlds == 1:
            return value
        dim = value.dim() - 1 - event_dim
        whole: Tensor = value.unflatten(dim, self.shape)
        return whole.select(dim + 1, index).flatten(dim, dim + 1)

    def joined(self, parts: Sequence[Tensor], event_dim: int = 0) -> Tensor:
        """Join the rows of all worlds to one contiguous value of program shape."""
        dim = parts[0].dim() - 1 - event_dim
        split = [part.unflatten(dim, (self.draws, self.units)) for part in parts]
        return torch.stack(split, dim + 1).flatten(dim, dim + 2)

    def set_world(self, value: Tensor, index: int, part: Tensor, event_dim: int = 0) -> None:
        """Write the rows of one world into a contiguous value of program shape."""
        dim = value.dim() - 1 - event_dim
        target = value.unflatten(dim, self.shape).select(dim + 1, index)
        target.copy_(
            part.expand(value.shape[:dim] + part.shape[dim:]).unflatten(
                dim, (self.draws, self.units)
            )
        )


@dataclass
class Site:
    """One statement of the program as it is reached.

    Attributes:
        name: The site's name.
        fn: The distribution, expanded to the open plates, without its mask.
        value: The value of a deterministic statement, else ``None``.
        mask: Where the statement counts; ``None`` for everywhere.
        shared: Whether the site lies outside the units plate.
    """

    name: str
    fn: Any
    value: Tensor | None
    mask: Tensor | bool | None
    shared: bool
    event_dim: int
    inner: tuple[int, ...] = field(default=())

    @property
    def deterministic(self) -> bool:
        """Whether the statement is ``pyro.deterministic``."""
        return self.value is not None

    @classmethod
    def read(cls, msg: dict[str, Any]) -> "Site":
        """Read a Pyro message."""
        fn, mask = msg["fn"], msg["mask"]
        frames = msg["cond_indep_stack"]
        shared = all(frame.name != UNITS for frame in frames)
        if msg["infer"].get("_deterministic"):
            return cls._read_deterministic(msg, mask, shared)
        fn, mask = unmasked(fn, mask)
        inner = tuple(fn.batch_shape) if shared else tuple(fn.batch_shape[:-1])
        return cls(msg["name"], fn, None, mask, shared, fn.event_dim, inner)

    @classmethod
    def _read_deterministic(cls, msg: dict[str, Any], mask: Any, shared: bool) -> "Site":
        # Pyro takes every dimension of the value for an event dimension unless told otherwise.
        value = msg["value"]
        frames = [frame for frame in msg["cond_indep_stack"] if frame.dim is not None]
        depth = max((-frame.dim for frame in frames), default=0)
        declared = getattr(msg["fn"], "base_dist", msg["fn"]).event_dim
        event_dim = declared if declared < value.dim() else max(0, value.dim() - depth)
        batch = [1] * depth
        for frame in frames:
            batch[frame.dim] = frame.size
        shape = torch.broadcast_shapes(value.shape[: value.dim() - event_dim], tuple(batch))
        event = value.shape[value.dim() - event_dim :]
        value = value.expand((*shape, *event))
        inner = tuple(shape) if shared else tuple(shape[:-1])
        return cls(msg["name"], msg["fn"], value, mask, shared, event_dim, inner)


def unmasked(fn: Any, mask: Any = None) -> tuple[Any, Any]:
    """Take the masks off a distribution, and join them to another one."""
    while isinstance(fn, dist.MaskedDistribution):
        mask = fn._mask if mask is None else mask & fn._mask
        fn = fn.base_dist
    return fn, mask


def over_events(mask: Tensor, value: Tensor) -> Tensor:
    """Append dimensions to a batch mask until it lies over a value."""
    return mask.reshape(mask.shape + (1,) * (value.dim() - mask.dim()))


def units_where(mask: Tensor) -> Tensor:
    """Return the units at which a mask of result shape holds somewhere, shape ``(units,)``."""
    return mask.movedim(2, 0).flatten(1).any(1)


def is_subsample(fn: Any) -> bool:
    """Say whether a statement is a plate's choice of its indices, not a variable."""
    return type(fn).__name__ == "_Subsample"


def is_factor(fn: Any) -> bool:
    """Say whether a statement is ``pyro.factor``."""
    return isinstance(getattr(fn, "base_dist", fn), dist.Unit)


def support_of(fn: Any) -> Any:
    """Return the support of a distribution, ``None`` where its class doesn't say."""
    try:
        return fn.support
    except NotImplementedError:
        return None


class RowMessenger(Messenger):
    """Gives every statement its value; a subclass implements ``visit``.

    It stands outside all plates, so that each distribution it sees has its full batch shape.
    A value that the program itself fixes with ``obs=`` is ignored: the site is a variable.

    Attributes:
        values: What each site got so far, in program shape and the order of execution.
        event_dims: How many dimensions one value of each has.
        last: The site that was reached last, for messages.
    """

    def __init__(self) -> None:
        super().__init__()
        self.values: dict[str, Tensor] = {}
        self.event_dims: dict[str, int] = {}
        self.last = "its start"

    def visit(self, site: Site) -> Tensor:
        """Return the value of a site, in program shape."""
        raise NotImplementedError

    def factor(self, name: str) -> None:
        """Meet a ``pyro.factor`` statement."""

    def _pyro_sample(self, msg: dict[str, Any]) -> None:
        if is_subsample(msg["fn"]):
            return
        self.last = name = msg["name"]
        if name in self.values:
            raise ValueError(
                f"Two statements of the program are called {name!r}. A variable has one "
                "statement: give each its own name."
            )
        if not isinstance(msg["fn"], torch.distributions.Distribution):
            raise TypeError(
                f"The statement {name!r} samples from {type(msg['fn']).__name__}; expected a "
                "distribution. A mechanism's forward returns one."
            )
        if is_factor(msg["fn"]):
            self.factor(name)
            return
        site = Site.read(msg)
        value = self.visit(site)
        self.values[name] = msg["value"] = value
        self.event_dims[name] = site.event_dim
        msg["is_observed"], msg["done"] = True, True


class UnitsPlate(IndepMessenger):
    """The plate of a query: named ``units``, dim -1, at full size, without an index tensor."""

    def __init__(self, size: int) -> None:
        super().__init__(UNITS, size, dim=-1)
        self.opened = False

    def __enter__(self) -> None:  # type: ignore[override]
        self.opened = True
        super().__enter__()

    def _process_message(self, msg: Any) -> None:
        super()._process_message(msg)
        shape = getattr(msg["fn"], "batch_shape", None) if msg["type"] == "sample" else None
        if shape is None or (len(shape) == 1 and shape[0] == self.size):
            return
        BroadcastMessenger._pyro_sample(msg)


def run_on_rows(
    program: Program,
    messenger: RowMessenger,
    rows: int,
    inputs: Mapping[str, Any],
    *,
    opens_units: bool,
) -> Any:
    """Run ``program`` once on ``rows`` rows under ``messenger``, apart from all other handlers.

    Args:
        program: The program.
        messenger: What gives the sites their values.
        rows: How many rows.
        inputs: The program's arguments, rows first.
        opens_units: Whether the program opens the plate itself, with ``pc.units()``.

    Raises:
        NotVectorized: The program asks for the truth of several rows at once.
    """
    with undisturbed(), messenger, in_units(UnitsPlate(rows), opens_units=opens_units):
        try:
            return program(**inputs)
        except (RuntimeError, ValueError, TypeError, IndexError) as error:
            explained = _explained(error, messenger.last)
            if explained is not None:
                raise explained from error
            if type(error) in (RuntimeError, IndexError) and not hasattr(error, "__notes__"):
                error.add_note(
                    f"The program ran on {rows} rows at once, a scalar site having the shape "
                    f"({rows},), and failed at {messenger.last!r} or after it."
                )
            raise


_ONE_NUMBER = (
    "Boolean value of Tensor",
    "cannot be converted to Scalar",
    "only one element tensors can be converted",
    "only integer tensors of a single element can be converted",
)


def _explained(error: Exception, last: str) -> Exception | None:
    text = str(error)
    if any(part in text for part in _ONE_NUMBER):
        return NotVectorized(
            last,
            "after it the program asks for one number or one truth value of a whole batch "
            "(an `if` or `.item()` on a site's value). Write torch.where instead.",
        )
    if "to satisfy the constraint" in text:
        return ValueError(
            f"A distribution that the program makes after {last!r} has impossible parameters: "
            f"{text.splitlines()[0]} An intervention may have set a variable to what it never is."
        )
    if f"Shape mismatch inside plate('{UNITS}')" in text:
        return NotVectorized(
            text.partition(" at site ")[2].partition(" dim ")[0],
            "its distribution has a batch of its own at dim -1, where the units are. A program "
            "describes one unit: leave the batch out, or make it a vector with .to_event(1).",
        )
    if "collide at dim=-1" in text or f"duplicate plate '{UNITS}'" in text:
        return ValueError(
            "The program opens a plate over its units (dim=-1, or one called 'units'), but a "
            "program describes one unit and the query opens that plate. Leave the plate out, "
            "or open it with pc.units() when sites outside it are shared by all units."
        )
    return None


@contextmanager
def in_units(plate: Any, *, opens_units: bool) -> Iterator[None]:
    """Open a units plate, or leave that to ``pc.units()`` in the program."""
    token = current_units.set(plate if opens_units else None)
    try:
        with nullcontext() if opens_units else plate:
            yield
    finally:
        current_units.reset(token)


@contextmanager
def undisturbed() -> Iterator[None]:
    """Work apart from open handlers, on whole inner plates, without Pyro's validation."""
    with _alone(), _full_plates(), pyro.validation_enabled(False):
        yield


@contextmanager
def _alone() -> Iterator[None]:
    """Hide all handlers and plates that are open around the query."""
    handlers, plates = _PYRO_STACK[:], _DIM_ALLOCATOR._stack
    _PYRO_STACK[:], _DIM_ALLOCATOR._stack = [], []
    try:
        yield
    finally:
        _PYRO_STACK[:], _DIM_ALLOCATOR._stack = handlers, plates


@contextmanager
def _full_plates() -> Iterator[None]:
    """Run subsampling plates at full size: a query asks about the whole unit."""
    subsample = SubsampleMessenger._subsample

    def full(name: str, size: int | None = None, *args: Any, **kwargs: Any) -> Any:
        size, _, indices = subsample(name, size)
        return size, size, indices

    SubsampleMessenger._subsample = staticmethod(full)  # type: ignore[method-assign]
    try:
        yield
    finally:
        SubsampleMessenger._subsample = staticmethod(subsample)  # type: ignore[method-assign]
