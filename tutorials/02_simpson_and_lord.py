# ---
# jupyter:
#   jupytext:
#     text_representation:
#       format_name: percent
# ---

# %% [markdown]
# # Confounding: two paradoxes
#
# A treatment that helps every kind of patient can look harmful in the whole. Two statisticians can
# look at the same table and reach opposite answers, both without a mistake. Neither puzzle can be
# settled by more data or better arithmetic. Both dissolve as soon as one says what causes what.
#
# ## Simpson's paradox: kidney stones
#
# In a British hospital 700 patients had a kidney stone removed, half of them by open surgery,
# half by a newer method through a small cut. How often did it work?

# %%
import pandas as pd
import pyro
import pyro.distributions as dist
import torch
from lesson import PALETTE, size
from matplotlib import pyplot

import pyrocausal as pc

stones = pd.DataFrame(
    [("small", 1, 81, 87), ("large", 1, 192, 263), ("small", 0, 234, 270), ("large", 0, 55, 80)],
    columns=["stone", "surgery", "cured", "patients"],
)
whole = stones.groupby("surgery")[["cured", "patients"]].sum()
by_size = stones.set_index(["stone", "surgery"])
print((by_size.cured / by_size.patients).unstack().round(2))
print((whole.cured / whole.patients).round(2))

# %% tags=["remove-cell"]
overall = whole.cured / whole.patients
rates = (by_size.cured / by_size.patients).unstack()
assert round(overall[0], 2) == 0.83
assert round(overall[1], 2) == 0.78
assert (rates[1] > rates[0]).all()

# %% [markdown]
# Open surgery (1) is better for small stones, 93 % against 87 %, and for large ones, 73 % against
# 69 %. Over all patients it is *worse*: 78 % against 83 %.
#
# Look at who got which. Doctors sent the hard cases, the large stones, to open surgery. Large
# stones are cured less often, whatever one does. So the size of the stone is a *common cause* of
# the treatment and of the cure, a **confounder**:

# %%
hospital = pc.CausalGraph([("large", "surgery"), ("large", "cured"), ("surgery", "cured")])
_ = pc.plot.graph(hospital)

# %% [markdown]
# There are two paths between surgery and cure. One is the effect that we want to know. The other,
# `surgery <- large -> cured`, goes in by the back door: it carries association without being an
# effect. `paths` lists both, and says which are *open*, so that association flows along them.

# %%
for path in hospital.paths("surgery", "cured"):
    print(path)
print("with the size held fixed:")
for path in hospital.paths("surgery", "cured", given=["large"]):
    print(path)

# %% [markdown]
# Holding the size fixed blocks the back door and leaves the effect alone. So the graph says which
# comparison to believe, the one within each size, and how to put the two together: weight each
# size by how many patients *have* it, not by how many of the treated do. `identify` writes this as a
# formula. On its left is the question, on its right only what can be *seen*: the share of cured of
# each size and treatment, times the share of each size, summed over sizes. `evaluate` computes it
# from a table, here with a row for each kind of patient, cured or not, and its share `p` of all 700.

# %%
query = pc.identify(hospital, "P(cured | do(surgery))")
print(query)

rows = stones.loc[stones.index.repeat(2)].reset_index(drop=True)  # each line: cured, and not
rows["large"] = (rows.stone == "large").astype(int)
rows["p"] = [
    n / 700
    for cured, patients in zip(stones.cured, stones.patients, strict=True)
    for n in (cured, patients - cured)
]
rows["cured"] = [1, 0] * 4
table = rows[["large", "surgery", "cured", "p"]]
done = [query.evaluate(table, do={"surgery": x}, weights="p")[1] for x in (0, 1)]
print(f"P(cured | do(surgery=1)) = {done[1]:.3f}, P(cured | do(surgery=0)) = {done[0]:.3f}")

# %% tags=["remove-cell"]
assert abs(done[1] - (357 / 700 * 81 / 87 + 343 / 700 * 192 / 263)) < 1e-9
assert abs(done[0] - (357 / 700 * 234 / 270 + 343 / 700 * 55 / 80)) < 1e-9
assert round(done[1] - done[0], 3) == 0.054

# %% [markdown]
# If everybody had open surgery 83 % would be cured, if nobody had it 78 %: five in a hundred are
# cured by the choice. The whole table had it the wrong way round.

