"""``liverlabel audit`` on a tree of pictures: each planted fault is found, shown side by side, and nothing else."""

from __future__ import annotations

import json
import re
import shutil

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from liver_models.__main__ import main
from liver_models.io.files import sha256_of_bytes
from liver_models.io.synthetic_set import SyntheticImage, SyntheticManifest, picture_bytes, write_manifest


def picture(seed):
    rng = np.random.default_rng(seed)
    coarse = ndimage.gaussian_filter(rng.standard_normal((96, 96)), 5)
    fine = ndimage.gaussian_filter(rng.standard_normal((96, 96)), 1)
    return np.clip(110 + 40 * coarse / coarse.std() + 12 * fine / fine.std(), 1, 255).astype(np.uint8)


def put(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def make_set(folder, pictures, patients, kind="ldm_class"):
    images = []
    (folder / "images").mkdir(parents=True)
    for number, pixels in enumerate(pictures):
        data = picture_bytes(pixels)
        (folder / f"images/{number:04d}.png").write_bytes(data)
        images.append(SyntheticImage(f"images/{number:04d}.png", number % 2 == 1, sha256_of_bytes(data)))
    write_manifest(SyntheticManifest(kind, "0" * 64, {}, patients, 0, {}, True, tuple(images)), folder)


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """Twelve patients in training, six in test, two images each; generated images from training patients only."""
    folder = tmp_path_factory.mktemp("plain") / "images"
    for number in range(18):
        answer = "fatty" if number % 2 else "healthy"
        for image in range(2):
            part = "train" if number < 12 else "test"
            put(folder / part / answer / f"p{number:02d}" / f"{image}.png", picture([1, number, image]))
    patients = tuple(f"p{number:02d}" for number in range(12))
    make_set(folder / "train" / "generated", [picture([2, k]) for k in range(8)], patients)
    return folder


@pytest.fixture
def copied(plain, tmp_path):
    shutil.copytree(plain, tmp_path / "images")
    return tmp_path / "images"


def kinds_of(folder, tmp_path, *options):
    out = tmp_path / "found.json"
    code = main(["audit", str(folder), "--out", str(out), *options])
    found = json.loads(out.read_text())
    assert code == int(any(one["severity"] == "error" for one in found["findings"]))
    return {one["kind"]: one for one in found["findings"]}, found


def test_a_clean_split_with_generated_images_passes(plain, tmp_path):
    kinds, found = kinds_of(plain, tmp_path)
    assert not {kind for kind, one in kinds.items() if one["severity"] == "error"}, kinds
    assert (found["n_images"], found["n_patients"], found["pairs"]) == (44, 26, [])


def test_a_patient_in_two_parts_is_found(copied, tmp_path):
    put(copied / "test" / "fatty" / "p01" / "9.png", picture([3, 0]))
    kinds, _ = kinds_of(copied, tmp_path)
    assert kinds["patient_overlap"]["members"] == ["p01"]


def test_a_changed_copy_under_another_patient_is_found_and_shown(copied, tmp_path, capsys):
    brighter = np.clip(picture([1, 1, 0]).astype(int) + 25, 0, 255).astype(np.uint8)
    put(copied / "test" / "fatty" / "p99" / "0.png", np.asarray(Image.fromarray(brighter).resize((130, 128))))
    kinds, found = kinds_of(copied, tmp_path, "--report", str(tmp_path / "audit.html"))
    names = ["test/fatty/p99/0.png", "train/fatty/p01/0.png"]
    assert kinds["same_patient_two_ids"]["members"] == names
    (pair,) = found["pairs"]
    assert [pair["first"], pair["second"]] == names and pair["distance_bits"] <= 10 and not pair["is_same_bytes"]
    page = (tmp_path / "audit.html").read_text("utf-8")
    assert page.count("data:image/png;base64,") == 2 and all(name in page for name in names)
    assert "10 of 64" in page and "SIMULATED DATA" in page and not re.search(r'(src|href)="(?!data:|#)', page)


def test_a_generated_copy_of_a_real_image_is_memorised_not_a_second_patient(copied, tmp_path):
    put(copied / "train" / "generated" / "images" / "0003.png", picture([1, 4, 0]) // 2 + 60)
    kinds, _ = kinds_of(copied, tmp_path)
    assert len(kinds["memorised_copies"]["members"]) == 2 and "same_patient_two_ids" not in kinds


def test_a_generator_that_repeats_itself_is_a_warning(copied, tmp_path):
    put(copied / "train" / "generated" / "images" / "0003.png", picture([2, 4]))
    kinds, _ = kinds_of(copied, tmp_path)
    assert kinds["generated_repeats"]["severity"] == "warning" and "same_patient_two_ids" not in kinds


def test_a_generator_that_saw_test_patients_is_found_wherever_its_images_lie(plain, copied, tmp_path):
    make_set(copied / "train" / "more", [picture([4, 0])], ("p01", "p13"), "stacked_gan")
    kinds, _ = kinds_of(copied, tmp_path)
    assert kinds["generator_saw_held_out"]["members"] == ["p13"]
    shutil.rmtree(copied / "train" / "more")
    make_set(copied / "elsewhere", [picture([4, 0])], ("p01", "p14"), "stacked_gan")
    kinds, _ = kinds_of(copied, tmp_path)
    assert kinds["generator_saw_held_out"]["members"] == ["p14"]


def test_a_test_on_generated_images_is_an_error(copied, tmp_path):
    shutil.move(copied / "train" / "generated", copied / "test" / "generated")
    kinds, _ = kinds_of(copied, tmp_path)
    assert kinds["generated_in_held_out"]["severity"] == "error" and "generator_saw_held_out" in kinds


def test_parts_of_different_scanners_are_a_warning(tmp_path):
    for number in range(24):
        part, site = ("train", "siteA") if number < 12 else ("test", "siteB")
        put(tmp_path / "x" / part / site / f"p{number:02d}" / "0.png", picture([5, number]))
    kinds, _ = kinds_of(tmp_path / "x", tmp_path)
    assert kinds["split_confounding"]["severity"] == "warning"
    assert kinds["split_confounding"]["members"] == ["siteA", "siteB"]


def test_an_answer_that_goes_with_being_generated_is_an_error(tmp_path):
    for number in range(12):
        put(tmp_path / "x" / "real" / "healthy" / f"p{number:02d}" / "0.png", picture([6, number]))
    patients = tuple(f"p{number:02d}" for number in range(12))
    make_set(tmp_path / "x" / "made", [picture([7, k]) for k in range(12)], patients)
    text = (tmp_path / "x" / "made" / "synthetic.json").read_text().replace('"is_fatty": false', '"is_fatty": true')
    (tmp_path / "x" / "made" / "synthetic.json").write_text(text)
    kinds, _ = kinds_of(tmp_path / "x", tmp_path)
    assert kinds["simulation_confounding"]["severity"] == kinds["source_confounding"]["severity"] == "error"


def test_the_same_tree_gives_the_same_page(plain, tmp_path):
    pages = []
    for name in ("one", "two"):
        main(["audit", str(plain), "--report", str(tmp_path / name / "audit.html")])
        pages.append((tmp_path / name / "audit.html").read_bytes())
    assert pages[0] == pages[1]


@pytest.mark.parametrize("bad", ["empty", "no pictures", "damaged"])
def test_a_folder_that_cannot_be_audited_ends_with_a_sentence(bad, tmp_path, capsys):
    folder = tmp_path / "folder"
    folder.mkdir()
    if bad != "empty":
        (folder / ("notes.txt" if bad == "no pictures" else "a.png")).write_text("nothing to see")
    assert main(["audit", str(folder), "--report", str(tmp_path / "audit.html")]) == 2
    said = capsys.readouterr().err
    assert ("'a.png' is cut short" if bad == "damaged" else "'folder' holds none") in said
    assert not (tmp_path / "audit.html").exists()
