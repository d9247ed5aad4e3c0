# ---
# jupyter:
#   jupytext:
#     text_representation:
#       format_name: percent
# ---

# %% [markdown]
# # Root causes: why was this page slow, and why are they all slower this week?
#
# A page of a web shop usually takes 132 milliseconds. One took 250. Every service on its way was slow
# too, since each waits for others. Which one was it? And another question, which sounds alike: this
# week the checkout is slower *on average*. What has changed? The first question is about one unit
# (rung 3), the second about a population (rung 2).
#
# ## The shop

# %%
import pandas as pd
import pyro.distributions as dist
from lesson import PALETTE, size
from matplotlib import pyplot

import pyrocausal as pc
from pyrocausal.mechanisms import Linear, Parent, heads

shop = pc.zoo.service_latency()
_ = pc.plot.graph(shop)

# %% [markdown]
# An arrow says what waits for what. `load` is in thousands of requests a second. `fault` is a lock in
# the database, which happens in 5 % of requests. The others are latencies in ms, each the sum of what
# it waits for, and some time of its own. Now the slow page:

# %%
page = pd.Series(
    {"load": 1.0, "fault": 1.0, "database": 92.0, "cache": 3.0}
    | {"catalog": 103.0, "payment": 40.0, "checkout": 138.0, "website": 250.0}
)
requests = shop.sample(size(20_000, 5_000), seed=0).to_frame()
distance = (page - requests.mean()) / requests.std()
compared = {"this page": page, "mean": requests.mean(), "standard deviations away": distance}
print(pd.DataFrame(compared).astype(float).round(2))

# %% tags=["remove-cell"]
assert abs(requests.website.mean() - 132) < 4 * requests.website.std() / len(requests) ** 0.5
odd = sorted(distance.index[distance > 3])
assert odd == ["catalog", "checkout", "database", "fault", "website"]
assert distance.drop(odd).abs().max() < 0.3

# %% [markdown]
# Five of the eight are about four standard deviations away. An alarm on each would ring five times for
# one cause. What is *far from its mean* is not what went wrong: a service that waits for a slow
# one is slow without any fault of its own.
#
# ## Ask each service for what is its own
#
# A service is odd *by itself* if it is odd **given what it waits for**. What is left when that is taken
# away is its *noise*. The library finds the noise of a unit by abduction (tutorial 06); in
# this shop one can do it by hand. Given the load of 1 and the fault, the database should take 20
# + 10 + 60 = 90 ms. It took 92, which is nothing. The checkout should take 5 + 92 + 40 = 137 and
# took 138. Only the fault itself is rare, and nothing explains it.
#
# So what if the fault had not been there, for *this page*?

# %%
without = shop.counterfactual(page.to_dict(), do={"fault": 0.0}, seed=0)
print(without)
average = float(shop.do(fault=0.0).sample(len(requests), seed=0)["website"].mean())
print(f"a page without fault, on average: {average:.0f} ms")

# %% tags=["remove-cell"]
assert abs(float(without["website"]) - 130) < 1e-3
assert without.rung == 3
assert round(average) == 126

# %% [markdown]
# 130 ms: two ways lead from the database to the page, each 60 ms. (The average over *all* pages without
# a fault, the answer of rung 2, is 126: this page's database was 2 ms slow besides, which counts
# twice.) That is a good answer to "was it the fault?". But one would have to ask it of each service,
# and of services together, since two small causes can make one large delay.
#
# ## Sharing out the delay
#
# `pc.attribute` does this in a fair way. Take the variables in some order. At first all noise is drawn
# afresh, as for any page. Then, one variable after the other, put in the noise that *this* page
# had, and note by how much the website's time moves. What a variable adds depends on the order, so
# average over all orders. This average is called a **Shapley value**; the shares add up to the
# whole delay.

# %%
why = pc.attribute(shop, page.to_dict(), "website", num_samples=size(2000, 1000), seed=0)
print(why)
shares = why.to_frame()["value"]

