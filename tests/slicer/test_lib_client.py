"""The client against a server that fails in every way: each its own sentence, and nothing hangs."""

from __future__ import annotations

import json
import logging
import socket
import threading
import time

import pytest
from faulty_server import FaultyServer, TlsOnly, certificate, disconnects, hangs, healthy, sends, sends_json, trickles
from LiverLabelLib import errors, transport
from LiverLabelLib.address import parse_address
from LiverLabelLib.client import LiverLabelClient
from LiverLabelLib.errors import CannotConnect, ConnectError
from LiverLabelLib.transport import Call, CancelToken, speaks_tls


def why(address: str, token: str = "", **options) -> ConnectError:
    with pytest.raises(ConnectError) as caught:
        LiverLabelClient(address, token, **options).connect(Call(timeout_s=5))
    return caught.value


@pytest.mark.parametrize(
    ("typed", "reason", "suggested"),
    [
        ("", CannotConnect.NO_ADDRESS, "http://127.0.0.1:8000"),
        ("127.0.0.1:8000", CannotConnect.NO_SCHEME, "http://127.0.0.1:8000"),
        ("localhost", CannotConnect.NO_SCHEME, "http://localhost:8000"),
        ("0.0.0.0:8000/", CannotConnect.NO_SCHEME, "http://127.0.0.1:8000"),
        ("http://0.0.0.0:8123/", CannotConnect.ANY_HOST, "http://127.0.0.1:8123"),
        ("http://[::]:8123", CannotConnect.ANY_HOST, "http://[::1]:8123"),
        ("http://127.0.0.1:99999", CannotConnect.NOT_AN_ADDRESS, ""),
        ("ftp://127.0.0.1", CannotConnect.NOT_AN_ADDRESS, ""),
        ("http://", CannotConnect.NOT_AN_ADDRESS, ""),
        ("http://anna:secret@127.0.0.1:8000", CannotConnect.NOT_AN_ADDRESS, ""),
        ("http://no-such-host.invalid:8000", CannotConnect.UNKNOWN_HOST, ""),
    ],
)
def test_an_address_that_cannot_be_used_says_why_and_what_to_try(typed, reason, suggested):
    error = why(typed)
    assert (error.reason, error.suggested_address) == (reason, suggested)
    assert "{" not in str(error) and "secret" not in str(error) and suggested in str(error).replace("e.g. ", "")


def test_a_port_where_nothing_listens_is_named():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    error = why(f"http://127.0.0.1:{port}")
    assert error.reason is CannotConnect.NOTHING_LISTENS and f"port {port}" in str(error)
    assert error.suggested_address == "http://127.0.0.1:8000"


def test_tokens_that_are_missing_wrong_or_none_are_told_apart():
    with FaultyServer({("GET", "/liver/tasks"): sends_json({"detail": "curl words"}, 401)}) as server:
        assert why(server.address).reason is CannotConnect.TOKEN_NEEDED
        assert why(server.address, "another-token").reason is CannotConnect.WRONG_TOKEN
        assert why(server.address, "two words\r\nX: y").reason is CannotConnect.NOT_A_TOKEN


@pytest.mark.parametrize(
    ("version", "outdated"), [("0.2.0", "extension"), ("1.0", "extension"), ("0.0.9", "server"), ("0.1.7", None)]
)
def test_a_server_of_another_version_names_what_to_update(version, outdated):
    with FaultyServer(healthy(version)) as server:
        if outdated is None:
            assert LiverLabelClient(server.address).connect().version == version
            return
        error = why(server.address)
        assert (
            error.reason is CannotConnect.OTHER_VERSION and version in str(error) and f"the {outdated} so" in str(error)
        )


def test_a_server_that_is_no_liverlabel_is_not_told_the_token():
    other = sends(b"<html>", "text/html")
    for answer in (other, sends_json({"status": "ok"}), sends_json([1]), sends_json({"detail": "Not Found"}, 404)):
        with FaultyServer({("GET", "/liver/health"): answer}) as server:
            assert why(server.address, "a-token-of-the-tests").reason is CannotConnect.NOT_LIVERLABEL
            assert not any("a-token" in str(headers) for _, _, headers, _ in server.seen)


