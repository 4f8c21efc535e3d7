"""What the extension sends of files is what the server reads: sidecar, clinical facts, frames of DICOM, whole PNG."""

import json
import sys
import zlib
from pathlib import Path

import numpy as np
import pydicom
import pytest
from LiverLabelLib.clinical_facts import clinical_facts, input_title, typed_value
from LiverLabelLib.errors import UnsuitableInputError
from LiverLabelLib.picture_check import is_whole_jpeg, is_whole_png
from LiverLabelLib.us_pixels import read_frames
from LiverLabelLib.us_sidecar import COLOURMAPS, HIGHEST, SentPicture, SentScale, sent_names, sidecar, write_subject
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset

from liver_models.io import ultrasound_manifest
from liver_models.io.clinical import CLINICAL_COLUMNS, CLINICAL_FEATURES
from liver_models.io.picture_file import open_picture
from liver_models.ultrasound.reading import read_subject

sys.path.insert(0, str(Path(__file__).parents[1] / "ultrasound"))
import make_ultrasound

SCALE = SentScale(0.0, 20.0, "kPa", "jet", 0.6)
ABOUT = {"patient_id": "local", "is_simulated": True, "species": "rat"}


def written(tmp_path, pictures, **about):
    folder = tmp_path / "sent"
    folder.mkdir()
    write_subject(folder, pictures, sidecar(pictures, **{**ABOUT, **about}))
    return folder


def pair(tmp_path, box=make_ultrasound.BOX, scale=SCALE):
    grey = make_ultrasound.sector()
    colours = make_ultrasound.encode(make_ultrasound.field(3, 9), grey, 0, 20, opacity=0.6)
    make_ultrasound.save(tmp_path / "Smith.PNG", grey)
    make_ultrasound.save(tmp_path / "Smith swe.jpg.png", colours)
    return [
        SentPicture(tmp_path / "Smith.PNG", "bmode", pixel_spacing_mm=(0.1, 0.2)),
        SentPicture(tmp_path / "Smith swe.jpg.png", "swe", box=box, scale=scale),
    ]


def test_the_server_reads_a_pair_with_its_box_and_scale(tmp_path):
    folder = written(tmp_path, pair(tmp_path))
    assert sorted(file.name for file in folder.iterdir()) == ["bmode_1.png", "swe_1.png", "ultrasound.json"]
    subject = read_subject(folder)
    (images,) = subject.pairs
    assert subject.is_simulated and subject.patient_id == "local" and images.b_mode.shape == make_ultrasound.SHAPE
    top, left, bottom, right = make_ultrasound.BOX
    inside = np.zeros(make_ultrasound.SHAPE, bool)
    inside[top:bottom, left:right] = True
    assert np.array_equal(np.isfinite(images.stiffness_kpa), inside)
    assert np.abs(images.stiffness_kpa - make_ultrasound.field(3, 9))[inside].max() < 0.2


def test_the_server_finds_the_box_and_the_opacity_where_none_is_sent(tmp_path):
    unknown = SentScale(0.0, 20.0, "kPa", "jet", None)
    (images,) = read_subject(written(tmp_path, pair(tmp_path, None, unknown))).pairs
    assert np.nanmedian(images.stiffness_kpa) == pytest.approx(6, abs=0.5)


def test_the_server_reads_the_frame_of_a_cine(tmp_path):
    frames = np.stack([make_ultrasound.sector(seed=k) for k in range(3)])
    path = dicom(tmp_path / "IMG0001", frames)
    pictures = [SentPicture(path, "bmode", frame=2)]
    assert sent_names(pictures) == ["bmode_1.dcm"]
    (images,) = read_subject(written(tmp_path, pictures)).pairs
    kept = images.b_mode > 0
    assert kept.any() and np.array_equal(images.b_mode[kept], frames[2][kept])


def test_pictures_of_a_role_are_numbered_and_paired(tmp_path):
    one, two = pair(tmp_path)
    content = sidecar([one, two, one], **ABOUT)
    assert [(i["file"], i["name"]) for i in content["images"]] == [
        ("bmode_1.png", "1"),
        ("swe_1.png", "1"),
        ("bmode_2.png", "2"),
    ]
    assert "species" not in sidecar([one], **{**ABOUT, "species": None})


def test_what_cannot_be_sent_is_refused(tmp_path):
    with pytest.raises(UnsuitableInputError, match="none is opened"):
        sidecar([], **ABOUT)
    one = SentPicture(tmp_path / "gone.png", "bmode")
    with pytest.raises(UnsuitableInputError, match="patient id"):
        sidecar([one], **{**ABOUT, "patient_id": " "})
    with pytest.raises(UnsuitableInputError, match="found 'cat'"):
        sidecar([one], **{**ABOUT, "species": "cat"})
    with pytest.raises(UnsuitableInputError, match="'bmode_1.png' could not be"):
        written(tmp_path, [one])


