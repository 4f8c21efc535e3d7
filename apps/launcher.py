"""MONAI Label's command line with safe defaults: loopback, a token, our ASGI app; the app folder stays as it is."""

from __future__ import annotations

import argparse
import json
import os
import secrets
import socket
import sys
import tempfile
from pathlib import Path
from urllib.parse import urlsplit

import uvicorn
from monailabel.config import settings
from monailabel.main import Main

from .liver.lib.settings import NO_TOKEN_VARIABLE, ORIGINS_VARIABLE, TOKEN_VARIABLE, is_loopback

PACKAGED_APP = Path(__file__).resolve().parent / "liver"
GUARDED_SERVER = "liver_apps.liver.server:app"
STOCK_SERVER = "monailabel.app:app"
MIN_TOKEN_LENGTH = 8


class Launcher(Main):
    """``monailabel`` whose ``start_server`` serves an app that has a ``server.py`` through that server."""

    def args_start_server(self, parser: argparse.ArgumentParser) -> None:
        """Add our options to MONAI Label's and change two of its defaults."""
        super().args_start_server(parser)
        parser.set_defaults(host="127.0.0.1", uvicorn_app=None)
        secret = parser.add_mutually_exclusive_group()
        secret.add_argument("--token", help=f"token that clients must send (default: ${TOKEN_VARIABLE}, or a new one)")
        secret.add_argument("--token-file", "--token_file", help="file whose first line is the token")
        secret.add_argument(
            "--no-token", "--no_token", action="store_true", help="let every program in, without a token"
        )
        parser.add_argument(
            "--cors-origin",
            "--cors_origin",
            action="append",
            default=[],
            help="web page origin let in; may be repeated",
        )

    def run_command(self, argv: list[str]) -> int:
        """Run one command; see :func:`liver_apps.entry.main`."""
        args = self.args_parser().parse_args(argv)
        if getattr(args, "action", None) != "start_server":
            sys.argv[1:] = argv
            self.run()
            return 0
        try:
            return self._start(args)
        except UnusableOptionError as error:
            print(error, file=sys.stderr)
            return 2

    def _start(self, args: argparse.Namespace) -> int:
        if not args.app or not args.studies:
            raise UnusableOptionError(
                "The server needs --app and --studies, for example: --app apps/liver --studies cases"
            )
        if "://" in args.studies:
            args.studies = store_address(args.studies)
        if args.workers not in (None, 1):
            raise UnusableOptionError(f"The server runs as one process; found --workers {args.workers}. Leave it out.")
        args.app = str(app_folder(args.app))
        token = chosen_token(args)
        is_guarded = args.uvicorn_app is None and (Path(args.app) / "server.py").is_file()
        args.uvicorn_app = args.uvicorn_app or (GUARDED_SERVER if is_guarded else STOCK_SERVER)
        if not is_guarded:
            print(f"{args.uvicorn_app} serves this app: no token is asked and stock routes are open.", file=sys.stderr)
            self.action_start_server(args)
            return 0
        check_address(args.host, args.port)
        _export_settings(args, token)
        if args.dryrun:
            return 0
        print(_how_to_connect(args, token), flush=True)
        uvicorn.run(
            args.uvicorn_app,
            host=args.host,
            port=args.port,
            root_path=args.root_path,
            log_level=args.log_level,
            log_config=_log_config(args.verbose),
            access_log=args.access_log,
            ssl_keyfile=args.ssl_keyfile,
            ssl_certfile=args.ssl_certfile,
            ssl_keyfile_password=args.ssl_keyfile_password,
            ssl_ca_certs=args.ssl_ca_certs,
            limit_concurrency=args.limit_concurrency,
            timeout_graceful_shutdown=5,
        )
        return 0


class UnusableOptionError(ValueError):
    """An option the user can mend; its text is shown."""


def app_folder(named: str) -> Path:
    """The app's folder: the named one, or the one in this package when ``.../liver`` does not exist here.

    Raises:
        UnusableOptionError: neither has a ``main.py``.
    """
    folder = Path(named).resolve()
    if not folder.exists() and folder.name == PACKAGED_APP.name:
        folder = PACKAGED_APP
    if not (folder / "main.py").is_file():
        raise UnusableOptionError(f"--app needs a folder with a main.py; found none in {named}. Try --app apps/liver.")
    return folder


def store_address(named: str) -> str:
    """The address of a DICOMweb store.

    Raises:
        UnusableOptionError: another protocol, no host, or a password in it, which every log would show.
    """
    parts = urlsplit(named)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UnusableOptionError(
            "--studies needs a folder, or the address of a DICOMweb store such as http://127.0.0.1:8042/dicom-web; "
            f"found {parts.scheme}://{parts.hostname or ''}."
        )
    if parts.username is not None or parts.query or parts.fragment:
        raise UnusableOptionError(
            "--studies needs an address without a user, a password or a query. Set MONAI_LABEL_DICOMWEB_USERNAME and "
            "MONAI_LABEL_DICOMWEB_PASSWORD."
        )
    return named.rstrip("/")


