"""A clean slate for each test, and a guard that fails the test that leaves a mess behind."""

from collections.abc import Callable, Iterator
from typing import Any, Final

import pyro
import pytest
import torch
from pyro.poutine import runtime

# Small tensors: threads cost more than they give, and parallel test workers fight for the cores.
torch.set_num_threads(1)


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
