"""An open ultrasound case, files and a server's answers as the panels meet them."""

from __future__ import annotations

import threading
import time
from types import SimpleNamespace

import numpy as np
from LiverLabelLib import case_view
from LiverLabelLib.address import parse_address
from LiverLabelLib.client import Server
from LiverLabelLib.clinical_facts import clinical_facts
from LiverLabelLib.geometry import picture_affine
from LiverLabelLib.nifti import Volume
from LiverLabelLib.protocol import Progress, Task
from LiverLabelLib.results import NafldAnswer, NashAnswer
from LiverLabelLib.session import CASES, SERVER

ROWS, COLUMNS = 80, 120
NOTICE = "Research tool, not a medical device. Not for diagnosis or treatment decisions."
VALUES = {"weight_g": 586.4, "alt_u_per_l": 29.86, "ast_u_per_l": 81.21, "ggt_u_per_l": 0.0}


def picture(seed=0, isColour=False):
    """(columns, rows, 1) or with colours, as the server sends it."""
    grey = np.random.default_rng(seed).integers(20, 200, (COLUMNS, ROWS, 1)).astype(np.uint8)
    return Volume(np.repeat(grey[..., None], 3, axis=3) if isColour else grey, picture_affine())


def openedCase(caseId="rat-001", isSimulated=True, spacing=(0.5, 0.25), roles=("bmode", "swe")):
    """As client.images gives it: wider than tall, pixels that are no squares."""
    images = tuple(
        SimpleNamespace(
            name=f"{role}_{k + 1}",
            role=role,
            unit=None,
            volume=picture(k, isColour=role == "swe"),
            pixel_spacing_mm=spacing,
            box=(26, 32, 43, 55) if role == "swe" else None,
            scale=SimpleNamespace(low=0.0, high=20.0, unit="kPa") if role == "swe" else None,
        )
        for k, role in enumerate(roles)
    )
    clinical = tuple(SimpleNamespace(**{**vars(f), "value": VALUES.get(f.name)}) for f in clinical_facts("rat"))
    return SimpleNamespace(
        case_id=caseId,
        kind="ultrasound",
        is_simulated=isSimulated,
        notice=NOTICE,
        species="rat",
        images=images,
        echo_times_s=None,
        field_strength_t=None,
        clinical=clinical,
    )


def openCase(session, images=None):
    """What the module LiverLabel does."""
    images = images or openedCase()
    case_view.showCase(images)
    session.openCase(images)
    return images


def answer(caseId="rat-001", **changed):
    """Not certain, with a map of the B-mode picture's size."""
    values = {
        "task": "fibrotic_nash",
        "case_id": caseId,
        "is_simulated": False,
        "notice": NOTICE,
        "model": "reshy_net 0.1.0",
        "maps": {
            "grad_cam": Volume(
                np.linspace(0, 1, COLUMNS * ROWS, dtype=np.float32).reshape(COLUMNS, ROWS, 1), picture_affine()
            )
        },
        "units": {"grad_cam": "share of the largest"},
        "remarks": (),
        "probability": 0.734,
        "probability_low": 0.412,
        "probability_high": 0.931,
        "threshold": 0.5,
        "is_fibrotic_nash": True,
        "conformal_answers": (True,),
        "is_abstention": False,
        "inputs_used": ("b_mode", "swe", "alt_u_per_l"),
        "inputs_missing": ("tg_mmol_per_l",),
        "contributions": {"b_mode": 0.1, "swe": -0.4, "alt_u_per_l": 1.6},
        "trained_on": "simulated subjects only: 98 patients to learn from",
    }
    return NashAnswer(**{**values, **changed})


def fattyAnswer(caseId="rat-001", **changed):
    """Of fatty liver, from three frames, with both maps; the signed one is against it on the left."""
    ramp = np.linspace(-1, 1, COLUMNS, dtype=np.float32)[:, None, None].repeat(ROWS, axis=1)
    values = {
        "task": "nafld",
        "case_id": caseId,
        "is_simulated": False,
        "notice": NOTICE,
        "model": "nafld 0.1.0",
        "maps": {
            "nafld_grad_cam": Volume(np.abs(ramp), picture_affine()),
            "nafld_gradient_shap": Volume(ramp, picture_affine()),
        },
        "units": {},
        "remarks": (),
        "probability": 0.734,
        "probability_low": 0.412,
        "probability_high": 0.931,
        "threshold": 0.5,
        "conformal_answers": (True,),
        "is_fatty": True,
        "is_calibrated": True,
        "is_trained_on_simulated_data": True,
        "frames": (("place_1", 0.25), ("place_2", 0.5), ("place_3", 1.0)),
        "trained_on": "55 simulated patients",
    }
    return NafldAnswer(**{**values, **changed})


class FakeClient:
    """A server's answers without a server; ``delayS`` makes it slow; ``stored`` may be by task."""

    def __init__(self, result=None, delayS=0.0, stored=None):
        self.address = parse_address("http://127.0.0.1:8000")
        self.result, self.delayS, self.stored = result or answer(), delayS, stored
        self.asked, self.sent, self.saved = [], [], []
        self.sidecars = []
        self.threads = set()

    def _wait(self, call):
        self.threads.add(threading.current_thread())
        until = time.monotonic() + self.delayS
        while time.monotonic() < until:
            call.cancel.check()
            time.sleep(0.005)

    def infer(self, task, case_id, params=None, roi_tag=None, request_id=None, call=None):
        self.asked.append((task, case_id, params, request_id))
        self._wait(call)
        return self.result

    def infer_files(self, task, files, params=None, roi=None, request_id=None, call=None):
        self.sent.append((task, {f.name: f.read_bytes() for f in files}, params, files[0].parent))
        self._wait(call)
        return self.result

    def progress(self, request_id, call=None):
        return Progress("running", 1, 3)

    def class_answer(self, case_id, tag="final", call=None, *, task="fibrotic_nash"):
        self._wait(call)
        return self.stored.get(task) if isinstance(self.stored, dict) else self.stored

    def cases(self, call=None):
        return ()

    def save_label(self, case_id, content, file_name, reader="", tag="final", call=None):
        self._wait(call)
        self.saved.append((case_id, content, file_name, reader, tag))


def connect(session, client=None, tasks=("pdff", "fibrotic_nash")):
    """As if Connect was clicked."""
    session.client = client or FakeClient()
    session.server = Server(str(session.client.address), "0.1.0", tuple(Task(name, "", "", ()) for name in tasks))
    session.tell(SERVER)
    session.tell(CASES)
    return session.client
