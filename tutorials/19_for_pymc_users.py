# ---
# jupyter:
#   jupytext:
#     text_representation:
#       format_name: percent
# ---

# %% [markdown]
# # For users of PyMC
#
# PyMC and Pyro say the same thing in two dialects: a program that draws variables, and an
# inference engine that finds what is plausible given data. PyMC has `pm.do` and `pm.observe`,
# which rewrite a model's graph. This page does the same tasks in both, and shows where the ladder
# goes on: a counterfactual of one unit.
#
# PyMC is not installed where this page is made. Its cells were run in an environment of their own
# by `make peers`; what is shown is read from the file that was written then, with version and
# date.
#
# | you write in PyMC | here |
# | --- | --- |
# | `with pm.Model() as model:` | a function under `@pc.scm`, or `pc.SCM(program)` |
# | `x = pm.Normal("x", mu, sd)` | `x = pyro.sample("x", dist.Normal(mu, sd))` |
# | `shape=n`, `dims=` for the rows | `with pc.units():` around what each unit has |
# | `pm.observe(model, rows)`, `pm.sample()` | `model.fit(rows, ...)` |
# | `pm.do(model, {"x": 1.0})` | `model.do(x=1.0)` |
# | `pm.sample_posterior_predictive` | `model.do(x=1.0).sample(1000)`, `pc.ate(...)` |
# | noise written out by hand, two models | `model.counterfactual(evidence, do={"x": 1.0})` |
# | `az.InferenceData` | `answer.to_datatree()`, which ArviZ reads |
#
# ## One model, two dialects
#
# 500 pupils: encouragement raises homework and the score, homework raises the score. The
# coefficients are unknown, with broad priors.

# %%
import sys

import pyro
import pyro.distributions as dist
import torch
from lesson import PALETTE, size
from matplotlib import pyplot
from peer import Peer
from pyro.infer.autoguide import AutoMultivariateNormal

import pyrocausal as pc

sys.path.insert(0, "peers")  # the rows are made by the file that PyMC's cells read, too
from rows import pupils

pymc = Peer("pymc")
pymc.show("model")

# %%


@pc.scm
def pupil():
    a, b, c = (pyro.sample(name, dist.Normal(0.0, 2.0)) for name in "abc")
    sd = pyro.sample("sd", dist.HalfNormal(torch.ones(2)).to_event(1))
    with pc.units():
        encouraged = pyro.sample("encouraged", dist.Normal(0.0, 1.0))
        homework = pyro.sample("homework", dist.Normal(a * encouraged, sd[0]))
        pyro.sample("score", dist.Normal(b * encouraged + c * homework, sd[1]))


_ = pc.plot.graph(pupil)

# %% [markdown]
# The rows are not part of the program here: it describes one unit, and `pc.units()` marks what
# each unit has of its own. What stands outside is shared by all.
#
# ## The posterior
#
# PyMC runs NUTS. Here a guide (a family of distributions) is fitted to the posterior by stochastic
# gradients; `AutoMultivariateNormal` is a normal with all correlations, which is close for five
# parameters and 500 rows.

# %%
pymc.show("posterior")

# %%
seen = pupils()
report = pupil.fit(
    seen,
    AutoMultivariateNormal,
    steps=size(1000, 350),
    lr=0.03,
    uncertainty="posterior",
    compile=False,
    progress=False,
    seed=0,
)
effect = pc.ate(pupil, "homework", "score", seed=0)
print(effect)

# %% tags=["remove-cell"]
theirs = pymc.figures("posterior")
assert abs(theirs["effect mean"] - 0.38) < 0.005
assert abs(theirs["effect sd"] - 0.032) < 0.002
assert abs(effect.value - theirs["effect mean"]) < 0.5 * theirs["effect sd"]
width = effect.interval.upper - effect.interval.lower
assert abs(width / (2 * 1.96 * theirs["effect sd"]) - 1) < 0.35

