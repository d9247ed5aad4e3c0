"""A clean slate for each test, and a guard that fails the test that leaves a mess behind."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import pyro
import pytest
import torch
from pretend_device import pretend_device, registered
from pyro.poutine import runtime
from torch import Tensor

# Small tensors: threads cost more than they give, and parallel test workers fight for the cores.
torch.set_num_threads(1)
# Autograd counts the devices at the first backward pass of the process, so this comes before it.
if not torch.cuda.is_available():
    registered()
# An assertion in these helpers shows what it compared, as one in a test file does.
pytest.register_assert_rewrite("discrete_families", "estimates", "refusals")


def set_handlers(handlers: tuple[Any, ...]) -> None:
    """Make ``handlers`` the handlers that are active."""
    runtime._PYRO_STACK[:] = handlers


GLOBALS: Final[dict[str, tuple[Callable[[], Any], Callable[[Any], object]]]] = {
    "Pyro's handler stack": (lambda: tuple(runtime._PYRO_STACK), set_handlers),
    "Pyro's settings": (pyro.settings.get, lambda settings: pyro.settings.set(**settings)),
    "torch's default dtype": (torch.get_default_dtype, torch.set_default_dtype),
    "torch's default device": (torch.get_default_device, torch.set_default_device),
    "torch's gradient mode": (torch.is_grad_enabled, torch.set_grad_enabled),
}
"""Global state that no test may leave changed: how it is read, and how it is set."""


@pytest.fixture(autouse=True)
def clean_slate() -> Iterator[None]:
    """Start with a seed and an empty parameter store; end with the global state as it was."""
    pyro.clear_param_store()
    pyro.set_rng_seed(0)
    before = {name: read() for name, (read, _) in GLOBALS.items()}
    yield
    after = {name: read() for name, (read, _) in GLOBALS.items()}
    left = {name: after[name] for name, value in before.items() if after[name] != value}
    for name in left:
        # Put back, so that the mess fails this test alone.
        _, restore = GLOBALS[name]
        restore(before[name])
    pyro.clear_param_store()
    if left:
        pytest.fail(f"The test left {left}. Use a context manager, or `monkeypatch`, to undo it.")


@pytest.fixture
def device(request: pytest.FixtureRequest) -> Iterator[torch.device]:
    """A device that is not the CPU: a pretended one, or where a test asks for it, CUDA's."""
    cuda = torch.cuda.is_available()
    if getattr(request, "param", "pretend") == "cuda":
        if not cuda:
            pytest.skip("torch sees no CUDA device")
        yield torch.device("cuda", torch.cuda.current_device())
        return
    if cuda:
        # Torch knows one accelerator in a process, whose random generators it looks after.
        pytest.skip("there is a CUDA device, which needs no stand-in")
    with pretend_device() as pretended:
        yield pretended


@pytest.fixture
def no_window() -> Iterator[None]:
    """Draw into memory, and close what was drawn."""
    import matplotlib as mpl
    from matplotlib import pyplot as plt

    before = mpl.get_backend()
    plt.switch_backend("agg")
    yield
    plt.close("all")
    plt.switch_backend(before)


Answer = Mapping[Any, Tensor]


@pytest.fixture
def check_same(device: torch.device) -> Callable[[Callable[[torch.device], Answer]], None]:
    """Check that an answer from the device is there, and equals the one from the CPU."""
    tolerance = 1e-4 if device.type == "cuda" else 1e-5

    def check(ask: Callable[[torch.device], Answer]) -> None:
        found, expected = ask(device), ask(torch.device("cpu"))
        assert {
            name: value.device for name, value in found.items() if value.device != device
        } == {}
        torch.testing.assert_close(
            {name: value.detach().cpu() for name, value in found.items()},
            {name: value.detach() for name, value in expected.items()},
            rtol=tolerance,
            atol=tolerance,
            equal_nan=True,
        )

    return check
