"""Maps over their images, as pictures."""

import io

import numpy as np
from PIL import Image

from liver_models.ultrasound.answer_maps import overlay_png


def _picture(shown, **how):
    given = {"is_signed": False, "is_simulated": False} | how
    return np.asarray(
        Image.open(io.BytesIO(overlay_png(np.full((120, 160), 90, np.uint8), shown, "Grad-CAM", **given)))
    )


def test_a_map_of_nothing_leaves_the_image_and_stands_under_its_name_beside_a_bar():
    picture = _picture(np.zeros((120, 160), np.float32))
    line = (picture.shape[0] - 120) // 2
    assert (picture[line : line + 120, :160] == 90).all()
    assert picture[:line, :160].any() and np.ptp(picture[line : line + 120, 160:], axis=2).max() > 60


def test_only_a_computed_image_is_called_simulated():
    shown = np.zeros((120, 160), np.float32)
    line = (_picture(shown).shape[0] - 120) // 2
    assert not _picture(shown)[-line:, :160].any() and _picture(shown, is_simulated=True)[-line:, :160].any()


def test_signs_have_colours_of_their_own():
    shown = np.zeros((120, 160), np.float32)
    shown[60, 80], shown[60, 20] = 1, -1
    picture = _picture(shown, is_signed=True).astype(int)
    line = (picture.shape[0] - 120) // 2
    for_it, against = picture[line + 60, 80], picture[line + 60, 20]
    assert for_it[0] > for_it[2] and against[2] > against[0]
