# ---
# jupyter:
#   jupytext:
#     text_representation:
#       format_name: percent
# ---

# %% [markdown]
# # Speed: fits as compiled graphs
#
# Fitting a program means to take thousands of small steps. In each, Pyro runs your function in
# Python, watches every `pyro.sample`, adds up log-densities, and takes a gradient. For small
# models Python is nearly all of the time: the arithmetic of a step with a few hundred rows takes
# microseconds, the watching milliseconds.
#
# But each step does *the same operations*, on other numbers. So the operations can be written
# down once and then played without Python. This page shows what that gives, when it is done by
# itself, and what cannot be written down.
#
# ## A model with something to learn
#
# A network in a mechanism, a variable nobody saw (`taste`), and a guide that proposes it:

# %%
import time
import warnings

import pyro
import pyro.distributions as dist
import torch
from lesson import PALETTE, size
from matplotlib import pyplot

import pyrocausal as pc

# Most fits of this page are too short to converge: here it is their pace that matters.
warnings.simplefilter("ignore", pc.ConvergenceWarning)

# %%


def model_of(seed):
    """Return a new model, with a network of its own that starts from a seed."""
    torch.manual_seed(seed)
    net = torch.nn.Sequential(torch.nn.Linear(1, 16), torch.nn.Tanh(), torch.nn.Linear(16, 1))

    def program():
        pyro.module("net", net)
        price = pyro.sample("price", dist.Normal(0.0, 1.0))
        taste = pyro.sample("taste", dist.Normal(0.0, 1.0))
        visits = pyro.sample("visits", dist.Normal(net(price[:, None])[:, 0] + taste, 0.5))
        pyro.sample("spent", dist.Normal(visits - taste, 0.5))

    return pc.SCM(program, latent=["taste"])


def guide(batch):
    weight = pyro.param("weight", torch.tensor(0.0))
    scale = pyro.param("scale", torch.tensor(0.5), constraint=dist.constraints.positive)
    pyro.sample("taste", dist.Normal(weight * (batch["visits"] - batch["spent"]), scale))


_ = pc.plot.graph(model_of(0))

# %%
drawn = model_of(1).sample(1000, seed=0)
rows = {name: drawn[name] for name in ("price", "visits", "spent")}


def fit(compile, steps):
    """Fit a new model, and return it, the report and the seconds of processor it took."""
    fresh = model_of(0)
    start = time.process_time()
    report = fresh.fit(
        rows,
        guide,
        steps=steps,
        batch_size=128,
        validation=0.0,
        compile=compile,
        progress=False,
        seed=0,
    )
    return fresh, report, time.process_time() - start


# %% [markdown]
# ## The same fit twice
#
# `compile=False` runs the program as Pyro would. `compile=True` insists on the graph: program,
# guide, gradient and Adam's update become one piece of compiled code.

# %%
short, long = size(300, 100), size(6000, 2500)
plain, slow_report, slow = fit(False, short)
captured, fast_report, first = fit(True, short)
print(slow_report)
print()
print(fast_report)

# %% [markdown]
# The reports say which way was taken, `eager` or `compiled`. The losses are the same, since the
# graph does the same operations with the same random numbers:

# %%
gap = max(abs(a - b) for a, b in zip(slow_report.losses, fast_report.losses, strict=True))
print(f"largest difference between the losses of the two: {gap:.1e}")
effects = [
    float(pc.ate(model, "price", "spent", values=(1.0, 0.0), num_samples=2000, seed=0).value)
    for model in (plain, captured)
]
print(f"effect of the price, eager {effects[0]:.4f}, compiled {effects[1]:.4f}")

# %% tags=["remove-cell"]
assert slow_report.path == "eager"
assert fast_report.path == "compiled"
assert gap < 1e-2
assert abs(effects[0] - effects[1]) < 1e-2

# %% [markdown]
# ## What a step costs
#
# Capturing and compiling cost some seconds, once. What counts afterwards is the cost of a further
# step: the difference between a long fit and a short one, by the steps between them. (The first
# fit of each kind does not count; it loads things.)

# %%
_, _, slower = fit(False, short)
_, _, again = fit(True, short)
_, _, faster = fit(True, long)
eager_step = slower / short
compiled_step = max(faster - again, 1e-3) / (long - short)
print(f"eager {1e6 * eager_step:.0f} us a step, compiled {1e6 * compiled_step:.0f} us")
print(f"ratio {eager_step / compiled_step:.0f}; capturing and compiling {first:.1f} s at first")

# %%
steps = torch.linspace(0, 20_000, 50)
start = first - short * compiled_step
fig, ax = pyplot.subplots(figsize=(7, 3))
ax.plot(steps, steps * eager_step, color=PALETTE[0], label="eager")
ax.plot(steps, start + steps * compiled_step, color=PALETTE[1], label="compiled")
ax.set(xlabel="steps", ylabel="seconds of processor", title="Compiling pays after a while")
ax.set_ylim(bottom=0)
_ = ax.legend()

# %% tags=["remove-cell"]
assert eager_step > 1.5 * compiled_step  # some ten times on a quiet machine

# %% [markdown]
# The figures above are those of the machine that made this page, and of whatever else it was
# doing. On a quiet one a compiled step of such a model is ten or more times as quick as Pyro's;
# the repository's benchmarks have tables with ten variables and more, beside plain PyTorch and
# NumPyro.
#
# ## When it is done by itself
#
# The default is `compile="auto"`: the library times a few steps, and captures and compiles where
# the rest of the fit is long enough to earn it back. A short fit runs plainly, without a word:

