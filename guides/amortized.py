"""An amortized guide: one network that infers any missing variables from any evidence."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self, final

import pyro
import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from pyrocausal.engine.tracing import quiet_seed
from pyrocausal.errors import UnknownVariable
from pyrocausal.fitting.options import read_seed
from pyrocausal.guides.embedding import Embedding
from pyrocausal.guides.encoders import ENCODERS, Encoder
from pyrocausal.guides.evidence import partial_evidence, whole_evidence
from pyrocausal.guides.fingerprints import fingerprint
from pyrocausal.guides.heads import Head
from pyrocausal.guides.options import check_shape
from pyrocausal.guides.patterns import Patterns
from pyrocausal.guides.reading import read_spaces
from pyrocausal.guides.simulating import simulate
from pyrocausal.guides.spaces import Space, SpaceDistribution
from pyrocausal.verbs.core import Core

if TYPE_CHECKING:
    from pyrocausal.model import SCM

__all__ = ["Amortized"]

ROWS = 2**17  # units times draws that are worked on at a time
SETTLING = 4096  # units from which each variable's units of measurement are taken


@final
class Amortized(nn.Module):
    """``q(missing | evidence)`` for all patterns of evidence of a program, by one network.

    ``q(x_M | x_E) = prod_i q(x_i | x_E, x_j: j in M before i)``: the missing variables follow in
    the order of execution, and to the network what was seen and what was inferred before are the
    same: known variables, the others being masked. (With the head ``"diagonal"`` each depends on
    the evidence alone.) It stands over the values of random variables of a unit, in their own
    spaces: a density counts the way from all real numbers to a support.

    Make one with ``Amortized.of(scm)``, or have it made and trained by ``SCM.amortize``.

    Args:
        spaces: The random variables, in the order of execution.
        latent: Those that are never observed.
        ignored: Deterministic variables, which tell nothing beside their parents.
        patterns: ``"all"``, or the sets of observed variables that it is to stand for.
        head: ``"gaussian"``, ``"diagonal"``, ``"mixture"`` (of Gaussians) or ``"flow"`` (splines,
            with zuko) for continuous variables; discrete ones have categories or counts.
        encoder: ``"mlp"`` or ``"transformer"``.
        hidden: Width of the network.
        layers: Depth of the network.

    Example:
        >>> def chain():
        ...     x = pyro.sample("x", dist.Normal(0.0, 1.0))
        ...     pyro.sample("y", dist.Normal(x, 1.0))
        >>> guide = Amortized.of(pc.SCM(chain), seed=0)
        >>> guide.covers({"y"}, {"x"})
        True
        >>> generator = torch.Generator().manual_seed(0)
        >>> values, log_q = guide.draw({"y": torch.zeros(5)}, ["x"], 3, generator)
        >>> values["x"].shape, log_q.shape
        (torch.Size([3, 5]), torch.Size([3, 5]))
    """

    def __init__(
        self,
        spaces: Sequence[Space],
        latent: Sequence[str] = (),
        ignored: Sequence[str] = (),
        *,
        patterns: Any = "all",
        head: str = "gaussian",
        encoder: str = "mlp",
        hidden: int = 64,
        layers: int = 3,
    ) -> None:
        super().__init__()
        check_shape(head, encoder, hidden, layers)
        self.names, self.ignored = tuple(space.name for space in spaces), frozenset(ignored)
        self.latent = frozenset(latent)
        self.patterns = Patterns(self.names, self.latent, patterns)
        self.head, self.kind, self.hidden, self.layers = head, encoder, hidden, layers
        self.chained = head != "diagonal"
        self.fingerprint: str | None = None  # of the parameters of the program it was trained on
        self.spaces = nn.ModuleList(spaces)
        self.embedding = Embedding(spaces)
        self.encoder: Encoder = ENCODERS[encoder](self.embedding.widths, hidden, layers)
        self.heads = {i: s.head(head) for i, s in enumerate(spaces) if s.drawn}
        self.groups = _grouped(self.heads)
        self.places = {
            number: slice(start + k * shape.size, start + (k + 1) * shape.size)
            for shape, start, numbers in self.groups
            for k, number in enumerate(numbers)
        }
        self.drawn: Tensor
        drawn = [number for _, _, numbers in self.groups for number in numbers]
        self.register_buffer("drawn", torch.tensor(drawn, dtype=torch.long), persistent=False)
        outputs = sum(shape.size for shape in self.heads.values())
        self.output = nn.Linear(self.encoder.width, outputs)
        with torch.no_grad():
            # It starts near the prior, in standardised units.
            self.output.weight.mul_(0.1)
            self.output.bias.zero_()

    @classmethod
    def of(cls, scm: SCM, *, seed: int | None = None, **shape: Any) -> Self:
        """Make an untrained guide of an SCM.

        Args:
            scm: The SCM.
            seed: Seed of the weights.
            shape: Further arguments of ``Amortized``.

        Raises:
            ValueError: The program takes arguments, or has sites that all units share.
        """
        core, seed = scm._core, read_seed(seed, "Amortized.of()")
        spaces = read_spaces(core)
        ignored = [v.name for v in core.anatomy.variables.values() if v.deterministic]
        with quiet_seed(seed):
            guide = cls(spaces, core.latent, ignored, **shape)
        values = simulate(core, SETTLING, seed)
        with torch.no_grad():
            for space in spaces:
                space.settle(values[space.name].cpu())
        return guide.to(core.place())

    @property
    def sites(self) -> dict[str, str]:
        """Each variable with what its values are, in words."""
        return {space.name: space.described for space in self._spaces()}

    def check(self, core: Core) -> None:
        """Warn where the parameters of an SCM have moved since the guide was trained on it.

        Raises:
            ValueError: It has not been trained.
        """
        if self.fingerprint is None:
            raise ValueError(
                "The guide has not been trained. Call amortize(), or fit() with it as the guide."
            )
        if self.fingerprint != fingerprint(core):
            warnings.warn(
                "The parameters of the SCM have moved since its guide was trained, so the guide is "
                "less good than it was. Call amortize() again.",
                stacklevel=3,
            )

    def covers(self, observed: frozenset[str], missing: frozenset[str]) -> bool:
        """Say whether the guide infers these missing variables from this evidence.

        Args:
            observed: The variables that were seen; deterministic ones have no say.
            missing: The variables to infer, any of the others.
        """
        drawn = all(self._spaces()[self._number(m)].drawn for m in missing if m in self.names)
        return drawn and self.patterns.covers(observed - self.ignored, missing)

    @torch.no_grad()
    def draw(
        self,
        values: Mapping[str, Tensor],
        missing: Sequence[str],
        num_draws: int,
        generator: torch.Generator,
    ) -> tuple[dict[str, Tensor], Tensor]:
        """Draw the missing variables.

        Args:
            values: What was seen, each of shape ``(unit, *inner, *event)``.
            missing: The variables to infer.
            num_draws: How many draws of each unit.
            generator: The source of chance.

        Returns:
            Variable to values, in its own space and dtype, ``(draw, unit, *inner, *event)``; and
            the log density ``log q`` of each draw, ``(draw, unit)``.

        Raises:
            ValueError: A pattern that the guide was not made for, values that are no numbers.
        """
        order = self._order(values, missing)
        features, known = whole_evidence(self._spaces(), values, self.output.weight)
        size = max(1, ROWS // num_draws)
        seed = torch.randint(2**62, (), generator=generator, device=generator.device)
        with quiet_seed(int(seed)), pyro.validation_enabled(False):
            parts = [self._draw(part, known, order, num_draws) for part in features.split(size)]
        found = {self.names[i]: torch.cat([drawn[i] for drawn, _ in parts], 1) for i in order}
        return found, torch.cat([log_q for _, log_q in parts], 1)

    def log_prob(
        self,
        values: Mapping[str, Tensor],
        missing_values: Mapping[str, Tensor],
        missing: Sequence[str],
    ) -> Tensor:
        """Return the log density of values of the missing variables, given the evidence.

        Args:
            values: What was seen, each of shape ``(unit, *inner, *event)``.
            missing_values: Values of the missing variables, ``(*draw, unit, *inner, *event)``.
            missing: The variables to infer.

        Returns:
            Shape ``(*draw, unit)``.

        Raises:
            ValueError: A pattern that the guide was not made for, values that are no numbers.
        """
        order = self._order(values, missing)
        features, known = whole_evidence(self._spaces(), values, self.output.weight)
        terms = []
        with pyro.validation_enabled(False):
            for number in order:
                value = missing_values[self.names[number]]
                terms.append(self._proposal(number, features, known).log_prob(value))
                if self.chained:
                    features, known = self._with(number, value, features, known)
        return torch.stack(torch.broadcast_tensors(*terms)).sum(0)

    def forward(self, batch: Mapping[str, Any]) -> None:
        """Draw what a batch of data lacks, at Pyro statements: the guide as a program, for ``fit``.

        Args:
            batch: Variable to values, units first, NaN where missing. Variables that it has not
                are drawn for all units; of those in ``batch.inferred`` the missing values.
        """
        inferred = getattr(batch, "inferred", ())
        features, known = partial_evidence(self._spaces(), batch, self.output.weight)
        for number, name in enumerate(self.names):
            if name in batch and name not in inferred:
                continue
            if name not in batch or self.chained:
                value = self._sample(number, features, known)
            if name in batch:
                value = torch.where(batch[name].isnan(), value, batch[name])
            if self.chained:
                features, known = self._with(number, value, features, known)

    def log_densities(self, features: Tensor, targets: Sequence[Tensor], known: Tensor) -> Tensor:
        """Return the log density of each variable's target, given the known variables.

        Args:
            features: Features of all variables, shape ``(rows, widths)``.
            targets: For each group of variables with one head, ``(rows, members, dim)``.
            known: 1 where a variable is known, else 0, ``(rows, variables)``.

        Returns:
            Shape ``(rows, drawn variables)``; ``drawn`` holds the numbers of these.
        """
        outputs = self.output(self.encoder(self.embedding(features, known), known))
        columns = []
        for (head, start, numbers), target in zip(self.groups, targets, strict=True):
            part = outputs[:, start : start + head.size * len(numbers)]
            columns.append(head(part.unflatten(1, (len(numbers), head.size))).log_prob(target))
        return torch.cat(columns, 1)

    def encoded(self, values: Mapping[str, Tensor]) -> tuple[Tensor, list[Tensor]]:
        """Return features and targets of units of which all is known; see ``log_densities``."""
        spaces = self._spaces()
        features = torch.cat([s.features(values[s.name]) for s in spaces], -1)
        targets = [
            torch.stack([spaces[i].target(values[self.names[i]]) for i in numbers], 1)
            for _, _, numbers in self.groups
        ]
        return features, targets

    def config(self) -> dict[str, Any]:
        """Return what the guide was made with, as data that JSON can hold."""
        return {
            "patterns": self.patterns.to_data(),
            "head": self.head,
            "encoder": self.kind,
            "hidden": self.hidden,
            "layers": self.layers,
            "sites": self.sites,
            "fingerprint": self.fingerprint,
        }

    def _spaces(self) -> list[Space]:
        return list(self.spaces)  # type: ignore[arg-type]

    def _number(self, name: str) -> int:
        return self.names.index(name)

    def _order(self, values: Mapping[str, Tensor], missing: Sequence[str]) -> list[int]:
        for name in (*values, *missing):
            if name not in self.names and name not in self.ignored:
                raise UnknownVariable(name, self.names, "the guide", kind="random variable")
        observed, asked = frozenset(values), frozenset(missing)
        if not asked or len(asked) < len(missing) or not self.covers(observed, asked):
            raise ValueError(
                f"The guide doesn't infer {', '.join(sorted(asked)) or 'nothing'} from "
                f"{', '.join(sorted(observed)) or 'nothing'}. It stands for "
                f"{'any evidence' if self.patterns.sets is None else self.patterns.to_data()}, "
                f"never for latents as evidence ({', '.join(sorted(self.latent)) or 'none'}). "
                "Amortize these patterns."
            )
        return sorted(self._number(name) for name in asked)

    def _with(
        self, number: int, value: Tensor, features: Tensor, known: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Make a variable known."""
        new, where = self._spaces()[number].features(value), self.embedding.slices[number]
        features = features.expand(*new.shape[:-1], -1)
        rest = features[..., : where.start], new, features[..., where.stop :]
        one = torch.arange(len(self.names), device=known.device) == number
        return torch.cat(rest, -1), torch.where(one, 1.0, known)

    def _proposal(self, number: int, features: Tensor, known: Tensor) -> SpaceDistribution:
        vector = self.encoder(self.embedding(features, known), known)
        place = self.places[number]
        outputs = linear(vector, self.output.weight[place], self.output.bias[place])
        return SpaceDistribution(self.heads[number](outputs), self._spaces()[number])

    def _draw(
        self, features: Tensor, known: Tensor, order: Sequence[int], num_draws: int
    ) -> tuple[dict[int, Tensor], Tensor]:
        drawn, log_q = {}, features.new_zeros(num_draws, len(features))
        features = features[None]  # the first variable's distribution is the same for all draws
        for number in order:
            proposal = self._proposal(number, features, known).expand(log_q.shape)
            drawn[number] = value = proposal.sample()
            log_q = log_q + proposal.log_prob(value)
            if self.chained:
                features, known = self._with(number, value, features, known)
        return drawn, log_q

    def _sample(self, number: int, features: Tensor, known: Tensor) -> Tensor:
        if number not in self.heads:
            raise ValueError(
                f"The guide can't draw {self.names[number]!r}. Give a guide of your own."
            )
        return pyro.sample(self.names[number], self._proposal(number, features, known))


def _grouped(heads: Mapping[int, Head]) -> list[tuple[Head, int, list[int]]]:
    """Put variables with the same head side by side: head, first output, numbers."""
    members: dict[Head, list[int]] = {}
    for number, head in heads.items():
        members.setdefault(head, []).append(number)
    return list(_placed(members))


def _placed(members: Mapping[Head, list[int]]) -> Iterator[tuple[Head, int, list[int]]]:
    start = 0
    for head, numbers in members.items():
        yield head, start, numbers
        start += head.size * len(numbers)
