"""Every form of ultrasound file gives the same canonical pixels."""

import io
import warnings

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.pixels import apply_color_lut
from pydicom.uid import ExplicitVRLittleEndian

from liver_models.errors import UnsuitableInputError
from liver_models.io.picture_file import open_picture

ROWS, COLUMNS = 5, 8
GREY = np.random.default_rng(0).integers(0, 256, (3, ROWS, COLUMNS)).astype(np.uint8)
COLOUR = np.random.default_rng(1).integers(0, 256, (3, ROWS, COLUMNS, 3)).astype(np.uint8)
YBR = np.array([[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]])


def _write(path, pixels, photometric, *, planar=0, bits=8, **attributes):
    """A DICOM file of frames, shape (frames, rows, columns) or (frames, rows, columns, 3)."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.3.1"
    meta.MediaStorageSOPInstanceUID = "1.2.3"
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.SOPClassUID, dataset.SOPInstanceUID = meta.MediaStorageSOPClassUID, "1.2.3"
    dataset.Modality, dataset.PatientID = "US", "P1"
    dataset.NumberOfFrames, dataset.Rows, dataset.Columns = len(pixels), *pixels.shape[1:3]
    dataset.SamplesPerPixel = 3 if pixels.ndim == 4 else 1
    dataset.PhotometricInterpretation = photometric
    dataset.BitsAllocated = 16 if bits > 8 else 8
    dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = bits, bits - 1, 0
    if pixels.ndim == 4:
        dataset.PlanarConfiguration = planar
        pixels = np.moveaxis(pixels, -1, 1) if planar else pixels
    for key, value in attributes.items():
        setattr(dataset, key, value)
    if "PixelData" not in attributes:
        dataset.PixelData = np.ascontiguousarray(pixels).tobytes() + b"\0" * (pixels.nbytes % 2)
    dataset.save_as(path, enforce_file_format=True)
    return path


def _to_ybr(rgb):
    return np.clip(np.round(rgb.astype(float) @ YBR.T + [0, 128, 128]), 0, 255).astype(np.uint8)


def _region(data_type=1, box=(1, 2, 4, 6), units=(3, 3), steps=(0.02, 0.03), spatial=1, **more):
    item = Dataset()
    item.RegionSpatialFormat, item.RegionDataType = spatial, data_type
    item.RegionLocationMinY0, item.RegionLocationMinX0, item.RegionLocationMaxY1, item.RegionLocationMaxX1 = box
    item.PhysicalUnitsYDirection, item.PhysicalUnitsXDirection = units
    item.PhysicalDeltaY, item.PhysicalDeltaX = steps
    for key, value in more.items():
        setattr(item, key, value)
    return item


def test_grey_frames_are_read_one_by_one(tmp_path):
    picture = open_picture(_write(tmp_path / "a.dcm", GREY, "MONOCHROME2"))
    assert (picture.n_frames, picture.shape, picture.patient_id) == (3, (ROWS, COLUMNS), "P1")
    for frame in (2, 0, 1):
        assert np.array_equal(picture.grey(frame), GREY[frame])
        assert np.array_equal(picture.rgb(frame), np.repeat(GREY[frame][None], 3, axis=0))


def test_monochrome1_is_inverted(tmp_path):
    picture = open_picture(_write(tmp_path / "a.dcm", 255 - GREY, "MONOCHROME1"))
    assert np.array_equal(picture.grey(1), GREY[1])


@pytest.mark.parametrize("bits", [12, 16])
def test_more_bits_are_scaled_to_eight(tmp_path, bits):
    deep = GREY.astype(np.uint16) << (bits - 8) | 3
    picture = open_picture(_write(tmp_path / "a.dcm", deep, "MONOCHROME2", bits=bits))
    assert np.array_equal(picture.grey(2), GREY[2])


@pytest.mark.parametrize("planar", [0, 1])
@pytest.mark.parametrize("photometric", ["RGB", "YBR_FULL"])
def test_colours_are_read_whatever_their_order(tmp_path, photometric, planar):
    stored = COLOUR if photometric == "RGB" else _to_ybr(COLOUR)
    picture = open_picture(_write(tmp_path / "a.dcm", stored, photometric, planar=planar))
    tolerance = 0 if photometric == "RGB" else 2
    for frame in range(3):
        difference = picture.rgb(frame).astype(int) - np.moveaxis(COLOUR[frame], -1, 0)
        assert np.abs(difference).max() <= tolerance


def test_ybr_with_half_the_chroma_is_read(tmp_path):
    pairs = np.repeat(COLOUR[:, :, ::2], 2, axis=2)
    ybr = _to_ybr(pairs)
    packed = np.stack([ybr[:, :, ::2, 0], ybr[:, :, 1::2, 0], ybr[:, :, ::2, 1], ybr[:, :, ::2, 2]], axis=-1)
    path = _write(tmp_path / "a.dcm", pairs, "YBR_FULL_422", PixelData=packed.tobytes())
    difference = open_picture(path).rgb(2).astype(int) - np.moveaxis(pairs[2], -1, 0)
    assert np.abs(difference).max() <= 2


def test_grey_of_a_grey_colour_picture_is_exact(tmp_path):
    picture = open_picture(_write(tmp_path / "a.dcm", np.repeat(GREY[..., None], 3, axis=-1), "RGB"))
    assert np.array_equal(picture.grey(0), GREY[0])


def test_grey_of_a_colour_picture_is_its_luma(tmp_path):
    picture = open_picture(_write(tmp_path / "a.dcm", COLOUR, "RGB"))
    assert np.abs(picture.grey(1).astype(int) - _to_ybr(COLOUR[1])[..., 0]).max() <= 1


def test_palette_indices_become_their_colours():
    path = get_testdata_file("examples_palette.dcm", download=False)
    picture = open_picture(path)
    dataset = pydicom.dcmread(path)
    expected = apply_color_lut(dataset.pixel_array, dataset) >> 8
    assert np.array_equal(picture.rgb(), np.moveaxis(expected, -1, 0))
    assert picture.rgb().dtype == np.uint8 and picture.rgb().max() > 200


@pytest.mark.parametrize(
    "name",
    [
        "examples_rgb_color.dcm",
        "examples_ybr_color.dcm",
        "examples_jpeg2k.dcm",
        "SC_ybr_full_422_uncompressed.dcm",
        "SC_rgb_jpeg_dcmtk.dcm",
        "SC_rgb_dcmtk_+eb+cy+np.dcm",
        "SC_rgb_jpeg.dcm",
        "SC_rgb_rle_2frame.dcm",
        "SC_rgb_rle_16bit.dcm",
        "SC_rgb_small_odd.dcm",
        "image_dfl.dcm",
    ],
)
def test_sample_files_read_as_the_whole_file_does(name):
    path = get_testdata_file(name, download=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        picture = open_picture(path)
        whole = pydicom.dcmread(path).pixel_array
        found = picture.rgb(picture.n_frames - 1)
    whole = whole[-1] if picture.n_frames > 1 else whole
    whole = whole >> 8 if whole.dtype == np.uint16 else whole
    expected = np.repeat(whole[None], 3, axis=0) if whole.ndim == 2 else np.moveaxis(whole, -1, 0)
    assert found.shape == (3, *picture.shape) and np.array_equal(found, expected)


def test_compression_without_a_decoder_is_refused():
    picture = open_picture(get_testdata_file("JPEG-lossy.dcm", download=False))
    with pytest.raises(UnsuitableInputError, match="compressed as JPEG Extended .* no decoder here"):
        picture.grey()


def test_calibration_is_that_of_the_tissue_region_in_millimetres(tmp_path):
    regions = [
        _region(data_type=10, spatial=4, units=(0, 4)),
        _region(box=(1, 2, 3, 6), steps=(0.02, -0.03)),
        _region(data_type=3, spatial=1),
    ]
    path = _write(tmp_path / "a.dcm", GREY, "MONOCHROME2", SequenceOfUltrasoundRegions=regions)
    picture = open_picture(path)
    assert [region.kind for region in picture.regions] == ["other", "tissue", "other"]
    assert picture.regions[1].box == (1, 2, 4, 7) and not picture.regions[1].is_clipped
    assert picture.pixel_spacing_mm() == pytest.approx((0.2, 0.3))


@pytest.mark.parametrize("change", [{"units": (3, 4)}, {"steps": (0.0, 0.1)}, {"spatial": 2}])
def test_a_region_that_is_no_length_gives_no_spacing(tmp_path, change):
    regions = [_region(**change)]
    path = _write(tmp_path / "a.dcm", GREY, "MONOCHROME2", SequenceOfUltrasoundRegions=regions)
    assert open_picture(path).pixel_spacing_mm() is None


def test_a_region_is_clipped_to_the_image():
    picture = open_picture(get_testdata_file("examples_ybr_color.dcm", download=False))
    (region,) = picture.regions
    assert (region.kind, region.box, region.is_clipped) == ("tissue", (31, 84, 240, 320), True)
    assert picture.pixel_spacing_mm() == pytest.approx((0.5105, 0.5105), abs=1e-4)


def test_a_region_outside_the_image_or_without_corners_is_passed_over(tmp_path):
    broken = _region()
    del broken.RegionLocationMaxX1
    regions = [_region(box=(7, 9, 12, 20)), broken]
    path = _write(tmp_path / "a.dcm", GREY, "MONOCHROME2", SequenceOfUltrasoundRegions=regions)
    assert open_picture(path).regions == ()


def test_private_elements_of_any_kind_do_no_harm(tmp_path):
    path = _write(tmp_path / "a.dcm", GREY, "MONOCHROME2")
    dataset = pydicom.dcmread(path)
    block = dataset.private_block(0x0019, "ODD VENDOR", create=True)
    block.add_new(0x01, "UN", b"\xff\xfe\x00")
    block.add_new(0x02, "LT", "0 - 20 kPa")
    dataset.save_as(path)
    assert np.array_equal(open_picture(path).grey(1), GREY[1])


def test_a_frame_out_of_range_is_refused(tmp_path):
    picture = open_picture(_write(tmp_path / "a.dcm", GREY, "MONOCHROME2"))
    for frame in (3, -1):
        with pytest.raises(UnsuitableInputError, match=f"'a.dcm' needs an index from 0 to 2; found {frame}"):
            picture.grey(frame)


def test_dicom_without_pixels_is_refused():
    with pytest.raises(UnsuitableInputError, match="needs pixels; 'waveform_ecg.dcm' is DICOM without any"):
        open_picture(get_testdata_file("waveform_ecg.dcm", download=False))


def test_signed_or_unknown_pixels_are_refused(tmp_path):
    with pytest.raises(UnsuitableInputError, match="needs unsigned grey, .* has signed 'MONOCHROME2'"):
        open_picture(get_testdata_file("CT_small.dcm", download=False))
    with pytest.raises(UnsuitableInputError, match="has 'HSV'"):
        open_picture(_write(tmp_path / "a.dcm", COLOUR, "HSV"))


@pytest.mark.parametrize("n_bytes", [40, 200, 132, -1, -60])
def test_a_dicom_file_cut_short_is_refused(tmp_path, n_bytes):
    path = _write(tmp_path / "a.dcm", GREY, "MONOCHROME2")
    path.write_bytes(path.read_bytes()[:n_bytes])
    with pytest.raises(UnsuitableInputError, match="'a.dcm' is"):
        open_picture(path)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".dcm", ""])
def test_a_file_that_is_no_image_is_refused(tmp_path, suffix):
    path = tmp_path / f"notes{suffix}"
    path.write_text("not an image " * 30)
    with pytest.raises(UnsuitableInputError, match=f"'notes{suffix}' is"):
        open_picture(path)


def test_png_and_jpeg_give_the_same_form(tmp_path):
    Image.fromarray(COLOUR[0]).save(tmp_path / "c.png")
    Image.fromarray(GREY[0]).save(tmp_path / "g.png")
    Image.fromarray(GREY[0]).convert("P").save(tmp_path / "p.png")
    smooth = np.linspace(0, 255, 64 * 48).reshape(64, 48).astype(np.uint8)
    Image.fromarray(smooth).save(tmp_path / "j.jpeg", quality=95)
    assert np.array_equal(open_picture(tmp_path / "c.png").rgb(), np.moveaxis(COLOUR[0], -1, 0))
    assert np.array_equal(open_picture(tmp_path / "g.png").grey(), GREY[0])
    assert np.array_equal(open_picture(tmp_path / "p.png").grey(), GREY[0])
    assert np.abs(open_picture(tmp_path / "j.jpeg").grey().astype(int) - smooth).max() <= 8


def test_a_picture_cut_short_is_refused(tmp_path):
    buffer = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (90, 90)).astype(np.uint8)).save(buffer, "PNG")
    (tmp_path / "a.png").write_bytes(buffer.getvalue()[:4000])
    with pytest.raises(UnsuitableInputError, match="A whole PNG or JPEG picture is needed; 'a.png' is cut short"):
        open_picture(tmp_path / "a.png").grey()


def test_transparent_or_deep_pictures_are_refused(tmp_path):
    Image.fromarray(np.dstack([COLOUR[0], GREY[0]])).save(tmp_path / "a.png")
    with pytest.raises(UnsuitableInputError, match="'a.png' has transparent pixels"):
        open_picture(tmp_path / "a.png").rgb()
    Image.fromarray(GREY[0].astype(np.uint16) * 256).save(tmp_path / "d.png")
    with pytest.raises(UnsuitableInputError, match="A picture of 8 bits, .* 'd.png' is I;16"):
        open_picture(tmp_path / "d.png")
