"""Steps of a fit as one graph: loss, gradient and optimizer, replayed or compiled."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from pyrocausal.capture.capturing import Captured, capture
from pyrocausal.capture.checking import check_equal, compiled_tolerance
from pyrocausal.capture.deciding import TOGETHER
from pyrocausal.capture.flat import Flat, adam, adam_coefficients
from pyrocausal.capture.lowering import lower
from pyrocausal.errors import NotCapturable
from pyrocausal.fitting.stepping import Loss

__all__ = ["Differentiated", "FlatSteps", "StepGraph", "capture_loss"]


class StepGraph:
    """The graph of a loss and its gradient, with the compiled steps that were made of it.

    Args:
        captured: Takes rows and data; returns the loss and the gradient of each parameter.
        parameters: The parameters.
    """

    def __init__(self, captured: Captured, parameters: Sequence[Tensor]) -> None:
        self.captured, self.parameters = captured, parameters
        place = {id(p): i for i, p in enumerate(parameters)}
        self.places = [place.get(id(tensor)) for tensor in captured.state]
        self.compiled: dict[tuple[int, bool], Callable[..., Any]] = {}

    def stale(self) -> str | None:
        """Name something in the program's reach that has changed."""
        return self.captured.stale()

    def check_again(self, loss: Loss, rows: Tensor) -> None:
        """Trace the loss once more, and compare.

        Raises:
            NotCapturable: The program does other things now.
        """
        self.captured.check_again(differentiated(loss, self.parameters), [rows, *loss.data])

    @property
    def rest(self) -> list[Tensor]:
        """The state that is no parameter: buffers, and tensors that the program reaches."""
        pairs = zip(self.captured.state, self.places, strict=True)
        return [tensor for tensor, place in pairs if place is None]

    def loss_and_gradient(
        self,
        parts: Sequence[Tensor],
        rows: Tensor,
        data: Sequence[Tensor],
        rest: Sequence[Tensor],
        *,
        plain: bool,
    ) -> tuple[Tensor, Tensor]:
        """Evaluate the graph, or its plain form, at other parameters; the gradient is a vector."""
        others = iter(rest)
        state = [next(others) if place is None else parts[place] for place in self.places]
        graph = self.captured.plain if plain else self.captured.graph
        loss, *gradients = graph(rows, *data, *state)
        return loss, torch.cat([gradient.reshape(-1) for gradient in gradients])


def capture_loss(loss: Loss, parameters: Sequence[Tensor], watch: Sequence[Any]) -> StepGraph:
    """Capture a loss and its gradient.

    Args:
        loss: What is minimized.
        parameters: What it is differentiated by.
        watch: Program and guide.

    Raises:
        NotCapturable: A graph would not do what the program does.
    """
    hooked = [p for p in parameters if p._backward_hooks or p._post_accumulate_grad_hooks]
    if hooked:
        raise NotCapturable("A parameter has a hook, which a graph would not call.")
    function = differentiated(loss, parameters)
    first, last = loss.train[: loss.size], loss.train[len(loss.train) - loss.size :].flip(0)
    # All units at once, in another order: what is baked in shows there too.
    data = [_reversed(tensor, loss) for tensor in loss.data] if loss.whole else loss.data
    captured = capture(function, [first, *loss.data], another=[last, *data], watch=watch)
    captured.let_go()
    return StepGraph(captured, parameters)


def differentiated(loss: Loss, parameters: Sequence[Tensor]) -> Callable[..., list[Tensor]]:
    """Return the function from rows and data to the loss and the gradient of each parameter."""

    def function(rows: Tensor, *data: Tensor) -> list[Tensor]:
        with torch.enable_grad():
            value, gradient = loss(rows, *data)
        found = torch.autograd.grad(gradient, parameters, allow_unused=True)
        pairs = zip(found, parameters, strict=True)
        return [value, *(torch.zeros_like(p) if g is None else g for g, p in pairs)]

    return function


