"""Forms, volumes and replies: the golden files are read, and what is damaged, missing or not finite is refused."""

from __future__ import annotations

import gzip
import json
import os
import struct
from pathlib import Path

import numpy as np
import pytest
from LiverLabelLib import protocol
from LiverLabelLib.errors import UnsuitableInputError, UnusableReplyError
from LiverLabelLib.multipart import Form, FormFile, Part, parse_parts
from LiverLabelLib.nifti import Volume, read_nifti, write_nifti
from LiverLabelLib.results import read_answer

CONTRACT = Path(__file__).resolve().parents[1] / "contract"


def golden(name: str):
    return json.loads((CONTRACT / name).read_text("utf-8"))


@pytest.fixture
def stored():
    """The golden reply on PDFF as it came: its content type and its body."""
    head, _, body = (CONTRACT / "pdff.reply.http").read_bytes().partition(b"\r\n\r\n")
    return head.decode().partition(": ")[2], body


def oblique() -> np.ndarray:
    turned = np.linalg.qr(np.random.default_rng(5).standard_normal((3, 3)))[0]
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = turned * (1.2, 0.7, 5.0), (12.5, -40.0, 7.0)
    return affine


def parts_of(name: str, **changed) -> list[Part]:
    """Parts as a golden description holds them, with values of the result changed."""
    told = golden(name)["parts"]
    reply = json.loads(json.dumps(told[0]["json"]))
    reply["result"].update(changed)
    made = [Part("reply", None, "application/json", memoryview(json.dumps(reply).encode()))]
    for part in told[1:]:
        array = np.zeros(part["shape"], part["dtype"])
        content = write_nifti(Volume(array, np.array(part["affine"])))
        made.append(Part(part["name"], f"{part['name']}.nii.gz", "application/gzip", memoryview(content)))
    return made


def test_the_golden_maps_are_read_with_units_and_places(stored):
    answer = read_answer("pdff", parse_parts(*stored), {})
    described = golden("pdff.reply.json")["parts"][1:]
    assert list(answer.maps) == [part["name"] for part in described]
    for part in described:
        volume = answer.maps[part["name"]]
        assert (str(volume.array.dtype), list(volume.shape)) == (part["dtype"], part["shape"])
        assert np.isfinite(volume.array).sum() == part["n_finite"]
        assert np.nanmedian(volume.array) == pytest.approx(part["median"], rel=1e-3)
        assert np.allclose(volume.affine, part["affine"], rtol=1e-3)
    assert (answer.units["r2_star_per_s"], answer.units["pdff_percent"]) == ("1/s", "%")
    assert answer.is_simulated and answer.n_valid_voxels == 313 and "not a medical device" in answer.notice


def test_the_golden_answers_and_lists_are_read():
    nash = read_answer("fibrotic_nash", parts_of("fibrotic_nash.reply.json"), {"grad_cam": "share"})
    assert nash.probability == 0.001326 and nash.conformal_answers == (False,) and not nash.is_fibrotic_nash
    assert nash.contributions["tg_mmol_per_l"] == -1.595 and nash.units == {"grad_cam": "share"}
    assert nash.trained_on == "simulated subjects only: 98 patients to learn from, 33 to stop and calibrate"
    nafld = read_answer("nafld", parts_of("nafld.reply.json"), {})
    assert nafld.is_fatty and nafld.probability_low <= nafld.probability and nafld.is_calibrated
    assert [name for name, _ in nafld.frames] == ["place_1", "place_2"] and "simulated" in nafld.trained_on
    assert list(nafld.maps) == ["nafld_grad_cam", "nafld_gradient_shap"]
    region = read_answer("liver_roi", parts_of("liver_roi.reply.json"), {})
    told = golden("liver_roi.reply.json")["parts"][0]["json"]["result"]
    assert (region.quality, region.n_pixels, region.volume_ml) == (told["quality"], told["n_pixels"], None)
    tasks = protocol.read_tasks(golden("tasks.reply.json"))
    assert tasks[0].unit_of("field_map_hz") == "Hz" and len(tasks) == 5
    assert protocol.read_next(golden("liver_roi.next.reply.json")).id == "simulated-rat-0024"


