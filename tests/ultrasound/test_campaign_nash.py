"""Fibrotic NASH as a campaign's task, and ``liverlabel simulate``."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest

from liver_models.__main__ import main
from liver_models.errors import UnsuitableInputError
from liver_models.ultrasound.campaign_nash import N_MEMBERS, cohort_learner, ridge_logistic, simulated_learner

CAMPAIGN = "simulate --task fibrotic_nash --subjects 60 --seeds 2 --start 6 --batch 8 --strategies default".split()


@pytest.fixture(scope="module")
def learner():
    return simulated_learner(120, seed=5)


def test_the_regression_is_that_of_the_values_models(learner):
    from sklearn.linear_model import LogisticRegression

    x = np.random.default_rng(0).normal(size=(40, 3))
    y = x[:, 0] + np.random.default_rng(1).normal(size=40) > 0.5
    ours = ridge_logistic(np.column_stack([np.ones(40), x]), y, np.ones((1, 40)))[0]
    theirs = LogisticRegression(C=1.0, tol=1e-8, max_iter=1000).fit(x, y)
    assert ours == pytest.approx([*theirs.intercept_, *theirs.coef_[0]], abs=1e-3)


def test_a_weight_of_two_is_the_case_twice():
    rng = np.random.default_rng(2)
    design = np.column_stack([np.ones(20), rng.normal(size=(20, 2))])
    y = rng.random(20) < 0.4
    twice = np.append(np.arange(20), 7)
    weight = np.bincount(twice, minlength=20)[None].astype(float)
    doubled = ridge_logistic(design[twice], y[twice], np.ones((1, 21)))
    assert ridge_logistic(design, y, weight) == pytest.approx(doubled, abs=1e-6)


def test_candidates_never_look_at_the_answers_of_what_is_not_labelled(learner):
    from dataclasses import replace

    labelled, rest = np.arange(30), np.arange(30, 120)
    flipped = learner.labels.copy()
    flipped[rest] = ~flipped[rest]
    asked = [
        one.candidates(one.fit(labelled, 1), rest, labelled) for one in (learner, replace(learner, labels=flipped))
    ]
    for name in ("probability", "member_probability", "features", "distance"):
        assert np.array_equal(getattr(asked[0], name), getattr(asked[1], name))
    assert asked[0].member_probability.shape == (N_MEMBERS, 90, 2)
    assert asked[0].probability.sum(axis=1) == pytest.approx(1)


def test_members_disagree_less_where_more_is_labelled(learner):
    def spread(n):
        model = learner.fit(np.arange(n), 0)
        return model.probability(learner.table[100:])[1:].std(axis=0).mean()

    assert spread(100) < 0.7 * spread(15)


def test_learning_from_one_class_alone_gives_a_model_still(learner):
    only = np.flatnonzero(~learner.labels)[:6]
    assert np.isfinite(learner.fit(only, 0).probability(learner.table)).all()


def test_a_model_of_the_pool_tells_the_classes_apart(learner):
    assert learner.quality(learner.fit(np.arange(80), 0), np.arange(80, 120)) > 0.8


def test_too_few_of_a_class_are_refused():
    with pytest.raises(UnsuitableInputError, match="6 subjects of each class; found 3 with"):
        simulated_learner(12)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    out = tmp_path_factory.mktemp("simulate") / "out"
    assert main([*CAMPAIGN, "--out", str(out)]) == 0
    return out


def test_results_and_page_say_simulated_and_need_no_network(finished):
    document = json.loads((finished / "results.json").read_text("utf-8"))
    assert document["data"] == "simulated" and document["n_repetitions"] == 2
    assert {"labels_needed_simulated", "learning_curves_simulated"} == set(document["tables"])
    assert all((finished / "tables" / f"{name}.csv").is_file() for name in document["tables"])
    rows = document["tables"]["labels_needed_simulated"]
    assert [(row["strategy"], row["ratio"] == 1) for row in rows[::2]] == [("random", True)] * 2
    assert len(rows) == 4 and len({row["target"] for row in rows}) == 2
    page = (finished / "report.html").read_text("utf-8")
    assert "SIMULATED DATA" in page and page.count("Simulated data. ") == 2
    assert "not a medical device" in page and document["command"] in page
    assert not re.search(r'(src|href)="(?!data:|#)', page)


def test_the_same_command_goes_on_from_its_units_to_the_same_bytes(finished, capsys):
    def state():
        return {p.name: (p.read_bytes(), p.stat().st_mtime_ns) for p in (finished / "units").iterdir()}

    before, page = state(), (finished / "report.html").read_bytes()
    assert len(before) == 4
    (finished / "units" / "default_seed_0001.json").write_text("{ cut off")
    assert main([*CAMPAIGN, "--out", str(finished)]) == 0
    after = state()
    assert {name: data for name, (data, _) in after.items()} == {name: data for name, (data, _) in before.items()}
    assert [name for name in before if before[name][1] != after[name][1]] == ["default_seed_0001.json"]
    assert (finished / "report.html").read_bytes() == page
    told = capsys.readouterr().out
    assert told.startswith("SIMULATED DATA\n") and "gain over chance   default" in told


def test_a_cohort_of_files_is_replayed_too(tmp_path, capsys):
    folder = tmp_path / "cohort"
    assert main(f"phantom ultrasound --subjects 16 --fibrotic 7 --pairs 1 --size 64 --out {folder}".split()) == 0
    found = cohort_learner(folder)
    assert found.n_cases == 16 and found.labels.sum() == 7 and found.data == "simulated"
    assert np.isfinite(found.table).all() and 1 < np.exp(np.median(found.table[:, -1])) < 12
    words = f"simulate --task fibrotic_nash --cases {folder} --seeds 1 --start 4 --batch 4 --strategies bald"
    assert main([*words.split(), "--out", str(tmp_path / "out")]) == 0
    assert "SIMULATED DATA" in capsys.readouterr().out
    assert "--cases cohort " in json.loads((tmp_path / "out" / "results.json").read_text("utf-8"))["command"]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("--task spleen --subjects 60", "one of the tasks fibrotic_nash.*found 'spleen'"),
        ("--task fibrotic_nash --subjects 60 --strategies luck", "The strategy needs to be one of random"),
        ("--task fibrotic_nash --subjects 60 --strategies variance", "'variance' needs uncertainty of each case"),
        ("--task fibrotic_nash --subjects 60 --start 50", "larger pool; found 40 cases"),
        ("--task fibrotic_nash --subjects 0", "needs"),
        ("--task fibrotic_nash --cases nowhere", "nowhere"),
    ],
)
def test_a_users_mistake_is_one_sentence_and_exit_code_two(words, sentence, tmp_path, capsys):
    assert main(["simulate", *words.split(), "--out", str(tmp_path / "out")]) == 2
    told = capsys.readouterr().err
    assert re.search(sentence, told) and "Traceback" not in told and told.count("\n") == 1


def test_a_folder_of_something_else_is_left_alone(tmp_path, capsys):
    (tmp_path / "thesis.tex").write_text("mine")
    assert main([*CAMPAIGN, "--out", str(tmp_path)]) == 2
    assert "also holds thesis.tex" in capsys.readouterr().err
