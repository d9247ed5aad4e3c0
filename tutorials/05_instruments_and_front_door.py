# ---
# jupyter:
#   jupytext:
#     text_representation:
#       format_name: percent
# ---

# %% [markdown]
# # When the confounder was never measured: instruments and front doors
#
# Adjustment needs the confounders to be in the table. What if they are not? Ability, taste and luck
# sway how long we go to school *and* what we earn, and nobody writes them down. Then the back door
# stays open. Two other ways in are sometimes there: something that pushes the treatment as a coin
# would, called an **instrument**; and something that carries the whole effect, a **front door**.
#
# ## The question, and why adjustment can't answer it
#
# What does college do to wages? David Card looked at 3010 men in the United States, who were 24 to
# 34 years old in 1976. A double-headed arrow stands for causes that two variables share and
# that nobody measured.

# %%
import numpy as np
import pandas as pd
import pyro
import pyro.distributions as dist
import torch
from lesson import PALETTE, size
from matplotlib import pyplot

import pyrocausal as pc
from pyrocausal.estimation import two_stage_least_squares

hidden = pc.CausalGraph(
    [("near", "college"), ("college", "wage")], bidirected=[("college", "wage")]
)
_ = pc.plot.graph(hidden)
try:
    pc.identify(hidden, "wage", do="college")
except pc.NotIdentified as error:
    print(str(error).partition(".")[0])

# %% tags=["remove-cell"]
men = pc.datasets.close_college()
years = men.educ + men.exper + 6
assert (len(men), years.min(), years.max()) == (3010, 24, 34)
try:
    pc.identify(hidden, "wage", do="college")
    raise AssertionError
except pc.NotIdentified:
    pass

# %% [markdown]
# *Not identified*: two worlds with this graph can agree in everything that is seen and differ in
# what college does. No cleverness with the table alone will help. But look at `near`: whether the
# boy grew up near a college. It makes college more likely (one can live at home), and if the graph
# is right it reaches the wage in no other way. It is like a coin that somebody tossed for him:

# %%
print(pc.instruments(hidden, "wage", do="college"))

# %% [markdown]
# ## What an instrument can tell: a world whose truth is known
#
# Before the real men, a program where we know everything. There are three kinds of boys. Some go to
# college *if one is near* (they are called **compliers**), some go anyway (**always-takers**), and
# some won't go in any case (**never-takers**). College does something different for each kind.
# (`Categorical` draws 0, 1 or 2 with these shares; a `deterministic` variable is fixed by its causes.)

# %%
share = torch.tensor([0.5, 0.2, 0.3])  # compliers, always-takers, never-takers
gain = torch.tensor([0.1, 0.4, 0.5])
level = torch.tensor([2.5, 2.9, 2.2])


@pc.scm(latent=["kind"])
def town():
    kind = pyro.sample("kind", dist.Categorical(share))
    near = pyro.sample("near", dist.Bernoulli(0.5))
    goes = torch.where(kind == 0, near, (kind == 1).to(near))
    college = pyro.deterministic("college", goes)
    pyro.sample("wage", dist.Normal(level[kind] + gain[kind] * college, 0.3))


boys = town.sample(size(100_000, 10_000), seed=0).to_frame()
print(boys.head(3).round(2))
by_college = boys.groupby("college").wage.mean()
average = pc.ate(town, "college", "wage", seed=0)
print(f"as seen {by_college[1] - by_college[0]:.2f}, average effect {average.value:.2f}")

# %% tags=["remove-cell"]
seen = by_college[1] - by_college[0]
assert abs(average.value - (0.05 + 0.08 + 0.15)) < 4 * average.se
# with college: half of the compliers, all always-takers; without: the others
high = (0.25 * 2.6 + 0.2 * 3.3) / 0.45
low = (0.25 * 2.5 + 0.3 * 2.2) / 0.55
assert abs(seen - (high - low)) < 0.04
assert round(high - low, 2) == 0.57

# %% [markdown]
# Wages are logarithms here: a difference of 0.1 is about 10 %. College men are seen to earn 0.57
# more, and the average effect is 0.28. The rest is the hidden kind. Now use the coin. Boys who live
# near a college and boys who don't are alike, since the coin knows nothing of their kind:

# %%
by_near = boys.groupby("near")[["college", "wage"]].mean()
print(by_near.round(3))
moved = by_near.loc[1] - by_near.loc[0]
print(
    f"wage {moved.wage:+.3f}, college {moved.college:+.3f}: ratio {moved.wage / moved.college:.2f}"
)

# %% tags=["remove-cell"]
assert abs(moved.college - 0.5) < 4 * (0.45 * 0.55 * 4 / len(boys)) ** 0.5
assert abs(moved.wage - 0.05) < 4 * 0.45 * (4 / len(boys)) ** 0.5

# %% [markdown]
# Living near a college raised the share that goes by a half, and wages by some 0.05. It did the second
# *only through* the first. So those whom it sent to college gained 0.05 / 0.5 = 0.1 each. This
# is the **Wald ratio**.
#
# And whose effect is that? Not the average of all, 0.28. The coin changed nothing for always-takers
# and never-takers, so it can say nothing about them. It tells what college does for the
# *compliers*. This is the **local average treatment effect**, LATE:

# %%
from_data = pc.late(boys, "college", "wage", instrument="near")
print(from_data)
truth = pc.late(town, "college", "wage", instrument="near", seed=0)
print(f"\nby the program itself: {truth.value:.2f}, rung {truth.rung}")

# %% tags=["remove-cell"]
assert abs(truth.value - 0.1) < 1e-5
assert abs(from_data.value - 0.1) < 4 * from_data.se
assert abs(from_data.value - moved.wage / moved.college) < 1e-3
assert from_data.rung == 3

# %% [markdown]
# The card says rung 3: to be a complier is to behave *differently in two worlds*, and nobody is ever
# seen in both. It also names the assumption that makes the ratio work, **monotonicity**: nobody
# *defies* the coin, by going only if no college is near.
#
# | question | answer | rung |
# | --- | --- | --- |
# | men seen with and without college | 0.57 | 1 |
# | all made to go, against none | 0.28 | 2 |
# | those whom a college nearby sends there | 0.10 | 3 |
#
# ## The real men
#
# `nearc4` is 1 for a four-year college in the county, `educ` counts years of school, `lwage` is the
# logarithm of the hourly wage. Whoever has more than 12 years went to college.

# %%
men = pc.datasets.close_college()
men["college"] = (men.educ > 12).astype(int)
raw = pc.late(men, "college", "lwage", instrument="nearc4")
print(raw)
times = np.exp(raw.value)
print(f"{times:.1f} times the wage")

# %% tags=["remove-cell"]
assert round(raw.value, 2) == 1.28
assert round(times, 1) == 3.6
assert raw.details["share of compliers"].startswith("0.122")
assert round(raw.details["share of always-takers"], 2) == 0.42
assert round(raw.details["share of never-takers"], 2) == 0.46

# %% [markdown]
# One in eight men is a complier; 42 % would go anyway, and 46 % in no case. And college makes the
# compliers earn 3.6 times as much? That is hard to believe. Something is wrong, and the card can't
# know what. We can: colleges are not placed by tossing coins.

# %%
places = men.groupby("nearc4")[["smsa", "south", "black", "lwage"]].mean()
print(places.round(2))

# %% tags=["remove-cell"]
assert places.smsa.round(2).tolist() == [0.48, 0.82]
assert places.south.round(2).tolist() == [0.56, 0.33]

# %% [markdown]
# Of men near a college 82 % live in a city (`smsa`), of the others 48 %. Fewer of them live in the
# South. Cities and the North pay more. So there is a back door from the *instrument* to the wage, and
# it must be closed as any other:

# %%
background = ["smsa", "south", "black", "age"]
men["age"] = men.educ + men.exper + 6  # of these two and the six years before school
graph = pc.CausalGraph(
    [("nearc4", "educ"), ("educ", "lwage")]
    + [(b, to) for b in background for to in ("nearc4", "educ", "lwage")],
    bidirected=[("educ", "lwage")],
)
print(pc.instruments(graph, "lwage", do="educ"))

# %% [markdown]
# Given these four, `nearc4` is an instrument again. **Two-stage least squares** does with covariates
# what the Wald ratio does without: first predict the years of school from the instrument
# and the covariates, then regress the wage on the *predicted* years, and the covariates. The
# answer is now what one more *year* does.

# %%
adjusted = two_stage_least_squares(men, "educ", "lwage", "nearc4", background)
print(adjusted)

