"""Tasks as a user of DoWhy writes them; `run.py` runs the cells and stores what they print."""

# %% data
import networkx as nx
import numpy as np
from dowhy import CausalModel, gcm
from rows import CONFOUNDERS, counts, pupils, smokers

people = smokers()
edges = [(z, x) for z in CONFOUNDERS for x in ("qsmk", "wt82_71")] + [("qsmk", "wt82_71")]

# %% identify
model = CausalModel(people, treatment="qsmk", outcome="wt82_71", graph=nx.DiGraph(edges))
estimand = model.identify_effect(proceed_when_unidentifiable=True)
print("adjust for:", ", ".join(sorted(estimand.get_backdoor_variables())))

# %% estimate
for method in ("linear_regression", "propensity_score_weighting"):
    effect = model.estimate_effect(estimand, method_name=f"backdoor.{method}")
    print(f"{method} = {effect.value:.4f}")

# %% refute
np.random.seed(0)  # noqa: NPY002 - what DoWhy draws from
effect = model.estimate_effect(estimand, method_name="backdoor.linear_regression")
placebo = model.refute_estimate(
    estimand, effect, "placebo_treatment_refuter", placebo_type="permute", num_simulations=50
)
print(f"placebo effect = {placebo.new_effect:.4f}")

# %% bow
bow = nx.DiGraph([("U", "X"), ("U", "Y"), ("X", "Y")])
nx.set_node_attributes(bow, {"U": "no", "X": "yes", "Y": "yes"}, "observed")
rows = people.rename(columns={"qsmk": "X", "wt82_71": "Y"})[["X", "Y"]]
hidden = CausalModel(rows, treatment="X", outcome="Y", graph=bow)
print("by default:", hidden.identify_effect().estimands["backdoor"])
print("id-algorithm:", hidden.identify_effect(method_name="id-algorithm"))

# %% counterfactual
joe = {"encouraged": [0.5], "homework": [1.0], "score": [1.5]}
graph = nx.DiGraph([("encouraged", "homework"), ("encouraged", "score"), ("homework", "score")])
pupil = gcm.InvertibleStructuralCausalModel(graph)
seen = pupils()
gcm.auto.assign_causal_mechanisms(pupil, seen)
gcm.fit(pupil, seen)
answer = gcm.counterfactual_samples(
    pupil, {"homework": lambda h: 2.0}, observed_data=seen.iloc[:0].assign(**joe)
)
print(f"Joe's score = {answer.score[0]:.4f}")

# %% partial evidence
known = {name: joe[name] for name in ("encouraged", "score")}
try:
    gcm.counterfactual_samples(
        pupil, {"homework": lambda h: 2.0}, observed_data=seen.iloc[:0, [0, 2]].assign(**known)
    )
except Exception as error:
    print(f"{type(error).__name__}: {error}")

# %% counts
patients = counts()
fits = gcm.InvertibleStructuralCausalModel(nx.DiGraph([("dose", "fits")]))
gcm.auto.assign_causal_mechanisms(fits, patients)
gcm.fit(fits, patients)
doubled = gcm.counterfactual_samples(
    fits, {"dose": lambda d: d + 3.0}, observed_data=patients.iloc[:200]
)
print("mechanism of fits:", type(fits.causal_mechanism("fits")).__name__)
print(f"least count = {doubled.fits.min():.0f}")
print(f"share below zero = {(doubled.fits < 0).mean():.3f}")
