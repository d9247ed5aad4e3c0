# ---
# jupyter:
#   jupytext:
#     text_representation:
#       format_name: percent
# ---

# %% [markdown]
# # Did it cause it? Harm, benefit, and what no trial can show
#
# A trial of a drug: of 100 patients without it 50 recover, with it 70. The average effect is 20 in
# a hundred. How many patients does the drug *help*, who would not have recovered without it? Twenty?
# And how many does it *harm*?
#
# It may be that 20 are helped and nobody is harmed. It may also be that 50 are helped and 30
# harmed: 50 - 30 is 20 as well. Nobody sees a patient both with and without the drug, so the trial,
# however large, looks the same. This page shows what can be said.
#
# ## A program, and its coupling

# %%
import pyro
import pyro.distributions as dist
from lesson import size
from matplotlib import pyplot

import pyrocausal as pc


def program():
    drug = pyro.sample("drug", dist.Bernoulli(0.5))
    pyro.sample("recovered", dist.Bernoulli(0.5 + 0.2 * drug))


trial = pc.SCM(program)
options = {"num_samples": size(40_000, 20_000), "seed": 0}
benefit = pc.benefit(trial, "drug", "recovered", **options)
harm = pc.harm(trial, "drug", "recovered", **options)
print(benefit)
print()
print(harm)

# %% tags=["remove-cell"]
assert abs(benefit.value - 0.2) < 1e-6
assert harm.value == 0
assert abs(benefit.bounds.lower - 0.2) < 1e-6
assert abs(benefit.bounds.upper - 0.5) < 1e-6
assert abs(harm.bounds.lower) < 1e-6
assert abs(harm.bounds.upper - 0.3) < 1e-6

# %% [markdown]
# The program gives 0.2 helped and none harmed. But read the card: these are the answers *under the
# coupling of `recovered`*. A patient recovers when one noise is below a threshold, and the drug
# moves the threshold up, so that it can only help. That is built into the coupling. The bounds are
# what any coupling allows: from 20 to 50 in a hundred helped, from 0 to 30 harmed. No data can
# narrow this without an assumption.

# %%
fig, ax = pyplot.subplots(figsize=(6, 2.2))
_ = pc.plot.probabilities([benefit, harm], labels=["benefit", "harm"], ax=ax)

# %% [markdown]
# ## Another coupling, the same data
#
# A site's coupling is chosen with the model. `"independent"` makes a patient's two outcomes
# independent draws. All that a trial could show stays as it was. The answers move:

# %%
loose = pc.SCM(program, noise={"recovered": "independent"})
loose_benefit = pc.benefit(loose, "drug", "recovered", **options)
loose_harm = pc.harm(loose, "drug", "recovered", **options)
print(f"benefit {loose_benefit.value:.2f}, harm {loose_harm.value:.2f}")
print(f"average effect {loose_benefit.value - loose_harm.value:.2f}")

# %% tags=["remove-cell"]
assert abs(loose_benefit.value - 0.7 * 0.5) < 4 * loose_benefit.se + 1e-6
assert abs(loose_harm.value - 0.3 * 0.5) < 4 * loose_harm.se + 1e-6
assert abs(loose_harm.bounds.upper - 0.3) < 1e-6

# %% [markdown]
# 35 in a hundred are helped and 15 harmed. The difference, the average effect, is 0.20 under every
# coupling, since the trial does show that.
#
# ## What narrows the bounds: knowing whom
#
# Suppose that the trial wrote down who carries a certain gene, and that the drug helps those who
# do and harms those who do not. Within each group the bounds are tighter, and so is their average.

# %%


@pc.scm
def with_gene():
    gene = pyro.sample("gene", dist.Bernoulli(0.5))
    drug = pyro.sample("drug", dist.Bernoulli(0.5))
    pyro.sample("recovered", dist.Bernoulli(0.5 + drug * (0.7 * gene - 0.25)))


average = pc.ate(with_gene, "drug", "recovered", **options)
known = pc.harm(with_gene, "drug", "recovered", **options)
print(f"average effect {average.value:.2f}")
print(known)

# %% tags=["remove-cell"]
# carriers .5 -> .95: harm in [0, .05]; others .5 -> .25: harm in [.25, .5]
assert abs(known.bounds.lower - 0.125) < 0.01
assert abs(known.bounds.upper - 0.275) < 0.01
assert abs(average.value - 0.1) < 4 * average.se