# %% [markdown]
# 0.38 with a standard deviation of 0.03 in PyMC, and the same here. The program has 0.4, the rows
# are
# 500. The card says what the interval holds: what data left open of the parameters, and the
#      sampling of units.
#
# ## do

# %%
pymc.show("do")

# %%
contrast = pc.ate(pupil, "homework", "score", values=(2.0, 0.0), seed=0)
print(f"E[score | do(homework=2)] - E[score | do(homework=0)] = {contrast.value:.2f}")

# %% tags=["remove-cell"]
label = "E[score | do(homework=2)] - E[score | do(homework=0)]"
assert abs(contrast.value - pymc.figures("do")[label]) < theirs["effect sd"]

# %% [markdown]
# Equal again, and the idea is the same: cut the arrows into `homework`, and run. `pm.do` replaces
# a node of the graph; here it is a handler around the program, which also takes shifts, policies
# and distributions (`pc.shift(1.0)`, `pc.policy(f)`).
#
# ## Joe, and the third rung
#
# Joe was encouraged 0.5, did homework 1 and scored 1.5. What if he had done homework 2? To leave
# only that question open, both programs now have the true coefficients.

# %%
pymc.show("do for Joe")

# %%


@pc.scm
def known_pupil():
    encouraged = pyro.sample("encouraged", dist.Normal(0.0, 1.0))
    homework = pyro.sample("homework", dist.Normal(0.5 * encouraged, 0.866))
    pyro.sample("score", dist.Normal(0.7 * encouraged + 0.4 * homework, 0.557))


joe = {"encouraged": 0.5, "homework": 1.0, "score": 1.5}
imagined = known_pupil.counterfactual(joe, do={"homework": 2.0})
print(imagined)

# %% tags=["remove-cell"]
drawn = pymc.figures("do for Joe")
assert abs(drawn["do, then draw: mean"] - 1.15) < 4 * 0.557 / 20_000**0.5
assert abs(drawn["do, then draw: sd"] - 0.557) < 4 * 0.557 / 40_000**0.5
assert abs(float(imagined["score"]) - 1.90) < 1e-5
assert imagined.rung == 3

# %% [markdown]
# `pm.do` with Joe's encouragement gives 1.15, give or take 0.56: pupils who were encouraged like
# Joe, with a *fresh* noise each. That is an answer of rung 2. It is right for the question it
# answers, and it knows nothing of Joe's own score. The counterfactual keeps what was Joe's own,
# and is 1.90 sharp. It is the commonest trap on this road: a picture of "counterfactuals" that
# was made by `do` and a draw.

# %%
grid = torch.linspace(-0.8, 3.2, 400)
law = dist.Normal(drawn["do, then draw: mean"], drawn["do, then draw: sd"])
fig, ax = pyplot.subplots(figsize=(7, 2.8))
ax.fill_between(grid, law.log_prob(grid).exp(), color=PALETTE[0], alpha=0.3)
ax.plot(grid, law.log_prob(grid).exp(), color=PALETTE[0], label="do, then draw (PyMC)")
ax.axvline(float(imagined["score"]), color=PALETTE[1], label="Joe, imagined")
ax.set(xlabel="score (standard deviations)", ylabel="density", title="Others like Joe, and Joe")
ax.set_ylim(0, 0.85)
_ = ax.legend(loc="upper left")

# %% [markdown]
# PyMC can do it, when you write the noise out as variables of its own and work out Joe's by hand:

# %%
pymc.show("counterfactual by hand")

# %% tags=["remove-cell"]
assert abs(pymc.figures("counterfactual by hand")["Joe's score"] - float(imagined["score"])) < 1e-4

# %% [markdown]
# Here the noise of each `pyro.sample` site is derived from its distribution. It works for normals
# as above, for gamma, beta, Student's t, for counts and categories, for networks inside; and
# where a distribution cannot be inverted, the query is refused by name rather than answered by a
# fresh draw.
#
# ## Homework unknown
#
# Nobody wrote down Joe's homework. In PyMC one more model and a run of NUTS, and the arithmetic by
# hand; here the same call with less evidence.

# %%
pymc.show("partial evidence")

