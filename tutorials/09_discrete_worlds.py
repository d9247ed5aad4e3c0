# ---
# jupyter:
#   jupytext:
#     text_representation:
#       format_name: percent
# ---

# %% [markdown]
# # Discrete worlds: Gumbel-max, and what a coupling assumes
#
# A town tries a free bus. On half of the days the bus costs what it did, on the others nothing, by
# the toss of a coin. People go to work by bike, by bus or by car:
#
# | | bike | bus | car |
# | --- | --- | --- | --- |
# | bus paid for | 30 % | 20 % | 50 % |
# | bus free | 25 % | 45 % | 30 % |
#
# The trial answers what *doing* does: a free bus makes 45 instead of 20 in a hundred take it. But
# the mayor asks about people. *Of those who drive, how many would take the free bus? And would some
# of them take the bike?* That is a question about the same person in two worlds, and this page
# shows how much of it the table answers, and what fills the rest.
#
# ## A program

# %%
import numpy as np
import pyro
import pyro.distributions as dist
import torch
from lesson import PALETTE, size
from matplotlib import pyplot

import pyrocausal as pc

MODES = ["bike", "bus", "car"]
PAID, FREE = np.array([0.30, 0.20, 0.50]), np.array([0.25, 0.45, 0.30])


def town():
    free = pyro.sample("free", dist.Bernoulli(0.5))
    shares = torch.stack([torch.tensor(PAID), torch.tensor(FREE)]).float()[free.long()]
    pyro.sample("mode", dist.Categorical(shares))


scm = pc.SCM(town)
print(scm.graph)

# %% [markdown]
# Ann drove to work on a day when the bus had to be paid for. What, had it been free?

# %%
UNITS = size(40_000, 20_000)
ann = {"free": 0.0, "mode": 2}
draws = scm.counterfactual(ann, do={"free": 1.0}, num_draws=UNITS, seed=0)
print(draws)


def shares(values):
    return np.bincount(values.long().flatten(), minlength=3) / values.numel()


def told(numbers):
    return ", ".join(f"{mode} {number:.2f}" for mode, number in zip(MODES, numbers, strict=True))


done = scm.do(free=1.0).sample(UNITS, seed=0)["mode"]
print(f"\nAnn, had the bus been free: {told(shares(draws['mode']))}")
print(f"anybody, under do:          {told(shares(done))}")

# %% tags=["remove-cell"]
# P(mode* = mode = i) = 1 / sum_j max(p_j / p_i, q_j / q_i)
stay = np.array([1 / np.maximum(PAID / PAID[i], FREE / FREE[i]).sum() for i in range(3)])
error = 0.5 / UNITS**0.5
assert abs(shares(draws["mode"])[2] - stay[2] / PAID[2]) < 4 * error
assert abs(stay[2] / PAID[2] - 0.60) < 1e-9
assert abs(shares(draws["mode"])[1] - 0.35) < 4 * error
assert abs(shares(draws["mode"])[0] - 0.05) < 4 * error
assert abs(shares(done) - FREE).max() < 4 * error
assert draws.routes["mode"] == "gumbel-max"

# %% [markdown]
# Ann would still drive with 60 %, though of everybody only 30 % drive when the bus is free. That she
# drove says something about her: perhaps she lives far out. But it says so through an assumption,
# and the card names it: the *coupling* of `mode`, which is `gumbel-max`.
#
# ## What the route means
#
# Let each way of travelling have a score for each person: what it is worth to the town on average,
# $\log p$, and what it is worth to her in particular, a noise $g$. She takes the best:
#
# $$\text{mode} = \arg\max_j \; (\log p_j + g_j), \qquad g_j \sim \text{Gumbel}.$$
#
# With this noise, and no other that is as simple, the shares come out as $p$. Economists know it as
# the *random utility model*. When the bus becomes free the $\log p$ change, and her $g$ stay hers.
# Abduction draws the three $g$ from what they may be, given that the car won.
#
# Here are the three numbers of one draw of Ann, and the same in the other world. The library calls
# such a recipe a *structural equation*; it can be had on its own.

# %%
equation = pc.noise.structural_equation(dist.Categorical(torch.tensor(PAID)))
g = equation.posterior(torch.tensor(2), torch.rand(3, generator=torch.manual_seed(3)).double())
for world, p in (("paid", PAID), ("free", FREE)):
    score = np.log(p) + g.numpy()
    print(f"{world}: {told(score)} -> {MODES[score.argmax()]}")

# %% tags=["remove-cell"]
assert (np.log(PAID) + g.numpy()).argmax() == 2

# %% [markdown]
# ## Other recipes, the same table
#
# There are other ways to make the three shares. Line the modes up, bike, bus, car, and give each
# person a *rank* between 0 and 1: those up to .30 go by bike, up to .50 by bus, the others by car.
# With a free bus the limits are at .25 and .70. Everybody keeps the rank: the `quantile` coupling.
# Or let each world throw its own dice: `independent`.
#
# A **coupling** is such a recipe: it says how one person's outcomes in several worlds hang together.

