"""The offline page, and the pictures in it."""

import base64
import re
import shutil
import subprocess
from html.parser import HTMLParser
from io import BytesIO

import numpy as np
import pytest
from matplotlib.image import imread

from liver_models.mri.map_pictures import MISSING_RGBA, Window, choose_view, outline_path, picture
from liver_models.mri.pdff_files import result_json
from liver_models.mri.pdff_report import report_html

GREY = Window("water", "Water", "a.u.", 0, 100, "gray")


def page_of(study, maps, rois) -> str:
    return report_html(study, maps, rois, result_json(study, maps, rois))


@pytest.fixture
def page(small_liver, maps_of):
    study, truth = small_liver
    return page_of(study, maps_of(study, truth), truth.rois)


class Checker(HTMLParser):
    """Every tag that is opened is closed, in order."""

    void = {"meta", "img", "path", "image", "rect"}

    def __init__(self):
        super().__init__()
        self.open, self.addresses = [], []

    def handle_starttag(self, tag, attrs):
        self.addresses += [value for key, value in attrs if key in ("src", "href")]
        if tag not in self.void:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.addresses += [value for key, value in attrs if key in ("src", "href")]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_the_page_is_whole_and_needs_no_other_file(page):
    checker = Checker()
    checker.feed(page)
    assert checker.open == []
    assert len(checker.addresses) > 12
    assert all(address.startswith("data:image/png;base64,") for address in checker.addresses)
    assert "http" not in re.sub(r"data:[^\"]+", "", page)


def test_the_page_holds_numbers_units_and_warnings(page, small_liver):
    _, truth = small_liver
    for name in truth.rois:
        assert name in page
    for text in ("PDFF", "1/s", "Hz", "1.3, 3.4, 5.5, 7.6, 9.7, 11.8 ms", "10.1002/nbm.1622", "not a medical device"):
        assert text in page
    mean = truth.pdff_percent[truth.rois["subcutaneous_fat"]].mean()
    shown = float(re.search(r'subcutaneous_fat</div><div class="value">([\d.]+)', page)[1])
    assert shown == pytest.approx(mean, abs=0.6)


def test_only_simulated_data_are_called_simulated(small_liver, maps_of, page):
    assert "SIMULATED DATA" in page
    study, truth = small_liver
    measured = study.with_fields(is_simulated=False, case_id="patient-7")
    assert "simulated" not in page_of(measured, maps_of(study, truth), {}).lower().replace(".simulated {", "")


def test_sides_are_lettered_only_where_they_are_known(small_liver, maps_of, page):
    study, truth = small_liver
    letters = re.compile(r'<span class="edge (?:left|right|top|bottom)">[RLAPSI]</span>')
    assert len(letters.findall(page)) == 4 * 7
    unknown = page_of(study.with_fields(is_orientation_known=False), maps_of(study, truth), truth.rois)
    assert "SIMULATED" in unknown and not letters.search(unknown)


def test_settings_are_named_with_their_units(small_liver, maps_of, page):
    assert re.search(r"<dt>Noise, one channel \(SD\)</dt><dd>[\d.]+ a\.u\.</dd>", page)
    assert "<dt>Not a number</dt>" in page and "_" not in "".join(re.findall(r"<dt>([^<]*)</dt>", page))


def test_names_from_outside_cannot_write_into_the_page(small_liver, maps_of):
    study, truth = small_liver
    rois = {"<script>alert(1)</script>": truth.liver_mask}
    page = page_of(study.with_fields(warnings=("<b>&",)), maps_of(study, truth), rois)
    assert "<script>" not in page and "&lt;script&gt;" in page and "<b>&" not in page


def test_a_volume_shows_every_slice_and_the_maps_of_the_one_with_the_regions(small_liver, maps_of):
    study, truth = small_liver
    second = truth.liver_mask.copy()
    second[:, :, 0] = False
    page = page_of(study, maps_of(study, truth), {"second": second})
    assert "Maps · slice 2 of 2" in page and "all 2 slices" in page


def test_a_result_without_regions_or_valid_voxels_still_makes_a_page(small_liver, maps_of):
    from dataclasses import replace

    study, truth = small_liver
    maps = replace(maps_of(study, truth), valid_mask=np.zeros_like(truth.body_mask))
    assert "Estimated voxels</dt><dd>0 of" in page_of(study, maps, {})