# %% [markdown]
# The average effect is +0.10, and still at least one patient in eight is harmed: that much is
# certain, under every coupling. An average effect above zero does not mean that nobody is harmed,
# and covariates are the way to find out.
#
# ## Necessity and sufficiency
#
# Three more questions are asked in courts and clinics.
#
# - **PN**, necessity: she took it and recovered. *Would she not have, without it?*
# - **PS**, sufficiency: he did not take it and did not recover. *Would he have, with it?*
# - **PNS**: of anybody, both. It is the benefit from above.

# %%
answers = {
    name: ask(trial, "drug", "recovered", **options)
    for name, ask in (("PN", pc.pn), ("PS", pc.ps), ("PNS", pc.pns))
}
for name, answer in answers.items():
    low, high = answer.bounds.lower, answer.bounds.upper
    print(f"{name} = {answer.value:.3f}, any coupling: {low:.3f} to {high:.3f}")
fig, ax = pyplot.subplots(figsize=(6, 2.6))
_ = pc.plot.probabilities(list(answers.values()), labels=list(answers), ax=ax)

# %% tags=["remove-cell"]
# monotone: PN = (.7 - .5) / .7, PS = (.7 - .5) / (1 - .5); any coupling: PN <= .5 / .7, PS <= 1
assert abs(answers["PN"].value - 0.2 / 0.7) < 4 * answers["PN"].se + 1e-6
assert abs(answers["PS"].value - 0.4) < 4 * answers["PS"].se + 1e-6
assert abs(answers["PN"].bounds.upper - 0.5 / 0.7) < 0.01
assert abs(answers["PS"].bounds.upper - 1.0) < 0.01

# %% [markdown]
# Of those who took the drug and recovered, between 29 % and 71 % owe it to the drug. "More likely
# than not", as a court would ask? The data cannot tell. For a single patient who is known, ask with
# `evidence=`. Her own answer beside what `do` says of everybody:

# %%
she = {"drug": 1.0, "recovered": 1.0}
hers = pc.pn(trial, "drug", "recovered", evidence=she, seed=0)
without = trial.do(drug=0.0).sample(size(40_000, 20_000), seed=0)["recovered"].mean()
print(f"she would not have recovered: {float(hers.value):.2f}")
print(f"anybody without the drug does not recover: {1 - without:.2f}")

# %% tags=["remove-cell"]
assert abs(float(hers.value) - 0.2 / 0.7) < 1e-4
assert abs(float(without) - 0.5) < 4 * 0.5 / 20_000**0.5

# %% [markdown]
# ## What to try
#
# **Exercise 1.** A drug without any average effect: half recover with it and half without. What are
# the bounds of harm? What does that say about the words "no effect"?

# %% tags=["hide-cell"]


@pc.scm
def useless():
    drug = pyro.sample("drug", dist.Bernoulli(0.5))
    pyro.sample("recovered", dist.Bernoulli(0.5 + 1e-6 * drug))


nothing = pc.harm(useless, "drug", "recovered", **options)
print(nothing.bounds)
# From nobody to half of all: "no effect on average" is not "no effect on anybody".
assert nothing.bounds.lower < 1e-5
assert abs(nothing.bounds.upper - 0.5) < 1e-5

# %% [markdown]
# **Exercise 2.** Derive the bounds of the benefit by hand. Write `a` for the share who recover with
# the drug and `b` without. There are four kinds of patients; which shares are possible?

# %% tags=["hide-cell"]
# Kinds: always, helped h, harmed d, never. always + h = a, always + d = b, all four sum to 1, none
# is negative: h <= a, h <= 1 - b, h >= a - b, h >= 0.
a, b = 0.7, 0.5
low, high = max(0.0, a - b), min(a, 1 - b)
print(low, high)
assert abs(benefit.bounds.lower - low) < 1e-6
assert abs(benefit.bounds.upper - high) < 1e-6

# %% [markdown]
# **Exercise 3.** A drug that recovers 5 in 100 without it and 95 with it. How far apart are the
# bounds of PN now? When does the coupling hardly matter?

# %% tags=["hide-cell"]


@pc.scm
def strong():
    drug = pyro.sample("drug", dist.Bernoulli(0.5))
    pyro.sample("recovered", dist.Bernoulli(0.05 + 0.9 * drug))


necessity = pc.pn(strong, "drug", "recovered", **options)
print(necessity.bounds)
# (a - b) / a = .947 to (1 - b) / a = 1: when the outcome nearly follows the treatment.
assert necessity.bounds.lower > 0.94
assert necessity.bounds.upper <= 1.0

# %% [markdown]
# ## Sources
#
# J. Tian and J. Pearl, *Probabilities of causation: bounds and identification*, Annals of
# Mathematics and Artificial Intelligence 28 (2000).
