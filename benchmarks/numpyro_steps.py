"""The chain in NumPyro, run by the Python of an environment of its own; prints two times."""

import sys
from itertools import pairwise
from statistics import median
from time import process_time
from typing import Any

import jax
import jax.numpy as jnp
import numpyro
import numpyro.distributions as dist
from jax import lax, random
from numpyro.infer import SVI, Trace_ELBO

SITES, UNITS, BATCH = 10, 4096, 256
LATENT = ("x0", "x5")
HIDDEN = int(sys.argv[1])
OBSERVED = [f"x{i}" for i in range(SITES) if f"x{i}" not in LATENT]


def net(name: str, inputs: int, outputs: int, x: Any) -> Any:
    """Apply a network with parameters of its own."""
    sizes = [inputs, HIDDEN, outputs] if HIDDEN else [inputs, outputs]
    for layer, (a, b) in enumerate(pairwise(sizes)):
        key = random.PRNGKey(layer)
        weight = numpyro.param(f"{name}.w{layer}", random.normal(key, (a, b)) / a**0.5)
        x = (jnp.tanh(x) if layer else x) @ weight + numpyro.param(
            f"{name}.b{layer}", jnp.zeros(b)
        )
    return x


def model(batch: Any) -> None:
    """The chain."""
    with numpyro.plate("units", UNITS, subsample_size=BATCH):
        x = numpyro.sample("x0", dist.Normal(0.0, 1.0), obs=batch.get("x0"))
        for i in range(1, SITES):
            scale = numpyro.param(f"s{i}", 1.0, constraint=dist.constraints.positive)
            loc = net(f"n{i}", 1, 1, x[:, None])[:, 0]
            x = numpyro.sample(f"x{i}", dist.Normal(loc, scale), obs=batch.get(f"x{i}"))


def guide(batch: Any) -> None:
    """The amortized guide."""
    h = net("encoder", len(OBSERVED), 4, jnp.stack([batch[name] for name in OBSERVED], -1))
    with numpyro.plate("units", UNITS, subsample_size=BATCH):
        for i, name in enumerate(LATENT):
            numpyro.sample(name, dist.Normal(h[:, 2 * i], jnp.exp(h[:, 2 * i + 1])))


def timed(job: Any, calls: int) -> float:
    """Return the median time of a call in microseconds."""
    jax.block_until_ready(job())
    times = []
    for _ in range(15):
        start = process_time()
        for _ in range(calls):
            result = job()
        jax.block_until_ready(result)
        times.append((process_time() - start) / calls)
    return 1e6 * median(times)


def main() -> None:
    """Print the time of a jitted update, and of a step under ``lax.scan``."""
    svi = SVI(model, guide, numpyro.optim.Adam(0.001), Trace_ELBO())
    data = {name: random.normal(random.PRNGKey(i), (UNITS,)) for i, name in enumerate(OBSERVED)}
    first = svi.init(random.PRNGKey(0), {name: values[:BATCH] for name, values in data.items()})

    def step(state: Any, rows: Any) -> Any:
        return svi.update(state, {name: values[rows] for name, values in data.items()})

    one = jax.jit(step)
    many = jax.jit(lambda state, rows: lax.scan(step, state, rows))
    rows = random.randint(random.PRNGKey(1), (100, BATCH), 0, UNITS)
    state = first

    def single() -> Any:
        nonlocal state
        state, loss = one(state, rows[0])
        return loss

    print(timed(single, 100), timed(lambda: many(first, rows), 3) / 100)


main()
