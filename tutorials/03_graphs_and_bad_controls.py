# ---
# jupyter:
#   jupytext:
#     text_representation:
#       format_name: percent
# ---

# %% [markdown]
# # Graphs: open paths, blocked paths, and bad controls
#
# "Control for everything you measured" is common advice, and wrong. Some variables must be
# controlled for, some may, and some turn a right answer into a wrong one. The graph tells which, by
# three rules that fit on a postcard.
#
# ## Three ways for association to flow
#
# Three variables in a row can be connected in three ways.
#
# | shape | name | `X` and `Y` without knowing `Z` | with `Z` held fixed |
# | --- | --- | --- | --- |
# | `X -> Z -> Y` | chain | associated | independent |
# | `X <- Z -> Y` | fork | associated | independent |
# | `X -> Z <- Y` | collider | independent | **associated** |
#
# The third row is the surprising one. Two causes of one thing have nothing to do with each other;
# but once you know the thing, learning that one cause was there makes the other less needed. Let us
# see it happen.

# %%
import numpy as np
import pyro
import pyro.distributions as dist
from lesson import PALETTE, size
from matplotlib import pyplot

import pyrocausal as pc


@pc.scm
def prize():
    talent = pyro.sample("talent", dist.Normal(0.0, 1.0))
    looks = pyro.sample("looks", dist.Normal(0.0, 1.0))
    pyro.sample("fame", dist.Normal(talent + looks, 0.5))


people = prize.sample(size(50_000, 20_000), seed=0).to_frame()
famous = people[people.fame > 1.5]
everybody = people.talent.corr(people.looks)
among_famous = famous.talent.corr(famous.looks)
print(f"correlation of talent and looks: {everybody:.2f} of all, {among_famous:.2f} of the famous")

# %% tags=["remove-cell"]
assert abs(everybody) < 4 / len(people) ** 0.5
assert among_famous < -0.4

# %%
fig, ax = pyplot.subplots(figsize=(4.2, 4))
some = people.iloc[:2000]
shown = some.fame > 1.5
ax.scatter(
    *some.loc[~shown, ["talent", "looks"]].T.to_numpy(), s=5, color=PALETTE[5], label="others"
)
ax.scatter(
    *some.loc[shown, ["talent", "looks"]].T.to_numpy(), s=8, color=PALETTE[1], label="famous"
)
ax.set(xlabel="talent (sd)", ylabel="looks (sd)", title="Selecting on a collider")
_ = ax.legend()

# %% [markdown]
# Among the famous, the talented are plainer. Nothing made them so: fame was the *collider*, and
# looking at the famous alone is conditioning on it.
#
# ## d-separation
#
# In a larger graph, a path is **blocked** if somewhere on it there is a chain or fork whose middle
# is held fixed, or a collider of which neither itself nor anything below it is. If all paths
# between two variables are blocked they are independent in every program with that graph: they are
# *d-separated*. `paths` lists every path and says what blocks it.

# %%
graph = pc.CausalGraph(
    [
        ("age", "dose"),
        ("age", "health"),
        ("dose", "health"),
        ("dose", "visits"),
        ("health", "visits"),
    ]
)
_ = pc.plot.graph(graph)
for path in graph.paths("dose", "health"):
    print(path)

# %% [markdown]
# Three paths: the effect itself, a back door through age, and one through the number of visits to
# the doctor, which is closed as long as one lets it be, since visits are a collider on it. What to
# adjust for (to hold fixed) can be read off, and the library reads it. *Minimal* sets are those of
# which nothing can be left out, and where there are several, *least variance* names the one that
# leaves the smallest error. The last line speaks of *strata*: groups of people who agree on the set.

# %%
sets = pc.adjustment_sets(graph, "health", do="dose")
print(sets)

# %% tags=["remove-cell"]
assert [set(found) for found in sets.minimal()] == [{"age"}]
assert len(graph.paths("dose", "health")) == 3

# %% [markdown]
# ## Bad controls, one by one
#
# In each program below the effect of `dose` on `health` is exactly 1. We estimate it by least
# squares, once as the graph says and once with one more control. `regress` is ordinary
# regression, so what goes wrong is not the method.

# %%