def test_a_server_that_speaks_another_protocol_is_no_liverlabel():
    with socket.create_server(("127.0.0.1", 0)) as other:

        def greet():
            for opened, _ in (other.accept() for _ in range(2)):
                opened.recv(1000)
                opened.sendall(b"SSH-2.0-OpenSSH\r\n")
                opened.close()

        threading.Thread(target=greet, daemon=True).start()
        error = why(f"http://127.0.0.1:{other.getsockname()[1]}")
    assert error.reason is CannotConnect.NOT_LIVERLABEL and "HTTP" in str(error)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    folder = tmp_path_factory.mktemp("certificates")
    made = {name: certificate(folder / name, name == "expired") for name in ("valid", "expired")}
    if None in made.values():
        pytest.skip("needs the openssl program to make certificates")
    return made


def test_certificates_are_verified(certificates, tmp_path):
    ca_file, context = certificates["valid"]
    with FaultyServer(tls=context) as server:
        assert why(server.address).reason is CannotConnect.SELF_SIGNED_CERTIFICATE
        assert LiverLabelClient(server.address, ca_file=str(ca_file)).connect().version == "0.1.0"
        other_name = why(server.address.replace("127.0.0.1", "localhost"), ca_file=str(ca_file))
        assert other_name.reason is CannotConnect.OTHER_NAME_IN_CERTIFICATE
        (tmp_path / "ca.pem").write_text("no certificate")
        assert why(server.address, ca_file=str(tmp_path / "ca.pem")).reason is CannotConnect.BAD_CA_FILE
    expired_file, context = certificates["expired"]
    with FaultyServer(tls=context) as server:
        assert why(server.address, ca_file=str(expired_file)).reason is CannotConnect.EXPIRED_CERTIFICATE


def test_http_to_a_server_of_tls_suggests_https(certificates):
    ca_file, context = certificates["valid"]
    with FaultyServer(tls=context) as server:
        error = why(server.address.replace("https", "http") + "/behind", "a-token-of-the-tests")
        assert error.reason is CannotConnect.NEEDS_HTTPS and error.suggested_address == server.address + "/behind"
        assert f"127.0.0.1:{server.port} speaks TLS" in str(error) and server.seen == []
        assert LiverLabelClient(server.address, ca_file=str(ca_file)).connect().version == "0.1.0"


@pytest.mark.parametrize(
    "refusal",
    [
        b"",
        b"\x15\x03\x03\x00\x02\x02\x0a",
        b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n",
        b"HTTP/1.1 400 Bad Request\r\nContent-Length: 4\r\n\r\n<htm",
    ],
    ids=["closes", "alert", "words", "page"],
)
def test_whatever_a_server_of_tls_answers_to_http_https_is_suggested(certificates, refusal):
    with TlsOnly(certificates["valid"][1], refusal) as server:
        error = why(f"http://127.0.0.1:{server.port}", "a-token-of-the-tests")
        assert error.reason is CannotConnect.NEEDS_HTTPS
        assert error.suggested_address == f"https://127.0.0.1:{server.port}"
        asked, greeted = server.first_bytes
    assert asked.startswith(b"GET /liver/health ") and greeted.startswith(b"\x16\x03") and b"a-token" not in asked


def test_a_server_without_tls_that_fails_is_not_said_to_need_https():
    with FaultyServer({("GET", "/liver/health"): disconnects}) as server:
        with pytest.raises(errors.LostConnectionError):
            LiverLabelClient(server.address).connect()
        server.answers["GET", "/liver/health"] = sends_json({"detail": "x"}, 400)
        assert why(server.address).reason is CannotConnect.NOT_LIVERLABEL


