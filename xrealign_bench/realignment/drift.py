"""The drift penalty: keep source texts near their initial representations."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from xrealign_bench.models.blocks import block_output
from xrealign_bench.models.length_bucketing import run_by_length
from xrealign_bench.models.windows import WindowBatch
from xrealign_bench.specs import Objective


@dataclass(frozen=True)
class DriftPenalty:
    """Mean squared difference between the hidden states of source texts and those of the initial encoder.

    Cao et al. (2020, section 3), averaged over sub-words and dimensions as in the code of Gaschi et al. (2023);
    padding is left out.
    """

    initial: nn.Module
    """The encoder before realignment, in eval mode: without dropout the penalty pulls towards a single point."""
    objective: Objective
    """Its `regularisation` has the weight, its `layer` names the block whose output is compared."""

    def of_part(self, hidden: Tensor, windows: WindowBatch, rows: slice) -> Tensor:
        """Return the share that some texts of a batch have in the penalty of the whole batch.

        Args:
            hidden: (texts, tokens, dim), the hidden states of these texts.
            windows: the whole batch, source texts first.
            rows: the texts of the batch that were read.
        """
        pairs = len(windows.input_ids) // 2
        sources = len(range(*rows.indices(pairs)))
        if self.objective.regularisation is None or not sources:
            return hidden.new_zeros(())
        ids, mask = windows.input_ids[rows][:sources], windows.attention_mask[rows][:sources]
        with torch.no_grad():
            before = run_by_length(self.initial, partial(block_output, self.initial, self.objective.layer), ids, mask)
        share = self.objective.regularisation.weight * mask.sum() / windows.attention_mask[:pairs].sum()
        return share * drift(hidden[:sources], before, mask)


def drift(hidden: Tensor, initial: Tensor, attention_mask: Tensor) -> Tensor:
    """Return the mean squared difference of hidden states (texts, tokens, dim), without padding.

    >>> float(drift(torch.tensor([[[1.0, 3.0], [9.0, 9.0]]]), torch.zeros(1, 2, 2), torch.tensor([[1, 0]])))
    5.0
    """
    read = attention_mask.bool()
    return functional.mse_loss(hidden[read], initial[read])