def regress(frame, outcome, on):
    """Return the coefficients of a least squares regression, by name."""
    design = np.column_stack([np.ones(len(frame)), frame[on].to_numpy()])
    found = np.linalg.lstsq(design, frame[outcome].to_numpy(), rcond=None)[0]
    return dict(zip(on, found[1:], strict=True))


def compare(model, good, bad):
    """Return the coefficient of dose with good controls and with bad ones."""
    frame = model.sample(size(100_000, 40_000), seed=0).to_frame()
    right, wrong = (regress(frame, "health", ["dose", *controls]) for controls in (good, bad))
    print(f"with {good or 'nothing'}: {right['dose']:.2f}, with {bad}: {wrong['dose']:.2f}")
    return right["dose"], wrong["dose"]


# %% [markdown]
# **A collider below both.** The doctor is visited by those who take much and by those who are ill.

# %%


@pc.scm
def collider():
    dose = pyro.sample("dose", dist.Normal(0.0, 1.0))
    health = pyro.sample("health", dist.Normal(dose, 1.0))
    pyro.sample("visits", dist.Normal(dose - health, 1.0))


found = compare(collider, [], ["visits"])

# %% tags=["remove-cell"]
assert abs(found[0] - 1) < 0.03
assert abs(found[1] - 1.0) < 0.03

# %% [markdown]
# The regression with `visits` still says 1! In this program the dose brings as many visits as the
# health that it gives takes away, and the two cancel. That is worse than a bias, since it makes a
# bad habit look safe. Let the visits depend more on the dose, and it breaks:

# %%


@pc.scm
def worse_collider():
    dose = pyro.sample("dose", dist.Normal(0.0, 1.0))
    health = pyro.sample("health", dist.Normal(dose, 1.0))
    pyro.sample("visits", dist.Normal(3 * dose - health, 1.0))


found = compare(worse_collider, [], ["visits"])

# %% tags=["remove-cell"]
# health = dose + e, visits - 2 dose = -e + n, so E[health | dose, visits] = dose - (v - 2 dose) / 2
assert abs(found[0] - 1) < 0.03
assert abs(found[1] - 2.0) < 0.03

# %% [markdown]
# Twice the truth. **Adjusting for something after the treatment** also hides what goes through it:

# %%


@pc.scm
def mediator():
    dose = pyro.sample("dose", dist.Normal(0.0, 1.0))
    pressure = pyro.sample("pressure", dist.Normal(dose, 1.0))
    pyro.sample("health", dist.Normal(0.2 * dose + 0.8 * pressure, 1.0))


found = compare(mediator, [], ["pressure"])

# %% tags=["remove-cell"]
assert abs(found[0] - 1) < 0.03
assert abs(found[1] - 0.2) < 0.03

# %% [markdown]
# 0.2 is a real quantity (the *direct* effect), but not the answer to the question.
#
# **M-bias** is the trap for the careful. Here `clinic` is measured before the treatment, and it is
# associated with both the dose and health. It looks like a confounder. It causes neither. (`latent`
# names what nobody measured.)

# %%


@pc.scm(latent=["wealth", "genes"])
def m_bias():
    wealth = pyro.sample("wealth", dist.Normal(0.0, 1.0))
    genes = pyro.sample("genes", dist.Normal(0.0, 1.0))
    pyro.sample("clinic", dist.Normal(2 * (wealth + genes), 1.0))
    dose = pyro.sample("dose", dist.Normal(2 * wealth, 1.0))
    pyro.sample("health", dist.Normal(dose + 2 * genes, 1.0))


found = compare(m_bias, [], ["clinic"])
print("sets that do:", list(pc.adjustment_sets(m_bias, "health", do="dose").minimal()))

# %% tags=["remove-cell"]
assert abs(found[0] - 1) < 0.05
assert found[1] < 0.7
assert [set(s) for s in pc.adjustment_sets(m_bias, "health", do="dose").minimal()] == [set()]

# %% [markdown]
# The path `dose <- wealth -> clinic <- genes -> health` was blocked at the collider; controlling for
# it opened the path. The library says that the empty set is the one to take.
#
# ## The Table 2 fallacy
#
# One regression, many coefficients, and a paper that reads each of them as an effect. Adjusting for
# `age` makes the coefficient of *dose* an effect. It does not make the coefficient of *age* one:

# %%


