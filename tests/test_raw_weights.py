"""Raw weights of every unit, whichever way served it and however many proposals it took."""

import pyro
import pyro.distributions as dist
import pytest
import torch

import pyrocausal as pc
from pyrocausal.inference import choosing
from pyrocausal.inference.raw_weights import RawWeights
from pyrocausal.inference.weighting import smooth


# x -> m -> y
def bent() -> None:
    x = pyro.sample("x", dist.Normal(0.0, 1.0))
    m = pyro.sample("m", dist.Normal(torch.tanh(2 * x), 0.3))
    pyro.sample("y", dist.Normal(torch.sin(2 * m) + 0.5 * m**2, 0.4))


@pytest.mark.filterwarnings("ignore::pyrocausal.errors.UnreliableWarning")
def test_khat_and_effective_draws_of_each_unit_are_those_of_its_raw_weights(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Two of the six units count as served by the first proposals, and no chains are run.
    monkeypatch.setattr("pyrocausal.inference.inferred.EVEN", 1e-9)
    monkeypatch.setattr("pyrocausal.inference.inferred.RELIABLE", -1.0)
    monkeypatch.setattr(choosing, "UNITS", 0)
    monkeypatch.setattr(choosing, "_ROWS", 3 * choosing.PROPOSALS)  # three units at a time
    scm = pc.SCM(bent)
    y = scm.sample(6, seed=0)["y"]
    quality = scm.abduct({"y": y}, num_draws=10, seed=1).quality
    assert quality is not None
    weights = quality.weights["x", "m"]
    many = choosing.MANY * choosing.PROPOSALS
    assert set(weights.counts.tolist()) == {choosing.PROPOSALS, many}
    table = weights.to_tensor()
    assert table.shape == (many, 6)
    for unit in range(6):
        raw = weights.of(unit)
        assert torch.equal(table[:, unit][~table[:, unit].isnan()], raw)
        smoothed = smooth(raw[:, None])
        torch.testing.assert_close(smoothed.khat[0], quality.khat[unit], rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(smoothed.ess[0], quality.ess[unit], rtol=1e-4, atol=1e-4)


def test_exact_draws_have_no_weights() -> None:
    @pc.scm
    def line() -> None:
        x = pyro.sample("x", dist.Normal(0.0, 1.0))
        pyro.sample("y", dist.Normal(x, 1.0))

    quality = line.abduct({"y": [0.0, 1.0]}, seed=0).quality
    assert quality is not None
    assert quality.weights == {}


def test_raw_weights_say_what_they_are_and_refuse_a_unit_there_is_not() -> None:
    weights = RawWeights(3, ((torch.tensor([0, 2]), torch.zeros(4, 2)),))
    assert repr(weights) == "raw weights of 2 of 3 units, 4 proposals each"
    assert weights.of(1).shape == (0,)
    with pytest.raises(IndexError):
        weights.of(3)
