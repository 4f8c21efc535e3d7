"""A phantom's answer and a client that gives it slowly, for the tests of the module LiverFat."""

import threading
import time
from types import SimpleNamespace

import numpy as np
from conftest import oblique
from LiverLabelLib import case_view
from LiverLabelLib.client import Server
from LiverLabelLib.errors import CancelledError
from LiverLabelLib.nifti import Volume
from LiverLabelLib.protocol import Progress, Task
from LiverLabelLib.results import PdffAnswer
from LiverLabelLib.session import SERVER
from LiverLabelWidgets import app

SHAPE, AFFINE = (24, 20, 4), oblique((1.5, 2.0, 6.0))
UNITS = {
    "pdff_percent": "%",
    "pdff_std_percent": "percentage points",
    "r2_star_per_s": "1/s",
    "r2_star_std_per_s": "1/s",
    "field_map_hz": "Hz",
    "field_map_std_hz": "Hz",
    "water": "units of the input",
    "fat": "units of the input",
    "swap_probability": "probability, 0 to 1",
    "valid_mask": "1: estimated, 0: not",
}


def phantom(shape=SHAPE):
    """Maps of a body: PDFF 10 % in its left half and 30 % in its right, sure to 1 and 4 points; NaN outside."""
    x, y, _ = np.meshgrid(*map(np.arange, shape), indexing="ij")
    body = (x > 2) & (x < shape[0] - 3) & (y > 2) & (y < shape[1] - 3)
    left = x < shape[0] // 2
    values = {
        "pdff_percent": np.where(left, 10.0, 30.0),
        "pdff_std_percent": np.where(left, 1.0, 4.0),
        "r2_star_per_s": np.where(left, 40.0, 60.0),
        "r2_star_std_per_s": np.full(shape, 2.0),
        "field_map_hz": np.full(shape, -20.0),
        "field_map_std_hz": np.full(shape, 1.0),
        "water": np.where(left, 90.0, 70.0),
        "fat": np.where(left, 10.0, 30.0),
        "swap_probability": np.full(shape, 0.01),
    }
    maps = {name: np.asfortranarray(np.where(body, one, np.nan).astype(np.float32)) for name, one in values.items()}
    return maps | {"valid_mask": np.asfortranarray(body.astype(np.uint8))}


def answer(case="a", shape=SHAPE, affine=AFFINE, without=(), **fields):
    maps = {name: one for name, one in phantom(shape).items() if name not in without}
    given = {
        "task": "pdff",
        "case_id": case,
        "is_simulated": True,
        "notice": "Not for diagnosis.",
        "model": "ai_deal 0.1.0",
        "maps": {name: Volume(one, affine) for name, one in maps.items()},
        "units": {name: UNITS[name] for name in maps},
        "remarks": ("Three echoes do not determine R2*.",),
        "method": "ai_deal",
        "n_voxels": int(np.prod(shape)),
        "n_valid_voxels": int(phantom(shape)["valid_mask"].sum()),
    }
    return PdffAnswer(**given | fields)


class FakeClient:
    """Answers after ``waitS``, tells three steps, notes what it was asked."""

    address = "http://127.0.0.1:1"

    def __init__(self, waitS=0.2, **fields):
        self.waitS, self.fields = waitS, fields
        self.asked, self.threads = [], set()

    def infer(self, task, caseId, params, roi_tag=None, request_id=None, call=None):
        self.asked.append((task, caseId, params, request_id))
        return self._answer(caseId, call)

    def infer_files(self, task, files, params, roi=None, request_id=None, call=None):
        self.asked.append((task, [(one.name, one.exists()) for one in files], params, request_id))
        return self._answer("upload", call)

    def progress(self, requestId, call=None):
        assert requestId == self.asked[-1][3]
        return Progress("running", 2, 3)

    def _answer(self, case, call):
        self.threads.add(threading.current_thread() is threading.main_thread())
        limit = time.monotonic() + self.waitS
        while time.monotonic() < limit:
            if call.cancel.is_cancelled:
                raise CancelledError("Cancelled. Nothing was changed here.")
            time.sleep(0.005)
        return answer(case, **self.fields)


def openCase(case="a", kind="mri"):
    """As the module LiverLabel does."""
    volume = Volume(np.asfortranarray(np.nan_to_num(phantom()["water"])), AFFINE)
    image = SimpleNamespace(name="magnitude", role="magnitude", unit="", volume=volume, pixel_spacing_mm=None)
    images = SimpleNamespace(
        case_id=case,
        kind=kind,
        is_simulated=True,
        notice="",
        images=(image,) if kind == "mri" else (),
        echo_times_s=(0.0012, 0.0032, 0.0052),
        field_strength_t=1.5,
    )
    case_view.showCase(images)
    app.session().openCase(images)


def connect(client):
    session = app.session()
    session.client = client
    session.server = Server("http://127.0.0.1:1", "0.1.0", (Task("pdff", "", "", ()),))
    session.tell(SERVER)
    return session


def sliceViews(slicer):
    """(background, foreground, opacity of it) of each slice view, names of nodes."""
    found = []
    for view in slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode"):
        ids = (view.GetBackgroundVolumeID(), view.GetForegroundVolumeID())
        names = [slicer.mrmlScene.GetNodeByID(one).GetName() if one else None for one in ids]
        found.append((*names, round(view.GetForegroundOpacity(), 3)))
    return found


def addSliceViews(slicer):
    for name in ("Red", "Green"):
        slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSliceCompositeNode").SetLayoutName(name)
