"""What the examples in docstrings may use, and the clean slate each of them starts from."""

import os
import sys
from collections.abc import Iterator

import pyro
import pyro.distributions as dist
import pytest
import torch

import pyrocausal as pc
from pyrocausal.datasets.files import VARIABLE

# Small tensors: threads cost more than they give, and parallel test workers fight for the cores.
torch.set_num_threads(1)

NEED_DATA = tuple(f"pyrocausal.datasets.{name}" for name in ("discovery", "effects", "images"))


@pytest.fixture(autouse=True)
def clean_slate(
    request: pytest.FixtureRequest, doctest_namespace: dict[str, object]
) -> Iterator[None]:
    """Give an example its names, a seed, and an empty parameter store."""
    if request.node.name.startswith(NEED_DATA) and VARIABLE not in os.environ:
        pytest.skip(f"{VARIABLE} is not set: the data set isn't shipped.")
    doctest_namespace.update(torch=torch, pyro=pyro, dist=dist, pc=pc)
    pyro.clear_param_store()
    pyro.set_rng_seed(0)
    yield
    pyro.clear_param_store()
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")