@pytest.mark.parametrize("kept", [10, 400, 7000, 12000, -50, -5])
def test_a_reply_cut_short_anywhere_is_refused(stored, kept):
    with pytest.raises(UnusableReplyError):
        parse_parts(stored[0], stored[1][:kept])


def test_wrong_lengths_and_other_content_types_are_refused(stored):
    kind, body = stored
    start = body.index(b"Content-Length: ") + 16
    with pytest.raises(UnusableReplyError, match="states 9345 bytes and holds 6345"):
        parse_parts(kind, body.replace(b"Content-Length: 6345", b"Content-Length: 9345"))
    with pytest.raises(UnusableReplyError, match="the length '-1'"):
        parse_parts(kind, body[:start] + b"-1" + body[start + 4 :])
    with pytest.raises(UnusableReplyError, match="found 'application/json'"):
        parse_parts("application/json", body)


def test_a_missing_map_is_named(stored):
    parts = [part for part in parse_parts(*stored) if part.name != "field_map_hz"]
    with pytest.raises(UnusableReplyError, match="announces the map 'field_map_hz'"):
        read_answer("pdff", parts, {})
    with pytest.raises(UnusableReplyError, match="announces the map 'grad_cam'"):
        read_answer("fibrotic_nash", parts_of("fibrotic_nash.reply.json")[:1], {})


def test_maps_that_lie_elsewhere_are_refused(stored):
    parts = parse_parts(*stored)
    volume = read_nifti(parts[3].content, "x")
    moved = volume.affine.copy()
    moved[0, 3] += 1
    changed = {"apart": Volume(volume.array, moved), "voxels here": Volume(volume.array[:-1], volume.affine)}
    for words, other in changed.items():
        parts[3] = Part(parts[3].name, None, "application/gzip", memoryview(write_nifti(other)))
        with pytest.raises(UnusableReplyError, match=f"same geometry: .*{words}"):
            read_answer("pdff", parts, {})


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"probability": None}, "'probability' as a .*number; found null"),
        ({"probability": 1.5}, "from 0 to 1; found 1.5"),
        ({"probability": float("nan")}, "a number that is none"),
        ({"probability": True}, "found True"),
        ({"probability_low": 0.5}, "lie in its interval"),
        ({"contributions": {"swe": None}}, "'swe' as a"),
        ({"conformal_answers": "none"}, "'conformal_answers' as a list"),
    ],
)
def test_numbers_that_are_none_are_refused_by_name(changed, words):
    with pytest.raises(UnusableReplyError, match=words):
        read_answer("fibrotic_nash", parts_of("fibrotic_nash.reply.json", **changed), {})


def test_quality_may_be_unknown_and_an_empty_map_is_remarked(stored):
    assert read_answer("liver_roi", parts_of("liver_roi.reply.json", quality=None), {}).quality is None
    parts = parse_parts(*stored)
    volume = read_nifti(parts[1].content, "x")
    empty = Volume(np.full(volume.shape, np.nan, np.float32), volume.affine)
    parts[1] = Part(parts[1].name, None, "application/gzip", memoryview(write_nifti(empty)))
    assert read_answer("pdff", parts, {}).remarks == ("The map 'pdff_percent' holds no estimate at all.",)


