"""Predict the gain in one further language like the tested ones.

The main interval is about the suite's languages only. A prediction for another language includes the variance between
languages. Languages of a family are similar, so families are clusters: a random effect for the family and one for the
language, estimated by analysis of variance for groups of unequal size (Searle, Casella and McCulloch, Variance
Components, 1992, section 3.6).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from math import fsum

import numpy as np

from xrealign_bench.results.comparison import FurtherLanguage, TaskComparison, Variance
from xrealign_bench.scoring.inference import Estimate, add

FEWEST_FAMILIES = 3
FEWEST_SEEDS = 2


def predict_further(gains: Sequence[float], families: Sequence[str], mean: Estimate) -> FurtherLanguage | None:
    """Predict the true gain in a further language of a further family.

    Args:
        gains: mean gain over seeds of each language.
        families: family of each language.
        mean: estimate of the mean over these languages.

    Returns:
        The prediction, or None if there are fewer than `FEWEST_FAMILIES` families.
    """
    sizes = Counter(families)
    languages, groups = len(gains), len(sizes)
    if groups < FEWEST_FAMILIES:
        return None
    values, names = np.array(gains), np.array(families)
    centres = {name: float(values[names == name].mean()) for name in sizes}
    within = fsum((value - centres[name]) ** 2 for value, name in zip(gains, families, strict=True))
    mean_square = within / (languages - groups) if languages > groups else 0.0
    between = fsum(size * (centres[name] - values.mean()) ** 2 for name, size in sizes.items()) / (groups - 1)
    size = (languages - sum(n**2 for n in sizes.values()) / languages) / (groups - 1)
    parts = [Variance(value=between / size, df=groups - 1)]
    if languages > groups:
        parts.append(Variance(value=mean_square * (1 - 1 / size), df=languages - groups))
    total = add(parts)
    family_variance = max(0.0, (between - mean_square) / size)
    # Variance of the mean due to the draw of families and languages; `mean.variance` has the rest.
    draw_variance = family_variance * sum(n**2 for n in sizes.values()) / languages**2 + mean_square / languages
    # Measured gains vary more than true ones, so this is slightly too wide if seeds or examples are few.
    variance = total.value + draw_variance + mean.variance
    low, high = Estimate(mean.mean, variance, total.df).interval()
    return FurtherLanguage(mean=mean.mean, low=low, high=high, families=groups)


def reason_for_none(task: TaskComparison) -> str:
    """Say why a task has no prediction."""
    gain = task.gains.get("all")
    if gain is None or not gain.languages:
        return "the task has no target language"
    if not gain.by_seed:
        return gain.reason or "its mean gain is not known"
    if gain.low is None:
        return "the variance of its mean gain is not known"
    if len(gain.by_seed) < FEWEST_SEEDS:
        return f"a prediction needs {FEWEST_SEEDS} seeds or more, and there is one"
    return f"a prediction needs languages of {FEWEST_FAMILIES} families or more"
