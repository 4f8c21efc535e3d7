"""What the server refuses, tried on a real one."""

from __future__ import annotations

import json
import re

import pytest

SENTENCE = re.compile(r"^[A-Z'/].*[.]$", re.DOTALL)


def refused(reply, status: int, pattern: str) -> None:
    assert reply.status == status, reply.body
    assert re.search(pattern, reply.detail), reply.detail
    assert SENTENCE.match(reply.detail), reply.detail


def files_around(server) -> set[str]:
    return {str(path) for path in server.studies.parent.rglob("*")}


@pytest.mark.parametrize("path", ["/info/", "/liver/cases", "/datastore/", "/openapi.json", "/nothing"])
def test_a_request_without_the_token_is_refused(server, path):
    refused(server.call("GET", path, token=None), 401, "needs its token, and the request holds none")


def test_a_request_with_another_token_is_refused(server):
    reply = server.call("GET", "/info/", token="not-the-token-at-all")
    refused(reply, 401, "the request holds another one")
    assert reply.headers["www-authenticate"] == "Bearer"


def test_a_body_is_not_read_without_the_token(server):
    refused(server.call("POST", "/liver/infer/pdff", {"image": "simulated-vials"}, token=None), 401, "needs its token")


def test_the_token_opens_the_server(server):
    assert server.call("GET", "/info/").json()["name"] == "LiverLabel"


def test_health_needs_no_token_and_tells_no_case(server):
    reply = server.call("GET", "/liver/health", token=None)
    assert reply.status == 200 and set(reply.json()) == {"status", "version"}


@pytest.mark.parametrize(
    "name", ["../x", "../../x", "/etc/x", "a/b", "a\\b", ".hidden", "x" * 129, "a b", "x\n", "%2e%2e"]
)
@pytest.mark.parametrize(
    "method, path, field",
    [
        ("PUT", "/datastore/image?image={}", "file"),
        ("PUT", "/datastore/?image={}", "file"),
        ("PUT", "/datastore/label?image={}", "label"),
        ("PUT", "/datastore/label?image=simulated-vials&tag={}", "label"),
    ],
)
def test_a_stored_file_cannot_be_named_outside_its_folder(server, method, path, field, name):
    from urllib.parse import quote

    before = files_around(server)
    reply = server.send(method, path.format(quote(name, safe="")), [(field, "x.nii.gz", b"x")])
    refused(reply, 422, "needs a name of up to 128 letters")
    assert files_around(server) == before


def test_an_upload_name_cannot_leave_its_folder(server):
    before = files_around(server)
    for name in ("..", "../..", "x/..", ".ssh", "a b.nii.gz"):
        refused(
            server.send("PUT", "/datastore/image?image=new", [("file", name, b"x")]), 422, "'file name' needs a name"
        )
        refused(server.send("POST", "/liver/infer/pdff", [("files", name, b"x")]), 422, "'file name' needs a name")
    assert files_around(server) == before


@pytest.mark.parametrize("image", ["/etc/passwd", "../plain", "file:///etc/passwd", "~/x"])
def test_an_image_is_an_id_and_never_a_path(server, image):
    from urllib.parse import quote

    refused(server.infer(image), 422, "'image' needs a name")
    refused(
        server.send("POST", "/infer/pdff?image=" + quote(image, safe=""), [], {"params": "{}"}), 422, "needs a name"
    )
    params = json.dumps({"image": image})
    refused(server.send("POST", "/infer/pdff?image=plain", [], {"params": params}), 422, "'image' needs a name")
    refused(server.call("POST", "/activelearning/random", {"image": image}), 422, "'image' needs a name")
    refused(server.call("GET", "/datastore/image?image=" + quote(image, safe="")), 422, "needs a name")


def test_a_file_name_of_the_working_folder_is_no_case(server):
    refused(server.infer("log.txt"), 404, "no case 'log.txt'")
    refused(server.send("POST", "/infer/pdff?image=log.txt", [], {"params": "{}"}), 404, "no case 'log.txt'")


def test_a_model_file_cannot_be_named(server):
    for params in ({"model_filename": "/etc/passwd"}, {"model_filename": "x"}, {"nested": [{"path": "x"}]}):
        refused(server.infer("simulated-vials", params=params), 422, "is not taken: the server reads only stored cases")
        text = {"params": json.dumps(params)}
        refused(server.send("POST", "/infer/pdff?image=simulated-vials", [], text), 422, "is not taken")


def test_a_path_in_any_parameter_is_refused(server):
    for value in ("/etc/passwd", "..", "a\\b", "~root"):
        refused(server.infer("simulated-vials", params={"spectrum": value}), 422, "found the path")
        refused(server.infer("simulated-vials", params={"a": {"b": [value]}}), 422, "found the path")


@pytest.mark.parametrize(
    "method, path",
    [
        ("GET", "/proxy/dicom/qido/studies"),
        ("GET", "/logs/"),
        ("GET", "/logs/gpu"),
        ("POST", "/reload"),
        ("PUT", "/model/pdff"),
        ("GET", "/model/pdff"),
        ("PUT", "/session/?uncompress=true"),
        ("POST", "/batch/infer/pdff"),
        ("POST", "/infer/wsi/pdff"),
        ("GET", "/ohif/index.html"),
    ],
)
def test_a_dangerous_stock_route_is_off_and_says_why(server, method, path):
    refused(server.call(method, path), 403, "is off here: ")