def test_looking_for_tls_ends_soon_and_when_it_is_cancelled():
    token = CancelToken()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = parse_address(f"http://127.0.0.1:{silent.getsockname()[1]}")
        start = time.monotonic()
        assert not speaks_tls(address, Call(timeout_s=0.3)) and time.monotonic() - start < 1
        threading.Timer(0.2, token.cancel).start()
        with pytest.raises(errors.CancelledError):
            speaks_tls(address, Call(token))
    assert time.monotonic() - start < 1.5


def test_https_to_a_server_without_tls_suggests_http():
    with FaultyServer() as server:
        error = why(server.address.replace("http", "https"))
    assert error.reason is CannotConnect.NEEDS_HTTP and error.suggested_address == server.address


def test_a_server_that_hangs_is_given_up_in_time():
    with FaultyServer({("GET", "/liver/cases"): hangs()}) as server:
        start = time.monotonic()
        with pytest.raises(errors.RequestTimeoutError, match=r"within 0\.3 s"):
            LiverLabelClient(server.address).cases(Call(timeout_s=0.3))
        assert time.monotonic() - start < 1


def test_a_reply_that_trickles_is_given_up_at_its_deadline():
    with FaultyServer({("GET", "/datastore/image"): trickles(60 << 20, 1 << 20)}) as server:
        start = time.monotonic()
        with pytest.raises(errors.RequestTimeoutError):
            LiverLabelClient(server.address).image("case", Call(timeout_s=0.5))
        assert time.monotonic() - start < 1.5


@pytest.mark.parametrize("answer", [hangs(), trickles(60 << 20, 4 << 20)], ids=["hangs", "downloads"])
def test_a_call_is_cancelled_from_another_thread_at_once(answer):
    token = CancelToken()
    with FaultyServer({("GET", "/datastore/image"): answer}) as server:
        threading.Timer(0.3, token.cancel).start()
        start = time.monotonic()
        with pytest.raises(errors.CancelledError):
            LiverLabelClient(server.address).image("case", Call(token))
        assert 0.25 < time.monotonic() - start < 0.8
        with pytest.raises(errors.CancelledError):
            LiverLabelClient(server.address).cases(Call(token))


def test_a_cancel_between_connecting_and_waiting_is_not_missed():
    token, (ours, theirs) = CancelToken(), socket.socketpair()
    with ours, theirs:
        token.cancel()
        token.watch(ours)
        theirs.settimeout(1)
        assert theirs.recv(1) == b""


def test_60_megabytes_come_with_their_progress():
    told = []
    with FaultyServer({("GET", "/datastore/image"): sends(bytes(60 << 20), "application/gzip")}) as server:
        call = Call(on_received=lambda done, total: told.append((done, total)))
        assert len(LiverLabelClient(server.address).image("case", call)) == 60 << 20
    assert told[-1] == (60 << 20, 60 << 20) and len(told) > 100
    assert all(a[0] < b[0] for a, b in zip(told, told[1:], strict=False))


def test_connections_that_end_early_are_lost_and_not_half_a_reply():
    with FaultyServer() as server:
        client = LiverLabelClient(server.address)
        for answer in (disconnects, sends(b'{"cases": []}', "application/json", n_bytes=1000)):
            server.answers["GET", "/liver/cases"] = answer
            with pytest.raises(errors.LostConnectionError, match="before the reply did"):
                client.cases()


def test_a_reply_longer_than_it_may_be_is_not_read():
    with FaultyServer({("GET", "/liver/cases"): sends(b"", "application/json", n_bytes=10**12)}) as server:
        with pytest.raises(errors.UnusableReplyError, match="at most|may hold 32 MiB"):
            LiverLabelClient(server.address).cases()


def test_refusals_are_shown_with_the_servers_sentence():
    with FaultyServer(
        {("GET", "/liver/cases"): sends_json({"detail": "It is busy."}, 503, Retry_After="10")}
    ) as server:
        client = LiverLabelClient(server.address)
        with pytest.raises(errors.RefusedError, match="It is busy") as caught:
            client.cases()
        assert (caught.value.status, caught.value.retry_after_s) == (503, 10)
        server.answers["GET", "/liver/cases"] = sends(b"", "text/plain")
        with pytest.raises(errors.UnusableReplyError, match="needs to be JSON"):
            client.cases()
        server.answers["GET", "/liver/cases"] = lambda handler: handler.send(b"<html>", "text/html", 500)
        with pytest.raises(errors.RefusedError, match="status 500 and no explanation"):
            client.cases()