class FlatSteps:
    """Steps of Adam on the vector of all parameters.

    Args:
        graph: Loss and gradient.
        flat: The parameters.
        loss: What is minimized.
        optimizer: The Adam whose place is taken, and given back.
    """

    def __init__(
        self, graph: StepGraph, flat: Flat, loss: Loss, optimizer: torch.optim.Optimizer
    ) -> None:
        self.graph, self.flat, self.loss, self.optimizer = graph, flat, loss, optimizer
        self.rate = optimizer.defaults["lr"]
        self.done = flat.read_moments(optimizer)
        self.stride, self.path = 1, "replayed"
        self._runs: dict[int, Callable[..., Any]] = {}
        self._rest = graph.rest
        self._state = (flat.vector, *flat.moments)
        self._others = (*loss.data, *self._rest)
        self._coefficients = torch.zeros(TOGETHER, 2, dtype=torch.float64, device="cpu")
        self._numbers = self._coefficients.numpy()  # the same memory, written to in no time
        self._far = flat.vector.device.type != "cpu"
        memory = flat.vector.untyped_storage().data_ptr()
        if any(tensor.untyped_storage().data_ptr() == memory for tensor in self._rest):
            raise NotCapturable("The program keeps a tensor that shares memory with a parameter.")

    def take(self, rows: Sequence[Tensor], fractions: Sequence[float]) -> list[Tensor]:
        """Take steps; see ``Eager.take``."""
        number = len(rows)
        coefficients = self._coefficients[:number]
        for i, fraction in enumerate(fractions):
            self._numbers[i] = adam_coefficients(self.rate * fraction, self.done + i + 1)
        if self._far:
            coefficients = coefficients.to(self.flat.vector.device)
        run = self._runs.get(number) or partial(self._steps, number)
        with torch.no_grad():
            losses: list[Tensor] = run(*self._state, coefficients, *rows, *self._others)
        self.done += number
        return losses

    def compile(self, stride: int, *, small: bool) -> None:
        """Compile some steps in one, and check them against the graph as it stands.

        Raises:
            NotCapturable: They come out otherwise.
            RuntimeError: Compiling does not work here.
        """
        run = self.graph.compiled.get((stride, small))
        if run is None:
            plain = partial(self._steps, stride, plain=True)
            run = lower(plain, self._example(stride), small=small)
            for seed in (0, 1):
                expected, found = (
                    self._tried(way, stride, seed) for way in (partial(self._steps, stride), run)
                )
                check_equal(
                    expected, found, compiled_tolerance(), "The compiled steps give another result"
                )
            self.graph.compiled[stride, small] = run
        self._runs[stride] = run
        self.stride, self.path = stride, "compiled"

    def state(self) -> list[Tensor]:
        """Return a copy of all that steps change."""
        return [tensor.clone() for tensor in (*self._state, *self._rest)]

    def put_back(self, state: Sequence[Tensor], done: int) -> None:
        """Go back to an earlier state."""
        for tensor, value in zip((*self._state, *self._rest), state, strict=True):
            tensor.copy_(value)
        self.done = done

    def hand_over(self) -> None:
        """Hand a copy of the moments to the optimizer."""
        self.flat.write_moments(self.optimizer, self.done)

    def finish(self) -> None:
        """Let the parameters go, and hand the moments to the optimizer."""
        self.hand_over()
        self.flat.let_go()

    def _steps(
        self,
        number: int,
        theta: Tensor,
        first: Tensor,
        second: Tensor,
        coefficients: Tensor,
        *others: Tensor,
        plain: bool = False,
    ) -> list[Tensor]:
        """Take steps as one function of tensors, which writes to the first three."""
        end = number + len(self.loss.data)
        rows, data, rest = others[:number], others[number:end], others[end:]
        state, losses = (theta, first, second), []
        for pair, batch in zip(coefficients.unbind(0), rows, strict=True):
            parts = self.flat.parts(state[0])
            loss, gradient = self.graph.loss_and_gradient(parts, batch, data, rest, plain=plain)
            state = adam(*state, gradient, pair)
            losses.append(loss)
        for old, new in zip((theta, first, second), state, strict=True):
            old.copy_(new)
        return losses

    def _example(self, stride: int) -> list[Tensor]:
        vector = self.flat.vector
        # With a second moment of one the step is in proportion to the gradient, not its sign.
        state = [vector.clone(), torch.zeros_like(vector), torch.ones_like(vector)]
        pairs = torch.tensor([[1e-3, 1.0]] * stride, dtype=torch.float64, device=vector.device)
        train, size = self.loss.train, self.loss.size
        rows = [train.roll(-i)[:size].contiguous() for i in range(stride)]
        return [*state, pairs, *rows, *self.loss.data, *(t.clone() for t in self._rest)]

    def _tried(self, run: Callable[..., Any], stride: int, seed: int) -> list[Tensor]:
        with torch.no_grad(), torch.random.fork_rng():
            torch.manual_seed(seed)
            arguments = self._example(stride)
            losses = run(*arguments)
            moved = arguments[0] - self.flat.vector
            rest = arguments[len(arguments) - len(self._rest) :]
            return [*losses, moved, *arguments[1:3], *rest, torch.get_rng_state()]