# %%
partly = known_pupil.counterfactual(
    {"encouraged": 0.5, "score": 1.5}, do={"homework": 2.0}, num_draws=4000, seed=0
)
print(partly)

# %% tags=["remove-cell"]
figures = pymc.figures("partial evidence")
mean, sd = float(partly["score"].mean()), float(partly["score"].std())
assert abs(mean - 1.911) < 4 * 0.295 / 4000**0.5
assert abs(sd / 0.295 - 1) < 0.06
assert abs(figures["score mean"] - mean) < 0.03  # NUTS: some 1,500 effective draws of 4,000
assert abs(figures["score sd"] - sd) < 0.03

# %% [markdown]
# 1.91, give or take 0.30, in both.
#
# ## What PyMC has and this library has not
#
# Compilation of any model to C, numba or JAX, and so a quick NUTS; samplers for discrete and
# mixed posteriors; Gaussian processes; ArviZ's whole workflow, which is a step away here
# (`answer.to_datatree()`). Its relatives pathmc and CausalPy bring formulas for path models and
# quasi-experiments: difference in differences, regression discontinuity, synthetic control. For
# those use them.
#
# ## What to try
#
# **Exercise 1.** Ask for the effect of `encouraged` on the score, and for the part of it that goes
# through homework (`pc.nie`). Which product of coefficients is it?

# %% tags=["hide-cell"]
total = pc.ate(known_pupil, "encouraged", "score", seed=0)
through = pc.nie(known_pupil, "encouraged", "score", seed=0)
print(f"total {total.value:.2f}, through homework {through.value:.2f}")
assert abs(total.value - (0.7 + 0.5 * 0.4)) < 1e-4
assert abs(through.value - 0.5 * 0.4) < 1e-4

# %% [markdown]
# **Exercise 2.** Write Joe's counterfactual by hand as PyMC's cell does, with `pc.exogenous`,
# which makes each site's noise a site of its own. (Condition on the evidence, read the noises,
# and run the program under `do` with them.)

# %% tags=["hide-cell"]
from pyro import poutine

program = known_pupil.program
evidence = {name: torch.tensor(value) for name, value in joe.items()}
trace = poutine.trace(pc.condition(pc.exogenous(program), evidence)).get_trace()
noise = {f"{name}.noise": trace.nodes[f"{name}.noise"]["value"] for name in joe}
twin = poutine.trace(pc.condition(pc.do(pc.exogenous(program), homework=2.0), noise)).get_trace()
print(twin.nodes["score"]["value"])
assert abs(float(twin.nodes["score"]["value"]) - 1.90) < 1e-5

# %% [markdown]
# **Exercise 3.** Make the score a Student's t with four degrees of freedom. Does Joe's answer
# change? Does the distribution that `do` and a draw give?

# %% tags=["hide-cell"]


@pc.scm
def heavy_pupil():
    encouraged = pyro.sample("encouraged", dist.Normal(0.0, 1.0))
    homework = pyro.sample("homework", dist.Normal(0.5 * encouraged, 0.866))
    pyro.sample("score", dist.StudentT(4.0, 0.7 * encouraged + 0.4 * homework, 0.557))


same = heavy_pupil.counterfactual(joe, do={"homework": 2.0})
wider = heavy_pupil.do(encouraged=0.5, homework=2.0).sample(20_000, seed=0)["score"]
print(float(same["score"]), float(wider.std()))
# His noise is a distance from the location, whatever its law: still 1.90. The draw is wider: the
# variance of this t is 4 / (4 - 2) times the squared scale.
assert abs(float(same["score"]) - 1.90) < 1e-4
assert abs(float(wider.std()) - 0.557 * 2**0.5) < 0.06

# %% [markdown]
# ## Sources
#
# O. Abril-Pla and others, *PyMC: a modern, and comprehensive probabilistic programming framework
# in Python*, PeerJ Computer Science 9 (2023). Joe: Pearl, Glymour and Jewell, *Causal Inference
# in Statistics: A Primer* (2016), section 4.2.3.