# %%
fig, ax = pyplot.subplots(figsize=(6, 3))
bars = {
    "small stones": (rates[0]["small"], rates[1]["small"]),
    "large stones": (rates[0]["large"], rates[1]["large"]),
    "all, as seen": tuple(overall),
    "all, by do": tuple(done),
}
for shift, name, colour in ((-0.2, "small cut", PALETTE[0]), (0.2, "open surgery", PALETTE[1])):
    heights = [pair[int(shift > 0)] for pair in bars.values()]
    ax.bar([i + shift for i in range(4)], heights, 0.36, color=colour, label=name)
ax.set_xticks(range(4), list(bars))
ax.set(ylim=(0.6, 1.0), ylabel="share cured", title="Within each size, surgery is better")
_ = ax.legend(ncols=2, loc="upper right")

# %% [markdown]
# ### The same table, another graph
#
# Is it always right to look within groups? No. Suppose the third variable were not the size of the
# stone but the *swelling a day after*, which the operation itself causes. The numbers could be the
# very same. Then comparing patients with equal swelling would throw away part of the effect, and
# the whole table would be right. No number in the table tells the two stories apart; the arrow
# does. With this graph the formula is the whole table: seeing *is* doing.

# %%
afterwards = pc.CausalGraph([("surgery", "swelling"), ("swelling", "cured"), ("surgery", "cured")])
print(pc.identify(afterwards, "P(cured | do(surgery))"))

# %% [markdown]
# ## Lord's paradox: the canteen's diet
#
# A university weighs its students in September and in June. One hall serves diet A, another diet B.
# In each hall the average weight did not change. The first statistician says: *neither diet did
# anything*. The second compares students of the two halls who weighed the same in September: of
# those, the ones in hall B weigh more in June. He says: *B makes heavier*.
#
# Let us build it. Heavier students choose hall B. A student's weight drifts back towards the
# student's own long-run weight, which the scales catch only roughly.

# %%


@pc.scm
def university():
    usual = pyro.sample("usual", dist.Normal(70.0, 8.0))
    pyro.sample("september", dist.Normal(usual, 4.0))
    hall_b = pyro.sample("hall_b", dist.Bernoulli(logits=(usual - 70.0) / 4.0))
    pyro.sample("june", dist.Normal(usual + 0.0 * hall_b, 4.0))


students = university.sample(size(200_000, 40_000), seed=0).to_frame()
gain = students.june - students.september
gains = gain.groupby(students.hall_b).mean()
print(f"mean gain: hall A {gains[0]:.2f} kg, hall B {gains[1]:.2f} kg")
same = students[(students.september - 70).abs() < 1]
june = same.groupby("hall_b").june.mean()
print(
    f"of those who weighed 70 kg in September, B is heavier by {june[1] - june[0]:.1f} kg in June"
)

# %% tags=["remove-cell"]
assert gains.abs().max() < 4 * gain.std() / (len(gain) / 2) ** 0.5
assert 2.0 < june[1] - june[0] < 4.0

# %% [markdown]
# Both statisticians computed correctly. Who is right? Ask the program what the diet does:

# %%
effect = pc.ate(university, "hall_b", "june", seed=0)
print(effect)

# %% tags=["remove-cell"]
assert effect.value == 0.0
assert effect.rung == 2

# %% [markdown]
# Nothing: in this university the first statistician is right. (The zero before `hall_b` in the program
# is what the diet does; the library noticed, and says so.) The second compared a student of B who by
# chance weighed *little* in September with one of A who by chance weighed *much*; both then went
# back to what is usual for them.
#
# In a second university the students choose the hall *by looking at the scales*. Now the weight in
# September is the confounder itself, and it is the second statistician who is right. The usual weight
# is in no table: `latent` names what nobody measured.

# %%


@pc.scm
def by_the_scales():
    usual = pyro.sample("usual", dist.Normal(70.0, 8.0))
    september = pyro.sample("september", dist.Normal(usual, 4.0))
    hall_b = pyro.sample("hall_b", dist.Bernoulli(logits=(september - 70.0) / 4.0))
    pyro.sample("june", dist.Normal(usual + 0.0 * hall_b, 4.0))


observed, verdicts = ["september", "hall_b", "june"], []
for model in (university, by_the_scales):
    edges = [*model.graph.edges, ("hall_b", "june")]  # the effect that is in question
    graph = pc.CausalGraph(edges, latent=["usual"])
    try:
        verdicts.append(str(pc.identify(graph, "P(june | do(hall_b))")))
    except pc.NotIdentified as error:
        verdicts.append(str(error).partition(".")[0])
