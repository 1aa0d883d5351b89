"""Intervals and tests of a mean gain: a moderated t over few seeds, with the variance of test examples added.

The model, for one seed s of k and a weighted mean over languages (docs/statistics.md):

    gain_s = true gain + effect of the test examples + effect of the seed_s

- The variance between seeds is estimated from the k gains and shrunk towards a prior (empirical Bayes; Smyth,
  Statistical Applications in Genetics and Molecular Biology 3, 2004): (d0 v0 + (k - 1) s^2) / (d0 + k - 1), with
  d0 + k - 1 degrees of freedom. It includes the seed-by-example interaction.
- The examples' variance is `scoring.example_variance.variance_of_examples`, without that interaction.
- Quantiles are those of the t distribution with Satterthwaite's degrees of freedom for the sum of the two.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import fsum, inf, sqrt

from xrealign_bench.results.comparison import LEVEL, Variance


@dataclass(frozen=True)
class Estimate:
    """A mean gain, the variance of its error and that variance's degrees of freedom (0..1 scale)."""

    mean: float
    variance: float
    df: float

    def interval(self, level: float = LEVEL) -> tuple[float, float]:
        """Return the central interval that covers 1 - `level`."""
        from scipy.special import stdtrit  # 50 times as fast as scipy.stats.t, which matters on a large board

        half = float(stdtrit(self.df, 1 - level / 2)) * sqrt(self.variance)
        return self.mean - half, self.mean + half

    @property
    def p_value(self) -> float:
        """Two-sided p-value of the hypothesis that the true gain is 0."""
        from scipy.special import stdtr

        if self.variance == 0:
            return float(self.mean == 0)
        return float(2 * stdtr(self.df, -abs(self.mean) / sqrt(self.variance)))


def estimate(by_seed: Sequence[float], prior: Variance | None, examples: Variance | None) -> Estimate | None:
    """Estimate a mean gain from its value with each seed.

    Args:
        by_seed: at least one gain.
        prior: expected variance of one seed's gain. 0 degrees of freedom: no prior, so this is a plain t with
            `seeds - 1` degrees of freedom, with or without examples (Satterthwaite's would be too many with so few
            seeds). None: the gain does not depend on the seed.
        examples: variance of the mean due to the choice of test examples. 0 degrees of freedom: it can't be estimated.
            None: not included, as for reported scores, whose intervals are about their test sets only.

    Returns:
        The estimate, or None if the variance is unknown: one seed without a prior, or one test example.

    >>> round(estimate([0.02, 0.04], Variance(value=0.0001, df=4), None).variance * 1e4, 3)
    0.6
    """
    seeds, mean = len(by_seed), fsum(by_seed) / len(by_seed)
    parts = []
    if prior is not None:
        squares = fsum((gain - mean) ** 2 for gain in by_seed)
        df = prior.df + seeds - 1
        if df <= 0:
            return None
        parts.append(Variance(value=(prior.df * prior.value + squares) / df / seeds, df=df))
    if examples is not None:
        if examples.df <= 0:
            return None
        parts.append(examples)
    total = add(parts)
    is_plain = prior is not None and prior.df == 0
    return Estimate(mean, total.value, seeds - 1 if is_plain else total.df or inf)


def add(variances: Sequence[Variance]) -> Variance:
    """Add independent estimates of variances, with Satterthwaite's degrees of freedom (Biometrics Bulletin 2, 1946).

    A part with 0 degrees of freedom is unknown, and so is the sum.

    >>> add([Variance(value=1, df=4), Variance(value=1, df=4)])
    Variance(value=2.0, df=8.0)
    """
    if any(each.df == 0 for each in variances):
        return Variance(value=fsum(each.value for each in variances), df=0)
    value = fsum(each.value for each in variances)
    if value == 0:
        return Variance(value=0, df=fsum(each.df for each in variances))
    return Variance(value=value, df=value**2 / fsum(each.value**2 / each.df for each in variances))


def holm(p_values: Sequence[float]) -> list[float]:
    """Correct p-values by Holm's step-down method (Scandinavian Journal of Statistics 6, 1979), keeping their order.

    statsmodels is not used: its import takes a second, and every call runs the garbage collector.

    >>> [round(p, 3) for p in holm([0.01, 0.04, 0.03])]
    [0.03, 0.06, 0.06]
    """
    corrected, running = [0.0] * len(p_values), 0.0
    for place, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        running = max(running, min(1.0, (len(p_values) - place) * p_values[index]))
        corrected[index] = running
    return corrected
