"""Maps as they are drawn: the same window everywhere, uncertain voxels left out, colour bars with units."""

import os
from pathlib import Path

import numpy as np
import pytest


@pytest.fixture
def lib(scene):
    from LiverLabelLib import display, mrml_io

    return mrml_io, display


SHAPE = (64, 56, 3)


@pytest.fixture
def maps(lib):
    """An image, a PDFF map from 0 to 50 % from left to right with a hole, and its standard deviation."""
    from conftest import oblique

    io, _ = lib
    affine = oblique((1.5, 1.5, 6))
    x, y = np.mgrid[: SHAPE[0], : SHAPE[1]]
    disc = ((x - 32) / 26.0) ** 2 + ((y - 28) / 22.0) ** 2 < 1
    pdff = np.where(disc, 50 * x / (SHAPE[0] - 1), np.nan)
    std = np.where(y > 28, 8.0, 2.0)
    stack = {"image": 200 * disc + 20 * (y % 8 < 4), "pdff_percent": pdff, "pdff_std_percent": std}
    return {
        role: io.volumeFromArray(
            np.repeat(values[:, :, None], 3, axis=2).astype(np.float32), affine, case="c", role=role
        )
        for role, values in stack.items()
    }


def pixelOf(lib, view, image, voxel):
    from LiverLabelLib import roi

    column, row = view.toPixel(roi.toWorld([voxel], image)[0])
    return view.size[1] - 1 - row, column


def test_every_map_of_the_contract_has_a_look(lib):
    import json

    _, display = lib
    tasks = json.loads((Path(__file__).parents[1] / "contract" / "tasks.reply.json").read_text(encoding="utf-8"))
    named = {m["name"]: m["unit"] for task in tasks["tasks"] for m in task["maps"] if m["unit"] != "label"}
    assert set(named) == set(display.LOOKS)
    for name, unit in named.items():
        assert unit in display.colourBarText(display.lookOf(name, unit))


def test_the_window_is_the_same_for_every_patient(lib, maps):
    io, display = lib
    for scale in (1, 0.1):
        values, affine = io.arrayFromVolume(maps["pdff_percent"])
        node = io.volumeFromArray(values * scale, affine, case="d", role="pdff_percent")
        display.applyLook(node)
        shown = node.GetDisplayNode()
        assert (shown.GetWindowLevelMin(), shown.GetWindowLevelMax()) == (0, 50)
        assert not shown.GetAutoWindowLevel() and not shown.GetInterpolate()
    field = display.lookOf("field_map_hz")
    assert field.low == -field.high and display.lookOf("r2_star_per_s").high == 200


def test_a_map_without_fixed_window_takes_its_own_range(lib, maps):
    io, display = lib
    values = np.linspace(0, 1000, 101).reshape(101, 1, 1)
    node = io.volumeFromArray(values, np.eye(4), case="c", role="a new map", unit="mm")
    look = display.applyLook(node)
    assert (look.low, look.high) == pytest.approx((10, 990)) and display.colourBarText(look) == "a new map (mm)"
    empty = io.volumeFromArray(np.full((3, 3, 1), np.nan), np.eye(4), case="c", role="water")
    assert np.isfinite(display.applyLook(empty).high)


def test_slicers_own_colour_table_is_preferred(lib, scene):
    _, display = lib
    ours = display.colourNode("Viridis")
    assert display.colourNode("Viridis") is ours and ours.GetNumberOfColors() == 256
    colour = [0.0] * 4
    ours.GetColor(255, colour)
    np.testing.assert_allclose(colour, (253 / 255, 231 / 255, 37 / 255, 1), atol=1e-6)
    slicers = scene.AddNewNodeByClass("vtkMRMLColorTableNode", "Inferno")
    assert display.colourNode("Inferno") is slicers
    assert display.colourNode("Grey").GetID() == "vtkMRMLColorTableNodeGrey"


def test_the_numbers_at_a_colour_bar_are_round(lib):
    for look in lib[1].LOOKS.values():
        if look.low is not None:
            for value in np.linspace(look.low, look.high, look.nLabels):
                assert float(f"{value:.{look.decimals}f}") == pytest.approx(value, abs=1e-9)


