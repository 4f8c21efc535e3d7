"""What ``liverlabel synthesise train`` takes for a fold, and what it refuses."""

from argparse import Namespace

import numpy as np
import pytest

from liver_models.__main__ import main
from liver_models.commands.synthesise import _fold, _options, _patients_of
from liver_models.errors import UnsuitableInputError
from liver_models.learning.splits import cross_validation
from liver_models.ultrasound.frames import FrameSet

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
    args = Namespace(kind="ldm_class", size="small", seed=3, steps=7, device="cpu", autoencoder="folder")
    options = _options(args)
    assert (options.seed, options.steps, options.autoencoder, options.device) == (3, 7, "folder", "cpu")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--kind", "diffusion", "--out", "w.safetensors"], "one of ldm_semantic, ldm_class, stacked_gan"),
        (["--kind", "ldm_class", "--out", "w.pth"], "a name that ends in .safetensors"),
        (["--kind", "ldm_class", "--out", "w.safetensors", "--size", "huge"], "one of small, paper; found 'huge'"),
    ],
)
def test_a_training_that_cannot_be_is_refused_before_cases_are_read(words, sentence, tmp_path, capsys):
    assert main(["synthesise", "train", "--cases", str(tmp_path), "--fold", "1/5", *words]) == 2
    assert sentence in capsys.readouterr().err
