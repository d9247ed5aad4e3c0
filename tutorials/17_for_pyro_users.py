# ---
# jupyter:
#   jupytext:
#     text_representation:
#       format_name: percent
# ---

# %% [markdown]
# # For users of Pyro
#
# You have a Pyro model. Nothing about it has to change: it *is* a structural causal model, once
# you say so with `pc.SCM(model)`. This page shows what that adds to what Pyro has, where the two
# differ in what they do (`poutine.do` is not `pc.do`), and how they work together: plates,
# enumeration, AutoGuides, NUTS, the parameter store. At the end stands what is refused, and why.

# %%
import warnings

import pyro
import pyro.distributions as dist
import torch
from lesson import size
from pyro import poutine
from pyro.infer import MCMC, NUTS, SVI, Predictive, Trace_ELBO, TraceEnum_ELBO, config_enumerate
from pyro.infer.autoguide import AutoNormal

import pyrocausal as pc


def ward():
    severity = pyro.sample("severity", dist.Normal(0.0, 1.0))
    treated = pyro.sample("treated", dist.Bernoulli(logits=1.5 * severity))
    return pyro.sample("recovery", dist.Normal(2.0 * treated - severity, 0.5))


scm = pc.SCM(ward)
_ = pc.plot.graph(scm)

# %% [markdown]
# The graph was read off the program. It is used for everything below, and you can check it by eye.
#
# ## What `poutine.do` does differently
#
# **The value at the site.** Pyro's `do` splits the site: what is below sees the value that was
# set, and the site itself keeps the value it would have had. `Predictive` returns the latter,
# under the name of the site. `pc.do` records what was set.

# %%
pyro.set_rng_seed(0)
one = {"treated": torch.tensor(1.0)}
theirs = Predictive(poutine.do(ward, one), num_samples=200)()["treated"]
ours = Predictive(pc.do(ward, treated=1.0), num_samples=200)()["treated"]
print(f"share treated under do(treated=1): Pyro {theirs.mean():.2f}, here {ours.mean():.2f}")

# %% tags=["remove-cell"]
assert abs(float(theirs.mean()) - 0.5) < 4 * 0.5 / 200**0.5
assert float(ours.mean()) == 1.0

# %% [markdown]
# **A name that is not there.** `poutine.do` and `poutine.condition` let a misspelt name pass in
# silence.

# %%
Predictive(poutine.do(ward, {"treatd": torch.tensor(1.0)}), num_samples=2)()
try:
    pc.do(ward, treatd=1.0)()
except pc.UnknownVariable as refusal:
    spelling = str(refusal)
    print(spelling)

# %% tags=["remove-cell"]
assert "Did you mean 'treated'" in spelling

# %% [markdown]
# **Counterfactuals.** Here is a patient: severity 0.3, not treated, recovery -0.1. Had she been
# treated? It is tempting to put `do` around `condition`:

# %%
patient = {"severity": 0.3, "treated": 0.0, "recovery": -0.1}
tensors = {name: torch.tensor(value) for name, value in patient.items()}
tempting = poutine.do(poutine.condition(ward, tensors), one)()
print("do around condition:", tempting.item())
imagined = scm.counterfactual(patient, do={"treated": 1.0}, seed=0)
print(imagined)
alike = scm.do(severity=0.3, treated=1.0).sample(size(20_000, 5000), seed=0)["recovery"]
print(f"do, for patients as severe: {alike.mean():.2f}, give or take {alike.std():.2f}")

# %% tags=["remove-cell"]
assert abs(float(tempting) + 0.1) < 1e-6
assert abs(float(imagined["recovery"]) - 1.9) < 1e-5
assert abs(float(alike.mean()) - 1.7) < 4 * 0.5 / 5000**0.5
assert abs(float(alike.std()) - 0.5) < 0.03