# %% tags=["remove-cell"]
# By hand: the fault adds 120 * (1 - .05), the database's own 2 ms count twice, and so on.
truth = pd.Series({"fault": 114.0, "database": 4.0, "checkout": 1.0, "website": -1.0})
errors = why.to_frame()["se"]
assert all(
    abs(shares[name] - truth.get(name, 0.0)) < 4 * errors[name] + 0.05 for name in shares.index
)
assert abs(shares.sum() - 118) < 2
assert why.rung == 3

# %%
fig, ax = pyplot.subplots(figsize=(6, 3))
table = why.to_frame()
ax.barh(table.index, table["value"], color=PALETTE[0])
ax.errorbar(
    table["value"],
    table.index,
    xerr=[table["value"] - table["lower"], table["upper"] - table["value"]],
    fmt="none",
    color=PALETTE[6],
)
ax.invert_yaxis()
_ = ax.set(xlabel="share of the 118 ms above the mean", title="Why this page was slow")

# %% [markdown]
# 114 of the 118 ms are due to the fault, 4 to the database itself, 1 to the checkout, and the page's
# own work was 1 ms faster than usual. The catalog, which rang the alarm as loudly as any, gets nothing.
#
# ## How odd, rather than how much
#
# Milliseconds are one scale. Another is *surprise*: how unlikely is a page as far out as this one, on
# a logarithmic scale? `score="tail"` shares that out. (In units of *nats*: 2.3 is one in ten, 4.6
# one in a hundred.)

# %%
surprise = pc.attribute(
    shop, page.to_dict(), "website", score="tail", num_samples=size(2000, 1000), seed=0
)
odds = surprise.to_frame()["value"]
print(odds.round(2))

# %% tags=["remove-cell"]
assert odds.idxmax() == "fault"
assert odds["fault"] > 0.6 * odds.sum()
assert 3.0 < odds.sum() < 5.0

# %% [markdown]
# ## What changed since last week?
#
# Now the other question. Two tables of requests, last week's and this week's. We look at the checkout
# and what it waits for, and nobody has logged the faults.

# %%
waits = pc.CausalGraph(
    [("load", t) for t in ("database", "payment")]
    + [(t, "checkout") for t in ("database", "payment")]
)
busier = shop.do(
    load=dist.Normal(1.3, 0.2),
    payment=pc.mechanism(lambda v: dist.Normal(47.0 + 5.0 * v["load"], 5.0)),
)
last = shop.sample(3000, seed=1).to_frame()[list(waits)]
this = busier.sample(3000, seed=2).to_frame()[list(waits)]
weeks = pd.DataFrame({"last": last.mean(), "this": this.mean()}).astype(float)
print(weeks.assign(change=weeks.this - weeks.last).round(2))

# %% tags=["remove-cell"]
change = this.mean() - last.mean()
assert abs(change.checkout - 16.5) < 4 * (2 * last.checkout.var() / 3000) ** 0.5
assert abs(change.payment - 13.5) < 4 * (2 * last.payment.var() / 3000) ** 0.5

# %% [markdown]
# All four means have moved. (We know why, since we made the data: there are more requests, and the
# provider that takes the payments needs 12 ms more. Everything else is as it was.) Which *mechanism*
# changed? Fit a model to each week, here a straight line for each service. `Parent.continuous` says in
# which units the line sees a cause.


# %%
def fitted(week: pd.DataFrame) -> pc.SCM:
    """Fit a straight line for each service to what it waits for."""
    mean, sd = week.mean(), week.std()
    lines = {
        name: Linear(
            [Parent.continuous(loc=mean[p], scale=sd[p]) for p in waits.predecessors(name)],
            head=heads.Normal(loc=mean[name], scale=sd[name]),
        )
        for name in waits
    }
    return pc.SCM.from_graph(waits, lines, data=week, steps=200, lr=0.1, progress=False, seed=0)


