"""``liverlabel experiment gan``: the tables of the stacked GAN's paper beside ours."""

from __future__ import annotations

import pytest

from liver_models.errors import UnsuitableInputError
from liver_models.synthesis.experiment.gan_options import GanExperimentOptions
from liver_models.synthesis.experiment.run import rows_of, run_experiment

TINY = GanExperimentOptions(
    gans=("dcgan", "dcgan_stacked"),
    n_repeats=2,
    n_judged=6,
    simulated=(6, 8, 2),
    generator={"steps": 2, "steps_per_round": 1, "width": 8},
    classifier={"steps": 2},
    n_resamples=50,
)


@pytest.mark.slow
def test_both_tables_stand_beside_the_papers_and_the_training_set_is_balanced(tmp_path):
    document = run_experiment("gan", tmp_path, TINY)
    images = rows_of(document, "table1_images")
    assert [(row["gan"], row["images"]) for row in images] == [
        (gan, name) for gan in ("DCGAN", "DCGAN + Stage-II") for name in ("healthy", "fatty")
    ]
    assert [row["paper_fid"] for row in images] == [161.76, 113.87, 99.53, 100.05]
    rows = rows_of(document, "table2_classification")
    assert [row["paper_accuracy"] for row in rows] == [82.14, 84.29, 85.71]
    assert rows[0]["n_mixed_in"] == 0 and rows[0]["gain"] is None
    # 2 of 6 healthy and 2 of 8 fatty patients are tested; the larger class of the rest has 12 frames.
    target = round(500 / 310 * 12)
    assert all((row["n_real"], row["n_mixed_in"]) == (20, 2 * target - 20) for row in rows[1:])
    assert {row["verdict"] for row in rows_of(document, "did_not_work")} <= {"not shown", "harm", "collapsed"}
    page = (tmp_path / "report.html").read_text("utf-8")
    assert "SIMULATED DATA" in page and "10.1007/978-3-030-87583-1_18" in page
    with pytest.raises(UnsuitableInputError, match="this one holds the experiment gan"):
        from liver_models.synthesis.experiment.options import NafldExperimentOptions

        run_experiment("nafld", tmp_path, NafldExperimentOptions(simulated=(6, 8, 2)))
