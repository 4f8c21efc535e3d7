"""Net benefit, against the package of the method's author."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from liver_models.errors import UnsuitableInputError
from liver_models.learning.decision_curve import decision_curve


def drawn(n=150, seed=0):
    rng = np.random.default_rng(seed)
    is_true = rng.random(n) < 0.3
    return np.clip(0.3 + 0.3 * is_true + 0.2 * rng.standard_normal(n), 0.001, 0.999), is_true


def test_it_is_that_of_dcurves():
    import pandas as pd

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from dcurves import dca

        probability, is_true = drawn()
        thresholds = np.arange(0.05, 0.95, 0.05)
        frame = pd.DataFrame({"model": probability, "truth": is_true.astype(int)})
        told = dca(data=frame, outcome="truth", modelnames=["model"], thresholds=thresholds)
    found = decision_curve(probability, is_true, thresholds)
    for name, ours in (("model", found.net_benefit), ("all", found.treat_all)):
        theirs = told[told["model"] == name].sort_values("threshold")["net_benefit"].to_numpy()
        assert np.abs(ours - theirs).max() < 1e-12


def test_a_perfect_model_gains_every_positive_and_a_useless_one_no_more_than_treating_all():
    _, is_true = drawn()
    assert np.allclose(decision_curve(is_true.astype(float), is_true).net_benefit, is_true.mean())
    useless = decision_curve(np.full(150, is_true.mean()), is_true)
    assert (useless.net_benefit <= np.maximum(useless.treat_all, 0) + 1e-12).all()


def test_what_has_no_meaning_is_refused():
    with pytest.raises(UnsuitableInputError, match="a probability from 0 to 1 each; found 2 cases, 1 without"):
        decision_curve([0.2, 1.2], [True, False])
    with pytest.raises(UnsuitableInputError, match="need to lie between 0 and 1"):
        decision_curve([0.2, 0.4], [True, False], [0.0, 0.5])