# %% tags=["remove-cell"]
assert round(adjusted.value, 3) == 0.093
assert 9.5 < adjusted.details["first-stage F"] < 9.8
assert round(adjusted.details["least squares"], 3) == 0.034
lower, upper = adjusted.interval
assert round(lower, 3) == -0.001
assert round(upper, 2) == 0.27

# %% [markdown]
# 9 % a year, far more sober. Least squares says 3.4 % for the same covariates. But the interval is
# wide, from -0.1 % to 27 %, and there is a warning: **weak instrument**. Once city and region are held
# fixed, a college nearby moves schooling little. What is wrong with that?
#
# ## Weak instruments
#
# The ratio divides by what the instrument does to the treatment. When this is small, noise in it is
# large in comparison; worse, the estimate is then drawn towards the confounded answer of least
# squares. A simulation shows it. The true effect is 0, and a hidden cause makes least squares say
# 0.7 to 0.9.


# %%
def study(strength, rng, n=500):
    """Draw a study in which the treatment does nothing."""
    hidden_cause, z = rng.normal(size=(2, n))
    x = strength * z + hidden_cause + 0.3 * rng.normal(size=n)
    return pd.DataFrame({"z": z, "x": x, "y": hidden_cause + 0.3 * rng.normal(size=n)})


runs = size(1000, 300)
estimates, missed = {}, {}
for strength in (0.5, 0.05):
    rng = np.random.default_rng(0)
    cards = [two_stage_least_squares(study(strength, rng), "x", "y", "z") for _ in range(runs)]
    estimates[strength] = np.array([card.value for card in cards])
    missed[strength] = {
        "plus or minus 1.96 errors": np.mean([abs(c.value) > 1.96 * c.se for c in cards]),
        "Anderson-Rubin": np.mean([0.0 not in c.details["Anderson-Rubin set"] for c in cards]),
    }
print(pd.DataFrame(missed).round(3))
F = np.median([card.details["first-stage F"] for card in cards])
print(f"median F of the weak instrument: {F:.1f}")

# %% tags=["remove-cell"]
error = (0.05 * 0.95 / runs) ** 0.5
assert all(abs(m["Anderson-Rubin"] - 0.05) < 4 * error for m in missed.values())
assert F < 2
assert np.median(estimates[0.05]) > 0.15
assert missed[0.05]["plus or minus 1.96 errors"] > 0.08
assert 0.7 < np.median([card.details["least squares"] for card in cards]) < 0.95
assert abs(np.median(estimates[0.5])) < 0.02

# %%
fig, ax = pyplot.subplots(figsize=(7, 3))
for (strength, values), name, colour in zip(
    estimates.items(), ("strong", "weak"), PALETTE[:2], strict=True
):
    ax.hist(
        values,
        bins=60,
        range=(-2, 2),
        density=True,
        histtype="step",
        color=colour,
        label=f"{name} instrument ({strength} z)",
    )
ax.axvline(0.0, color=PALETTE[6], linewidth=1, label="truth")
ax.axvline(0.9, color=PALETTE[2], linestyle="--", label="least squares")
ax.set(xlabel="estimate of an effect that is 0", ylabel="density", title="Weak instruments lean")
_ = ax.legend()

# %% [markdown]
# The strong instrument finds 0. The weak one scatters widely, and leans to the right. A usual interval
# (estimate plus or minus 1.96 errors) should miss the truth in 5 % of studies; here it misses it in
# more than twice as many. The **Anderson-Rubin set** keeps its word, however weak the instrument. It
# asks of each possible effect `b` whether the instrument still tells anything about `y - b x`, which
# it should not if `b` is the effect.
# It may be endless; that is an honest answer where the data say nothing. The library shows the
# strength as **F**, and takes this set for the interval where F is below 10.
#
# ## A bad control in a famous table
#
# The usual analysis of these data controls for years of work experience, and gets this:

# %%
usual = ["exper", "black", "south", "smsa", "married"]
published = two_stage_least_squares(men, "educ", "lwage", "nearc4", usual)
print(f"{published.value:.3f}, {published.interval}, F {published.details['first-stage F']:.0f}")

