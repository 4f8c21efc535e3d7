"""Requests that no client of ours sends, on a real server: damaged archives, endless bodies, ids that are taken."""

from __future__ import annotations

import asyncio
import http.client
import io
import json
import zipfile
from urllib.parse import urlsplit

import pytest
from test_guards import files_around, refused

CASE = "simulated-vials"
POST = "POST", "/liver/infer/pdff"


def packed(*members: tuple[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return buffer.getvalue()


@pytest.mark.parametrize("compression", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_an_archive_with_damaged_content_is_refused(server, compression):
    archive = bytearray(packed(("a", b"hello world" * 5000), compression=compression))
    archive[45:65] = b"\xff" * 20
    refused(server.send(*POST, [("files", "scan.zip", bytes(archive))]), 422, "not an archive that can be read")


@pytest.mark.parametrize(
    ("members", "sentence"),
    [
        ([("a", b"x"), ("a/b", b"y")], "A folder .* is needed|not an archive|was sent twice"),
        ([("x" * 300, b"x")], "File name too long"),
        ([(".", b"x")], "inside its own folder only"),
    ],
    ids=["file and folder", "long", "dot"],
)
def test_an_archive_whose_names_cannot_be_files_is_refused(server, members, sentence):
    refused(server.send(*POST, [("files", "scan.zip", packed(*members))]), 422, sentence)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_an_archive_with_two_files_of_one_name_is_refused(server):
    refused(server.send(*POST, [("files", "s.zip", packed(("a", b"x"), ("a", b"y")))]), 422, "'a' was sent twice")


def test_an_archive_may_hold_a_file_of_its_own_name(server):
    sent = server.send(*POST, [("files", "scan.zip", packed(("scan.zip", b"no image")))])
    refused(sent, 422, "'scan.zip' holds none: scan.zip: not a DICOM file")


def test_an_upload_name_with_umlauts_is_told_of_the_archive(server):
    refused(server.send(*POST, [("files", "Leber 1.mat", b"x")]), 422, "'file name' needs .* send its folder as a .zip")


def test_json_of_many_levels_is_refused(server):
    kind = {"Content-Type": "application/json"}
    refused(server.call(*POST, b"[" * 200_000, kind), 422, "nested too deeply")


def test_parameters_that_are_no_object_are_refused_by_the_stock_route(server):
    refused(
        server.send("POST", f"/infer/pdff?image={CASE}", [], {"params": "[1]"}), 422, "'params' needs a JSON object"
    )


def test_a_host_that_is_no_address_is_refused(server):
    refused(server.call("GET", "/info/", headers={"Host": "["}), 403, "answers on this machine only")


def test_an_existing_case_is_not_replaced_by_an_upload(server):
    before = server.infer(CASE).body
    sent = server.send("PUT", f"/datastore/image?image={CASE}", [("file", "x.nii.gz", b"another")])
    refused(sent, 422, f"needs an id that is free; '{CASE}' is taken by another")
    assert server.infer(CASE).body == before


def test_the_same_image_may_be_sent_again_but_no_other(server):
    put = "PUT", "/datastore/image?image=twice"
    assert server.send(*put, [("file", "x.nii.gz", b"one")]).status == 200
    assert server.send(*put, [("file", "x.nii.gz", b"one")]).status == 200
    refused(server.send(*put, [("file", "x.nii.gz", b"two")]), 422, "'twice' is taken")
    assert (server.studies / "twice.nii.gz").read_bytes() == b"one"
    assert server.call("DELETE", "/datastore/image?id=twice").status == 200


@pytest.mark.parametrize("name", ["run.sh", "datastore_v2.json", "x", "x.case.json"])
def test_only_images_are_stored_as_images_and_labels_as_labels(server, name):
    before = files_around(server)
    listed = server.call("GET", "/datastore/?output=all").json()
    stem = name.partition(".")[0]
    refused(
        server.send("PUT", f"/datastore/image?image={stem}", [("file", name, b"{}")]), 422, "file of an image needs"
    )
    sent = server.send("PUT", f"/datastore/label?image={CASE}&tag=final", [("label", name, b"{}")])
    refused(sent, 422, "file of a label needs")
    assert files_around(server) == before
    assert server.call("GET", "/datastore/?output=all").json() == listed


def test_a_label_of_another_kind_takes_the_place_of_the_former(server):
    put = "PUT", f"/datastore/label?image={CASE}&tag=seen"
    assert server.send(*put, [("label", "x.nrrd", b"first")]).status == 200
    assert server.send(*put, [("label", "x.nii.gz", b"second")]).status == 200
    assert [path.name for path in (server.studies / "labels" / "seen").glob("[!.]*")] == [f"{CASE}.nii.gz"]
    assert server.call("GET", f"/datastore/label?label={CASE}&tag=seen").body == b"second"
    server.call("DELETE", f"/datastore/label?id={CASE}&tag=seen")


def test_a_deleted_case_leaves_no_images_behind(server, phantom, tmp_path):
    from liver_models.io.export import write_dicom
    from liver_models.io.importer import import_source

    write_dicom(phantom[0], tmp_path / "scan")
    import_source(tmp_path / "scan", server.studies, case_id="leaving")
    assert server.infer("leaving").status == 200
    assert server.call("DELETE", "/datastore/image?id=leaving").status == 200
    assert not [path for path in server.studies.rglob("*") if "leaving" in path.name]
    refused(server.infer("leaving"), 404, "no case 'leaving'")
    assert import_source(tmp_path / "scan", server.studies, case_id="leaving").existing_ids == ()
    server.call("DELETE", "/datastore/image?id=leaving")


def test_a_refused_label_leaves_no_file_behind(server):
    server.send("PUT", "/datastore/label?image=nobody&tag=final", [("label", "x.nii.gz", b"x")])
    assert not list((server.folder / "tmp").iterdir())


def test_a_method_that_a_route_does_not_take_is_said(server):
    refused(server.call("DELETE", "/liver/cases"), 405, "/liver/cases takes no DELETE here. GET / lists")


def test_a_data_set_without_labels_is_not_found(server):
    refused(server.call("GET", "/datastore/dataset"), 404, "with a label under the tag 'final'; there is none")


def test_a_body_that_hides_its_length_is_refused_at_the_limit():
    from liver_apps.liver.lib.access import AccessControl
    from liver_apps.liver.lib.errors import reply
    from liver_apps.liver.lib.settings import ServerSettings

    def answer_to(n_pieces: int) -> tuple[int, str]:
        """Status and sentence of the answer to pieces of 400 bytes, sent until nobody reads any more."""
        read, sent = [], []

        async def app(scope, receive, send):
            more = True
            while more:
                message = await receive()
                read.append(len(message["body"]))
                more = message["more_body"]
            await reply(200, f"{sum(read)} bytes.")(scope, receive, send)

        async def receive():
            return {"type": "http.request", "body": b"x" * 400, "more_body": len(read) + 1 < n_pieces}

        async def send(message):
            sent.append(message)

        guarded = AccessControl(app, ServerSettings(token=None, host="0.0.0.0", max_body_bytes=1000))
        scope = {"type": "http", "method": "POST", "path": "/", "headers": [(b"transfer-encoding", b"chunked")]}
        asyncio.run(guarded(scope, receive, send))
        assert sum(read) <= 1000
        return sent[0]["status"], json.loads(sent[1]["body"])["detail"]

    assert answer_to(2) == (200, "800 bytes.")
    status, sentence = answer_to(1000)
    assert status == 413 and "at most; this one holds more" in sentence


def test_a_body_sent_in_pieces_is_read(server):
    url = urlsplit(server.address)
    connection = http.client.HTTPConnection(url.hostname, url.port)
    headers = {"Authorization": f"Bearer {server.token}", "Content-Type": "application/json"}
    body = json.dumps({"image": "nobody"}).encode()
    connection.request("POST", "/liver/infer/pdff", iter([body[:5], body[5:]]), headers, encode_chunked=True)
    reply = connection.getresponse()
    assert reply.status == 404 and b"no case 'nobody'" in reply.read()
    connection.close()