def studies_folder(named: str) -> Path:
    """The studies folder, made if it does not exist.

    Raises:
        UnusableOptionError: it is a file, or nothing can be written in it.
    """
    folder = Path(named).resolve()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise UnusableOptionError(
            f"--studies needs a folder that can be written, for results and the index; {folder} is none: "
            f"{error.strerror}. Choose another, or copy the cases."
        ) from error
    return folder


def check_address(host: str, port: int) -> None:
    """Refuse an address that cannot be listened at, before it is printed.

    Raises:
        UnusableOptionError: the port is in use or no port, or the host is not an address of this machine.
    """
    try:
        if not 0 < port < 2**16:
            raise OverflowError("a port lies between 1 and 65535")
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as tried:
            tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            tried.bind(address)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UnusableOptionError(
            f"The server needs a free address of this machine; {host}:{port} is none: {reason}. Choose another --port "
            "or --host, or stop the program that uses it."
        ) from error


def chosen_token(args: argparse.Namespace) -> str | None:
    """The token clients must send: the option's, the environment's or a new one; None: let everybody in.

    The token is taken out of ``args``, which MONAI Label may log.
    """
    token, file, is_off = args.token, args.token_file, args.no_token
    args.token = args.token_file = None
    if is_off:
        return None
    if file:
        try:
            token = Path(file).read_text().strip().partition("\n")[0].strip()
        except OSError as error:
            raise UnusableOptionError(f"--token-file needs a readable file; {error.strerror}: {file}.") from error
    token = token if token is not None else os.environ.get(TOKEN_VARIABLE)
    if token is None:
        return secrets.token_urlsafe(24)
    if len(token) < MIN_TOKEN_LENGTH or not token.isascii() or not token.isprintable() or " " in token:
        raise UnusableOptionError(
            f"The token needs at least {MIN_TOKEN_LENGTH} letters, digits or signs without spaces; found {len(token)} "
            "characters. Leave it out to get a new one."
        )
    return token


def _export_settings(args: argparse.Namespace, token: str | None) -> None:
    """Tell the ASGI app, and processes MONAI Label starts, what to serve."""
    if "://" not in args.studies:
        args.studies = str(studies_folder(args.studies))
    settings.MONAI_LABEL_APP_DIR = args.app
    settings.MONAI_LABEL_STUDIES = args.studies
    settings.MONAI_LABEL_SERVER_PORT = args.port
    settings.MONAI_LABEL_APP_CONF = dict(args.conf or [])
    settings.MONAI_LABEL_TRACKING_ENABLED = False
    settings.MONAI_LABEL_SESSIONS = False
    for name, value in settings.model_dump().items():
        if value is not None:
            os.environ[name] = json.dumps(value, default=str) if isinstance(value, list | dict) else str(value)
    os.environ.pop(TOKEN_VARIABLE, None)
    os.environ.pop(NO_TOKEN_VARIABLE, None)
    os.environ.update({NO_TOKEN_VARIABLE: "1"} if token is None else {TOKEN_VARIABLE: token})
    os.environ["LIVERLABEL_HOST"] = args.host
    if args.cors_origin:
        os.environ[ORIGINS_VARIABLE] = ",".join(args.cors_origin)


def _how_to_connect(args: argparse.Namespace, token: str | None) -> str:
    scheme = "https" if args.ssl_keyfile else "http"
    host = "127.0.0.1" if args.host in ("0.0.0.0", "::") else args.host
    address = f"{scheme}://{host}:{args.port}"
    header = "" if token is None else f' -H "Authorization: Bearer {token}"'
    lines = [
        "LiverLabel: a research tool, not a medical device.",
        f"Address  {address}   (answers in a few seconds)",
        f"Studies  {args.studies}",
        "Tasks    pdff: fat fraction, R2* and field maps of a multi-echo MRI study",
        "         fibrotic_nash: its probability from ultrasound, elastography and clinical values",
        "         nafld: the probability of fatty liver from B-mode ultrasound",
        "         liver_roi: the liver's outline in ultrasound and MRI",
        "Token    none asked: every program that reaches this address is let in"
        if token is None
        else f"Token    {token}",
        f"Try      curl{header} {address}/liver/tasks",
        f"Slicer   module Liver Label, address {address}" + ("" if token is None else " and the token"),
    ]
    if not is_loopback(args.host):
        lines.append("Caution  other machines can reach this address" + ("." if token else ", and no token is asked."))
    return "\n".join(lines)


def _log_config(level: str) -> dict:
    """Log to the console only; MONAI Label's own messages hold case ids and paths, so only its warnings are kept."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"plain": {"format": "%(asctime)s %(levelname)s %(name)s: %(message)s"}},
        "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "plain"}},
        "root": {"level": level, "handlers": ["console"]},
        "loggers": {
            "monailabel": {"level": "WARNING"},
            "monailabel.datastore": {"level": "ERROR"},
            "monailabel.utils": {"level": "ERROR"},
            # They name studies and images by their UIDs.
            "dicomweb_client": {"level": "WARNING"},
            "highdicom": {"level": "WARNING"},
        },
    }