# %%
couplings = {name: pc.SCM(town, noise={"mode": name}) for name in pc.noise.COUPLINGS}
joint = {}
for name, model in couplings.items():
    worlds = model.do([{"free": 0.0}, {"free": 1.0}]).sample(UNITS, seed=1)["mode"]
    joint[name] = np.zeros((3, 3))
    np.add.at(joint[name], tuple(worlds.long().numpy()), 1 / UNITS)
    print(f"{name:12s} those who drive: {told(joint[name][2] / joint[name][2].sum())}")

# %% tags=["remove-cell"]
error = 0.5 / (0.5 * UNITS) ** 0.5
drivers = {name: table[2] / table[2].sum() for name, table in joint.items()}
assert abs(drivers["gumbel-max"] - [0.05, 0.35, 0.60]).max() < 4 * error + 0.003
assert abs(drivers["quantile"] - [0.0, 0.40, 0.60]).max() < 4 * error
assert abs(drivers["independent"] - FREE).max() < 4 * error
for table in joint.values():
    assert abs(table.sum(1) - PAID).max() < 4 * 0.5 / UNITS**0.5
    assert abs(table.sum(0) - FREE).max() < 4 * 0.5 / UNITS**0.5

# %% [markdown]
# Of the drivers 35, 40 or 45 in a hundred would take the bus. None goes over to the bike by ranks,
# 5 do by Gumbel-max, 25 by dice. In the picture each square is a share of the town: who goes how on
# a paid day (row) and on a free day (column).

# %%
fig, axes = pyplot.subplots(1, 3, figsize=(9, 3.3), sharey=True)
for ax, (name, table) in zip(axes, joint.items(), strict=True):
    ax.imshow(table, cmap="Blues", vmin=0, vmax=0.35)
    for (i, j), share in np.ndenumerate(table):
        colour = "white" if share > 0.22 else "black"
        ax.text(j, i, f"{100 * share:.0f}", ha="center", va="center", color=colour)
    ax.set(xticks=range(3), yticks=range(3), xticklabels=MODES, yticklabels=MODES, title=name)
    ax.set(xlabel="bus free")
    ax.spines[:].set_visible(False)
    ax.tick_params(length=0)
_ = axes[0].set(ylabel="bus paid for")

# %% [markdown]
# The sums of the rows are 30, 20, 50 in each square, and those of the columns 25, 45, 30. (Up to
# rounding, and to the chance of who was drawn.)
#
# ## Why no data decide
#
# Could more data tell which of the three squares is true? Ask each model how likely the days of
# the trial are.

# %%
days = scm.sample(1000, seed=7)
for name, model in couplings.items():
    print(f"{name:12s} log likelihood of 1000 days: {model.log_prob(days).sum():.4f}")

# %% tags=["remove-cell"]
likelihoods = {round(float(model.log_prob(days).sum()), 3) for model in couplings.values()}
assert len(likelihoods) == 1

# %% [markdown]
# The same to the last digit, and so it is for any data of any size. A trial shows each person in one
# world. It fixes the sums of rows and columns, and the inside of the square leaves no trace in it.
# That is not a weakness of the estimator. There is nothing to estimate from.
#
# ## What remains: bounds over all couplings
#
# The sums do limit the inside. Let $b$ be the share of drivers who would take the bus and $k$ of
# those who would take the bike. At most 45 % take the free bus and at most 25 % the bike, and
# drivers are half of the town, so $b \le .90$, $k \le .50$. At most 30 % still drive, that is .60
# of the drivers: $b + k \ge .40$. Every pair within these limits is possible.

# %%
corners = np.array([(0.4, 0.0), (0.9, 0.0), (0.9, 0.1), (0.5, 0.5), (0.0, 0.5), (0.0, 0.4)])
fig, ax = pyplot.subplots(figsize=(6, 3.6))
ax.fill(*corners.T, color=PALETTE[0], alpha=0.2, linewidth=0, label="all couplings")
for place, (name, of_drivers) in enumerate(drivers.items(), start=1):
    ax.plot(of_drivers[1], of_drivers[0], "o", color=PALETTE[place], label=name, clip_on=False)
ax.set(xlim=(0, 1), ylim=(0, 0.6), xlabel="share of drivers who would take the free bus")
ax.set(ylabel="... who would take the bike", title="The same table, many truths")
_ = ax.legend()

# %% tags=["remove-cell"]
from scipy.optimize import linprog

