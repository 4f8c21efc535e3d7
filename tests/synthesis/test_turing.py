"""The reader study: a fixed draw that cannot be guessed, a page that tells nothing, and scores with intervals."""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from turing_images import picture, write_real, write_set

from liver_models.__main__ import main
from liver_models.errors import UnsuitableInputError
from liver_models.learning.intervals import wilson_interval
from liver_models.synthesis.turing import KeyImage, Pool, TuringKey, TuringOptions, draw_study, read_key, write_key
from liver_models.synthesis.turing_inputs import draws_cuts, real_pool
from liver_models.synthesis.turing_page import turing_page
from liver_models.synthesis.turing_score import PAPER, Answers, score


def pool(source, n, seed, n_patients=None):
    images = np.stack([picture([seed, k]) for k in range(n)])
    patients = tuple(f"patient-{k % (n_patients or n):02d}" for k in range(n))
    answers = tuple(k % 3 == 0 for k in range(n))
    return Pool(source, images, tuple(f"{source}-file-{k}.png" for k in range(n)), patients, answers)


REAL, LDM, GAN = pool("real", 60, 0, n_patients=20), pool("ldm_class", 30, 1), pool("stacked_gan", 30, 2)


def test_the_papers_design_is_twenty_real_and_fifteen_of_each_source():
    images, key = draw_study(REAL, [LDM, GAN])
    assert images.shape == (50, 48, 48)
    assert Counter(one.source for one in key.images) == {"real": 20, "ldm_class": 15, "stacked_gan": 15}
    shown = {one.tobytes() for one in images}
    assert len(shown) == 50
    # Sources lie mixed: whoever knows the first half does not know the second.
    assert 5 < key.is_real[:25].sum() < 15


def test_no_patient_is_shown_twice_while_another_is_not_shown():
    for n_real, fewest, most in ((20, 1, 1), (33, 1, 2)):
        _, key = draw_study(REAL, [LDM], TuringOptions(n_real=n_real))
        patient_of = dict(zip(REAL.names, REAL.patient_ids, strict=True))
        counts = Counter(patient_of[one.name] for one in key.images if one.source == "real")
        assert len(counts) == 20 and min(counts.values()) == fewest and max(counts.values()) == most


def test_generated_images_are_healthy_and_fatty_alike_where_there_are_enough():
    _, key = draw_study(REAL, [LDM], TuringOptions(n_synthetic=16))
    assert sum(one.is_fatty for one in key.images if one.source == "ldm_class") == 8


def test_the_order_is_fixed_by_the_seed_but_cannot_be_told_from_it():
    one, again = draw_study(REAL, [LDM, GAN]), draw_study(REAL, [LDM, GAN])
    assert one[1] == again[1] and (one[0] == again[0]).all()
    other = draw_study(REAL, [LDM, GAN], TuringOptions(seed=1))[1]
    assert other.study != one[1].study and (other.is_real != one[1].is_real).any()
    # A pixel of a frame that is not shown changes the order: the page and the seed alone do not give the key.
    undrawn = next(k for k, name in enumerate(REAL.names) if name not in {image.name for image in one[1].images})
    images = REAL.images.copy()
    images[undrawn, 0, 0] ^= 1
    assert (draw_study(replace(REAL, images=images), [LDM, GAN])[1].is_real != one[1].is_real).any()


def test_the_page_holds_pixels_and_nothing_that_tells_them_apart():
    images, key = draw_study(REAL, [LDM, GAN])
    page = turing_page(images, key.study, False)
    text = re.sub(r"data:image/png;base64,[A-Za-z0-9+/=]+", "IMAGE", page)
    assert text.count("IMAGE") == 50 and "Real" in text
    for secret in ("patient-", "file", "ldm", "gan", "20", "15", "30", "SIMULATED"):
        content = (
            re.search(r'id="study">(.*?)</script>', text, re.S)[1] + re.search(r"<section.*</section>", text, re.S)[0]
        )
        assert secret not in content.lower().replace("file of answers", "").replace("send the file", "")
    assert not re.search(r"(https?:)?//(?!www\.w3\.org)[a-z]+\.", text), "no address"
    assert page == turing_page(images, key.study, False)
    assert "SIMULATED DATA" in turing_page(images, key.study, True)


