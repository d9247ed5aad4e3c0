# ---
# jupyter:
#   jupytext:
#     text_representation:
#       format_name: percent
# ---

# %% [markdown]
# # Counterfactuals, step by step
#
# "Would she have got the job, had she done the training?" A counterfactual is computed in three
# steps: *abduction* (what must this person's noise have been?), *action* (change one thing),
# *prediction* (run the model again with the same noise). This page does the three by hand, with
# numpy, and then asks the library, and the two agree to the last digit.
#
# ## A program

# %%
import numpy as np
import pyro
import pyro.distributions as dist
import torch
from lesson import size

import pyrocausal as pc


@pc.scm
def career():
    skill = pyro.sample("skill", dist.Normal(0.0, 1.0))
    training = pyro.sample("training", dist.Bernoulli(logits=skill))
    mean = 20.0 + 3.0 * skill + 4.0 * training
    wage = pyro.sample("wage", dist.LogNormal(torch.log(mean.clamp(min=5.0)), 0.2))
    pyro.sample("house", dist.Bernoulli(logits=0.3 * (wage - 25.0)))


_ = pc.plot.graph(career)

# %% [markdown]
# Every variable is made from its causes and from noise. For some the equation is plain: a wage is
# `mean * exp(0.2 * u)` with a standard normal `u`. That is a function that can be turned round: from
# the wage and the mean, the noise.
#
# Meet Ada: skill 0.5, no training, wage 18, no house.

# %%
ada = {"skill": 0.5, "training": 0.0, "wage": 18.0, "house": 0.0}

# %% [markdown]
# ## By hand
#
# **Step 1, abduction.** Her wage without training would on a typical day be 21.5. She earns 18, so
# her noise is below zero.

# %%
mean = 20 + 3 * ada["skill"] + 4 * ada["training"]
noise = np.log(ada["wage"] / mean) / 0.2
print(f"Ada's noise: {noise:.3f}")

# %% [markdown]
# **Step 2, action.** She does the training: `training = 1`, whatever her skill says. Her skill is
# not touched: it was not caused by the training.
#
# **Step 3, prediction.** The same noise in the changed equation.

# %%
mean_with = 20 + 3 * ada["skill"] + 4 * 1
wage_with = mean_with * np.exp(0.2 * noise)
print(f"Ada's wage, had she been trained: {wage_with:.3f}")

# %% [markdown]
# ## By the library

# %%
answer = career.counterfactual(ada, do={"training": 1.0}, variables=["wage"], seed=0)
print(answer)

# %% tags=["remove-cell"]
assert abs(float(answer["wage"]) - wage_with) < 1e-4
assert abs(wage_with - 18 * 25.5 / 21.5) < 1e-9
assert answer.rung == 3

# %% [markdown]
# The same number. And this is what `do` says, which knows nothing of Ada:

# %%
done = career.do(training=1.0).sample(size(200_000, 50_000), seed=0)
print(f"average wage if all were trained: {done['wage'].mean():.2f}")

# %% tags=["remove-cell"]
# E exp(.2 u) = exp(.02); E max(5, 24 + 3 skill) is 24 up to 1e-9
assert (
    abs(float(done["wage"].mean()) - 24 * np.exp(0.02))
    < 4 * float(done["wage"].std()) / 50_000**0.5
)

# %% [markdown]
# 24.5 is an answer to another question. Ada would have earned 21.35.
#
# ## When noise cannot be read off
#
# Whether Ada has a house is yes or no. Many values of the noise lead to the same "no", so abduction
# gives not one number but a *distribution*. Think of the house as bought when a logistic noise is
# below a threshold that rises with the wage:
#
# $$\text{house} = 1 \iff u < 0.3\,(\text{wage} - 25), \qquad u \sim \text{Logistic}.$$
#
# From "no house at 18" we learn that $u \ge -2.1$. At 21.35 she would have the house if
# $u < -1.095$. So

# %%


def logistic(x):
    return 1 / (1 + np.exp(-x))


before, after = logistic(0.3 * (18 - 25)), logistic(0.3 * (wage_with - 25))
by_hand = (after - before) / (1 - before)
print(f"P(house, had she been trained | no house as it was) = {by_hand:.4f}")

draws = career.counterfactual(ada, do={"training": 1.0}, num_draws=size(20_000, 8_000), seed=0)
share = draws["house"].mean()
print(f"the library, from draws: {share:.4f}")