before, after = fitted(last), fitted(this)
moved = pc.attribute(before, after, "checkout", num_samples=1000, seed=0)
print(moved)

# %% tags=["remove-cell"]
parts = moved.to_frame()["value"]
# The shares' standard errors from 3000 requests a week are about .3, .45, .25 and .1 ms.
assert abs(parts["load"] - 4.5) < 1.2
assert abs(parts["payment"] - 12.0) < 1.0
assert abs(parts["database"]) < 1.8
assert abs(parts["checkout"]) < 0.6
assert abs(parts.sum() - change.checkout) < 1.0
assert moved.rung == 2

# %% [markdown]
# Twelve of the 16 ms are the payment provider's, and some 4.5 come from the load, *through* the
# database and the payments. The database, slower than last week, gets next to nothing: given
# the load, it works as it did. Each mechanism is last week's or this week's, and its share is again a
# Shapley value, this time of the change of the mean.
#
# What such an answer assumes: the graph, that nothing unlogged is behind two of its variables, and that
# the lines are right. A model that is flexible, such as a neural network, fits better where there are
# many requests, but an outlier is where there are few. Then it must guess, and the shares with
# it.
#
# ## What to try
#
# **Exercise 1.** Another page took 244 ms: load 1, no fault, database 30, cache 3, catalog 41,
# payment 158, checkout 193. Who is to blame? Guess before you ask.

# %% tags=["hide-cell"]
other = page.to_dict() | {"fault": 0.0, "database": 30.0, "catalog": 41.0}
other |= {"payment": 158.0, "checkout": 193.0, "website": 244.0}
blame = pc.attribute(shop, other, "website", num_samples=500, seed=0).to_frame()["value"]
print(blame.round(1))
# Payment should take 35 + 5 = 40 ms: the 118 ms above that are its own. That there was no fault,
# as there is in 5 % of requests, saved some 6.
assert blame.idxmax() == "payment"
assert abs(blame["payment"] - 118) < 1

# %% [markdown]
# **Exercise 2.** Nobody logs faults, as in the second half. Explain the first page's *checkout* by the
# model of last week (`before`). Where did the fault go?

# %% tags=["hide-cell"]
seen = page[list(waits)].to_dict()
unlogged = pc.attribute(before, seen, "checkout", num_samples=500, seed=0).to_frame()["value"]
print(unlogged.round(1))
# Into the noise of the database: blame is only as fine as the variables are. Load and fault apart,
# the database should take 20 + 10 + 60 * .05 = 33 ms, and took 59 more.
assert unlogged.idxmax() == "database"
assert abs(unlogged["database"] - 59) < 3

# %% [markdown]
# **Exercise 3.** Which *repair* would have helped the slow page most: to answer from a cache that takes
# no time (`cache=0`), to take payments in 20 ms, or to hold the database at 40 ms? Ask for the
# website in each world. Is this the same question as "who is to blame"?

# %% tags=["hide-cell"]
repairs = [{"cache": 0.0}, {"payment": 20.0}, {"database": 40.0}]
times = shop.counterfactual(page.to_dict(), do=repairs, seed=0)["website"].flatten()
print(dict(zip(("cache", "payment", "database"), times.tolist(), strict=True)))
# 250 - 3, 250 - 20, 250 - 2 * 52. Blame looks at what was unusual, repair at what can be changed:
# payment was quite as usual, and still 20 ms can be had there.
assert [round(float(t)) for t in times] == [247, 230, 146]

# %% [markdown]
# ## Sources
#
# K. Budhathoki, L. Minorics, P. Blöbaum and D. Janzing, *Causal structure-based root cause analysis of
# outliers*, ICML (2022). K. Budhathoki, D. Janzing, P. Blöbaum and H. Ng, *Why did the distribution
# change?*, AISTATS (2021). L. S. Shapley, *A value for n-person games* (1953). The shop is invented;
# its equations are in `pc.zoo.service_latency`.
