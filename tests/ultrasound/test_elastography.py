"""An elastogram's colours read back the values they stand for, or nothing."""

import numpy as np
import pytest
from make_ultrasound import BOX, SHAPE, encode, field, sector
from matplotlib import colormaps

from liver_models.errors import UnsuitableInputError
from liver_models.ultrasound.elastography import ElastogramScale, check_stiffness, stiffness_map, to_kpa

INSIDE = np.zeros(SHAPE, dtype=bool)
INSIDE[BOX[0] : BOX[2], BOX[1] : BOX[3]] = True


def _scale(**settings) -> ElastogramScale:
    return ElastogramScale(**{"low": 0.0, "high": 20.0, "unit": "kPa", "colormap": "jet", **settings})


def _is_told_apart(truth, colormap="jet") -> np.ndarray:
    """Where the colour map has a colour of its own: jet keeps pure blue and pure red for five steps each."""
    colours = np.round(colormaps[colormap](np.arange(256)) * 255)
    same = np.concatenate([[False], (colours[1:] == colours[:-1]).all(axis=1)])
    same[:-1] |= same[1:]
    return ~same[np.round(truth / 20 * 255).astype(int)]


def _with_bar(picture, colormap="jet"):
    """A picture with a vertical colour bar, high at the top, in a grey frame."""
    picture = picture.copy()
    picture[:, 8:76, 118:127] = 150
    values = np.linspace(20, 0, 64)[:, None] * np.ones(7)
    bar = encode(values, np.zeros((64, 7), dtype=np.uint8), 0, 20, colormap=colormap, box=(0, 0, 64, 7))
    picture[:, 10:74, 119:126] = bar
    return picture, (10, 119, 74, 126)


@pytest.mark.parametrize("colormap", ["jet", "turbo", "rainbow", "viridis", "plasma"])
def test_an_opaque_field_is_read_within_one_colour_step(colormap):
    truth = field(1, 19)
    rgb = encode(truth, sector(), 0, 20, colormap=colormap)
    stiffness, residual = stiffness_map(rgb, _scale(colormap=colormap), BOX)
    # Half a step is rounded away when the field is encoded; weak colours lose a part of another to whole levels.
    error = np.abs(stiffness - truth)[INSIDE] / (20 / 255)
    assert error[_is_told_apart(truth, colormap)[INSIDE]].max() <= (1.25 if colormap in ("viridis", "plasma") else 1)
    assert error.max() <= 5
    assert residual[INSIDE].max() < 1.5
    assert np.isnan(stiffness[~INSIDE]).all() and np.isnan(residual[~INSIDE]).all()


@pytest.mark.parametrize("opacity", [0.4, 0.6, 0.9])
def test_a_field_over_unknown_anatomy_is_read_within_one_colour_step(opacity):
    truth = field(1, 19)
    rgb = encode(truth, sector(seed=3), 0, 20, opacity=opacity)
    stiffness, _ = stiffness_map(rgb, _scale(opacity=opacity), BOX)
    error = np.abs(stiffness - truth)[INSIDE] / (20 / 255)
    assert np.isfinite(error).all()
    assert error[_is_told_apart(truth)[INSIDE]].max() <= 1.1 and error.max() <= 5


def test_known_anatomy_makes_weak_colours_readable():
    truth, grey = field(1, 19), sector(seed=3)
    rgb = encode(truth, grey, 0, 20, colormap="viridis", opacity=0.5)
    blind, _ = stiffness_map(rgb, _scale(colormap="viridis", opacity=0.5), BOX)
    seeing, _ = stiffness_map(rgb, _scale(colormap="viridis", opacity=0.5), BOX, background=grey)
    error, blind_error = np.abs(seeing - truth)[INSIDE], np.abs(blind - truth)[INSIDE]
    assert np.quantile(error, 0.99) <= 1.5 * 20 / 255
    assert np.nanquantile(blind_error, 0.99) > np.quantile(error, 0.99)


