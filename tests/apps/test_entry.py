"""The ``monailabel`` command: what it assumes, asks for and refuses."""

from __future__ import annotations

import argparse
import contextlib
import http.client
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from client import start_server
from test_worker import is_running

from liver_apps import entry

entry.make_stand_ins_importable()
from liver_apps import launcher  # noqa: E402


def options(**given):
    return argparse.Namespace(**{"token": None, "token_file": None, "no_token": False, **given})


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "liver_apps.entry", *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, **environment},
    )


def test_the_app_is_found_from_any_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert launcher.app_folder("apps/liver") == launcher.PACKAGED_APP
    assert (launcher.PACKAGED_APP / "main.py").is_file()


def test_an_app_folder_that_exists_is_taken(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    own = tmp_path / "apps" / "liver"
    own.mkdir(parents=True)
    with pytest.raises(launcher.UnusableOptionError, match="needs a folder with a main.py; found none in apps/liver"):
        launcher.app_folder("apps/liver")
    (own / "main.py").touch()
    assert launcher.app_folder("apps/liver") == own.resolve()


def test_a_new_token_is_made_each_time(monkeypatch):
    monkeypatch.delenv("LIVERLABEL_TOKEN", raising=False)
    first, second = launcher.chosen_token(options()), launcher.chosen_token(options())
    assert first != second and len(first) >= 24


def test_the_token_comes_from_the_option_the_file_or_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("LIVERLABEL_TOKEN", "from-the-environment")
    file = tmp_path / "token"
    file.write_text("from-the-file\n")
    assert launcher.chosen_token(options()) == "from-the-environment"
    assert launcher.chosen_token(options(token="from-the-option")) == "from-the-option"
    assert launcher.chosen_token(options(token_file=str(file))) == "from-the-file"
    assert launcher.chosen_token(options(no_token=True)) is None


def test_the_token_is_taken_out_of_the_options_that_are_logged():
    args = options(token="from-the-option")
    launcher.chosen_token(args)
    assert "from-the-option" not in str(args)


@pytest.mark.parametrize("token", ["", "short", "with a space", "ünïcödé-token", "line\nbreak-token"])
def test_a_weak_or_broken_token_is_refused(token):
    with pytest.raises(launcher.UnusableOptionError, match="needs at least 8 letters"):
        launcher.chosen_token(options(token=token))


def test_a_token_file_that_cannot_be_read_is_refused(tmp_path):
    with pytest.raises(launcher.UnusableOptionError, match="needs a readable file; No such file"):
        launcher.chosen_token(options(token_file=str(tmp_path / "none")))


def test_the_defaults_are_loopback_and_no_page_of_the_web():
    args = launcher.Launcher().args_parser().parse_args(["start_server", "--app", "a", "--studies", "s"])
    assert args.host == "127.0.0.1" and args.cors_origin == [] and args.no_token is False


@pytest.mark.parametrize(
    "arguments, sentence",
    [
        (["--app", "apps/liver"], "needs --app and --studies"),
        (["--app", "apps/liver", "--studies", "ftp://example.org/dicom"], "DICOMweb store such as http://127.0.0.1"),
        (["--app", "apps/liver", "--studies", "http://a:secret@example.org/"], "an address without a user, a password"),
        (["--app", "apps/liver", "--studies", "s", "--workers", "4"], "runs as one process; found --workers 4"),
        (["--app", "no/such", "--studies", "s"], "needs a folder with a main.py"),
    ],
)
def test_an_unusable_option_is_refused_with_code_2(arguments, sentence, capsys):
    assert entry.main(["start_server", *arguments]) == 2
    assert sentence in capsys.readouterr().err


def test_a_port_in_use_is_named_before_an_address_is_printed(tmp_path, capsys):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        given = ["--app", "apps/liver", "--studies", str(tmp_path), "--port", str(port)]
        assert entry.main(["start_server", *given]) == 2
    said = capsys.readouterr()
    assert f"127.0.0.1:{port} is none: Address already in use. Choose another --port" in said.err
    assert "Address  " not in said.out


@pytest.mark.parametrize(("host", "port"), [("127.0.0.1", 99999), ("192.0.2.1", 8000), ("no-such-host.invalid", 8000)])
def test_an_address_that_is_none_of_this_machine_is_refused(host, port):
    with pytest.raises(launcher.UnusableOptionError, match=f"{host}:{port} is none"):
        launcher.check_address(host, port)


def test_a_studies_folder_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file" / "below", Path("/proc")):
        with pytest.raises(launcher.UnusableOptionError, match="needs a folder that can be written"):
            launcher.studies_folder(str(folder))
    assert launcher.studies_folder(str(tmp_path / "new")).is_dir()
    assert not list((tmp_path / "new").iterdir())


def test_without_monailabel_the_missing_step_is_named(tmp_path):
    blocked = tmp_path / "sitecustomize.py"
    blocked.write_text(
        "import importlib.util\nfound = importlib.util.find_spec\n"
        "importlib.util.find_spec = lambda name, *rest: None if name == 'monailabel' else found(name, *rest)\n"
    )
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    ended = run("start_server", "--app", "apps/liver", "--studies", "s", PYTHONPATH=path)
    assert ended.returncode == 2
    assert "needs MONAI Label, and it is not installed" in ended.stderr
    assert "make serve" in ended.stderr and "pip install --no-deps monailabel==0.8.5" in ended.stderr


def test_the_app_folder_is_left_as_it_was(server):
    inside = {path.name for path in launcher.PACKAGED_APP.iterdir()} - {"__pycache__"}
    assert inside == {"__init__.py", "main.py", "server.py", "lib"}


@pytest.mark.slow
def test_a_server_that_is_told_to_stop_ends_its_computation(studies, tmp_path):
    process, server = start_server(studies, tmp_path / "log.txt")
    answers = []

    def ask() -> None:
        with contextlib.suppress(OSError, http.client.HTTPException):
            answers.append(server.call("POST", "/liver/infer/pdff", {"image": "simulated-larger"}).status)

    asking = threading.Thread(target=ask)
    asking.start()
    time.sleep(0.3)
    started = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    process.terminate()
    process.wait(timeout=30)
    asking.join(timeout=30)
    assert started and not asking.is_alive()
    deadline = time.monotonic() + 10
    while any(is_running(int(pid)) for pid in started) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not [pid for pid in started if is_running(int(pid))]


def test_processes_that_are_started_find_the_stand_in(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", "")
    entry.make_stand_ins_importable()
    ended = subprocess.run(
        [sys.executable, "-c", "import pydicom_seg; print(pydicom_seg.__file__)"], capture_output=True, text=True
    )
    assert Path(ended.stdout.strip()).is_relative_to(entry.COMPAT_DIR)


def test_the_stand_in_says_why_it_can_do_nothing():
    import pydicom_seg

    with pytest.raises(AttributeError, match="does not run with pydicom 3"):
        _ = pydicom_seg.MultiClassWriter