@pytest.mark.parametrize(
    "low, high, unit", [(20, 0, "kPa"), (0, 401, "kPa"), (0, 20, "m/s"), (-1, 5, "kPa"), (0, 0, "kPa")]
)
def test_a_scale_that_none_has_is_refused_here_as_on_the_server(low, high, unit):
    with pytest.raises(UnsuitableInputError, match="beside the bar"):
        SentScale(low, high, unit, "jet")
    with pytest.raises(ultrasound_manifest.UnsuitableInputError):
        ultrasound_manifest.ElastogramScale(low, high, unit, "jet")


def test_units_colours_and_limits_are_the_servers():
    assert COLOURMAPS == ultrasound_manifest.COLOURMAPS and HIGHEST == ultrasound_manifest._HIGHEST


@pytest.mark.parametrize("species", ["rat", "human", None])
def test_clinical_facts_are_the_servers(species):
    facts = clinical_facts(species)
    assert tuple(fact.name for fact in facts) == CLINICAL_FEATURES
    for fact in facts:
        column = CLINICAL_COLUMNS[fact.name]
        ranges = [column.ranges[one] for one in ([species] if species else ("rat", "human"))]
        assert (fact.title, fact.unit) == (column.title, column.unit)
        assert (fact.low, fact.high) == (min(r[0] for r in ranges), max(r[1] for r in ranges))
    assert input_title("alt_u_per_l") == "ALT (U/L)" and input_title("ast_alt_ratio") == "AST/ALT"
    assert input_title("swe_median_kpa") == "Median stiffness (kPa)" and input_title("new_input") == "new_input"


def test_typed_numbers_are_read_or_refused():
    alt, _, _, _, ggt, *_ = clinical_facts("rat")[1:]
    ggt = clinical_facts("rat")[4]
    assert typed_value(" 40.5 ", alt) == 40.5 and typed_value("  ", alt) is None and typed_value("3", alt) == 3
    for text in ("40,5", "forty", "nan", "inf", "1_000"):
        with pytest.raises(UnsuitableInputError, match="with a point"):
            typed_value(text, alt)
    for text in ("2.9", "5001", "-4"):
        with pytest.raises(UnsuitableInputError, match="ALT needs 3 to 5000 U/L; found"):
            typed_value(text, alt)
    with pytest.raises(UnsuitableInputError, match="above 0; found 0"):
        typed_value("0", ggt)


# Frames of DICOM, read as the server reads them