def test_an_unknown_opacity_is_estimated():
    truth = field(4, 16)
    rgb = encode(truth, sector(seed=5), 0, 20, opacity=0.55)
    stiffness, _ = stiffness_map(rgb, _scale(opacity=None), BOX)
    assert np.abs(np.nanmedian(stiffness[INSIDE]) - np.median(truth[INSIDE])) < 20 / 255
    assert np.isfinite(stiffness[INSIDE]).mean() > 0.99


def test_grey_pixels_are_never_a_value():
    truth = field(1, 19)
    truth[40:50, 60:75] = np.nan
    for opacity in (1.0, 0.6):
        rgb = encode(truth, sector(seed=1), 0, 20, opacity=opacity)
        stiffness, residual = stiffness_map(rgb, _scale(opacity=opacity), BOX)
        assert np.array_equal(np.isnan(stiffness[INSIDE]), np.isnan(truth[INSIDE]))
        assert residual[40:50, 60:75].min() > 24


def test_grey_is_no_value_however_far_from_the_bar_a_colour_may_be():
    truth = field(1, 19)
    truth[40:50, 60:75] = np.nan
    rgb = encode(truth, sector(seed=1), 0, 20, opacity=0.6)
    stiffness, _ = stiffness_map(rgb, _scale(opacity=0.6), BOX, tolerance=200)
    assert np.isnan(stiffness[40:50, 60:75]).all()


def test_white_text_in_the_box_is_never_a_value():
    rgb = encode(field(1, 19), sector(), 0, 20, opacity=0.6)
    rgb[:, 45:48, 50:60] = 255
    stiffness, _ = stiffness_map(rgb, _scale(opacity=0.6), BOX)
    assert np.isnan(stiffness[45:48, 50:60]).all()
    assert np.isfinite(stiffness[INSIDE]).sum() == INSIDE.sum() - 30


def test_the_bar_in_the_picture_reads_as_the_named_one():
    truth = field(1, 19)
    rgb, bar = _with_bar(encode(truth, sector(), 0, 20))
    stiffness, _ = stiffness_map(rgb, _scale(colormap=None, bar=bar), BOX)
    assert np.abs(stiffness - truth)[INSIDE].max() <= 20 / 63


def test_a_bar_that_lies_down_is_high_at_the_right():
    truth = field(1, 19)
    rgb, (top, left, bottom, right) = _with_bar(encode(truth, sector(), 0, 20))
    lying = rgb.copy()
    bar = np.rot90(rgb[:, top:bottom, left:right], k=-1, axes=(1, 2))
    lying[:, 80:87, 5:69] = bar
    lying[:, 8:76, 118:127] = 0
    stiffness, _ = stiffness_map(lying, _scale(colormap=None, bar=(80, 5, 87, 69)), BOX)
    assert np.abs(stiffness - truth)[INSIDE].max() <= 20 / 63


def test_without_a_box_the_largest_coloured_patch_is_read_and_the_bar_is_not():
    truth = field(1, 19)
    rgb, bar = _with_bar(encode(truth, sector(), 0, 20))
    for scale in (_scale(), _scale(colormap=None, bar=bar)):
        stiffness, _ = stiffness_map(rgb, scale)
        assert np.array_equal(np.isfinite(stiffness), INSIDE)


def test_speed_and_modulus_agree_through_three_rho_c_squared():
    speed = field(0.9, 2.4)
    rgb = encode(speed, sector(), 0.5, 3.0)
    stiffness, _ = stiffness_map(rgb, _scale(low=0.5, high=3.0, unit="m/s"), BOX)
    step = 2.5 / 255  # plus what jet keeps in one colour for five of them
    expected = 3 * speed**2  # kPa with 1000 kg/m3
    assert np.all(np.abs(stiffness - expected)[INSIDE] <= 6 * speed[INSIDE] * 2.5 * step)
    assert to_kpa(np.array(1.5), _scale(unit="m/s", high=5.0)) == pytest.approx(6.75)
    heavier = _scale(unit="m/s", high=5.0, density_kg_per_m3=1060)
    assert to_kpa(np.array(1.5), heavier) == pytest.approx(6.75 * 1.06)
    assert to_kpa(np.array(7.0), _scale()) == 7