def test_a_route_that_does_not_exist_says_so(server):
    refused(server.call("GET", "/nothing"), 404, "has no GET /nothing")


def test_an_unknown_case_is_not_found(server):
    refused(server.infer("nobody"), 404, "no case 'nobody' on this server. GET /liver/cases lists them")
    refused(server.send("POST", "/infer/pdff?image=nobody", [], {"params": "{}"}), 404, "no case 'nobody'")
    assert server.call("GET", "/datastore/image?image=nobody").status == 404
    assert server.call("GET", "/datastore/label?label=nobody&tag=final").status == 404
    assert server.call("PUT", "/datastore/label/info?label=nobody&tag=final", b"").status == 404


def test_an_unknown_task_trainer_or_strategy_is_not_found(server):
    refused(
        server.call("POST", "/liver/infer/spleen", {"image": "simulated-vials"}), 404, "no task 'spleen'.*it has: pdff"
    )
    refused(server.send("POST", "/infer/spleen?image=simulated-vials", [], {"params": "{}"}), 404, "no task 'spleen'")
    refused(server.call("POST", "/train/spleen", {}), 404, "no model 'spleen'")
    refused(server.call("POST", "/scoring/dice", {}), 404, "found 'dice'")
    refused(server.call("POST", "/activelearning/best", {}), 404, "no strategy 'best'.*it has: default, random")


def test_an_unknown_setting_is_refused_and_the_known_ones_named(server):
    refused(server.infer("simulated-vials", params={"spectrm": "hamilton_2011"}), 422, "spectrm.*|spectrum")
    assert "spectrum" in server.infer("simulated-vials", params={"spectrm": "x"}).detail
    refused(server.infer("simulated-vials", params={"method": "guess"}), 422, "graph_cut")
    refused(server.infer("simulated-vials", parms={}), 422, "may hold image, params, roi; found also parms")


def test_a_body_that_is_no_request_is_refused(server):
    post = "POST", "/liver/infer/pdff"
    json_type = {"Content-Type": "application/json"}
    refused(server.call(*post, b"{", json_type), 422, "'body' needs JSON")
    refused(server.call(*post, b"[]", json_type), 422, "needs a JSON object")
    refused(server.call(*post, {"params": {}}), 422, "'image' needs the id of a stored case")
    refused(server.call(*post, {"image": "simulated-vials", "params": []}), 422, "'params' needs a JSON object")
    refused(server.call(*post, b"x", {"Content-Type": "text/plain"}), 422, "found the content type 'text/plain'")
    refused(server.send(*post, []), 422, "needs the files of a study")
    refused(server.send(*post, [], {"params": "{"}), 422, "'params' needs JSON")


def test_a_plain_image_is_no_study(server):
    reply = server.infer("plain")
    assert reply.status == 422 and str(server.studies) not in reply.detail, reply.body


def test_a_roi_that_is_not_stored_is_not_found(server):
    refused(server.infer("simulated-vials", roi="liver"), 404, "no label under the tag 'liver'")


def test_a_manifest_cannot_point_outside_its_folder(server):
    manifest = json.loads((server.studies / "simulated-vials.case.json").read_text())
    manifest["case_id"] = "traveller"
    for file in manifest["cse_mri"]["files"]:
        file["path"] = "../../../../../../etc/passwd"
    (server.studies / "traveller.case.json").write_text(json.dumps(manifest))
    reply = server.infer("traveller")
    assert reply.status == 422 and "root:" not in reply.body.decode(), reply.body
    server.call("DELETE", "/datastore/image?id=traveller")


def test_no_origin_is_reflected(server):
    origin = {"Origin": "https://evil.example"}
    for path in ("/info/", "/liver/cases", "/nothing"):
        reply = server.call("GET", path, headers=origin)
        assert not [name for name in reply.headers if name.startswith("access-control-allow")]
    preflight = server.call("OPTIONS", "/info/", headers={**origin, "Access-Control-Request-Method": "GET"}, token=None)
    assert preflight.status == 400 and "access-control-allow-origin" not in preflight.headers


def test_a_local_server_answers_to_a_local_name_only(server):
    refused(server.call("GET", "/info/", headers={"Host": "evil.example"}), 403, "answers on this machine only")
    assert server.call("GET", "/info/", headers={"Host": "localhost:1"}).status == 200


def test_a_body_larger_than_the_limit_is_refused_unread(server):
    reply = server.call("PUT", "/datastore/image?image=x", headers={"Content-Length": str(1 << 40)})
    refused(reply, 413, "may hold 4 GiB at most")


def test_a_listening_address_is_loopback_by_default(server):
    import socket
    from urllib.parse import urlsplit

    port = urlsplit(server.address).port
    with socket.socket() as other:
        other.bind(("0.0.0.0", 0))
        assert other.connect_ex(("127.0.0.2", port)) != 0
