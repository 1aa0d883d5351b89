"""The gain to expect in one further language like those that were tested.

The main interval is about the suite's languages as they are. A reader who asks about another language needs the
variance between languages too. Languages of a family are alike, so families are clusters: a random effect for the
family and one for the language, estimated by analysis of variance for groups of unequal size (Searle, Casella and
McCulloch, Variance Components, 1992, section 3.6).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from math import fsum

import numpy as np

from xrealign_bench.results.comparison import FurtherLanguage, Variance
from xrealign_bench.scoring.inference import Estimate, add

FEWEST_FAMILIES = 3


def predict_further(gains: Sequence[float], families: Sequence[str], mean: Estimate) -> FurtherLanguage | None:
    """Predict the true gain in a further language of a further family.

    Args:
        gains: of each language, over the seeds.
        families: of each language.
        mean: the estimate of the mean over these languages.

    Returns:
        None if there are fewer than `FEWEST_FAMILIES` families.
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
    of_family = max(0.0, (between - mean_square) / size)
    # Of the mean over a draw of families and languages; the seeds' and examples' part is the estimate's own.
    of_mean = of_family * sum(n**2 for n in sizes.values()) / languages**2 + mean_square / languages
    # Measured gains vary more than true ones, so this is a little too wide where seeds or examples are few.
    variance = total.value + of_mean + mean.variance
    low, high = Estimate(mean.mean, variance, total.df).interval()
    return FurtherLanguage(mean=mean.mean, low=low, high=high, families=groups)
