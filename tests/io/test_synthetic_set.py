"""Sets of generated images: what they say, and where they are refused."""

import json

import numpy as np
import pytest

from liver_models.errors import UnsuitableInputError
from liver_models.io.files import sha256_of_bytes
from liver_models.io.synthetic_set import (
    MANIFEST,
    SyntheticImage,
    SyntheticManifest,
    check_fold,
    picture_bytes,
    read_images,
    read_manifest,
    write_manifest,
)


@pytest.fixture
def made(tmp_path):
    """A folder with a set of two pictures, its manifest and its pixels."""
    pixels = np.random.default_rng(0).integers(0, 255, (2, 8, 8), np.uint8)
    images = []
    (tmp_path / "images").mkdir()
    for k, image in enumerate(pixels):
        data = picture_bytes(image)
        (tmp_path / "images" / f"{k}.png").write_bytes(data)
        images.append(SyntheticImage(f"images/{k}.png", bool(k), sha256_of_bytes(data)))
    manifest = SyntheticManifest(
        "ldm_class", "0" * 64, {"version": "1"}, ("a", "b"), 3, {"steps": 30}, True, tuple(images)
    )
    write_manifest(manifest, tmp_path)
    return tmp_path, manifest, pixels


def test_a_set_is_read_as_it_was_written(made):
    folder, manifest, pixels = made
    assert read_manifest(folder) == manifest
    assert np.array_equal(read_images(manifest, folder), pixels)


def test_a_set_is_for_the_fold_that_its_generator_saw():
    check_fold(("a", "b"), ("a", "b", "c"), ("d",))


def test_a_set_whose_generator_saw_a_held_out_patient_is_refused():
    with pytest.raises(UnsuitableInputError, match=r"saw 1 patient\(s\) held out here: 'b'"):
        check_fold(("a", "b"), ("a", "b"), ("b",))


def test_a_set_of_another_fold_is_refused():
    with pytest.raises(UnsuitableInputError, match=r"saw 1 patient\(s\) not in this fold's training part: 'z'"):
        check_fold(("a", "z"), ("a", "b"), ())


def test_an_unfinished_set_is_refused(made):
    (made[0] / MANIFEST).unlink()
    with pytest.raises(UnsuitableInputError, match="written when it is complete"):
        read_manifest(made[0])


def test_a_picture_that_was_changed_is_refused(made):
    folder, manifest, _ = made
    (folder / "images" / "0.png").write_bytes((folder / "images" / "1.png").read_bytes())
    with pytest.raises(UnsuitableInputError, match="changed since"):
        read_images(manifest, folder)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"schema_version": 9}, "has others"),
        ({"training_patients": []}, "everybody whose images the generator saw"),
        ({"stranger": 1}, "found stranger"),
        ({"images": [{"file": "../x.png", "is_fatty": 1, "sha256": "0" * 64}]}, "is_fatty needs to be of type bool"),
    ],
)
def test_a_manifest_with_a_fault_is_refused(made, change, sentence):
    path = made[0] / MANIFEST
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(UnsuitableInputError, match=sentence):
        read_manifest(made[0])


def test_a_picture_outside_the_folder_is_refused(made):
    folder, manifest, _ = made
    image = SyntheticImage("../x.png", True, "0" * 64)
    with pytest.raises(UnsuitableInputError):
        read_images(SyntheticManifest(**{**vars(manifest), "images": (image,)}), folder)