# %% tags=["remove-cell"]
assert round(published.value, 3) == 0.124
assert published.details["first-stage F"] > 16
lower, upper = published.interval
assert round(lower, 3) == 0.028
assert round(upper, 2) == 0.22
assert (men.exper == men.age - men.educ - 6).all()

# %%
bare = two_stage_least_squares(men, "educ", "lwage", "nearc4")
answers = {"no controls": bare, "city, South, black, age": adjusted, "with experience": published}
ax = pc.plot.forest(answers, unit="log wage per year of school")
ax.axvline(adjusted.details["least squares"], color=PALETTE[1], linestyle="--")
_ = ax.set_title("dashed: least squares with city, South, black, age")

# %% [markdown]
# 12 % a year, and an instrument that looks strong enough. But look at what `exper` is: age less years
# of school less six. It lies *below* the treatment: whoever studies longer has less experience. To
# hold it fixed asks what a year of school does when one also gets a year older. That is another
# question, with another answer. Whoever sees two published figures for one effect should first ask
# what was held fixed.
#
# ## The front door
#
# Does smoking harm the lungs? In 1958 the statistician R. A. Fisher doubted it: might not a gene
# make people smoke and also fall ill? Here is an invented world with a gene that makes people smoke
# and *strengthens* their lungs (more is better). The gene is in no table, and no coin makes people
# smoke. But smoking harms by way of tar, and tar can be measured.

# %%


@pc.scm(latent=["gene"])
def smoking():
    gene = pyro.sample("gene", dist.Bernoulli(0.5))
    smokes = pyro.sample("smokes", dist.Bernoulli(0.2 + 0.6 * gene))
    tar = pyro.sample("tar", dist.Normal(3.0 * smokes, 1.0))
    pyro.sample("lungs", dist.Normal(50.0 - 2.0 * tar + 12.0 * gene, 3.0))


_ = pc.plot.graph(smoking)
patients = smoking.sample(size(5000, 3000), seed=0).to_frame()
lungs = patients.groupby("smokes").lungs.mean()
print(f"without {lungs[0]:.1f}, with {lungs[1]:.1f} points")

# %% tags=["remove-cell"]
assert list(patients.columns) == ["smokes", "tar", "lungs"]
assert abs((lungs[1] - lungs[0]) - 1.2) < 0.8  # -6 + 12 * (.8 - .2)

# %% [markdown]
# Smokers are seen with *better* lungs, by about one point. Can the effect be told from these three
# columns?

# %%
estimand = pc.identify(smoking, "lungs", do="smokes")
print(estimand)
print(pc.frontdoor_sets(smoking, "lungs", do="smokes"))

# %% tags=["remove-cell"]
assert estimand.form == "front door"
assert list(pc.frontdoor_sets(smoking, "lungs", do="smokes")) == [{"tar"}]

# %% [markdown]
# It can. Read the formula from the right, as two back doors that *are* closed, one after the other:
#
# 1. What does tar do to lungs? The gene is in the way, by `tar <- smokes <- gene -> lungs`. Holding
#    `smokes` fixed closes this path: that is `sum_smokes' P(lungs | smokes', tar) P(smokes')`.
# 2. What does smoking do to tar? Nothing else causes both, so seeing is doing: `P(tar | smokes)`.
#
# One after the other they are the effect of smoking, if it has no other way to the lungs than tar.

# %%
by_door = estimand.estimate(patients, method="plug-in", replicates=size(200, 40), seed=0)
print(by_door)
harm = pc.ate(smoking, "smokes", "lungs", seed=0)
print(f"\nby the program itself: {harm.value:.2f}")

# %% tags=["remove-cell"]
assert abs(harm.value + 6) < 1e-5
assert abs(by_door.value - harm.value) < 4 * by_door.se
assert by_door.rung == 2

# %% [markdown]
# Smoking costs 6 points, though those who smoke are seen to be better off. The front door found the
# sign that seeing had wrong, without the gene. `"plug-in"` fits each factor of the formula, and
# its interval is by *bootstrap*: estimate again from patients drawn with replacement.
#
# Front doors are rare, since seldom everything goes through what one can measure, and instruments are
# disputed, since one must argue that they reach the outcome in no other way. Both arguments are
# about the graph. The data had no part in them.
#
# ## What to try
#
# **Exercise 1.** Let a tenth of the boys be *defiers*, who go to college only if none is near, and
# gain 0.6 by it. What does the Wald ratio say now, and what is the truth about the compliers?

