"""From a function of tensors to one pure graph that is checked, guarded and replayed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pyro
import torch
from torch import Tensor
from torch.utils._pytree import TreeSpec, tree_flatten, tree_unflatten

from pyrocausal.capture.checking import check_equal, compiled_tolerance
from pyrocausal.capture.locating import line_of_error, line_that_changes
from pyrocausal.capture.lowering import lower
from pyrocausal.capture.simplifying import simplified
from pyrocausal.capture.tracing import Graph, trace
from pyrocausal.capture.traps import python_generators
from pyrocausal.capture.watching import Watch
from pyrocausal.errors import NotCapturable

__all__ = ["Captured", "capture"]

Function = Callable[..., Any]


def capture(
    function: Function,
    example: Sequence[Tensor],
    *,
    another: Sequence[Tensor] | None = None,
    watch: Sequence[Any] = (),
) -> Captured:
    """Turn a function of tensors into one graph of tensor operations.

    The function is run and traced at two points and its graphs compared; then the graph is
    replayed beside the function. Random numbers come from torch's global generator, in the order
    of the function. What is reached without being an argument (parameters, buffers, tensors in
    closures) is read anew at each replay, by identity, and buffers are written to. Nothing that
    is reached is changed by the capture, and no global generator of torch moves.

    Args:
        function: Takes tensors and returns tensors, in nested tuples, lists or dicts. May
            differentiate inside; no gradient flows through a replay.
        example: Arguments, of the shapes, dtypes and devices that all later ones have.
        another: Other arguments of the same kind; another point makes the comparison sharper.
        watch: The programs (or what holds them) on whose Python state the function depends,
            beside its own closure. Pyro parameters are watched by themselves.

    Returns:
        What replays the function: ``captured(*tensors)``.

    Raises:
        NotCapturable: The graph would not do what the function does; with reason and line.

    Example:
        >>> rate = torch.tensor(2.0)
        >>> captured = capture(lambda x: rate * x.exp(), [torch.zeros(3)])
        >>> captured(torch.tensor([0.0, 0.0, 1.0]))
        tensor([2.0000, 2.0000, 5.4366])
        >>> _ = rate.fill_(1.0)
        >>> captured(torch.zeros(3))
        tensor([1., 1., 1.])
        >>> capture(lambda x: x[x > 0], [torch.ones(3)])
        Traceback (most recent call last):
            ...
        pyrocausal.errors.NotCapturable: The program selects by a boolean mask...
    """
    other = list(example if another is None else another)
    points = (list(example), other)
    with torch.random.fork_rng(), pyro.validation_enabled(False):
        with _watching(function, watch).values_kept():
            function(*other)  # what is made lazily is made now
        watching = _watching(function, watch)
        with watching.values_kept():
            return _captured(function, points, watching)


class Captured:
    """A function as a graph; made by ``capture``.

    Attributes:
        graph: Takes the arguments, then ``state``; returns the leaves of the result.
        plain: The same with its constants left where they are, for a compiler.
        state: What the function reaches without being an argument, by identity.
        compiled: Whether the graph runs as compiled code.
    """

    def __init__(
        self, traced: Graph, spec: TreeSpec, example: Sequence[Tensor], watching: Watch
    ) -> None:
        self.plain = simplified(traced.module, fold=False)
        self.graph = simplified(traced.module)
        self.state = traced.state
        self._traced = traced
        self.compiled = False
        self._run: Callable[..., Any] = self.graph.forward
        self._spec, self._watch = spec, watching
        self._example = list(example)
        self._kind = _kind(example)
        self._names = _names_in_store(self.state)
        tensors = list({id(t): t for t in (*watching.tensors.values(), *self.state)}.values())
        self._reached = [(tensor, _layout(tensor)) for tensor in tensors]

    def __call__(self, *tensors: Tensor) -> Any:
        """Replay the graph.

        Raises:
            ValueError: Other shapes, dtypes or devices than those of the example.
        """
        if _kind(tensors) != self._kind:
            raise ValueError(
                f"This graph was captured for {self._kind}; got {_kind(tensors)}. Capture another."
            )
        with torch.no_grad():
            return tree_unflatten(list(self._run(*tensors, *self.state)), self._spec)

    @property
    def nodes(self) -> int:
        """The number of operations."""
        return len(self.graph.graph.nodes)

    def accepts(self, *tensors: Tensor) -> bool:
        """Say whether tensors have the shapes, dtypes and devices of the example."""
        return _kind(tensors) == self._kind

    def stale(self) -> str | None:
        """Name something in reach that has changed, so that the graph must be dropped.

        To be asked inside the same scope of Pyro's parameter store.
        """
        store = pyro.get_param_store()._params
        for name, tensor in self._names.items():
            if store.get(name) is not tensor:
                return f"the parameter {name!r}"
        for tensor, layout in self._reached:
            if _layout(tensor) != layout:
                return f"a tensor of shape {tuple(layout[0])}, which is {tuple(tensor.shape)} now"
        return self._watch.difference()

    def let_go(self) -> None:
        """Forget the example, which may be large; to compile, another one is needed then."""
        self._example = []

    def compile(self, *, small: bool = False, example: Sequence[Tensor] | None = None) -> None:
        """Compile the graph, and check it against the graph as it stands.

        Args:
            small: Compile faster to slower code.
            example: Arguments; those of the capture by default.

        Raises:
            NotCapturable: It changed the result.
            RuntimeError: There is no working compiler here.
        """
        point = self._example if example is None else list(example)
        plain, compiled = self._run, lower(self.plain, [*point, *self.state], small=small)
        for seed in (0, 1):
            self._run = plain
            expected, generator = self._tried(self, point, seed)
            self._run = compiled
            found, other = self._tried(self, point, seed)
            self._run = plain
            check_equal(
                expected, found, compiled_tolerance(), "The compiled graph gives another result"
            )
            if not torch.equal(generator, other):
                raise NotCapturable("The compiled graph draws other random numbers.")
        self._run, self.compiled = compiled, True

    def check(self, function: Function, point: Sequence[Tensor], seed: int) -> None:
        """Compare a replay with the function itself, and what each writes to the state.

        Args:
            function: What was captured.
            point: Its arguments.
            seed: The seed of both; one above zero moves the parameters a little.

        Raises:
            NotCapturable: They differ.
        """
        expected, generator = self._tried(function, point, seed)
        found, other = self._tried(self, point, seed)
        check_equal(expected, found, 1e-5, "A replay gives another result than the program")
        if not torch.equal(generator, other):
            raise NotCapturable("A replay draws other random numbers than the program does.")

    def check_again(self, function: Function, point: Sequence[Tensor]) -> None:
        """Trace the function once more, and compare.

        Raises:
            NotCapturable: It does other things now.
        """
        with torch.random.fork_rng(), pyro.validation_enabled(False):
            again = _traced(function, list(point), 0, self._watch)
        self._traced.compare(again, self._watch.tensors)
        _check_python(lambda: function(*point), self._watch, python_generators())

    def _tried(
        self, run: Function, point: Sequence[Tensor], seed: int
    ) -> tuple[list[Tensor], Tensor]:
        with torch.random.fork_rng(), self._watch.values_kept():
            _prepare(self._watch, seed)
            results = tree_flatten(run(*point))[0]
            return [t.detach().clone() for t in (*results, *self.state)], torch.get_rng_state()


def _captured(function: Function, points: tuple[list[Tensor], ...], watching: Watch) -> Captured:
    generators = python_generators()
    if watching.hidden:
        raise NotCapturable(f"The program reaches {watching.hidden[0]}, which can't be watched.")
    with watching.values_kept():
        spec = tree_flatten(function(*points[0]))[1]
    traces = [_traced(function, point, seed, watching) for seed, point in enumerate(points)]
    _check_python(lambda: function(*points[0]), watching, generators)
    traces[0].compare(traces[1], watching.tensors)
    captured = Captured(traces[0].lifted(watching.tensors), spec, points[0], watching)
    for seed, point in enumerate(points):
        captured.check(function, point, seed)
    _check_python(lambda: function(*points[0]), watching, generators)
    return captured


def _watching(function: Function, watch: Sequence[Any]) -> Watch:
    # The library's own functions have nothing to watch, but hold data, which a graph should not keep.
    own = function.__module__.startswith(("pyrocausal.fitting", "pyrocausal.engine"))
    return Watch(*(() if own else (function,)), *watch, dict(pyro.get_param_store()._params))


def _prepare(watching: Watch, seed: int) -> None:
    """Go to the point of a seed; other ones than zero have other parameters too."""
    torch.manual_seed(seed)
    if seed:
        with torch.no_grad():
            for tensor in watching.tensors.values():
                if tensor.is_leaf and tensor.requires_grad:
                    tensor.mul_(1 + 0.01 * torch.rand_like(tensor)).add_(0.01)
        torch.manual_seed(seed)


def _traced(function: Function, point: list[Tensor], seed: int, watching: Watch) -> Graph:
    with watching.values_kept():
        _prepare(watching, seed)
        try:
            return trace(lambda *tensors: tree_flatten(function(*tensors))[0], point)
        except NotCapturable:
            raise
        except Exception as error:
            first = (str(error) or type(error).__name__).splitlines()[0]
            raise NotCapturable(f"The trace failed: {first}", line_of_error(error)) from error


def _check_python(run: Callable[[], Any], watching: Watch, generators: Any) -> None:
    if python_generators() != generators:
        raise NotCapturable(
            "The program draws from the generator of Python or NumPy, which a graph can't do: the "
            "numbers would stay as they are. Draw with torch.",
            line_that_changes(run, python_generators),
        )
    changed = watching.difference()
    if changed is not None:
        again = Watch(*watching.roots)
        raise NotCapturable(
            f"The program changes {changed} when it runs, which a graph can't do. Pass it as a "
            "tensor that is changed in place, or keep the program free of side effects.",
            line_that_changes(run, again.difference),
        )


def _layout(tensor: Tensor) -> tuple[Any, ...]:
    return tensor.shape, tensor.stride(), tensor.dtype, tensor.device


def _kind(tensors: Sequence[Tensor]) -> list[tuple[Any, ...]]:
    return [(tensor.shape, tensor.dtype, tensor.device) for tensor in tensors]


def _names_in_store(state: Sequence[Tensor]) -> dict[str, Tensor]:
    ids = {id(tensor) for tensor in state}
    return {n: t for n, t in pyro.get_param_store()._params.items() if id(t) in ids}
