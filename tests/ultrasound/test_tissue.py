"""Tissue stays, what is burned in around it goes."""

import numpy as np
import pytest
from make_ultrasound import fan

from liver_models.errors import UnsuitableInputError
from liver_models.io.picture_file import UltrasoundRegion, open_picture
from liver_models.ultrasound.tissue import tissue_mask

SHAPE = (240, 330)
TISSUE = fan(SHAPE)


def _picture(seed=0):
    rng = np.random.default_rng(seed)
    return np.where(TISSUE, rng.integers(15, 120, SHAPE), 0).astype(np.uint8)


def _overlap(mask):
    return (mask & TISSUE).sum() / (mask | TISSUE).sum()


def test_tissue_is_found_to_its_edges():
    assert _overlap(tissue_mask(_picture())) > 0.97


def test_text_ecg_and_scales_outside_the_tissue_go():
    picture = _picture()
    picture[220:223, 3:50] = 255  # ECG
    picture[210:235, 20] = 255
    picture[10:14, 4:40:3] = 220  # text
    picture[20:70, 320:327] = np.linspace(255, 20, 50)[:, None].astype(np.uint8)  # grey bar
    for row in range(60, 200, 10):  # ticks that touch the edge of the tissue
        edge = np.flatnonzero(TISSUE[row])[0]
        picture[row, max(edge - 8, 0) : edge] = 255
    mask = tissue_mask(picture)
    assert _overlap(mask) > 0.97
    outside = (picture > 0) & ~TISSUE
    # A tick ends at the tissue: the last pixels of it are within the mask's own accuracy.
    assert (mask & outside).sum() < 0.01 * outside.sum() + 30
    assert not mask[205:240, :50].any() and not mask[20:70, 318:].any()


def test_dark_vessels_and_a_shadow_between_bright_tissue_stay():
    picture = _picture()
    picture[90:120, 150:180] = 0
    mask = tissue_mask(picture)
    assert mask[90:120, 150:180].all()


def test_the_dark_space_above_a_curved_probe_goes():
    top = np.flatnonzero(TISSUE[:, SHAPE[1] // 2])[0]
    assert not tissue_mask(_picture())[: top - 2, SHAPE[1] // 2].any()


def test_coloured_marks_go_unless_they_are_an_elastogram():
    rgb = np.repeat(_picture()[None], 3, axis=0)
    rgb[:, 100:104, 140:190] = np.array([250, 220, 0])[:, None, None]
    assert not tissue_mask(rgb)[100:104, 140:190].any()
    assert tissue_mask(rgb, keeps_colour=True)[100:104, 140:190].all()


def test_nothing_outside_the_stated_region_is_tissue():
    region = UltrasoundRegion("tissue", (60, 100, 200, 210))
    ecg = UltrasoundRegion("other", (200, 0, 240, 330))
    mask = tissue_mask(_picture(), (region, ecg))
    assert mask[60:200, 100:210].mean() > 0.9
    mask[60:200, 100:210] = False
    assert not mask.any()


def test_a_black_image_is_refused():
    with pytest.raises(UnsuitableInputError, match="black all over"):
        tissue_mask(np.full((40, 50), 2, dtype=np.uint8))


def test_text_alone_is_refused():
    picture = np.zeros(SHAPE, dtype=np.uint8)
    picture[20:24, 10:200:4] = 255
    with pytest.raises(UnsuitableInputError, match="needs a patch of tissue of at least 2% of the picture"):
        tissue_mask(picture)


@pytest.mark.real
def test_public_frames_lose_their_ecg_and_keep_their_sector(real_data):
    frames = sorted((real_data / "ultrasound" / "byra_frames_lcti").glob("*.jpeg"))
    assert len(frames) == 10
    for frame in frames:
        mask = tissue_mask(open_picture(frame).grey())
        assert 0.42 < mask.mean() < 0.45
        assert not mask[370:].any(), "the ECG and the heart rate are below the sector"
        assert not mask[:130, 600:].any(), "the grey bar is at the right"
        assert mask[60:350, 300:330].all()


@pytest.mark.real
def test_livers_of_public_frames_stay(real_data):
    folder = real_data / "ultrasound" / "ussim_real"
    from PIL import Image

    shares = []
    for organ_map in sorted((folder / "organ_maps").iterdir()):
        frame = next(iter((folder / "images").glob(f"{organ_map.stem}.*")), None)
        if frame is None:
            continue
        liver = (np.asarray(Image.open(organ_map).convert("RGB")) == (100, 0, 100)).all(axis=-1)
        if liver.any():
            shares.append(tissue_mask(open_picture(frame).grey())[liver].mean())
    assert len(shares) > 20 and min(shares) > 0.97 and np.median(shares) > 0.99
