"""Networks in lower precision: what is rounded, what is not, and that no graph mixes them up."""

from typing import Any

import pyro
import pyro.distributions as dist
import pytest
import torch
from torch import Tensor, nn

import pyrocausal as pc
from pyrocausal.engine.replaying import _Graph


def _rounded(tensor: Tensor) -> Tensor:
    return tensor.to(torch.bfloat16).to(torch.float32)


def test_bfloat16_rounds_the_factors_of_layers_and_nothing_else() -> None:
    torch.manual_seed(0)
    layer, x = nn.Linear(64, 1, bias=False), torch.randn(5, 64)
    exact = _rounded(x).double() @ _rounded(layer.weight).double().T
    with pc.precision("bfloat16"):
        found, product, root = layer(x), x @ layer.weight.T, torch.linalg.cholesky(x @ x.T)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found.double(), exact, rtol=2**-8, atol=1e-6)
    assert not torch.equal(found, layer(x))
    torch.testing.assert_close(product, layer(x))
    torch.testing.assert_close(root, torch.linalg.cholesky(x @ x.T), rtol=0, atol=0)


@pytest.mark.parametrize(
    "layer", [nn.Conv2d(2, 3, 3), nn.ConvTranspose1d(2, 3, 3), nn.MultiheadAttention(4, 2)]
)
def test_convolutions_and_attention_are_rounded(layer: nn.Module) -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 2, 4, 4) if isinstance(layer, nn.Conv2d) else torch.randn(2, 2, 4)
    arguments = (x, x, x) if isinstance(layer, nn.MultiheadAttention) else (x,)
    plain: Any = layer(*arguments)
    with pc.precision("bfloat16"):
        rounded: Any = layer(*arguments)
    if isinstance(plain, tuple):
        plain, rounded = plain[0], rounded[0]
    assert rounded.dtype == torch.float32
    assert 0 < (plain - rounded).abs().max() < 0.05


def test_doubles_stay_as_they_are() -> None:
    layer, x = nn.Linear(3, 1).double(), torch.randn(2, 3, dtype=torch.float64)
    with pc.precision("bfloat16"):
        assert torch.equal(layer(x), layer(x).double())
        within = layer(x)
    assert torch.equal(within, layer(x))


def test_blocks_nest_and_end_even_by_an_error() -> None:
    layer, x = nn.Linear(3, 1), torch.randn(2, 3)
    with pc.precision("bfloat16"), pc.precision("float32"):
        inner = layer(x)
    assert torch.equal(inner, layer(x))
    before = torch.get_float32_matmul_precision()
    with pc.precision("tf32"):
        assert torch.get_float32_matmul_precision() == "high"
    with pytest.raises(RuntimeError, match="shapes"), pc.precision("tf32"):
        layer(x.T)
    assert torch.get_float32_matmul_precision() == before


def test_another_name_is_refused_with_the_names_there_are() -> None:
    with pytest.raises(ValueError, match="got 'float16'; expected one of float32, tf32, bfloat16"):
        pc.precision("float16").__enter__()  # type: ignore[arg-type]


def _network() -> pc.SCM:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(1, 32), nn.Tanh(), nn.Linear(32, 1))

    def program() -> None:
        pyro.module("net", net)
        x = pyro.sample("x", dist.Normal(0.0, 1.0))
        pyro.sample("y", dist.Normal(net(x.unsqueeze(-1)).squeeze(-1), 0.1))

    return pc.SCM(program)


def test_questions_of_two_precisions_are_not_mixed_up() -> None:
    scm = _network()
    scm._core.replays.patience = 0.0
    unit = dict(scm.sample(50, seed=0))
    answers = []
    for name in ("float32", "bfloat16") * 2:
        with pc.precision(name):
            answers.append(scm.counterfactual(unit, {"x": 0.3}, seed=0)["y"])
    assert sum(isinstance(known, _Graph) for known in scm._core.replays._known.values()) >= 2
    torch.testing.assert_close(answers[2], answers[0])
    torch.testing.assert_close(answers[3], answers[1])
    assert (answers[0] - answers[1]).abs().max() > 1e-4


@pytest.mark.slow
def test_a_compiled_fit_in_bfloat16_is_the_eager_one() -> None:
    x = torch.linspace(-2, 2, 200)
    data = {"x": x, "y": torch.sin(x)}
    losses = []
    for compile in (False, True):
        with pc.precision("bfloat16"):
            report = _network().fit(data, steps=30, lr=0.01, compile=compile, seed=0)
        losses.append(report.losses)
    torch.testing.assert_close(losses[1], losses[0], rtol=0.02, atol=0.02)
    assert losses[0][-1] < losses[0][0] - 1
    plain = _network().fit(data, steps=30, lr=0.01, compile=False, seed=0)
    assert not torch.equal(plain.losses, losses[0])
