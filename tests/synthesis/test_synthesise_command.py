"""What ``liverlabel synthesise train`` takes for a fold, and what it refuses."""

from argparse import Namespace

import numpy as np
import pytest

from liver_models.__main__ import main
from liver_models.commands.synthesise import _fold, _options, _patients_of
from liver_models.errors import UnsuitableInputError
from liver_models.io.synthetic_set import read_manifest
from liver_models.learning.splits import cross_validation
from liver_models.ultrasound.frames import FrameSet
from liver_models.weights import load_weights

N = 12
FRAMES = FrameSet(
    np.zeros((N, 80, 80), np.uint8),
    np.arange(N) % 4 == 0,
    tuple(f"p{k // 2}" if k % 4 else f"f{k // 2}" for k in range(N)),
    tuple(str(k) for k in range(N)),
)


def test_a_fold_is_the_training_part_of_the_projects_own_split():
    for number in (1, 2, 3):
        found = _fold(FRAMES, Namespace(fold=f"{number}/3", seed=5))
        expected = cross_validation(FRAMES.patient_ids, 3, 5, list(FRAMES.is_fatty))[number - 1]
        assert np.array_equal(found, expected[0])
        held_out = {FRAMES.patient_ids[k] for k in expected[1]}
        assert not held_out & {FRAMES.patient_ids[k] for k in found}


@pytest.mark.parametrize("text", ["0/3", "4/3", "1", "a/b", "-1/3"])
def test_a_fold_that_is_none_is_refused(text):
    with pytest.raises(UnsuitableInputError, match="K/N with K from 1 to N"):
        _fold(FRAMES, Namespace(fold=text, seed=0))


def test_patients_are_named_in_a_file(tmp_path):
    file = tmp_path / "patients.txt"
    file.write_text("f0\n\n p1 \n")
    assert {FRAMES.patient_ids[k] for k in _patients_of(FRAMES, str(file))} == {"f0", "p1"}
    file.write_text("f0\nnobody\n")
    with pytest.raises(UnsuitableInputError, match="'nobody' has no frame with an answer"):
        _patients_of(FRAMES, str(file))
    file.write_text("\n")
    with pytest.raises(UnsuitableInputError, match="the file names nobody"):
        _patients_of(FRAMES, str(file))
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UnsuitableInputError, match="text file"):
        _patients_of(FRAMES, str(file))


def test_options_reach_the_training():
    args = Namespace(kind="ldm_class", size="small", seed=3, steps=7, device="cpu", autoencoder="folder", variant=None)
    options = _options(args)
    assert (options.seed, options.steps, options.autoencoder, options.device) == (3, 7, "folder", "cpu")


def test_a_stacked_gan_is_of_the_variant_asked_for():
    args = Namespace(
        kind="stacked_gan", size="small", seed=0, steps=5, device="cpu", autoencoder=None, variant="dcgan_sn"
    )
    assert _options(args).variant == "dcgan_sn"


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--kind", "diffusion", "--out", "w.safetensors"], "one of ldm_semantic, ldm_class, stacked_gan"),
        (["--kind", "ldm_class", "--out", "w.pth"], "a name that ends in .safetensors"),
        (["--kind", "ldm_class", "--out", "w.safetensors", "--size", "huge"], "one of small, paper; found 'huge'"),
        (["--kind", "ldm_class", "--out", "w.safetensors", "--variant", "dcgan"], "Only a stacked GAN has variants"),
        (["--kind", "stacked_gan", "--out", "w.safetensors", "--variant", "x"], "variant needs to be one of dcgan,"),
        (["--kind", "ldm_class", "--out", "w.safetensors", "--seed", "-1"], "A seed needs to be 0 or above; found -1"),
    ],
)
def test_a_training_that_cannot_be_is_refused_before_cases_are_read(words, sentence, tmp_path, capsys):
    assert main(["synthesise", "train", "--cases", str(tmp_path), "--fold", "1/5", *words]) == 2
    assert sentence in capsys.readouterr().err


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    out = tmp_path_factory.mktemp("cohort") / "c"
    assert main(["phantom", "nafld", "--healthy", "5", "--fatty", "5", "--frames", "2", "--out", str(out)]) == 0
    return out