def test_a_label_is_sent_as_a_form_with_its_reader():
    stored = ("PUT", "/datastore/label")
    with FaultyServer({stored: sends_json({"label": "x"})}) as server:
        LiverLabelClient(server.address, "a-token-of-the-tests").save_label(
            "case&1", b"\x1f\x8b\r\n--", "a.nii.gz", "anna"
        )
        _, path, headers, body = server.seen[-1]
    assert path == "/datastore/label?image=case%261&tag=final"
    assert headers["Authorization"] == "Bearer a-token-of-the-tests" and int(headers["Content-Length"]) == len(body)
    assert b'filename="a.nii.gz"' in body and b"\r\n\r\n\x1f\x8b\r\n--\r\n--liverlabel-" in body
    assert json.dumps({"reader": "anna"}).encode() in body


TRAINING = {
    "task": "a/b",
    "state": "running",
    "message": "It runs.",
    "can_resume": False,
    "progress": None,
    "curve": [],
    "published": {"version": 2, "versions": [0, 1, 2]},
}
SCORING = {"task": "a/b", "state": "running", "done": 0, "total": 3, "message": ""}


@pytest.mark.parametrize(
    ("ask", "method", "path", "body", "answer"),
    [
        (lambda c: c.start_training("a/b"), "POST", "/liver/train/a%2Fb", {}, TRAINING),
        (lambda c: c.start_training("a/b", {"epochs": 2}), "POST", "/liver/train/a%2Fb", {"epochs": 2}, TRAINING),
        (lambda c: c.stop_training("a/b"), "DELETE", "/liver/train/a%2Fb", None, TRAINING),
        (lambda c: c.roll_back_training("a/b"), "POST", "/liver/train/a%2Fb/rollback", {}, TRAINING),
        (lambda c: c.roll_back_training("a/b", 0), "POST", "/liver/train/a%2Fb/rollback", {"version": 0}, TRAINING),
        (lambda c: c.start_scoring("a/b"), "POST", "/liver/score/a%2Fb", None, SCORING),
    ],
    ids=["start", "start with options", "stop", "roll back", "roll back to the package's", "score"],
)
def test_what_changes_the_servers_work_asks_for_exactly_that(ask, method, path, body, answer):
    with FaultyServer({(method, path): sends_json(answer)}) as server:
        told = ask(LiverLabelClient(server.address))
        ((_, asked, headers, content),) = server.seen
    assert asked == path and (json.loads(content) if content else None) == body
    assert headers.get("Content-Type") == (None if body is None else "application/json")
    assert told.state == "running" and getattr(told, "versions", (0, 1, 2)) == (0, 1, 2)


def test_a_stop_is_waited_for_longer_than_what_computes_nothing(monkeypatch):
    monkeypatch.setattr(transport, "SHORT_TIMEOUT_S", 0.2)
    late = sends_json(TRAINING)

    def ends_late(handler):
        time.sleep(0.4)
        late(handler)

    with FaultyServer({("DELETE", "/liver/train/pdff"): ends_late, ("GET", "/liver/train/pdff"): ends_late}) as server:
        client = LiverLabelClient(server.address)
        with pytest.raises(errors.RequestTimeoutError):
            client.training("pdff")
        assert client.stop_training("pdff").version == 2


def test_the_token_is_never_shown(caplog):
    caplog.set_level(logging.DEBUG)
    client = LiverLabelClient("http://127.0.0.1:1", "a-token-of-the-tests")
    with pytest.raises(ConnectError) as caught:
        client.connect()
    assert "a-token" not in f"{client!r} {caught.value} {caplog.text}"