@pytest.mark.system
def test_a_browser_shows_the_banner_and_the_maps(page, tmp_path):
    browser = shutil.which("chromium")
    if browser is None:
        pytest.skip("Chromium is not installed")
    (tmp_path / "report.html").write_text(page, encoding="utf-8")
    shot = tmp_path / "shot.png"
    command = [
        browser,
        "--headless",
        "--no-sandbox",
        f"--user-data-dir={tmp_path / 'profile'}",
        "--window-size=1200,1600",
    ]
    command += [f"--screenshot={shot}", (tmp_path / "report.html").as_uri()]
    subprocess.run(command, check=True, capture_output=True, timeout=90)
    shown = np.round(imread(shot)[:, :, :3] * 255).astype(int)

    def share(colour):
        return float((np.abs(shown - colour).max(axis=2) < 6).mean())

    assert share((255, 241, 201)) > 0.01  # the banner that says SIMULATED
    assert share((253, 231, 37)) > 0.002  # subcutaneous fat at the bright end of the PDFF map
    assert share([round(255 * c) for c in MISSING_RGBA[:3]]) > 0.05


def pixels(uri: str) -> np.ndarray:
    return imread(BytesIO(base64.b64decode(uri.partition(",")[2])))


def test_a_picture_shows_values_in_its_window_and_marks_what_is_missing():
    shown = pixels(picture(np.array([[0.0, 50.0, 100.0, 500.0, np.nan]]), GREY))
    assert shown[0, :4, 0] == pytest.approx([0, 0.5, 1, 1], abs=0.01)
    assert shown[0, 4] == pytest.approx(MISSING_RGBA, abs=0.01)


def ras_affine(codes: str, spacing=(2.0, 2.0, 6.0)) -> np.ndarray:
    """Affine whose array axes point to the named directions, slightly tilted."""
    directions = {"R": (1, 0, 0), "L": (-1, 0, 0), "A": (0, 1, 0), "P": (0, -1, 0), "S": (0, 0, 1), "I": (0, 0, -1)}
    affine = np.eye(4)
    affine[:3, :3] = np.column_stack([np.array(directions[c]) * s for c, s in zip(codes, spacing, strict=True)])
    tilt = np.deg2rad(12)
    turn = np.array([[1, 0, 0], [0, np.cos(tilt), -np.sin(tilt)], [0, np.sin(tilt), np.cos(tilt)]])
    affine[:3, :3] = turn @ affine[:3, :3]
    return affine


@pytest.mark.parametrize("codes", ["LPS", "RAS", "LAS", "PLS", "ARI", "SRA", "ILP"])
def test_pictures_are_radiological_whatever_the_axes(codes):
    spacing = tuple(6.0 if c in "SI" else 2.0 for c in codes)
    affine = ras_affine(codes, spacing)
    shape = tuple(3 if c in "SI" else n for c, n in zip(codes, (7, 8, 9), strict=True))
    view = choose_view(shape, affine)
    assert view.edges == ("R", "L", "A", "P")
    # Right-most and front-most positions as images: bright towards the patient's right, towards the front.
    world = np.einsum("ij,jxyz->ixyz", affine[:3, :3], np.indices(shape))
    right, front = (view.plane(world[axis], 1) for axis in (0, 1))
    assert right[0, 0] > right[0, -1] and front[0, 0] > front[-1, 0]


@pytest.mark.parametrize(("codes", "edges"), [("LIP", ("R", "L", "S", "I")), ("PIL", ("A", "P", "S", "I"))])
def test_coronal_and_sagittal_slices_stand_head_up(codes, edges):
    assert choose_view((8, 9, 3), ras_affine(codes)).edges == edges


def test_one_slice_is_shown_as_a_slice_even_when_it_is_thin():
    assert choose_view((1, 30, 40), ras_affine("SRA", (1.0, 4.0, 4.0))).slice_axis == 0


def test_an_outline_follows_the_pixels_edges():
    mask = np.zeros((4, 5), bool)
    mask[1, 2] = True
    assert sorted(re.findall(r"M\d+ \d+[hv]1", outline_path(mask))) == ["M2 1h1", "M2 1v1", "M2 2h1", "M3 1v1"]
