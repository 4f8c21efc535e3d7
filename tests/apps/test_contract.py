"""The golden requests and replies of ``tests/contract``: what the server sends is what clients are tested with.

``LIVERLABEL_REGENERATE=1 pytest tests/apps/test_contract.py`` writes them anew from the running server; look at the
difference before committing it.
"""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from client import Reply

CONTRACT = Path(__file__).resolve().parents[1] / "contract"
MACHINE_DEPENDENT = ("version", "sha256")
IS_REGENERATING = os.environ.get("LIVERLABEL_REGENERATE") == "1"


def described(name: str, content: Any) -> dict:
    """A part as the golden file holds it."""
    if isinstance(content, dict):
        return {"name": name, "json": rounded(content)}
    image = nib.Nifti1Image.from_bytes(gzip.decompress(content))
    values = np.asarray(image.dataobj)
    dtype, shape = str(values.dtype), list(values.shape)
    if values.dtype.names:
        dtype, values = "RGB24", values.view(np.uint8)
    finite = values[np.isfinite(values)]
    return {
        "name": name,
        "dtype": dtype,
        "shape": shape,
        "affine": rounded(image.affine.tolist()),
        "n_finite": int(finite.size),
        "median": rounded(float(np.median(finite))),
    }


def rounded(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.4g}")
    if isinstance(value, dict):
        return {key: rounded(item) for key, item in value.items()}
    return [rounded(item) for item in value] if isinstance(value, list) else value


def assert_alike(found: Any, golden: Any, where: str = "reply") -> None:
    """Same keys, same words, numbers within what another machine may differ by."""
    if isinstance(golden, dict):
        assert isinstance(found, dict) and set(found) == set(golden), where
        for key in golden:
            if key not in MACHINE_DEPENDENT:
                assert_alike(found[key], golden[key], f"{where}.{key}")
    elif isinstance(golden, list):
        assert isinstance(found, list) and len(found) == len(golden), where
        for index, (one, other) in enumerate(zip(found, golden, strict=True)):
            assert_alike(one, other, f"{where}[{index}]")
    elif isinstance(golden, float | int) and not isinstance(golden, bool):
        assert found == pytest.approx(golden, rel=0.05, abs=0.5), where
    else:
        assert found == golden, where


def sent(server, request: dict) -> Reply:
    token = None if request.get("without_token") else ""
    return server.call(request["method"], request["path"], request.get("json"), token=token)


def golden(name: str) -> Any:
    return json.loads((CONTRACT / name).read_text("utf-8"))


def write(name: str, value: Any) -> None:
    (CONTRACT / name).write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", "utf-8")


def hold(name: str, found: Any) -> None:
    """Compare with a golden file, or write it anew."""
    if IS_REGENERATING:
        write(name, found)
        pytest.skip("written anew")
    assert_alike(found, golden(name))


def hold_whole(name: str, reply: Reply) -> None:
    """Compare a reply of several parts with ``NAME.reply.json``, or write that and the reply as it came."""
    told = {
        "status": reply.status,
        "content_type": reply.headers["content-type"].partition(";")[0],
        "parts": [described(name, content) for name, content in reply.parts().items()],
    }
    if IS_REGENERATING:
        (CONTRACT / f"{name}.reply.http").write_bytes(
            f"Content-Type: {reply.headers['content-type']}\r\n\r\n".encode() + reply.body
        )
    hold(f"{name}.reply.json", told)


@pytest.mark.parametrize("name", ["pdff", "images.mri"])
def test_the_reply_is_the_golden_one(server, name):
    hold_whole(name, sent(server, golden(f"{name}.request.json")))


@pytest.mark.parametrize("name", ["pdff", "images.mri", "images.ultrasound"])
def test_the_stored_reply_is_what_its_description_says(name):
    head, _, body = (CONTRACT / f"{name}.reply.http").read_bytes().partition(b"\r\n\r\n")
    stored = Reply(200, {"content-type": head.decode().partition(": ")[2]}, body)
    described_parts = [described(name, content) for name, content in stored.parts().items()]
    assert described_parts == golden(f"{name}.reply.json")["parts"]


@pytest.mark.parametrize("index", range(len(golden("refusals.json"))))
def test_each_refusal_is_the_golden_one(server, index):
    refusals = golden("refusals.json")
    reply = sent(server, refusals[index]["request"])
    if IS_REGENERATING:
        refusals[index]["reply"] = {"status": reply.status, "json": reply.json()}
        write("refusals.json", refusals)
        pytest.skip("written anew")
    assert {"status": reply.status, "json": reply.json()} == refusals[index]["reply"]


def test_the_list_of_tasks_is_the_golden_one(server):
    reply = sent(server, {"method": "GET", "path": "/liver/tasks"})
    hold("tasks.reply.json", reply.json())