# %% tags=["remove-cell"]
assert abs(float(share) - by_hand) < 4 * (by_hand * (1 - by_hand) / 8_000) ** 0.5
assert after > by_hand

# %% [markdown]
# About 16 %. By `do` for people with a wage of 21.35 it would be 25 %: that Ada had no house before
# counts against her in the other world too.
#
# The threshold with one shared noise is a *modelling choice*, a **coupling**: no data can show how
# a person's two worlds hang together. The card says which one was used (`gumbel-max`; for two values
# it is the same coupling as the threshold). Tutorial 09 changes it.
#
# ## The noise is an object
#
# Abduction can be kept, and used for many questions about the same people:

# %%
known = career.abduct(ada, seed=0)
print(known)
for dose in (0.0, 1.0):
    world = career.counterfactual(ada, do={"training": dose}, abduction=known)
    print(f"training={dose:.0f}: wage {float(world['wage']):.2f}")

# %% tags=["remove-cell"]
same = career.counterfactual(ada, do={"training": 0.0}, abduction=known)
assert float(same["wage"]) == 18.0
assert float(same["house"]) == 0.0

# %% [markdown]
# With `training=0`, what she did anyway, nothing changes: 18 comes back. This is a law, called
# *composition*: to do what happened is to see what happened.
#
# ## Many people at once
#
# Here are 40 people and the two worlds of each.

# %%
people = career.sample(40, seed=4)
worlds = career.counterfactual(people, do=[{"training": 0.0}, {"training": 1.0}], seed=0)
_ = pc.plot.slopes(worlds, "wage")

# %% tags=["remove-cell"]
ratio = worlds["wage"][1] / worlds["wage"][0]
base = 20 + 3 * people["skill"]
assert float((ratio - (base + 4) / base).abs().max()) < 1e-4

# %% [markdown]
# ## What to try
#
# **Exercise 1.** Bo has the same evidence as Ada but *was* trained and earns 18. What would he have
# earned without? By hand, then by the library.

# %% tags=["hide-cell"]
bo = {**ada, "training": 1.0}
without = career.counterfactual(bo, do={"training": 0.0})
print(float(without["wage"]))
assert abs(float(without["wage"]) - 18 * 21.5 / 25.5) < 1e-4

# %% [markdown]
# **Exercise 2.** What if Ada's skill were higher by one (`pc.shift(1.0)`)? Follow it through: does
# the training change too? Set `num_draws=1000` and look at the draws of `training`.

# %% tags=["hide-cell"]
shifted = career.counterfactual(ada, do={"skill": pc.shift(1.0)}, num_draws=4000, seed=0)
trained = shifted["training"].mean()
print(f"P(trained | more skill) = {float(trained):.3f}")
truth = (logistic(1.5) - logistic(0.5)) / (1 - logistic(0.5))
assert abs(float(trained) - truth) < 4 * (truth * (1 - truth) / 4000) ** 0.5

# %% [markdown]
# **Exercise 3.** Suppose Ada's wage is not known (leave it out). Then what is known of her wage in
# the other world comes from her skill and from her having no house. Compare the mean of the draws
# of her wage, as it is and had she been trained, with the mean when nothing but her skill is known.

# %% tags=["hide-cell"]
less = {"skill": 0.5, "training": 0.0, "house": 0.0}
unknown = career.counterfactual(less, do={"training": 1.0}, num_draws=4000, seed=0)
plain = career.counterfactual(
    {"skill": 0.5, "training": 0.0}, do={"training": 1.0}, num_draws=4000, seed=0
)
print(
    f"{float(unknown['wage'].mean()):.2f} knowing of the house, {float(plain['wage'].mean()):.2f} not"
)
# By quadrature: P(u | no house) is proportional to phi(u) (1 - logistic(.3 (21.5 e^(.2 u) - 25))).
u = np.linspace(-6, 6, 20_001)
weight = np.exp(-(u**2) / 2) * (1 - logistic(0.3 * (21.5 * np.exp(0.2 * u) - 25)))
exact = (25.5 * np.exp(0.2 * u) * weight).sum() / weight.sum()
error = float(unknown["wage"].std()) / 4000**0.5
assert abs(float(unknown["wage"].mean()) - exact) < 6 * error  # resampled draws repeat some
assert unknown["wage"].mean() < plain["wage"].mean()

# %% [markdown]
# ## Source
#
# J. Pearl, *Causality* (2009), theorem 7.1.7.