def test_hiding_uncertain_voxels_leaves_the_map_as_it_is(lib, maps):
    io, display = lib
    before, _ = io.arrayFromVolume(maps["pdff_percent"])
    shown = display.hideUncertain(maps["pdff_percent"], maps["pdff_std_percent"], 5)
    values, std = io.arrayFromVolume(shown)[0], io.arrayFromVolume(maps["pdff_std_percent"])[0]
    np.testing.assert_array_equal(values, np.where(std <= 5, before, np.nan))
    np.testing.assert_array_equal(io.arrayFromVolume(maps["pdff_percent"])[0], before)
    assert shown.GetDisplayNode().GetWindowLevelMax() == 50
    assert display.hideUncertain(maps["pdff_percent"], maps["pdff_std_percent"], 1.5) is shown
    assert display.hideUncertain(maps["pdff_percent"], maps["pdff_std_percent"], None) is maps["pdff_percent"]


def test_a_voxel_of_unknown_spread_is_hidden(lib, maps):
    io, display = lib
    std, affine = io.arrayFromVolume(maps["pdff_std_percent"])
    std[32, 20] = np.nan
    node = io.volumeFromArray(std, affine, case="c", role="pdff_std_percent")
    values, _ = io.arrayFromVolume(display.hideUncertain(maps["pdff_percent"], node, 5))
    assert np.isnan(values[32, 20]).all() and np.isfinite(values[33, 20]).all()


@pytest.mark.parametrize("askedAgain", ["pdff_percent", "pdff_std_percent", None])
def test_a_map_is_masked_voxel_by_voxel_after_its_scene_was_opened_again(lib, scene, geometry, tmp_path, askedAgain):
    from LiverLabelLib import case_nodes

    io, display = lib
    shape, affine = geometry
    number = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    volumes = {"pdff_percent": number, "pdff_std_percent": number % 7}
    for role, values in volumes.items():
        io.volumeFromArray(values, affine, case="c", role=role, unit="%")
    assert scene.WriteToMRB(str(tmp_path / "scene.mrb"))
    scene.Clear(False)
    assert scene.ReadFromMRB(str(tmp_path / "scene.mrb"), True)
    # Slicer turns left-handed volumes when it reads them; what the server answers now is as it was.
    if askedAgain:
        io.volumeFromArray(volumes[askedAgain], affine, case="c", role=askedAgain, unit="%")
    fat, std = (case_nodes.findNode("vtkMRMLScalarVolumeNode", "c", role) for role in volumes)
    shown, where = io.arrayFromVolume(display.hideUncertain(fat, std, 3))
    expected = np.where(number % 7 <= 3, number, np.nan)
    np.testing.assert_array_equal(shown, io.turnedLike(expected, affine, fat, "m"))
    np.testing.assert_allclose(where, io.affineOf(fat))


def test_a_spread_of_another_study_is_refused(lib, maps):
    from LiverLabelLib.errors import UnsuitableInputError

    io, display = lib
    other = io.volumeFromArray(np.ones(SHAPE), np.eye(4), case="d", role="pdff_std_percent", name="other SD")
    with pytest.raises(UnsuitableInputError, match="'other SD' needs to lie where 'pdff_percent' lies"):
        display.hideUncertain(maps["pdff_percent"], other, 5)


def test_an_opacity_outside_0_to_1_is_refused(lib, maps):
    from LiverLabelLib.errors import UnsuitableInputError

    with pytest.raises(UnsuitableInputError, match=r"found 1\.5"):
        lib[1].showInSlices(maps["image"], opacity=1.5)


