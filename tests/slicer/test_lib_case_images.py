"""The images of a case in the client: the golden replies are read, and what is missing or no value is refused."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import numpy as np
import pytest
from faulty_server import FaultyServer, sends, sends_json
from LiverLabelLib.case_images import CaseImages, ColourScale, read_case_images
from LiverLabelLib.class_answers import read_class_answer
from LiverLabelLib.client import LiverLabelClient
from LiverLabelLib.errors import RefusedError, UnusableReplyError
from LiverLabelLib.multipart import Form, FormFile, Part, parse_parts
from LiverLabelLib.nifti import Volume, packed, read_nifti, write_nifti
from LiverLabelLib.protocol import class_label_bytes

CONTRACT = Path(__file__).resolve().parents[1] / "contract"
MRI, RAT = "simulated-vials", "simulated-rat-0001"
PICTURE = np.diag((-1.0, -1.0, 1.0, 1.0))


def parts_of(kind: str) -> list[Part]:
    """The golden reply as it came."""
    head, _, body = (CONTRACT / f"images.{kind}.reply.http").read_bytes().partition(b"\r\n\r\n")
    return parse_parts(head.decode().partition(": ")[2], body)


def changed(parts: list[Part], change) -> list[Part]:
    """The parts with another JSON."""
    told = json.loads(bytes(parts[0].content))
    change(told)
    return [Part("reply", None, "application/json", memoryview(json.dumps(told).encode())), *parts[1:]]


def colours(array: np.ndarray) -> bytes:
    """An array of shape (x, y, z, 3) as RGB24."""
    head = bytearray(352)
    struct.pack_into("<i", head, 0, 348)
    struct.pack_into("<8h", head, 40, 3, *array.shape[:3], 1, 1, 1, 1)
    struct.pack_into("<2h", head, 70, 128, 24)
    struct.pack_into("<8f", head, 76, 1, 1, 1, 1, 1, 1, 1, 1)
    struct.pack_into("<3f", head, 108, 352, 2, 0)  # A scale, which does not apply to colours.
    struct.pack_into("<2h", head, 252, 0, 1)
    struct.pack_into("<12f", head, 280, *PICTURE[:3].ravel())
    head[344:348] = b"n+1\0"
    return packed(bytes(head) + array.transpose(2, 1, 0, 3).astype(np.uint8).tobytes())


def with_volume(parts: list[Part], name: str, content: bytes) -> list[Part]:
    return [Part(p.name, p.file_name, p.content_type, memoryview(content)) if p.name == name else p for p in parts]


def test_the_golden_mri_is_read_in_its_place():
    found = read_case_images(MRI, parts_of("mri"))
    told = json.loads((CONTRACT / "images.mri.reply.json").read_text("utf-8"))["parts"]
    (image,) = found.images
    assert (found.case_id, found.kind, found.is_simulated, found.species, found.clinical) == (
        MRI,
        "mri",
        True,
        None,
        (),
    )
    assert (image.name, image.role, image.unit) == ("magnitude", "magnitude", "units of the input")
    assert list(image.volume.shape) == told[1]["shape"] and image.volume.array.dtype == np.float32
    assert np.allclose(image.volume.affine, told[1]["affine"], rtol=1e-3, atol=1e-3)
    assert np.median(image.volume.array) == pytest.approx(told[1]["median"], rel=1e-3)
    assert found.echo_times_s == pytest.approx(told[0]["json"]["echo_times_s"], rel=1e-2)
    assert found.field_strength_t == 1.5 and "not a medical device" in found.notice


def test_the_golden_pictures_are_read_with_colours_spacing_and_values():
    found = read_case_images(RAT, parts_of("ultrasound"))
    b_mode, swe = found.images
    assert (found.kind, found.species, found.is_simulated) == ("ultrasound", "rat", True)
    assert (b_mode.role, b_mode.volume.array.shape, b_mode.volume.array.dtype) == ("bmode", (96, 96, 1), np.uint8)
    assert swe.volume.array.shape == (96, 96, 1, 3) and swe.volume.shape == (96, 96, 1)
    assert np.array_equal(b_mode.volume.affine, PICTURE) and b_mode.scale is None and b_mode.box is None
    assert swe.scale == ColourScale(0.0, 20.0, "kPa") and b_mode.pixel_spacing_mm == pytest.approx(
        (0.6458, 0.6458), 1e-3
    )
    top, left, bottom, right = swe.box
    pixels = swe.volume.array[:, :, 0]
    in_colour = (pixels.max(axis=-1) > pixels.min(axis=-1)).T
    assert in_colour[top:bottom, left:right].sum() == in_colour.sum() > 200
    values = {one.name: one for one in found.clinical}
    assert values["alt_u_per_l"].title == "ALT" and values["alt_u_per_l"].unit == "U/L" and len(values) == 9
    assert found.echo_times_s is None and found.field_strength_t is None


def image_of(told, **values):
    told["images"][1].update(values)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda told: told.update(id="another"), "on the case 'another' and not on"),
        (lambda told: told.update(kind="ct"), "mri or ultrasound; found 'ct'"),
        (lambda told: told.update(kind=None), "'kind' as text; found null"),
        (lambda told: told.pop("species"), "'species' as text; found nothing"),
        (lambda told: told.update(notice=None), "'notice' as text; found null"),
        (lambda told: told.update(is_simulated="no"), "'is_simulated' as true or false"),
        (lambda told: told.update(images=[]), "images of different names; found \\[\\]"),
        (lambda told: told["images"].append(told["images"][0]), "images of different names"),
        (lambda told: image_of(told, name="gone"), "announces the image 'gone' and does not hold it"),
        (lambda told: image_of(told, role=None), "'role' as text; found null"),
        (lambda told: image_of(told, unit=3), "'unit' as text"),
        (lambda told: image_of(told, pixel_spacing_mm=[0.1, 0]), "two lengths above 0"),
        (lambda told: image_of(told, pixel_spacing_mm=[0.1]), "two lengths above 0"),
        (lambda told: image_of(told, pixel_spacing_mm=[0.1, float("nan")]), "a number that is none"),
        (lambda told: image_of(told, box=[10, 10, 97, 20]), "no rectangle in 96 rows"),
        (lambda told: image_of(told, box=[10, 10, 5, 20]), "no rectangle"),
        (lambda told: image_of(told, box=[10, 10, 20.5, 20]), "no rectangle"),
        (lambda told: image_of(told, scale={"low": 20, "high": 0, "unit": "kPa"}), "'low' below 'high'; found 20"),
        (
            lambda told: image_of(told, scale={"low": 0, "high": None, "unit": "kPa"}),
            "'high' as a .*number; found null",
        ),
        (lambda told: image_of(told, scale={"low": 0, "high": 20}), "'unit' as text; found nothing"),
        (lambda told: told.update(echo_times_s=[0.002, 0.001]), "no increasing times"),
        (lambda told: told.update(echo_times_s=[0.001, None]), "no increasing times"),
        (lambda told: told.update(field_strength_t=-1.5), "from 0 to inf"),
        (lambda told: told["clinical"][0].update(low=9e9), "'low' below 'high'"),
        (lambda told: told["clinical"][0].update(value=float("inf")), "a number that is none"),
        (lambda told: told["clinical"][0].update(value="450"), "'value' as a .*number; found"),
        (lambda told: told["clinical"][0].update(title=None), "'title' as text; found null"),
        (lambda told: told.update(clinical=None), "'clinical' as a list; found null"),
    ],
)
def test_what_is_missing_or_no_value_is_refused_by_name(change, words):
    with pytest.raises(UnusableReplyError, match=words):
        read_case_images(RAT, changed(parts_of("ultrasound"), change))


def test_what_is_not_known_is_none():
    def change(told):
        told.update(is_simulated=None, species=None)
        image_of(told, scale=None, box=None, pixel_spacing_mm=None)
        told["clinical"][0]["value"] = None

    found = read_case_images(RAT, changed(parts_of("ultrasound"), change))
    swe = found.images[1]
    assert found.is_simulated is found.species is found.clinical[0].value is swe.scale is swe.box is None
    assert swe.pixel_spacing_mm is None


@pytest.mark.parametrize(
    ("kind", "name", "content", "words"),
    [
        ("ultrasound", "bmode_place_1", write_nifti(Volume(np.zeros((96, 96, 2), np.uint8), PICTURE)), "x rows x 1"),
        ("ultrasound", "bmode_place_1", write_nifti(Volume(np.zeros((96, 96, 1)), PICTURE)), "8 bits; .*float32"),
        ("ultrasound", "swe_place_1", colours(np.zeros((9, 9, 1, 3)))[:-20], "'swe_place_1' cannot be used"),
        ("mri", "magnitude", write_nifti(Volume(np.full((4, 4, 2), np.nan), np.eye(4))), "needs finite values"),
        ("mri", "magnitude", colours(np.zeros((9, 9, 1, 3))), "numbers are needed and its data type is 128"),
    ],
    ids=["two slices", "32 bits", "cut short", "not a number", "an MRI in colour"],
)
def test_volumes_that_are_no_such_image_are_refused(kind, name, content, words):
    case_id = {"mri": MRI, "ultrasound": RAT}[kind]
    with pytest.raises(UnusableReplyError, match=words):
        read_case_images(case_id, with_volume(parts_of(kind), name, content))


def test_colours_are_read_where_they_may_be_and_only_there():
    array = np.random.default_rng(3).integers(0, 256, (5, 4, 2, 3)).astype(np.uint8)
    volume = read_nifti(colours(array), "x", allows_colour=True)
    assert np.array_equal(volume.array, array) and volume.shape == (5, 4, 2) and volume.array.flags.writeable
    with pytest.raises(UnusableReplyError, match="data type is 128"):
        read_nifti(colours(array), "pdff")


def test_a_reply_without_json_or_cut_short_is_refused():
    parts = parts_of("mri")
    with pytest.raises(UnusableReplyError, match="JSON first"):
        read_case_images(MRI, parts[1:])
    with pytest.raises(UnusableReplyError, match="announces the image 'magnitude'"):
        read_case_images(MRI, parts[:1])


def test_the_client_asks_for_a_case_by_its_route_and_shows_refusals():
    parts = parts_of("mri")
    form = Form({"reply": bytes(parts[0].content).decode()}, [FormFile("magnitude", "x", bytes(parts[1].content))])
    path = f"/liver/cases/{MRI}/images"
    with FaultyServer({("GET", path): sends(b"".join(form.pieces()), form.content_type)}) as server:
        client = LiverLabelClient(server.address)
        assert isinstance(client.images(MRI), CaseImages)
        server.answers["GET", path] = sends_json({"detail": "PDFF needs at least 3 echoes."}, 422)
        with pytest.raises(RefusedError, match="at least 3 echoes"):
            client.images(MRI)


def test_a_stored_answer_is_read_back_or_is_none_or_refused():
    def listed(*kinds):
        return sends_json(
            {"id": "c1", "labels": [{"tag": "final", "kind": k, "reader": None, "time": ""} for k in kinds]}
        )

    with FaultyServer({("GET", "/liver/labels/c1"): listed("region")}) as server:
        client = LiverLabelClient(server.address)
        assert client.class_answer("c1") is None
        server.answers["GET", "/liver/labels/c1"] = listed("region", "answer")
        for value in (True, False):
            content = class_label_bytes("c1", "fibrotic_nash", value)
            server.answers["GET", "/datastore/label"] = sends(content, "application/json")
            assert client.class_answer("c1") is value and client.class_answer("c1", "second") is None
            assert client.class_answer("c1", task="nafld") is None
        assert server.seen[-1][1].endswith("label?label=c1&tag=final&kind=answer")
        told = json.loads(content)
        for changes, words in (
            ({"value": "yes"}, "'value' as true or false"),
            ({"value": None}, "found null"),
            ({"case_id": "c2"}, "on the case 'c2'"),
            ({"schema_version": 2}, "needs 'answers'"),
            ({"schema_version": 3}, "of version 3"),
        ):
            server.answers["GET", "/datastore/label"] = sends_json(told | changes)
            with pytest.raises(UnusableReplyError, match=words):
                client.class_answer("c1")
        server.answers["GET", "/datastore/label"] = sends(write_nifti(Volume(np.ones((2, 2, 2)), np.eye(4))), "x/y")
        with pytest.raises(UnusableReplyError, match="needs to be JSON"):
            client.class_answer("c1")


def test_of_several_answers_in_a_file_the_one_asked_for_is_read():
    answers = {"fibrotic_nash": {"value": False, "reader": "anna", "source": ""}, "nafld": {"value": True}}
    told = {"schema": "liverlabel.class_label", "schema_version": 2, "case_id": "c1", "answers": answers}
    content = json.dumps(told).encode()
    assert read_class_answer(content, "c1", "fibrotic_nash") is False and read_class_answer(content, "c1", "nafld")
    assert read_class_answer(content, "c1", "grade") is None
    broken = json.dumps(told | {"answers": {"nafld": {"value": 1}}}).encode()
    with pytest.raises(UnusableReplyError, match="answer to nafld needs 'value' as true or false"):
        read_class_answer(broken, "c1", "nafld")
