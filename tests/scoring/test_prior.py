"""Truth: the definition of the two components, and variances of simulated seeds that are known."""

import math
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))
import fit_prior

from xrealign_bench.scoring.prior import SeedPrior, load_prior, over_tasks

PRIOR = SeedPrior(common=4e-5, own=1e-4, df=6, language=5e-5, language_df=3, studies=6, comparisons=9)


def test_a_mean_over_languages_has_what_is_common_and_its_share_of_their_own() -> None:
    found = PRIOR.expect([0.1] * 10)
    assert found.value == pytest.approx(4e-5 + 1e-4 / 10)
    assert 3 < found.df < 6


def test_one_language_has_its_own_scale() -> None:
    found = PRIOR.expect([1.0])
    assert (found.value, found.df) == (5e-5, 3)


def test_unequal_weights_count_as_fewer_languages() -> None:
    # 1 / (0.5^2 + 2 x 0.25^2) = 2.67 languages.
    assert PRIOR.expect([0.5, 0.25, 0.25]).value == pytest.approx(4e-5 + 1e-4 * 0.375)


def test_tasks_are_independent() -> None:
    both = over_tasks({"a": PRIOR.expect([0.1] * 10), "b": PRIOR.expect([0.1] * 10)}, 0.5)
    assert both.value == pytest.approx(5e-5 / 2)


def test_the_shipped_prior_says_where_it_comes_from() -> None:
    prior = load_prior()
    assert prior.sources and {"accuracy", "entity_f1", "f1"} <= prior.metrics.keys()
    assert all(each.df <= each.studies and each.language_df <= each.studies for each in prior.metrics.values())
    assert prior.of("a task", "accuracy") == prior.metrics["accuracy"]
    assert prior.of("cldr-phrases", "accuracy") == prior.tasks["cldr-phrases"] != prior.metrics["accuracy"]
    assert prior.of("a task", "a metric that was not fitted") is None


def test_the_fit_finds_the_variances_of_simulated_studies_again() -> None:
    """40 studies of 30 languages with 6 seeds; common and own variances drawn around known ones."""
    rng, found = np.random.default_rng(5), []
    for number in range(40):
        scale = 8 / rng.chisquare(8)
        common = rng.normal(0, math.sqrt(4e-5 * scale), (6, 1))
        own = rng.normal(0, math.sqrt(1e-4 * scale), (6, 30))
        found.append(fit_prior.Gains("accuracy", str(number), common + own))
    fitted = fit_prior.fit(found, 50.0)
    assert fitted.common == pytest.approx(4e-5, rel=0.3)
    assert fitted.own == pytest.approx(1e-4, rel=0.4)
    assert fitted.language == pytest.approx(1.4e-4, rel=0.25)
    assert 4 < fitted.df < 20


def test_a_study_whose_median_language_varies_more_raises_the_priors_of_single_languages() -> None:
    expected = stats.f.median(2, 3)
    assert PRIOR.raise_for([expected / 2] * 6 + [expected] * 5, 2) == 1.0
    assert PRIOR.raise_for([3 * expected] * 11, 2) == pytest.approx(3)
    assert PRIOR.raise_for([1000.0] * 9, 2) == 1.0  # of nine languages the median says too little
    assert PRIOR.raise_for([1000.0] * 11, 0) == 1.0  # one seed
