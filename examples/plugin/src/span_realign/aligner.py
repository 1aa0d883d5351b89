"""Attention between the words of two sentences as in awesome-align (Dou and Neubig, EACL 2021)."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

import xrealign_bench as xb


@xb.register_aligner("attention", version="1", needs_checkpoint=True)
class AttentionAligner:
    """Words that attend to each other, by vectors fine-tuned on the text itself.

    A projection of the checkpoint's vectors is trained with awesome-align's self-training objective: the attention of
    both directions should agree. A link is kept if its probability exceeds `threshold` in both directions.
    """

    def align(self, text: xb.ParallelText, resources: xb.Resources) -> list[xb.Links]:
        """Link the words of each pair."""
        settings = {"threshold": 0.2, "steps": 50, "rate": 1e-3} | dict(resources.settings)
        assert resources.vectors is not None  # needs_checkpoint
        source, target = resources.vectors(text.source_words), resources.vectors(text.target_words)
        unit = partial(functional.normalize, dim=-1)
        sides = [(unit(s), unit(t)) for s, t in zip(source, target, strict=True)]
        project = self._fine_tune(sides, int(settings["steps"]), float(settings["rate"]))
        with torch.no_grad():
            return [self._links(*attention(project, *pair), float(settings["threshold"])) for pair in sides]

    def _fine_tune(self, sides: list[tuple[Tensor, Tensor]], steps: int, rate: float) -> nn.Linear:
        project = nn.Linear(sides[0][0].shape[1], sides[0][0].shape[1], bias=False)
        nn.init.eye_(project.weight)
        adam = torch.optim.Adam(project.parameters(), lr=rate)
        for step in range(steps):
            there, back = attention(project, *sides[step % len(sides)])
            known = (there > 0.2) & (back > 0.2)  # links of this step, which both directions should be surer of
            agreement = (known * (there / there.shape[0] + back / there.shape[1])).sum() / 2
            adam.zero_grad()
            (-agreement).backward()  # type: ignore[no-untyped-call]
            adam.step()
        return project

    def _links(self, there: Tensor, back: Tensor, threshold: float) -> xb.Links:
        return [(s, t) for s, t in ((there > threshold) & (back > threshold)).nonzero().tolist()]


def attention(project: nn.Module, source: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Return the probability of each target word given a source word, and the reverse."""
    scores = project(source) @ project(target).T / 0.1
    return scores.softmax(1), scores.softmax(0)