def dicom(path, frames, kind="MONOCHROME2", syntax=pydicom.uid.ExplicitVRLittleEndian, bits=8, **elements):
    """Frames of (rows, columns) or (rows, columns, 3) as a file."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.3.1"
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = "1.2.3"
    dataset.Rows, dataset.Columns = frames.shape[1:3]
    dataset.SamplesPerPixel = 3 if frames.ndim == 4 else 1
    if frames.ndim == 4:
        dataset.PlanarConfiguration = 0
    dataset.PhotometricInterpretation, dataset.NumberOfFrames = kind, len(frames)
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 8 * frames.dtype.itemsize, bits, bits - 1
    dataset.PixelRepresentation = 0
    dataset.PixelData = frames.tobytes()
    for name, value in elements.items():
        setattr(dataset, name, value)
    dataset.save_as(path, enforce_file_format=True)
    return path


RNG = np.random.default_rng(3)
GREY = RNG.integers(0, 256, (2, 6, 10)).astype(np.uint8)
COLOURS = RNG.integers(0, 256, (2, 6, 10, 3)).astype(np.uint8)


def palette():
    table = np.arange(256, dtype=np.uint16)
    entries = {}
    for name, values in (("Red", table << 8), ("Green", (255 - table) << 8), ("Blue", (table // 2) << 8)):
        entries[f"{name}PaletteColorLookupTableDescriptor"] = [256, 0, 16]
        entries[f"{name}PaletteColorLookupTableData"] = values.tobytes()
    return entries


@pytest.mark.parametrize(
    "frames, kind, bits, elements",
    [
        (GREY, "MONOCHROME2", 8, {}),
        (GREY, "MONOCHROME1", 8, {}),
        (GREY.astype(np.uint16) * 16, "MONOCHROME2", 12, {}),
        (COLOURS, "RGB", 8, {}),
        (COLOURS, "YBR_FULL", 8, {}),
        (GREY, "PALETTE COLOR", 8, palette()),
    ],
    ids=["grey", "grey turned round", "12 bits", "RGB", "YBR", "palette"],
)
def test_frames_are_those_of_the_server(tmp_path, frames, kind, bits, elements):
    path = dicom(tmp_path / "us.dcm", frames, kind, bits=bits, **elements)
    found, picture = read_frames(path), open_picture(path)
    assert len(found) == 2
    for k, frame in enumerate(found):
        server = picture.decode(k)
        assert frame.dtype == np.uint8 and frame.shape == server.shape
        assert np.abs(frame.astype(int) - server.astype(int)).max() <= (1 if kind == "YBR_FULL" else 0)


def test_one_frame_is_a_list_of_one(tmp_path):
    (frame,) = read_frames(dicom(tmp_path / "us.dcm", GREY[:1]))
    assert np.array_equal(frame, GREY[0])


def test_frames_that_cannot_be_read_are_refused_with_the_way_out(tmp_path, monkeypatch):
    path = dicom(tmp_path / "us.dcm", GREY)
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(UnsuitableInputError, match="'us.dcm' is cut short"):
        read_frames(path)
    with pytest.raises(UnsuitableInputError, match="'us.dcm' is 'HSV'"):
        read_frames(dicom(path, GREY, "HSV"))
    (tmp_path / "none.dcm").write_text("no DICOM")
    with pytest.raises(UnsuitableInputError, match="'none.dcm' is cut short"):
        read_frames(tmp_path / "none.dcm")
    monkeypatch.setattr("LiverLabelLib.us_pixels.MAX_BYTES", 100)
    with pytest.raises(UnsuitableInputError, match="Export fewer frames"):
        read_frames(dicom(path, GREY))


def test_a_compression_without_a_decoder_is_named(tmp_path):
    syntax = pydicom.uid.MPEG2MPML
    path = dicom(tmp_path / "us.dcm", GREY, syntax=pydicom.uid.ExplicitVRLittleEndian)
    dataset = pydicom.dcmread(path)
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.PixelData = pydicom.encaps.encapsulate([b"\0" * 40, b"\1" * 40])
    dataset["PixelData"].VR = "OB"
    dataset.save_as(path)
    with pytest.raises(UnsuitableInputError, match="A decoder for MPEG2"):
        read_frames(path)


# Whole files: VTK's reader of PNG ends the program on others


@pytest.mark.parametrize("mode, bits", [("L", 8), ("RGB", 8), ("RGBA", 8), ("P", 8), ("P", 1), ("P", 4)])
def test_a_png_is_whole_or_not(tmp_path, mode, bits):
    pixels = COLOURS[0] if mode in ("RGB", "RGBA") else GREY[0]
    image = Image.fromarray(pixels).convert(mode) if mode != "P" else Image.fromarray(pixels).quantize(2**bits)
    image.save(tmp_path / "a.png", **({"bits": bits} if mode == "P" else {}))
    content = (tmp_path / "a.png").read_bytes()
    assert is_whole_png(content) and is_whole_png(content + b"more")
    assert not any(is_whole_png(content[:n]) for n in range(len(content) - 1))
    for place in range(8, len(content)):
        assert not is_whole_png(content[:place] + bytes([content[place] ^ 255]) + content[place + 1 :])


def test_a_png_whose_header_states_more_rows_is_not_whole(tmp_path):
    Image.fromarray(GREY[0]).save(tmp_path / "a.png")
    content = bytearray((tmp_path / "a.png").read_bytes())
    content[23] += 1
    content[29:33] = zlib.crc32(content[12:29]).to_bytes(4, "big")
    assert not is_whole_png(bytes(content))


def test_a_png_of_seven_passes_is_whole_or_not(tmp_path):
    """5 x 3 grey pixels: 22 bytes in six passes, the third is empty."""

    def chunk(kind, data):
        return len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")

    def made(n_bytes):
        header = chunk(b"IHDR", (5).to_bytes(4, "big") + (3).to_bytes(4, "big") + bytes([8, 0, 0, 0, 1]))
        return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(n_bytes))) + chunk(b"IEND", b"")

    (tmp_path / "a.png").write_bytes(made(22))
    assert np.asarray(Image.open(tmp_path / "a.png")).shape == (3, 5)
    assert is_whole_png(made(22)) and not is_whole_png(made(21)) and not is_whole_png(made(23))


def test_a_jpeg_is_whole_or_not(tmp_path):
    Image.fromarray(GREY[0]).save(tmp_path / "a.jpg")
    content = (tmp_path / "a.jpg").read_bytes()
    assert is_whole_jpeg(content) and not is_whole_jpeg(content[:-2]) and not is_whole_jpeg(content[10:])


def test_the_sidecar_is_json_that_states_only_what_is_known(tmp_path):
    content = sidecar(pair(tmp_path, None, None), **ABOUT)
    assert json.loads(json.dumps(content)) == content
    assert set(content["images"][1]) == {"file", "role", "name"}