# %% tags=["hide-cell"]


@pc.scm(latent=["kind"])
def contrary_town():
    kind = pyro.sample("kind", dist.Categorical(torch.tensor([0.5, 0.2, 0.2, 0.1])))
    near = pyro.sample("near", dist.Bernoulli(0.5))
    told = torch.where(kind == 3, 1 - near, (kind == 1).to(near))
    college = pyro.deterministic("college", torch.where(kind == 0, near, told))
    gains = torch.tensor([0.1, 0.4, 0.5, 0.6])[kind]
    pyro.sample("wage", dist.Normal(2.5 + gains * college, 0.3))


sample = contrary_town.sample(size(20_000, 10_000), seed=0).to_frame()
ratio = pc.late(sample, "college", "wage", instrument="near")
real = pc.late(contrary_town, "college", "wage", instrument="near", seed=0)
print(f"ratio {ratio.value:.3f}, compliers {real.value:.3f}")
print(real.warnings)
# The defiers enter with the opposite sign: (.5 * .1 - .1 * .6) / (.5 - .1) = -.025
assert abs(ratio.value + 0.025) < 4 * ratio.se
assert abs(real.value - 0.1) < 1e-5

# %% [markdown]
# **Exercise 2.** Suppose men who grew up near a college also know people there who find them jobs: an
# arrow `nearc4 -> lwage`. Give that graph to `pc.instruments`, and to `pc.late(graph, ...,
# data=men)` with `college` as treatment. What does the library say?

# %% tags=["hide-cell"]
leaky = pc.CausalGraph(
    [("nearc4", "college"), ("college", "lwage"), ("nearc4", "lwage")],
    bidirected=[("college", "lwage")],
)
assert list(pc.instruments(leaky, "lwage", do="college")) == []
try:
    pc.late(leaky, "college", "lwage", instrument="nearc4", data=men)
    raise AssertionError
except ValueError as error:
    print(error)

# %% [markdown]
# **Exercise 3.** Let the gene thicken the tar as well: an arrow `gene -> tar`. Is the effect of
# smoking still identified? What does the front-door formula give if one uses it all the same, and
# what is the truth?

# %% tags=["hide-cell"]


@pc.scm(latent=["gene"])
def thicker():
    gene = pyro.sample("gene", dist.Bernoulli(0.5))
    smokes = pyro.sample("smokes", dist.Bernoulli(0.2 + 0.6 * gene))
    tar = pyro.sample("tar", dist.Normal(3.0 * smokes + 0.5 * gene, 1.0))
    pyro.sample("lungs", dist.Normal(50.0 - 2.0 * tar + 12.0 * gene, 3.0))


try:
    pc.identify(thicker, "lungs", do="smokes")
    raise AssertionError
except pc.NotIdentified as error:
    print(str(error).partition(".")[0])
frame = thicker.sample(10_000, seed=0).to_frame()
wrong = estimand.estimate(frame, method="plug-in", replicates=20, seed=0)
right = pc.ate(thicker, "smokes", "lungs", seed=0)
print(f"by the formula {wrong.value:.1f}, by the program {right.value:.1f}")
assert abs(right.value + 6) < 1e-5
# The slope of lungs on tar among those who smoke alike is -2 + 12 * .08 / 1.04, and smokers have
# 3.3 more tar: -3.6, too little by nearly a half.
assert abs(wrong.value + 3.6) < 4 * wrong.se
assert wrong.value > right.value + 1

# %% [markdown]
# ## Sources
#
# D. Card, *Using geographic variation in college proximity to estimate the return to schooling*
# (1995). G. W. Imbens and J. D. Angrist, *Identification and estimation of local average treatment
# effects*, Econometrica 62 (1994). J. D. Angrist, G. W. Imbens and D. B. Rubin, *Identification of
# causal effects using instrumental variables*, JASA 91 (1996). T. W. Anderson and H. Rubin,
# *Estimation of the parameters of a single equation in a complete system of stochastic equations*
# (1949). D. Staiger and J. H. Stock, *Instrumental variables regression with weak instruments*,
# Econometrica 65 (1997), for the bound of 10. R. A. Fisher, *Lung cancer and cigarettes?*, Nature
# 182 (1958). J. Pearl, *Causality* (2009), section 3.3.2, for the front door.