def test_a_key_is_read_as_it_was_written_and_a_changed_one_is_refused(tmp_path):
    _, key = draw_study(REAL, [LDM])
    write_key(key, tmp_path / "key.json")
    assert read_key(tmp_path / "key.json") == key
    (tmp_path / "key.json").write_text((tmp_path / "key.json").read_text().replace('"seed"', '"seeds"'))
    with pytest.raises(UnsuitableInputError, match="found seeds"):
        read_key(tmp_path / "key.json")
    (tmp_path / "key.json").write_text("{}")
    with pytest.raises(UnsuitableInputError, match="liverlabel.turing_key"):
        read_key(tmp_path / "key.json")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda: draw_study(pool("real", 19, 0), [LDM]), "needs 20 images of 'real'; found 19.*--n-real"),
        (lambda: draw_study(REAL, [pool("x", 14, 3)]), "needs 15 images of 'x'; found 14.*--n-synthetic"),
        (lambda: draw_study(REAL, []), "synthetic images beside the real ones; found none"),
        (lambda: draw_study(REAL, [LDM, LDM]), "a name of its own; found ldm_class, ldm_class"),
        (lambda: draw_study(REAL, [pool("real", 20, 3)]), "a name of its own; found real"),
        (lambda: TuringOptions(n_real=0), "found counts of 0 and 15"),
        (lambda: draw_study(replace(REAL, images=REAL.images[:, :20, :20]), [LDM]), "32 pixels a side.*found 20"),
    ],
)
def test_a_study_that_cannot_be_made_is_refused(change, sentence):
    with pytest.raises(UnsuitableInputError, match=sentence):
        change()


KEY = TuringKey(
    "s",
    0,
    False,
    tuple(KeyImage("real" if k < 20 else "ldm" if k < 35 else "gan", k % 2 == 0, str(k)) for k in range(50)),
)


def reader(name, p_real_called, p_synthetic_called, seed):
    rng = np.random.default_rng(seed)
    p = np.where(KEY.is_real, p_real_called, p_synthetic_called)
    return Answers("s", name, tuple(np.where(rng.random(50) < p, "real", "synthetic")))


def test_a_reader_who_knows_is_right_and_one_who_sees_nothing_has_shares_that_add_up_to_one():
    result = score(KEY, [reader("b", 1, 0, 0), reader("a", 1, 1, 0)])
    blind, knows = result.readers
    assert (blind.reader, knows.reader) == ("a", "b")
    assert (knows.accuracy.value, knows.sensitivity.value, knows.specificity.value) == (1, 1, 1)
    assert knows.p_value < 1e-9 and blind.p_value == pytest.approx(1)
    assert (blind.sensitivity.value, blind.specificity.value, blind.accuracy.value) == (1, 0, 0.4)
    assert (knows.accuracy.low, knows.accuracy.high) == wilson_interval(50, 50)
    assert result.called_real == (1.0,) * 20 + (0.5,) * 30


def test_all_together_are_means_and_groups_are_the_keys():
    result = score(KEY, [reader(str(k), 0.7, 0.4, k) for k in range(4)])
    everybody = result.pooled[0]
    assert everybody.accuracy.value == pytest.approx(np.mean([one.accuracy.value for one in result.readers]))
    assert everybody.accuracy.low < everybody.accuracy.value < everybody.accuracy.high
    assert [one.group for one in result.pooled] == ["all", "fatty", "healthy", "gan", "ldm"]
    gan = result.pooled[3]
    assert gan.sensitivity.value is None and gan.sensitivity.n == 0 and gan.specificity.n == 60
    both = [one.specificity.value for one in result.pooled[3:]]
    assert np.mean(both) == pytest.approx(everybody.specificity.value)


def test_readers_who_differ_widen_the_interval():
    alike = score(KEY, [reader(str(k), 0.7, 0.3, k) for k in range(5)]).pooled[0].accuracy
    apart = (
        score(KEY, [reader(str(k), 1 if k % 2 else 0.4, 0 if k % 2 else 0.6, k) for k in range(5)]).pooled[0].accuracy
    )
    assert apart.high - apart.low > 1.3 * (alike.high - alike.low)


def test_the_interval_holds_the_truth_about_as_often_as_it_says():
    inside = 0
    for trial in range(60):
        found = score(KEY, [reader(str(k), 0.6, 0.4, [trial, k]) for k in range(3)]).pooled[0].accuracy
        inside += found.low <= 0.6 <= found.high
    assert inside >= 53


def test_agreement_is_one_for_equal_readers_and_scotts_pi_for_two():
    same = score(KEY, [reader("a", 0.6, 0.4, 1), replace(reader("a", 0.6, 0.4, 1), reader="b")])
    assert same.agreement == pytest.approx(1)
    a, b = reader("a", 0.8, 0.4, 1), reader("b", 0.6, 0.4, 2)
    agree = np.mean([x == y for x, y in zip(a.answers, b.answers, strict=True)])
    share = np.mean([x == "real" for x in a.answers + b.answers])
    chance = share**2 + (1 - share) ** 2
    assert score(KEY, [a, b]).agreement == pytest.approx((agree - chance) / (1 - chance))
    assert score(KEY, [a]).agreement is None


def test_answers_of_another_study_or_of_one_reader_twice_are_refused():
    a = reader("a", 0.5, 0.5, 0)
    for answers, sentence in (
        ([], "one reader at least"),
        ([a, a], "'a' is there 2 times"),
        ([replace(a, study="t")], "s with 50 images; those of 'a' are of t"),
        ([replace(a, answers=a.answers[:49])], "of s with 49"),
    ):
        with pytest.raises(UnsuitableInputError, match=sentence):
            score(KEY, answers)