@pc.scm
def table_two():
    age = pyro.sample("age", dist.Normal(0.0, 1.0))
    dose = pyro.sample("dose", dist.Normal(age, 1.0))
    pyro.sample("health", dist.Normal(dose - 2 * age, 1.0))


frame = table_two.sample(size(100_000, 40_000), seed=0).to_frame()
coefficients = regress(frame, "health", ["dose", "age"])
total = pc.ate(table_two, "age", "health", seed=0)
print({name: round(float(value), 2) for name, value in coefficients.items()})
print(f"the effect of a year (standardized) of age: {total.value:.2f}")

# %% tags=["remove-cell"]
assert abs(coefficients["dose"] - 1) < 0.03
assert abs(coefficients["age"] + 2) < 0.03
assert abs(total.value + 1) < 1e-4

# %% [markdown]
# The regression says -2 for age. What age does in all is -1, since it also raises the dose, and the
# dose helps. The coefficient holds the dose fixed, and so is only the direct part.
#
# ## The graph can be wrong, and data can say so
#
# A graph implies independences, and those can be tested. Here is the graph of `table_two` with the
# arrow from age to health forgotten:

# %%
forgotten = pc.CausalGraph([("age", "dose"), ("dose", "health")])
tested = pc.implied_independences(forgotten).check(frame.iloc[:2000])
print(tested)

# %% [markdown]
# Read `_||_` as "is independent of", and `|` as "given". If it were so, data as far off as these would
# come up with probability `p`, next to never. (`Holm` is `p` when several are tested at once.) The
# data contradict the graph. The converse never holds: a graph that passes need not be right,
# since several graphs imply the same independences.
#
# ## What to try
#
# **Exercise 1.** Add to the M-bias program an arrow from `clinic` to `dose`. Is there still a set to
# adjust for? Ask `pc.adjustment_sets`, and read the paths to see why.

# %% tags=["hide-cell"]
both = pc.CausalGraph([*m_bias.graph.edges, ("clinic", "dose")], latent=["wealth", "genes"])
answer = pc.adjustment_sets(both, "health", do="dose")
print(answer)
assert [set(found) for found in answer.minimal()] == []
# dose <- clinic <- genes -> health needs clinic, and holding clinic fixed opens
# dose <- wealth -> clinic <- genes -> health. Neither with it nor without.

# %% [markdown]
# **Exercise 2.** A good control that is no confounder: let `age` cause health alone, not the dose.
# Show that controlling for it changes the estimate's error and not its mean.

# %% tags=["hide-cell"]


@pc.scm
def precision():
    age = pyro.sample("age", dist.Normal(0.0, 1.0))
    dose = pyro.sample("dose", dist.Normal(0.0, 1.0))
    pyro.sample("health", dist.Normal(dose + 3 * age, 1.0))


small = precision.sample(100 * 200, seed=0).to_frame()
batches = [small.iloc[i : i + 100] for i in range(0, len(small), 100)]
without = np.array([regress(b, "health", ["dose"])["dose"] for b in batches])
with_age = np.array([regress(b, "health", ["dose", "age"])["dose"] for b in batches])
print(f"without age {without.mean():.2f} (sd {without.std():.2f})", end=", ")
print(f"with age {with_age.mean():.2f} (sd {with_age.std():.2f})")
assert abs(without.mean() - 1) < 4 * without.std() / 200**0.5
assert with_age.std() < 0.5 * without.std()

# %% [markdown]
# **Exercise 3.** Is `talent` independent of `looks` given `fame`? Given a variable that is caused by
# fame? Ask the graph (`paths`), then check the second on simulated data.

# %% tags=["hide-cell"]
longer = pc.CausalGraph([*prize.graph.edges, ("fame", "press")])
(path,) = longer.paths("talent", "looks", given=["press"])
print(path)
press = people.fame + np.random.default_rng(0).normal(size=len(people))
covered = people[press > 2]
print(f"correlation among the covered: {covered.talent.corr(covered.looks):.2f}")
assert "open" in str(path)
assert covered.talent.corr(covered.looks) < -0.2

# %% [markdown]
# ## Sources
#
# J. Pearl, *Causality* (2009), sections 1.2 and 3.3. C. Cinelli, A. Forney and J. Pearl, *A crash
# course in good and bad controls*, Sociological Methods & Research (2022). D. Westreich and S.
# Greenland, *The Table 2 fallacy*, American Journal of Epidemiology 177 (2013).