# The square as nine unknowns with fixed sums: each corner is possible, and each side is a limit.
sums = np.concatenate([np.kron(np.eye(3), np.ones(3)), np.kron(np.ones(3), np.eye(3))])
margins = np.concatenate([PAID, FREE])
bus, bike = np.eye(9)[7] / 0.5, np.eye(9)[6] / 0.5  # of the drivers
for b, k in corners:
    rows, values = np.vstack([sums, bus, bike]), np.append(margins, (b, k))
    assert linprog(np.zeros(9), A_eq=rows, b_eq=values, bounds=(0, None)).success
for side, limit in ((bus, 0.9), (bike, 0.5), (bus + bike, 1.0), (-bus - bike, -0.4)):
    most = -linprog(-side, A_eq=sums, b_eq=margins, bounds=(0, None)).fun
    assert abs(most - limit) < 1e-9

# %% [markdown]
# "Of those who drive, how many would take the free bus?" Between none and nine in ten. That is what
# the trial says, without an assumption about people.
#
# For an event, the library has the bounds beside the answer. How many people are *new* on the bus,
# who take it when it is free and not otherwise? It is `pc.benefit` with the event as the outcome:

# %%
options = {"num_samples": UNITS, "seed": 0}
new = pc.benefit(scm, "free", {"mode": 1}, **options)
print(new)

# %% tags=["remove-cell"]
assert abs(new.value - 0.25) < 4 * new.se
assert abs(new.bounds.lower - 0.25) < 1e-6
assert abs(new.bounds.upper - 0.45) < 1e-6
assert new.rung == 3
loose = pc.benefit(couplings["independent"], "free", {"mode": 1}, **options)
assert abs(loose.value - 0.36) < 4 * loose.se

# %% [markdown]
# Twenty took the bus before and 45 do now, so at least 25 in a hundred are new. It may be all 45, if
# the old passengers fled from the crowd. Gumbel-max says 25: who took the bus when it cost something
# takes it when it is free. `independent` says 36. The card names the coupling among what is assumed.
#
# ## What each coupling assumes
#
# - **Gumbel-max** assumes *counterfactual stability*: if $i$ was seen, then $j$ can take its place
#   only if the odds of $j$ against $i$ rose. It knows no order of the modes, and needs none.
# - **Quantile** assumes *ranks*: there is an order of the values, and whoever is above another in
#   one world is not below in the other. It fits grades, counts and doses, where the order means
#   something. Here it does not: in another order of the three modes the answers are others.
# - **Independent** assumes that nothing about the person carries over but what the program holds.
#   Then to have seen Ann drive tells nothing of her in a changed world.
#
# With two values the first two are the same: the threshold of tutorial 07. Categories get Gumbel-max
# unless you say otherwise, counts the quantile, and `noise={"mode": ...}` chooses.
#
# ## What narrows the bounds
#
# Knowledge of the *person*. Suppose the trial wrote down who lives near a stop. The table of the town
# is as it was, and yet:

# %%
NEAR = torch.tensor([[0.30, 0.35, 0.35], [0.15, 0.80, 0.05]])
FAR = torch.tensor([[0.30, 0.05, 0.65], [0.35, 0.10, 0.55]])


@pc.scm
def with_stop():
    near = pyro.sample("near", dist.Bernoulli(0.5))
    free = pyro.sample("free", dist.Bernoulli(0.5))
    tables = torch.stack([FAR, NEAR])[near.long(), free.long()]
    pyro.sample("mode", dist.Categorical(tables))


narrower = pc.benefit(with_stop, "free", {"mode": 1}, **options)
print(f"new on the bus: {narrower.bounds} instead of {new.bounds}")

# %% tags=["remove-cell"]
# near: [.45, .65], far: [.05, .10], half of the town each
assert abs((NEAR + FAR).numpy() / 2 - [PAID, FREE]).max() < 1e-6
share_near = 0.5 / UNITS**0.5  # of the share of those near, in sample
assert abs(narrower.bounds.lower - 0.25) < 4 * 0.4 * share_near
assert abs(narrower.bounds.upper - 0.375) < 4 * 0.55 * share_near

# %% [markdown]
# Each variable that explains who travels how takes something from the noise, and the coupling has
# less left to decide. Where causes determine the outcome nothing is left. The other way is an
# assumption that can be argued: "no one leaves the bus because it is free" makes the bounds one
# number. (To see the same people on a paid and on a free day is *not* proof, unless one assumes that
# their noise is the same on both days.)
#
# ## What to try
#
# **Exercise 1.** Renumber the modes: bike 0, car 1, bus 2. What do drivers do then under `quantile`?
# And under `gumbel-max`? Guess first which of the two answers moves.

# %% tags=["hide-cell"]
ORDER = [0, 2, 1]


def renumbered():
    free = pyro.sample("free", dist.Bernoulli(0.5))
    tables = torch.tensor(np.stack([PAID, FREE])[:, ORDER]).float()
    pyro.sample("mode", dist.Categorical(tables[free.long()]))