# %%
_, default, _ = fit("auto", short)
print(default.path)

# %% tags=["remove-cell"]
assert default.path == "eager"

# %% [markdown]
# ## What cannot be written down
#
# A graph holds tensor operations. What Python does beside them would happen once, at the time of
# writing, and then never again: the fit would be *silently* another one. So the program is
# watched while it is captured, and such things are refused, by name and with the line.

# %%
counter = {"runs": 0}
mean = torch.zeros(())


def takes_a_number():
    centre = pyro.param("centre", mean.clone())
    pyro.sample("x", dist.Normal(centre, 1.0 + abs(centre.item())))


def changes_something():
    counter["runs"] += 1
    pyro.sample("x", dist.Normal(pyro.param("centre", mean.clone()), 1 + 1 / counter["runs"]))


def selects():
    x = pyro.sample("x", dist.Normal(pyro.param("centre", mean.clone()), 1.0))
    pyro.deterministic("share", torch.ones_like(x) * len(x[x > 0]) / 100)


# %%
values = {"x": torch.randn(200, generator=torch.Generator().manual_seed(0))}
reasons = {}
for program in (takes_a_number, changes_something, selects):
    try:
        pc.SCM(program).fit(values, steps=20, compile=True, progress=False, seed=0)
    except (pc.NotCapturable, pc.NotVectorized) as refusal:
        reasons[program.__name__] = str(refusal).partition("\n")[0]
        print(f"{program.__name__}: {reasons[program.__name__]}\n")

# %% tags=["remove-cell"]
assert set(reasons) == {"takes_a_number", "changes_something", "selects"}
assert "torch.where" in reasons["takes_a_number"]
assert "counter" in reasons["changes_something"]

# %% [markdown]
# With `compile="auto"` nothing of this stops a fit: the program runs as plain Pyro, and where the
# graph would have paid a `CaptureWarning` says why it was not made. Before a graph is used, it is
# also played beside the program on the same random numbers, and thrown away if the two differ.
#
# | what | instead |
# | --- | --- |
# | `if`, `.item()`, `float(...)` on a tensor | `torch.where`; keep numbers as tensors |
# | a boolean mask, `x[x > 0]` | `torch.where`, or `pyro.poutine.mask` |
# | `random`, `numpy.random` | torch's random numbers |
# | counters, lists that grow, `print` of a tensor | leave it out, or keep it in a tensor |
#
# ## Questions, too
#
# A question that is asked again and again is also played from a graph, after it has taken half a
# second in all. The answers stay the same, bit by bit:

# %%


@pc.scm
def chain():
    value = pyro.sample("x0", dist.Normal(0.0, 1.0))
    for place in range(1, 10):
        value = pyro.sample(f"x{place}", dist.Normal(0.9 * value, 1.0))


question = chain.do(x3=1.0)
before = question.sample(1000, seed=0)
for _ in range(size(400, 120)):
    after = question.sample(1000, seed=0)
print("equal:", all(torch.equal(before[name], after[name]) for name in before))

# %% tags=["remove-cell"]
assert all(torch.equal(before[name], after[name]) for name in before)

# %% [markdown]
# ## What to try
#
# **Exercise 1.** Fit with `compile="auto"` and a program that draws from NumPy. Is there a
# warning? Turn `CaptureWarning` into an error and see. (Is the fit long enough to be worth a
# graph?)

# %% tags=["hide-cell"]
import numpy as np


def numpy_noise():
    centre = pyro.param("centre", mean.clone())
    pyro.sample("x", dist.Normal(centre + 0.01 * np.random.default_rng().normal(), 1.0))


with warnings.catch_warnings():
    warnings.simplefilter("error", pc.CaptureWarning)
    report = pc.SCM(numpy_noise).fit(values, steps=20, progress=False, seed=0)
print(report.path)
# Not for 20 steps: the graph would not have paid, so nothing was tried and nothing is lost.
assert report.path == "eager"

# %% [markdown]
# **Exercise 2.** Mend `takes_a_number`, so that it can be captured and means the same.

# %% tags=["hide-cell"]


def keeps_a_tensor():
    centre = pyro.param("centre", mean.clone())
    pyro.sample("x", dist.Normal(centre, 1.0 + centre.abs()))


mended = pc.SCM(keeps_a_tensor).fit(values, steps=20, compile=True, progress=False, seed=0)
print(mended.path)
# (Not quite the same: `.item()` had cut the gradient. `centre.detach().abs()` keeps the cut.)
assert mended.path == "compiled"

# %% [markdown]
# **Exercise 3.** From the two lines of the picture: after how many steps has compiling paid, on
# your machine?

# %% tags=["hide-cell"]
even = start / (eager_step - compiled_step)
print(f"after some {even:.0f} steps")
# A few hundred to a few thousand: eager steps take milliseconds, compiling some seconds.
assert 0 < even < 1_000_000

# %% [markdown]
# ## Sources
#
# J. Ansel and others, *PyTorch 2: faster machine learning through dynamic Python bytecode
# transformation and graph compilation*, ASPLOS (2024), whose compiler does the work. E. Bingham
# and others, *Pyro: deep universal probabilistic programming*, Journal of Machine Learning
# Research 20 (2019).