# %% [markdown]
# -0.1: the evidence was put back, and the action did nothing to the outcome. `do` alone, for
# patients as severe as she is, gives 1.7 give or take 0.5, with fresh noise. Her own answer is
# 1.9: she had recovered by 0.2 more than her severity explains, and keeps that. The noise of each
# site is derived from its distribution, so nothing had to be reparametrised. (`pc.do` around a
# condition warns that this is no counterfactual, and says what to write.)
#
# ## Handlers
#
# `pc.do`, `pc.condition`, `pc.exogenous`, `pc.worlds` and `pc.units` are ordinary effect
# handlers. They work on plain programs and with everything in `pyro.infer`. `pc.do` takes more
# than a value:

# %%
actions = {
    "shift": {"severity": pc.shift(-0.5)},
    "edit": {"treated": pc.edit(lambda value: 1 - value)},
    "another law": {"treated": dist.Bernoulli(0.9)},
    "policy": {"treated": pc.policy(lambda v: v["severity"] > 0)},
}
for name, action in actions.items():
    pyro.set_rng_seed(0)
    drawn = Predictive(pc.do(ward, action), num_samples=500)()
    print(f"{name}: share treated {drawn['treated'].float().mean():.2f}", end=", ")
    print(f"mean recovery {drawn['recovery'].mean():.2f}")
print(sorted(poutine.trace(pc.exogenous(ward)).get_trace().stochastic_nodes))

# %% [markdown]
# The last line: `pc.exogenous` makes the noise of each site a site of its own, which inference
# can reach.
#
# ## NUTS
#
# Recovery was 2.5 *under treatment that was given to all*. How severe was the case? That is a
# question of rung 2 with evidence, and NUTS answers it like any other model.

# %%
given = pc.condition(pc.do(ward, treated=1.0), recovery=2.5)
pyro.set_rng_seed(0)
chain = MCMC(
    NUTS(given),
    num_samples=size(400, 150),
    warmup_steps=size(200, 80),
    disable_progbar=True,
)
chain.run()
severity = chain.get_samples()["severity"]
print(f"severity {severity.mean():.2f}, give or take {severity.std():.2f}")

# %% tags=["remove-cell"]
# 2.5 = 2 - severity + .5 e: posterior mean -.5 / 1.25 = -.4, sd (1 / (1 + 4)) ** .5 = .447
assert abs(float(severity.mean()) + 0.4) < 4 * 0.447 / (len(severity) / 4) ** 0.5
assert abs(float(severity.std()) - 0.447) < 0.2

# %% [markdown]
# ## Enumeration
#
# A discrete site that is summed out stays summed out, also under an intervention.

# %%


@config_enumerate
def mixed():
    kind = pyro.sample("kind", dist.Categorical(torch.tensor([0.3, 0.7])))
    dose = pyro.sample("dose", dist.Normal(2.0 * kind, 1.0))
    pyro.sample("effect", dist.Normal(dose + kind, 1.0))


under = pc.condition(pc.do(mixed, dose=1.0), effect=2.0)
density = -TraceEnum_ELBO(max_plate_nesting=0).loss(under, lambda: None)
shares = torch.tensor([0.3, 0.7])
of_kinds = dist.Normal(torch.tensor([1.0, 2.0]), 1.0).log_prob(torch.tensor(2.0)).exp()
by_hand = (shares * of_kinds).sum()
print(f"log p(effect=2 | do(dose=1)) = {density:.4f}, by hand {by_hand.log():.4f}")
unit = pc.SCM(mixed).counterfactual(
    {"dose": 1.0, "effect": 2.0}, do={"dose": 2.0}, num_draws=1000, seed=0
)
print(unit)

# %% tags=["remove-cell"]
assert abs(density - float(by_hand.log())) < 1e-5
assert abs(float(unit["effect"].mean()) - 3.0) < 1e-4

# %% [markdown]
# The counterfactual did not know `kind`; the card says that it was inferred by enumeration. (Her
# noise and her kind trade off, and the answer is 3 in either case.)
#
# ## SVI, AutoGuides and the parameter store
#
# A program with `pyro.param` reads Pyro's store, as always. Train it with your own loop and ask:

# %%


def line():
    slope = pyro.param("slope", torch.tensor(0.0))
    x = pyro.sample("x", dist.Normal(0.0, 1.0))
    pyro.sample("y", dist.Normal(slope * x, 0.5))


def effect_of(model):
    """Return the effect of a unit of x on y."""
    return float(pc.ate(model, "x", "y", num_samples=100, seed=0).value)


# %%
x = torch.randn(200, generator=torch.Generator().manual_seed(0))
rows = {"x": x, "y": 2 * x + 0.5 * torch.randn(200, generator=torch.Generator().manual_seed(1))}


def with_rows():
    with pyro.plate("rows", len(x)):
        poutine.condition(line, rows)()


pyro.clear_param_store()
svi = SVI(with_rows, lambda: None, pyro.optim.Adam({"lr": 0.05}), Trace_ELBO())
for _ in range(size(300, 150)):
    svi.step()
trained = pc.SCM(line)
print(f"slope in the store {pyro.param('slope').item():.2f}, effect {effect_of(trained):.2f}")

# %% [markdown]
# An SCM takes its parameters from the store when it is first asked, and keeps them: what happens
# to the store afterwards does not change its answers. `fit` goes the other way. It trains
# parameters that are the SCM's own, and leaves the store alone, so that two models with the same
# names do not mix.

# %%
fitted = pc.SCM(line)
report = fitted.fit(
    {"x": rows["x"], "y": -rows["y"]}, steps=300, lr=0.1, progress=False, compile=False, seed=0
)
print(f"fitted to -y: effect {effect_of(fitted):.2f}")
print(f"slope in the store {pyro.param('slope').item():.2f}, first model {effect_of(trained):.2f}")
least_squares = float((rows["x"] * rows["y"]).sum() / (rows["x"] ** 2).sum())

# %% tags=["remove-cell"]
assert abs(pyro.param("slope").item() - least_squares) < 0.15
assert abs(effect_of(trained) - pyro.param("slope").item()) < 1e-5
assert abs(effect_of(fitted) + least_squares) < 0.15

# %% [markdown]
# An AutoGuide is made of the handled program, so that it has exactly the sites that are still
# open:

# %%
auto = AutoNormal(given)
print(sorted(auto()))

# %% tags=["remove-cell"]
assert sorted(auto()) == ["severity"]

# %% [markdown]
# `scm.fit(rows, AutoNormal)` takes a class of AutoGuides, and makes the guide itself.
#
# ## Plates
#
# A Pyro model usually has its rows in a plate. A program here describes *one unit*, and a query
# opens the plate. Three cases:
#
# 1. Everything is in the plate: leave the plate out.
# 2. Some sites are shared by all units (priors of coefficients, say): write `with pc.units():`
#    where the plate stood. Called by itself, as Pyro calls it, that is no plate at all, and in a
#    query it is.
# 3. A plate *within* a unit, such as a pupil's exams, stays as it is.

# %%


def school():
    level = pyro.sample("level", dist.Normal(0.0, 1.0))  # shared by all pupils
    with pc.units():
        talent = pyro.sample("talent", dist.Normal(level, 1.0))
        with pyro.plate("exams", 3):
            pyro.sample("mark", dist.Normal(talent, 0.5))


pupils = pc.SCM(school).sample(4, seed=0)
print({name: tuple(value.shape) for name, value in pupils.items()})


def plate_of_rows():
    with pyro.plate("rows", 4, dim=-1):
        pyro.sample("x", dist.Normal(0.0, 1.0))


try:
    pc.SCM(plate_of_rows).sample(3, seed=0)
except ValueError as refusal:
    of_plates = str(refusal)
    print(of_plates)

# %% tags=["remove-cell"]
assert pupils["talent"].shape == (4,)
assert pupils["mark"].shape == (4, 3)
assert "pc.units()" in of_plates