def train(cohort, out, *more) -> int:
    """Of the classifier."""
    command = ["nafld", "train", "--cases", str(cohort), "--steps", "1", "--device", "cpu", "--mixing-rate", "0.5"]
    return main([*command, "--out", str(out), *more])


def test_a_generator_is_trained_drawn_from_and_refused_for_another_fold(cohort, tmp_path, capsys):
    weights, drawn = tmp_path / "g.safetensors", tmp_path / "set"
    learn = ["synthesise", "train", "--kind", "stacked_gan", "--cases", str(cohort), "--fold", "1/5", "--steps", "1"]
    draw = ["synthesise", "draw", "--weights", str(weights), "--healthy", "5", "--fatty", "5", "--out", str(drawn)]
    assert main([*learn, "--device", "cpu", "--out", str(weights)]) == 0
    assert main([*draw, "--cases", str(cohort)]) == 0
    told = capsys.readouterr().out
    audit = read_manifest(drawn).audit
    assert (audit["n_images"], audit["n_real"]) == (10, 16) and f"{audit['n_copies']} of 10 images are called" in told
    assert "note: the generator was trained on 16 frames of 8 simulated patients" in told
    assert "drew 5 healthy and 5 fatty images" in told and "with the 8 patients its generator saw" in told
    assert train(cohort, tmp_path / "a.safetensors", "--synthetic", str(drawn)) == 0
    given = ["--augment", "stacked_gan", "--generator", str(weights)]
    assert train(cohort, tmp_path / "b.safetensors", *given) == 0
    assert capsys.readouterr().out.count("8 to learn from, 2 to calibrate; 8 synthetic images mixed in") == 2
    other = tmp_path / "other"
    assert main(["phantom", "nafld", "--healthy", "4", "--fatty", "4", "--frames", "1", "--out", str(other)]) == 0
    capsys.readouterr()
    assert main([*draw[:-1], str(tmp_path / "second"), "--cases", str(other)]) == 2
    assert "lacks 2 of its 8 patients" in capsys.readouterr().err and not (tmp_path / "second").exists()
    for wrong in (["--synthetic", str(drawn)], given):
        assert train(other, tmp_path / "c.safetensors", "--mode", "paper", *wrong) == 2
        assert "not in this fold's training part: 'simulated-patient-0" in capsys.readouterr().err
    assert not (tmp_path / "c.safetensors").exists()


def test_a_training_makes_its_own_synthetic_images(cohort, tmp_path, capsys):
    out = tmp_path / "m.safetensors"
    words = ["--augment", "stacked_gan", "--generator-steps", "1"]
    assert train(cohort, out, *words) == 0
    assert "synthetic images mixed in" in capsys.readouterr().out
    card = load_weights(out).card
    assert card["generator"]["kind"] == "stacked_gan" and card["generator"]["is_new"]
    first = out.read_bytes()
    assert train(cohort, out, *words) == 0 and out.read_bytes() == first
    assert train(cohort, out, "--augment", "ldm_class", "--generator-steps", "1") == 2
    assert "has another kind. Begin in a new folder" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["ldm_semantic", "ldm_class"])
def test_a_training_makes_its_images_by_latent_diffusion(cohort, kind, tmp_path):
    out = tmp_path / "m.safetensors"
    assert train(cohort, out, "--augment", kind, "--generator-steps", "1") == 0
    assert load_weights(out).card["generator"]["kind"] == kind


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--augment", "diffusion"], "none, geometric, ldm_semantic, ldm_class, stacked_gan; found 'diffusion'"),
        (["--generator-steps", "3"], "--generator-steps needs --augment with one of"),
        (["--augment", "geometric", "--generator", "g"], "--generator needs --augment with one of"),
        (["--augment", "ldm_class", "--generator", "g", "--generator-steps", "3"], "is given or trained"),
        (["--augment", "ldm_class", "--synthetic", "set"], "found --synthetic and --augment ldm_class"),
        (["--augment", "ldm_class", "--generator-steps", "0"], "steps from 1"),
        (["--augment", "ldm_class", "--generator", "nowhere"], "'nowhere' is not"),
    ],
)
def test_what_fits_no_augmentation_is_refused_before_cases_are_read(words, sentence, tmp_path, capsys):
    assert train(tmp_path / "nowhere", tmp_path / "m.safetensors", *words) == 2
    assert sentence in capsys.readouterr().err