def test_the_papers_table_is_kept_as_printed():
    assert PAPER["all"][0] == (0.512, 0.406, 0.618) and PAPER["all"][2][0] == 0.460


@pytest.fixture
def folders(tmp_path):
    real = write_real(tmp_path / "frames")
    return real, write_set(tmp_path / "a", "ldm_class"), write_set(tmp_path / "b", "stacked_gan", seed=3)


def test_the_command_makes_a_page_and_scores_its_answers(folders, tmp_path, capsys):
    real, one, other = folders
    words = ["turing", "--key", str(tmp_path / "key.json"), "--out", str(tmp_path / "turing.html")]
    assert main([*words, "--real", str(real), "--synthetic", str(one), str(other)]) == 0
    page = (tmp_path / "turing.html").read_text("utf-8")
    assert "Mustermann" not in page and "20 + 15 + 15 images of 48 x 48" in capsys.readouterr().out
    key = read_key(tmp_path / "key.json")
    assert any("Mustermann" in image.name for image in key.images) and {i.is_fatty for i in key.images} == {True, False}
    files = []
    for name in ("Ada", "Bo"):
        answers = ["real" if (k + len(name)) % 2 else "synthetic" for k in range(50)]
        content = {"schema": "liverlabel.turing_answers", "schema_version": 1, "study": key.study, "reader": name}
        path = tmp_path / f"{name}.json"
        path.write_text(json.dumps({**content, "answers": answers, "seconds": [1.5] * 50}))
        files.append(str(path))
    score_words = ["turing", "--score", *files, "--key", str(tmp_path / "key.json"), "--out", str(tmp_path / "result")]
    assert main(score_words) == 0
    assert "all readers" in capsys.readouterr().out
    results = json.loads((tmp_path / "result" / "results.json").read_text())
    assert results["n_readers"] == 2 and results["readers"][0]["median_seconds"] == 1.5
    report = (tmp_path / "result" / "report.html").read_text("utf-8")
    assert "the paper&#x27;s" in report and "ldm_class" in report and "SIMULATED" not in report
    first = (tmp_path / "result" / "report.html").read_bytes()
    assert main(score_words) == 0 and (tmp_path / "result" / "report.html").read_bytes() == first


def test_frames_that_are_said_to_be_simulated_are_called_so_everywhere(folders, tmp_path):
    real = folders[0].rename(tmp_path / "simulated-frames")
    words = ["turing", "--key", str(tmp_path / "key.json"), "--out", str(tmp_path / "turing.html")]
    assert main([*words, "--real", str(real), "--synthetic", str(folders[1])]) == 0
    assert "SIMULATED DATA" in (tmp_path / "turing.html").read_text("utf-8")
    assert read_key(tmp_path / "key.json").is_simulated


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--real", "frames"], "needs --real DIR and --synthetic DIR"),
        (["--real", "frames", "--synthetic", "a", "--score", "x"], "either makes a page or scores"),
        (["--real", "frames", "--synthetic", "a", "--n-real", "99"], "needs 99 images of 'real'; found 36"),
        (["--real", "frames", "--synthetic", "a", "--side", "4"], "found 4"),
        (["--real", "a", "--synthetic", "b"], "holds a synthetic set with 'images/0000.png'"),
        (["--score", "key.json"], "A readable file is needed; 'key.json'"),
    ],
)
def test_what_the_command_cannot_do_ends_with_a_sentence(folders, tmp_path, monkeypatch, capsys, words, sentence):
    monkeypatch.chdir(tmp_path)
    assert main(["turing", "--key", "key.json", "--out", "turing.html", *words]) == 2
    assert sentence in capsys.readouterr().err
    assert not (tmp_path / "turing.html").exists() and not (tmp_path / "key.json").exists()


def test_answers_with_gaps_are_refused(folders, tmp_path, capsys):
    from liver_models.synthesis.turing_score import read_answers

    content = {"schema": "liverlabel.turing_answers", "schema_version": 1, "study": "s", "reader": "a"}
    for answers, sentence in ((["real", None], "lacks 1 of 2"), (["maybe"], "found 'maybe'")):
        (tmp_path / "a.json").write_text(json.dumps({**content, "answers": answers}))
        with pytest.raises(UnsuitableInputError, match=sentence):
            read_answers(tmp_path / "a.json")


def test_beside_diffusion_models_alone_real_frames_are_cut_as_theirs_are(folders):
    real, diffusion, gan = folders
    assert draws_cuts(diffusion) and not draws_cuts(gan) and not draws_cuts(real)
    whole, cut, again = real_pool(real, 48), real_pool(real, 48, cuts_seed=3), real_pool(real, 48, cuts_seed=3)
    assert cut.images.shape == whole.images.shape and cut.names == whole.names
    assert np.array_equal(cut.images, again.images) and not np.array_equal(cut.images, whole.images)