# %% [markdown]
# Beware of one thing: a plate over the rows *without* `dim=-1` cannot be told from a plate within
# the unit. The SCM then takes a whole data set for one unit. The shapes show it.
#
# ## What is refused
#
# Pyro is freer than a causal model can be. Each of these is refused by name when it is first used:

# %%


def branches():
    x = pyro.sample("x", dist.Bernoulli(0.5))
    pyro.sample("y", dist.Normal(1.0 if x > 0 else 0.0, 1.0))


def mixes_rows():
    x = pyro.sample("x", dist.Normal(0.0, 1.0))
    pyro.sample("y", dist.Normal(x - x.mean(), 1.0))


def has_factor():
    x = pyro.sample("x", dist.Normal(0.0, 1.0))
    pyro.factor("preference", -(x**2))


refusals = {}
for program in (branches, mixes_rows, has_factor):
    try:
        pc.SCM(program).sample(3, seed=0)
    except (pc.NotVectorized, ValueError) as refusal:
        refusals[program.__name__] = str(refusal)
        print(f"{program.__name__}: {refusal}\n")

# %%


def unknown_noise():
    x = pyro.sample("x", dist.Normal(0.0, 1.0))
    pyro.sample("y", dist.Stable(1.5, 0.0, 1.0, x))


try:
    pc.SCM(unknown_noise).counterfactual({"x": 0.0, "y": 1.0}, do={"x": 1.0})
except pc.NotAbducible as refusal:
    refusals["unknown_noise"] = str(refusal)
    print(refusal)

# %% tags=["remove-cell"]
assert set(refusals) == {"branches", "mixes_rows", "has_factor", "unknown_noise"}
assert "torch.where" in refusals["branches"]

# %% [markdown]
# | what | why | instead |
# | --- | --- | --- |
# | `if` on a site's value | units are run together, and each may go its way | `torch.where` |
# | a mean over the rows | a unit's law would depend on its neighbours | reduce inner plates only |
# | `pyro.factor` | it says how likely, not how things come about | an observed site |
# | a family without a known noise | a counterfactual would be a guess | register its equation |
#
# ## What to try
#
# **Exercise 1.** Rewrite `branches` so that it is accepted, and ask for the effect of `x` on `y`.

# %% tags=["hide-cell"]


@pc.scm
def mended():
    x = pyro.sample("x", dist.Bernoulli(0.5))
    pyro.sample("y", dist.Normal(torch.where(x > 0, 1.0, 0.0), 1.0))


gain = pc.ate(mended, "x", "y", seed=0)
print(gain.value)
assert abs(gain.value - 1.0) < 1e-4

# %% [markdown]
# **Exercise 2.** Put `pc.do` around `pc.condition` on the patient's recovery. What does the
# warning say? Then write the question of rung 2 so that there is none.

# %% tags=["hide-cell"]
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    pc.do(pc.condition(ward, recovery=-0.1), treated=1.0)()
print(caught[0].message)
assert issubclass(caught[0].category, pc.RungWarning)
pc.condition(pc.do(ward, treated=1.0), recovery=-0.1)()  # evidence after the action: silent

# %% [markdown]
# **Exercise 3.** With `pc.worlds`, run `ward` in two worlds of the same 1000 patients, treated
# and not, as one plain Pyro program, and find each patient's effect.

# %% tags=["hide-cell"]
both = pc.worlds(ward, [{"treated": 0.0}, {"treated": 1.0}], size=1000)
recovery = poutine.trace(both).get_trace().nodes["recovery"]["value"].view(2, 1000)
effects = recovery[1] - recovery[0]
print(effects.mean(), effects.std())
assert float((effects - 2.0).abs().max()) < 1e-4

# %% [markdown]
# ## Sources
#
# E. Bingham and others, *Pyro: deep universal probabilistic programming*, Journal of Machine
# Learning Research 20 (2019). That `do` of Pyro keeps the natural value at the site follows T.
# Richardson and J. Robins, *Single world intervention graphs* (2013).