print(*verdicts, sep="\n")

# %% tags=["remove-cell"]
assert "not identified" in verdicts[0]
assert verdicts[1].endswith("sum_september P(june | hall_b, september) P(september)")

# %% [markdown]
# Where the usual weight, which nobody measured, sent students to a hall, the effect is not
# identified from what the scales show: not the gain, not the adjustment, nothing computed from the
# table alone is right in every such university. Where the scales sent them, adjusting for
# September is right. The table looks alike. The graph decides.
#
# ## What to try
#
# **Exercise 1.** Simulate the hospital: write the kidney-stone program with the rates of the table,
# and check that `pc.ate` gives the 5.4 % that was computed by hand.

# %% tags=["hide-cell"]


@pc.scm
def kidney_stones():
    large = pyro.sample("large", dist.Bernoulli(343 / 700))
    surgery = pyro.sample("surgery", dist.Bernoulli(torch.where(large > 0.5, 263 / 343, 87 / 357)))
    small_rate = torch.where(surgery > 0.5, 81 / 87, 234 / 270)
    large_rate = torch.where(surgery > 0.5, 192 / 263, 55 / 80)
    pyro.sample("cured", dist.Bernoulli(torch.where(large > 0.5, large_rate, small_rate)))


ate = pc.ate(kidney_stones, "surgery", "cured", seed=0)
print(ate)
assert abs(ate.value - (done[1] - done[0])) < 4 * ate.se

# %% [markdown]
# **Exercise 2.** A patient with a large stone had the small cut and was *not* cured. How likely is
# it that open surgery would have cured this very patient? (Rung 3; ask for many draws.) Compare
# with what `do` says of patients with large stones.

# %% tags=["hide-cell"]
patient = {"large": 1.0, "surgery": 0.0, "cured": 0.0}
again = kidney_stones.counterfactual(patient, do={"surgery": 1.0}, num_draws=4000, seed=0)
share = float(again["cured"].mean())
of_large = 192 / 263
print(f"this patient: {share:.2f}; patients with large stones, by do: {of_large:.2f}")
# Had the small cut cured 69 of 100, and surgery 73, then surgery would cure 4 of the 31 whom the
# small cut did not, *if* it harms none. No data can tell that; the library assumes it ("monotone"),
# and tutorial 07 shows the range without it. By do, which asks of any such patient, it is 73 %.
truth = (192 / 263 - 55 / 80) / (1 - 55 / 80)
assert abs(share - truth) < 4 * (truth * (1 - truth) / 4000) ** 0.5

# %% [markdown]
# **Exercise 3.** Give diet B a real effect of 3 kg in the second university, and estimate it from
# the students' table alone: by the difference of gains, and by adjusting for September
# (`pc.identify(...).estimate(frame, method="regression")`). Which one finds it?

# %% tags=["hide-cell"]


@pc.scm
def fattening():
    usual = pyro.sample("usual", dist.Normal(70.0, 8.0))
    september = pyro.sample("september", dist.Normal(usual, 4.0))
    hall_b = pyro.sample("hall_b", dist.Bernoulli(logits=(september - 70.0) / 4.0))
    pyro.sample("june", dist.Normal(usual + 3.0 * hall_b, 4.0))


frame = fattening.sample(size(50_000, 20_000), seed=0).to_frame()[observed]
growth = (frame.june - frame.september).groupby(frame.hall_b).mean()
graph = pc.CausalGraph(fattening.graph.edges, latent=["usual"])
estimate = pc.identify(graph, "june", do="hall_b").estimate(frame, method="regression")
print(f"difference of gains: {growth[1] - growth[0]:.2f} kg")
print(estimate)
assert growth[1] - growth[0] < 1.5
assert abs(estimate.value - 3.0) < 4 * estimate.se

# %% [markdown]
# ## Sources
#
# C. R. Charig, D. R. Webb, S. R. Payne and J. E. A. Wickham, *Comparison of treatment of renal
# calculi by open surgery, percutaneous nephrolithotomy, and extracorporeal shockwave lithotripsy*,
# BMJ 292 (1986). F. M. Lord, *A paradox in the interpretation of group comparisons*, Psychological
# Bulletin 68 (1967). J. Pearl, *Lord's paradox revisited*, Journal of Causal Inference 4 (2016).