def test_a_form_is_read_back_and_its_length_is_right(tmp_path):
    (tmp_path / "b.bin").write_bytes(os.urandom(300_000))
    files = [FormFile("files", "a.dcm", b"\r\n--x"), FormFile("files2", 'q"\r\n.dcm', tmp_path / "b.bin")]
    form = Form({"params": '{"a": 1}'}, files)
    body = b"".join(form.pieces())
    assert len(body) == form.n_bytes
    parts = parse_parts(form.content_type, body)
    assert [part.name for part in parts] == ["params", "files", "files2"]
    assert bytes(parts[1].content) == b"\r\n--x" and bytes(parts[2].content) == (tmp_path / "b.bin").read_bytes()
    with pytest.raises(UnsuitableInputError, match="cannot be read"):
        _ = Form({}, [FormFile("files", "none", tmp_path / "none")]).n_bytes


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("shape", [(5, 4, 3), (6, 7, 1)])
@pytest.mark.parametrize("kind", [bool, np.uint8, np.int16, np.float64])
def test_a_volume_comes_back_and_its_bytes_are_always_the_same(shape, kind, flip):
    affine = oblique() @ np.diag((1, 1, -1 if flip else 1, 1))
    array = (np.random.default_rng(1).standard_normal(shape) * 300).astype(kind)
    content = write_nifti(Volume(array, affine))
    again = read_nifti(content, "x")
    assert content == write_nifti(Volume(array.copy(order="F"), affine))
    assert again.array.dtype == (np.uint8 if kind in (bool, np.uint8) else np.float32)
    assert np.allclose(again.array, array) and np.allclose(again.affine, affine, atol=1e-5)
    plain = bytearray(gzip.decompress(content))
    struct.pack_into("<h", plain, 254, 0)  # Without its sform the qform says the same.
    assert np.allclose(read_nifti(plain, "x").affine, affine, atol=1e-5)


def test_another_reader_of_nifti_agrees():
    nibabel = pytest.importorskip("nibabel")
    array = np.random.default_rng(1).standard_normal((5, 4, 3)).astype(np.float32)
    image = nibabel.Nifti1Image.from_bytes(gzip.decompress(write_nifti(Volume(array, oblique()))))
    assert np.array_equal(np.asarray(image.dataobj), array) and np.allclose(image.affine, oblique(), atol=1e-5)
    assert np.allclose(image.get_qform(), oblique(), atol=1e-4) and image.header.get_xyzt_units() == ("mm", "sec")
    scaled = nibabel.Nifti1Image(array, oblique())
    scaled.set_data_dtype(np.int16)
    stored = nibabel.Nifti1Image.from_bytes(scaled.to_bytes())
    assert np.allclose(read_nifti(scaled.to_bytes(), "x").array, stored.get_fdata(), atol=1e-6)


def test_volumes_that_are_damaged_or_have_no_place_are_refused():
    content = write_nifti(Volume(np.random.default_rng(1).standard_normal((9, 8, 7)), oblique()))
    plain = bytearray(gzip.decompress(content))
    damaged = bytearray(content)
    damaged[-6] ^= 1  # The checksum.
    for broken in (content[:-9], content[: len(content) // 2], damaged, b"", b"\x1f\x8b", plain[:-1], content[:40]):
        with pytest.raises(UnusableReplyError, match="'pdff' cannot be used"):
            read_nifti(broken, "pdff")
    struct.pack_into("<2h", plain, 252, 0, 0)
    with pytest.raises(UnusableReplyError, match="nothing of its voxels' size and place"):
        read_nifti(plain, "pdff")
    struct.pack_into("<8h", plain, 40, 3, 32767, 32767, 32767, 1, 1, 1, 1)
    with pytest.raises(UnusableReplyError, match="GiB"):
        read_nifti(plain, "pdff")
    with pytest.raises(UnsuitableInputError, match="a size and a place"):
        write_nifti(Volume(np.zeros((2, 2, 2)), np.zeros((4, 4))))


def test_an_answer_is_written_as_the_server_writes_it(tmp_path):
    class_label = pytest.importorskip("liver_models.io.class_label", reason="liver_models is the server's library")
    class_label.write_class_label(class_label.ClassLabel("c1", "fibrotic_nash", True, "anna", "é"), tmp_path / "a")
    assert protocol.class_label_bytes("c1", "fibrotic_nash", True, "anna", "é") == (tmp_path / "a").read_bytes()
    with pytest.raises(UnsuitableInputError, match="yes or no"):
        protocol.class_label_bytes("c1", "fibrotic_nash", 1)