def test_a_pdff_map_is_drawn_over_its_image_with_a_colour_bar(lib, maps, view, tmp_path):
    _, display = lib
    pdff = maps["pdff_percent"]
    display.showInSlices(maps["image"])
    display.alignSlices(maps["image"])
    plain = view.draw()
    look = display.applyLook(pdff)
    display.showInSlices(maps["image"], pdff, opacity=1)
    over = view.draw()
    low, high, hole = (pixelOf(lib, view, pdff, voxel) for voxel in ((10, 28, 1), (54, 28, 1), (2, 2, 1)))
    assert (over[hole] == plain[hole]).all(), "where nothing was estimated the image shows"
    assert over[high].sum() > over[low].sum() + 150 and np.ptp(over[high]) > 40, "fat is bright and coloured"
    legend = display.showColourBar(pdff, look)
    assert legend.GetTitleText() == "PDFF (%)" and display.showColourBar(pdff) is legend
    folder = Path(os.environ.get("LIVERLABEL_PICTURES", tmp_path))
    barred = view.draw(folder / "pdff-over-image.png")
    changed = np.argwhere(np.abs(barred - over).sum(axis=2) > 60)
    assert len(changed) > 500 and changed[:, 1].min() > view.size[0] / 2, "the bar stands on the right"


def test_uncertain_voxels_are_drawn_as_the_image_alone(lib, maps, view, tmp_path):
    _, display = lib
    display.showInSlices(maps["image"])
    display.alignSlices(maps["image"])
    plain = view.draw()
    shown = display.hideUncertain(maps["pdff_percent"], maps["pdff_std_percent"], 5)
    display.showInSlices(maps["image"], shown, opacity=1)
    masked = view.draw(Path(os.environ.get("LIVERLABEL_PICTURES", tmp_path)) / "pdff-masked.png")
    certain, uncertain = (pixelOf(lib, view, shown, (40, y, 1)) for y in (20, 36))
    assert (masked[uncertain] == plain[uncertain]).all() and (masked[certain] != plain[certain]).any()


def test_opacity_mixes_map_and_image(lib, maps, view):
    _, display = lib
    display.applyLook(maps["pdff_percent"])
    display.showInSlices(maps["image"])
    display.alignSlices(maps["image"])
    at, shades = pixelOf(lib, view, maps["image"], (50, 28, 1)), []
    for opacity in (0, 0.5, 1):
        display.showInSlices(maps["image"], maps["pdff_percent"], opacity=opacity)
        shades.append(view.draw()[at])
    np.testing.assert_allclose(shades[1], (shades[0] + shades[2]) / 2, atol=3)
    assert np.abs(shades[0] - shades[2]).max() > 60


def test_a_grad_cam_lies_on_its_picture_in_its_pixel_size(lib, view, tmp_path):
    io, display = lib
    rows, columns = np.mgrid[:60, :90]
    image = io.pictureFromPixels((120 + 60 * np.sin(rows / 5)).astype(np.uint8), (0.3, 0.2), case="c")
    cam = np.exp(-((columns - 65) ** 2 + (rows - 20) ** 2) / 150.0).T[:, :, None].astype(np.float32)
    node = display.overlayExplanation(cam, image, role="grad_cam", case="c", opacity=0.5)
    display.alignSlices(image)
    drawn = view.draw(Path(os.environ.get("LIVERLABEL_PICTURES", tmp_path)) / "grad-cam.png")
    hot, cold = (drawn[pixelOf(lib, view, image, voxel)] for voxel in ((65, 20, 0), (15, 50, 0)))
    assert np.ptp(hot) > 40 > 10 > np.ptp(cold)
    row, column = pixelOf(lib, view, image, (65, 20, 0))
    assert row < view.size[1] / 2 and column > view.size[0] / 2, (
        "as the scanner showed it: 65 of 90 is right, 20 of 60 up"
    )
    np.testing.assert_allclose(io.affineOf(node), io.affineOf(image))


def test_forty_slices_are_displayed_within_a_second(lib, view):
    import time

    io, display = lib
    maps = np.random.default_rng(0).random((256, 256, 40)).astype(np.float32) * 50
    start = time.perf_counter()
    node = io.volumeFromArray(maps, np.diag([1.5, 1.5, 5, 1]), case="c", role="pdff_percent")
    display.applyLook(node)
    display.showInSlices(None, node, opacity=1)
    display.alignSlices(node)
    view.draw()
    assert time.perf_counter() - start < 1