def test_an_unknown_scale_is_refused():
    with pytest.raises(UnsuitableInputError, match="needs its scale: .* none is stated"):
        stiffness_map(encode(field(1, 19), sector(), 0, 20), None, BOX)


def test_another_colour_bar_is_refused():
    rgb = encode(field(1, 19), sector(), 0, 20, colormap="turbo")
    rgb[:, INSIDE] = np.array([255, 0, 255])[:, None]
    with pytest.raises(UnsuitableInputError, match="none of 1872 pixels has one. Correct the box"):
        stiffness_map(rgb, _scale(), BOX)
    rgb[:, 30:40, 40:50] = encode(field(1, 19), sector(), 0, 20)[:, 30:40, 40:50]
    with pytest.raises(UnsuitableInputError, match="need to be on its bar .* 5% are. Correct the colour bar"):
        stiffness_map(rgb, _scale(), BOX)


def test_a_box_without_colour_is_refused():
    rgb = np.repeat(sector()[None], 3, axis=0)
    with pytest.raises(UnsuitableInputError, match="needs colours of its bar .jet. in its box; none"):
        stiffness_map(rgb, _scale(), BOX)


def test_a_box_outside_the_picture_is_refused():
    rgb = encode(field(1, 19), sector(), 0, 20)
    with pytest.raises(UnsuitableInputError, match="elasticity box needs to lie in the picture of 90 x 130 pixels"):
        stiffness_map(rgb, _scale(), (30, 40, 66, 131))
    with pytest.raises(UnsuitableInputError, match="colour bar needs to lie in the picture"):
        stiffness_map(rgb, _scale(colormap=None, bar=(0, 0, 91, 3)), BOX)


def test_a_grey_colour_bar_is_refused():
    with pytest.raises(UnsuitableInputError, match="A colour bar needs at least 8 pixels of colour"):
        stiffness_map(encode(field(1, 19), sector(), 0, 20), _scale(colormap=None, bar=(5, 118, 60, 126)), BOX)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"unit": "Pa"}, "needs its unit, kPa or m/s; found 'Pa'"),
        ({"colormap": None}, "either colormap or bar"),
        ({"bar": (0, 0, 9, 9)}, "either colormap or bar"),
        ({"colormap": "hot"}, "one of jet, turbo, .*; found 'hot'"),
        ({"low": 20, "high": 20}, "needs 0 <= low < high"),
        ({"low": float("nan")}, "needs 0 <= low < high"),
        ({"unit": "m/s", "high": 20}, "in m/s needs 0 <= low < high <= 11; found 0 to 20.*their unit"),
        ({"high": 40_000}, "in kPa needs 0 <= low < high <= 400"),
        ({"opacity": 0.0}, "opacity of an elastogram needs 0.1 to 1"),
        ({"density_kg_per_m3": 1.0}, "density of soft tissue needs 800 to 1200"),
    ],
)
def test_a_scale_that_no_scanner_has_is_refused(settings, sentence):
    with pytest.raises(UnsuitableInputError, match=sentence):
        _scale(**settings)


def test_speeds_declared_as_modulus_are_refused():
    with pytest.raises(
        UnsuitableInputError, match="needs a median of 1.8 to 40 kPa; .* 1.2 kPa .*The unit is likely m/s"
    ):
        check_stiffness(np.array([1.1, 1.2, 1.3, np.nan]), _scale(high=5.0), "rat")


def test_modulus_declared_as_speed_is_refused():
    scale = _scale(unit="m/s", high=10.0)
    with pytest.raises(UnsuitableInputError, match=r"\(median 4.3 m/s as declared\). The unit is likely kPa"):
        check_stiffness(to_kpa(np.array([4.2, 4.3, 4.4]), scale), scale, "rat")
    check_stiffness(to_kpa(np.array([1.2, 1.3, 1.4]), scale), scale, "rat")
    check_stiffness(np.full(3, np.nan), scale, "rat")
