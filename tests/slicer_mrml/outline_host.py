"""A host for the outline's panel, a case in the scene, and a server that is none."""

import gzip
import time
from types import SimpleNamespace

import nibabel
import numpy as np
import qt
from conftest import oblique, waitUntil
from LiverLabelLib import case_view
from LiverLabelLib.address import parse_address
from LiverLabelLib.client import Server
from LiverLabelLib.nifti import Volume
from LiverLabelLib.protocol import Progress
from LiverLabelLib.results import RegionAnswer
from LiverLabelLib.roi import toWorld
from LiverLabelLib.segments import replaceSegment
from LiverLabelLib.session import SERVER
from LiverLabelWidgets import app
from LiverLabelWidgets.outline_panel import addOutlinePanel

PICTURE = np.diag((-1.0, -1.0, 1.0, 1.0))
TASKS = ("liver_roi", "liver_roi_clicks")


def opened(shape=(60, 50, 3), affine=None, caseId="c1", kind="mri", isSimulated=False, isColour=False):
    """A case's images, as the client gives them."""
    isPicture = kind == "ultrasound"
    affine = PICTURE if isPicture else oblique() if affine is None else affine
    values = np.zeros((*shape, 3) if isColour else shape, np.uint8 if isPicture else np.float32)
    image = SimpleNamespace(
        name="bmode" if isPicture else "magnitude",
        role="bmode" if isPicture else "magnitude",
        unit=None,
        volume=Volume(values, affine),
        pixel_spacing_mm=(0.4, 0.3) if isPicture else None,
    )
    facts = {"species": None, "is_simulated": isSimulated, "notice": ""}
    return SimpleNamespace(case_id=caseId, kind=kind, images=(image,), **facts)


class Client:
    """Answers as it is told; remembers what was asked and stored."""

    def __init__(self):
        self.address = parse_address("http://127.0.0.1:1")
        self.asked, self.stored = [], []
        self.answer, self.delayS, self.failure, self.refusal = None, 0.0, None, None

    def infer(self, task, case_id, params=None, roi_tag=None, request_id=None, call=None):
        self.asked.append((task, case_id, dict(params or {})))
        answer, end = self.answer, time.monotonic() + self.delayS
        while time.monotonic() < end and not call.cancel.is_cancelled:
            time.sleep(0.005)
        if self.failure is not None:
            raise self.failure
        return answer(dict(params or {})) if callable(answer) else answer

    def progress(self, request_id, call=None):
        return Progress("running", 1, 3)

    def cases(self, call=None):
        return ()

    def save_label(self, case_id, content, file_name, reader="", tag="final", call=None):
        if self.refusal is not None:
            raise self.refusal
        self.stored.append((case_id, content, file_name, reader, tag))


def answered(region, affine, isRefined=False, quality=0.934, discs=None, isSimulated=False):
    """What the server answers with a region."""
    region = np.asarray(region)
    maps = {"liver_roi": Volume(region.astype(np.uint8), affine)}
    if discs is not None:
        maps["measurement_rois"] = Volume(discs.astype(np.uint8), affine)
    return RegionAnswer(
        task="liver_roi",
        case_id="c1",
        is_simulated=isSimulated,
        notice="Research only.",
        model="liver_roi 1",
        maps=maps,
        units={},
        remarks=(),
        kind="mri",
        quality=quality,
        n_pixels=int(region.sum()),
        is_refined=isRefined,
        measurement_rois=() if discs is None else ("right lobe", "left lobe"),
    )


def box(shape, low=(20, 15), high=(40, 35), slab=None):
    region = np.zeros(shape, bool)
    region[low[0] : high[0], low[1] : high[1], slice(None) if slab is None else slab] = True
    return region


class Host:
    """The panel in a window, with a case open."""

    def __init__(self, case=None, tasks=TASKS):
        self.session = app.session()
        self.client = self.session.client = self.session.client or Client()
        offered = tuple(SimpleNamespace(name=name, description="") for name in tasks)
        self.session.server = Server("http://127.0.0.1:1", "0.1.0", offered)
        self.session.settings.reader = "r1"
        self.window = qt.QWidget()
        self.panel = addOutlinePanel(qt.QVBoxLayout(self.window), self.session)
        self.ui, self.outline = self.panel.ui, self.panel.outline
        self.panel.enter()
        self.session.tell(SERVER)
        if case is not None:
            self.open(case)

    def open(self, case):
        self.case = case
        case_view.showCase(case)
        self.session.openCase(case)
        self.image = case_view.imageNode(case.case_id)
        self.affine, self.shape = case.images[0].volume.affine, case.images[0].volume.array.shape[:3]

    def propose(self, region=None, **how):
        region = box(self.shape) if region is None else region
        self.client.answer = answered(region, self.affine, **how)
        self.ui.proposeButton.click()
        return waitUntil(lambda: not self.panel.status.isBusy)

    def idle(self):
        """Wait for clicks to be sent, answered and shown."""
        n = len(self.client.asked)
        waitUntil(lambda: len(self.client.asked) > n and not self.panel.status.isBusy)

    def mask(self):
        return self.outline.mask()

    def paint(self, mask):
        """What an effect of the Segment Editor does, as far as the panel sees it."""
        replaceSegment(self.outline.node, "label_1", mask, self.image)

    def save(self):
        self.ui.saveOutlineButton.click()
        waitUntil(lambda: not self.session.runner.running)

    def clicked(self, name, voxels):
        """Clicks that are placed by code as by the mouse: points are added to the node."""
        node = self.outline.clicks(name)
        self.panel.clicks.follow()
        for voxel in voxels:
            node.AddControlPointWorld(*toWorld([voxel], self.image)[0])

    def close(self):
        self.panel.exit()
        self.panel.close()


def readBack(content):
    """(values, affine) of the bytes that were stored, as nibabel reads them."""
    image = nibabel.Nifti1Image.from_bytes(gzip.decompress(content))
    return np.asarray(image.dataobj), image.affine