def bus_of_drivers(coupling):
    model = pc.SCM(renumbered, noise={"mode": coupling})
    driver = {"free": 0.0, "mode": 1}
    answer = model.counterfactual(driver, do={"free": 1.0}, num_draws=UNITS, seed=0)
    return shares(answer["mode"])[2]


by_rank, by_score = bus_of_drivers("quantile"), bus_of_drivers("gumbel-max")
print(f"the bus, of those who drive: {by_rank:.2f} by rank, {by_score:.2f} by score")
# Ranks .30 to .80 drive on paid days, .25 to .55 on free ones: half of the drivers leave.
assert abs(by_rank - 0.5) < 4 * 0.5 / UNITS**0.5
# Gumbel-max knows no order: .35 as before.
assert abs(by_score - 0.348) < 4 * 0.5 / UNITS**0.5

# %% [markdown]
# **Exercise 2.** Let the free bus change the worth of the bus alone: its odds against the bike and
# against the car are tripled, and those of bike against car stay 3 to 5. What do the drivers do now
# under Gumbel-max? Why does no one go over to the bike?

# %% tags=["hide-cell"]
TRIPLED = PAID * [1, 3, 1] / (PAID * [1, 3, 1]).sum()


@pc.scm
def plainer():
    free = pyro.sample("free", dist.Bernoulli(0.5))
    weights = torch.tensor(np.stack([PAID, TRIPLED])).float()
    pyro.sample("mode", dist.Categorical(weights[free.long()]))


answer = shares(plainer.counterfactual(ann, do={"free": 1.0}, num_draws=UNITS, seed=0)["mode"])
print(told(answer))
# The odds of bike against car did not rise: stability forbids that step. Bike and car lose the same
# share to the bus, 1 - 1 / 1.4.
assert answer[0] == 0.0
assert abs(answer[1] - (1 - 1 / 1.4)) < 4 * 0.5 / UNITS**0.5

# %% [markdown]
# **Exercise 3.** How likely is it that a *cyclist* would take the free bus? Find the answers of the
# three couplings, and the bounds over all of them by hand.

# %% tags=["hide-cell"]
for name, table in joint.items():
    print(f"{name:12s} {table[0, 1] / table[0].sum():.2f}")
# At most all cyclists (.30 <= .45), at least none: the bus can be filled by others (.20 + .50).
low, high = max(0.0, 0.30 + 0.45 - 1) / 0.30, min(0.30, 0.45) / 0.30
print(f"any coupling: {low:.2f} to {high:.2f}")
assert (low, high) == (0.0, 1.0)
error = 0.5 / (0.3 * UNITS) ** 0.5
assert abs(joint["gumbel-max"][0, 1] / 0.30 - (1 - stay[0] / PAID[0])) < 4 * error
assert abs(joint["quantile"][0, 1] / 0.30 - 0.05 / 0.30) < 4 * error
assert abs(joint["independent"][0, 1] / 0.30 - 0.45) < 4 * error

# %% [markdown]
# **Exercise 4.** Write a coupling of your own, as a function from the distribution to a structural
# equation: ranks in the order car, bus, bike. Take the equation of the reversed distribution and turn
# its values round. (Does reversing the order change the answers?)

# %% tags=["hide-cell"]


class Reversed(pc.noise.StructuralEquation):
    """Ranks from the last category to the first."""

    route = "reversed ranks"

    def __init__(self, distribution):
        super().__init__(distribution)
        turned = dist.Categorical(distribution.probs.flip(-1))
        self.inner = pc.noise.structural_equation(turned, "quantile")
        self.noise_shape, self.posterior_shape = self.inner.noise_shape, self.inner.posterior_shape

    @property
    def noise(self):
        return self.inner.noise

    def from_uniform(self, v):
        return self.inner.from_uniform(v)

    def forward(self, u):
        return 2 - self.inner.forward(u)

    def posterior(self, x, v=None):
        return self.inner.posterior(2 - x, v)


turned = pc.SCM(town, noise={"mode": Reversed})
answer = turned.counterfactual(ann, do={"free": 1.0}, num_draws=UNITS, seed=0)
print(answer.routes, told(shares(answer["mode"])))
# A rank from the other end is 1 minus the rank: the pairs of values are the same.
assert abs(shares(answer["mode"]) - drivers["quantile"]).max() < 4 * (2 / UNITS) ** 0.5 * 0.5

# %% [markdown]
# ## Sources
#
# M. Oberst and D. Sontag, *Counterfactual off-policy evaluation with Gumbel-max structural causal
# models*, ICML 2019 (counterfactual stability). D. McFadden, *Conditional logit analysis of
# qualitative choice behavior* (1974; random utility). J. Tian and J. Pearl, *Probabilities of
# causation: bounds and identification* (2000). The town is made up.
