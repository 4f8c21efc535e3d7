"""What the places of pictures in a folder tree say of them, and which trees are refused."""

import numpy as np
import pytest
from PIL import Image

from liver_models.errors import UnsuitableInputError
from liver_models.io.files import sha256_of_bytes
from liver_models.io.picture_tree import is_held_out, read_picture_tree
from liver_models.io.synthetic_set import SyntheticImage, SyntheticManifest, picture_bytes, write_manifest


def tree(folder, *names):
    for number, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((20, 30), number, np.uint8)).save(path)
    return folder


def places(folder, **options):
    found = read_picture_tree(folder, **options).pictures
    return {one.name: (one.part, one.source, one.patient_id, one.is_fatty) for one in found}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("train/p1/a.png", ("train", None, "p1", None)),
        ("test/10_3.png", ("test", None, "10", None)),
        ("fold_2/fatty/p1/images/a.jpg", ("fold_2", None, "p1", True)),
        ("val/siteA/healthy/p1/a.jpeg", ("val", "siteA", "p1", False)),
        ("siteB/p1/a.png", ("siteB", None, "p1", None)),
        ("p1/a.png", (None, None, "p1", None)),
        ("images/a10.png", (None, None, "a10", None)),
        ("ROI_00_3.png", (None, None, "ROI_00", None)),
        ("ID_10_Class_0_Fat_1_Image_12.png", (None, None, "ID_10_Class_0_Fat_1", False)),
        ("nafld/ID_10_Class_1_Image_2.png", (None, None, "ID_10_Class_1", True)),
        ("0/x-4.png", (None, None, "x", False)),
    ],
)
def test_folders_and_names_say_part_source_patient_and_answer(tmp_path, name, expected):
    assert places(tree(tmp_path, name)) == {name: expected}


def test_patterns_go_before_the_rule(tmp_path):
    tree(tmp_path, "train/x/US7_a.png", "test/y/US7_b_F.png")
    found = places(tmp_path, patient_pattern=r"(US\d+)", label_pattern="_F")
    assert {place[2:] for place in found.values()} == {("US7", False), ("US7", True)}
    assert places(tmp_path, patient_pattern=r"(x|y)/(?P<patient>\w)")["train/x/US7_a.png"][2] == "U"
    assert list(places(tmp_path, leave_out="^train/")) == ["test/y/US7_b_F.png"]


def test_other_files_are_counted_and_hidden_ones_passed_over(tmp_path):
    tree(tmp_path, "a/x.png", ".thumbs/x.png")
    (tmp_path / "notes.txt").write_text("of no picture")
    found = read_picture_tree(tmp_path)
    assert [one.name for one in found.pictures] == ["a/x.png"] and found.n_skipped == 1


def test_a_synthetic_set_says_whom_its_generator_saw(tmp_path):
    tree(tmp_path, "train/p1/a.png", "test/p2/a.png")
    data = picture_bytes(np.arange(400, dtype=np.uint8).reshape(20, 20))
    (tmp_path / "train" / "made" / "images").mkdir(parents=True)
    (tmp_path / "train" / "made" / "images" / "0.png").write_bytes(data)
    image = SyntheticImage("images/0.png", True, sha256_of_bytes(data))
    manifest = SyntheticManifest("ldm_class", "0" * 64, {}, ("p1", "p9"), 0, {}, False, (image,))
    write_manifest(manifest, tmp_path / "train" / "made")
    (made,) = [one for one in read_picture_tree(tmp_path).pictures if one.is_synthetic]
    assert (made.part, made.is_fatty, made.training_patients) == ("train", True, ("p1", "p9"))
    assert made.patient_id == made.name == "train/made/images/0.png" and made.source == "synthetic, ldm_class"


def test_only_some_parts_are_held_out():
    assert [is_held_out(part) for part in ("Test", "val", "holdout", "train", "fold_1", None)] == [True] * 3 + [
        False
    ] * 3


@pytest.mark.parametrize(
    ("names", "options", "sentence"),
    [
        ((), {}, "holds none to be read among 0 files"),
        (("a.txt.png",), {"leave_out": "png"}, "holds none to be read among 1 files"),
        (("a.png",), {"patient_pattern": "a"}, "needs a group in brackets"),
        (("a.png",), {"patient_pattern": "(a"}, "regular expression; '\\(a' is none"),
        (("a.png", "b.png"), {"patient_pattern": "(a)"}, "'b.png' has no '\\(a\\)'"),
    ],
)
def test_a_tree_that_cannot_be_read_is_refused(tmp_path, names, options, sentence):
    with pytest.raises(UnsuitableInputError, match=sentence):
        read_picture_tree(tree(tmp_path, *names), **options)


def test_a_damaged_picture_and_a_missing_folder_are_named(tmp_path):
    tree(tmp_path, "p/a.png")
    (tmp_path / "p" / "b.png").write_bytes(b"no picture")
    with pytest.raises(UnsuitableInputError, match="'b.png' is cut short, damaged or no picture"):
        read_picture_tree(tmp_path)
    with pytest.raises(UnsuitableInputError, match="'.*nowhere' is none"):
        read_picture_tree(tmp_path / "nowhere")