class Differentiated:
    """Steps of any optimizer, with gradients from the graph.

    Args:
        graph: Loss and gradient.
        loss: What is minimized.
        optimizer: What moves the parameters.
        rates: Its learning rates at first, one for each group.
    """

    stride = 1
    done = 0

    def __init__(
        self,
        graph: StepGraph,
        loss: Loss,
        optimizer: torch.optim.Optimizer,
        rates: Sequence[float],
    ) -> None:
        self.graph, self.loss, self.optimizer, self.rates = graph, loss, optimizer, rates
        self.path = "replayed"

    def take(self, rows: Sequence[Tensor], fractions: Sequence[float]) -> list[Tensor]:
        """Take steps; see ``Eager.take``."""
        return [self._step(*pair) for pair in zip(rows, fractions, strict=True)]

    def compile(self, stride: int, *, small: bool) -> None:
        """Compile loss and gradient; the steps are the optimizer's, one at a time."""
        if not self.graph.captured.compiled:
            example = [self.loss.train[: self.loss.size], *self.loss.data]
            self.graph.captured.compile(small=small, example=example)
        self.path = "compiled"

    def state(self) -> list[Tensor]:
        """Return a copy of the parameters; the optimizer keeps what it has."""
        return [p.detach().clone() for p in self.graph.parameters]

    def put_back(self, state: Sequence[Tensor], done: int) -> None:
        """Go back to earlier parameters."""
        with torch.no_grad():
            for p, value in zip(self.graph.parameters, state, strict=True):
                p.copy_(value)

    def hand_over(self) -> None:
        """Do nothing: the optimizer's state is its own."""

    def finish(self) -> None:
        """Do nothing: the optimizer goes on as it is."""

    def _step(self, rows: Tensor, fraction: float) -> Tensor:
        for group, rate in zip(self.optimizer.param_groups, self.rates, strict=True):
            group["lr"] = rate * fraction
        loss, *gradients = self.graph.captured(rows, *self.loss.data)
        for p, gradient in zip(self.graph.parameters, gradients, strict=True):
            p.grad = gradient
        value = self.loss.joined(loss, self.optimizer)
        self.optimizer.step()
        return value


def _reversed(tensor: Tensor, loss: Loss) -> Tensor:
    """Put the units of a tensor in reverse order; what all units share has no units."""
    number = len(loss.train)
    dims = [dim for dim, size in enumerate(tensor.shape) if size == number]
    return tensor.flip(dims) if dims else tensor
