"""A server that answers at once or late, in place of a client, and the cases it has."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
from conftest import oblique
from LiverLabelLib.case_images import CaseImage, CaseImages
from LiverLabelLib.client import Server
from LiverLabelLib.errors import RefusedError
from LiverLabelLib.nifti import Volume
from LiverLabelLib.protocol import (
    Case,
    CurvePoint,
    Disagreement,
    NextCase,
    Scoring,
    StoredLabel,
    Task,
    Training,
)
from LiverLabelLib.session import CASES, SERVER
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest

ADDRESS = "http://127.0.0.1:8000"
SHAPE, AFFINE = (12, 10, 3), oblique()
CASES_LISTED = (
    Case("abdomen-01", "case", True, ("pdff_percent", "r2_star_per_s"), ("final",)),
    Case("abdomen-02", "case", True, (), ()),
    Case("rat-07", "case", False, (), ("final",)),
    Case("frame-3", "image", None, (), ()),
)
METRIC = "Dice of validation patients"


def region(shape) -> np.ndarray:
    labels = np.zeros(shape, np.uint8)
    labels[2:7, 3:8] = 1
    return labels


def mri(caseId: str) -> CaseImages:
    values = np.arange(np.prod(SHAPE), dtype=np.float32).reshape(SHAPE)
    image = CaseImage("magnitude", "magnitude", None, Volume(values, AFFINE), None, None, None)
    notice = "Simulated images. Not for diagnosis."
    return CaseImages(caseId, "mri", True, notice, None, (image,), (0.0012, 0.0024), 1.5, ())


def ultrasound(caseId: str) -> CaseImages:
    pixels = np.arange(16 * 9, dtype=np.uint8).reshape(16, 9, 1)
    image = CaseImage("bmode_0", "bmode", None, Volume(pixels, np.eye(4)), (0.4, 0.3), None, None)
    return CaseImages(caseId, "ultrasound", False, "", "rat", (image,), None, None, ())


def point(stage, epoch, loss, metric, etaS=None) -> CurvePoint:
    return CurvePoint(stage, epoch, 4, loss, metric, METRIC, etaS)


CURVE = (
    point("adaptation", 1, 0.9, 0.61),
    point("adaptation", 2, 0.5, 0.82),
    point("adaptation", 3, 0.42, 0.88),
    point("adaptation", 4, 0.40, 0.91),
)
IDLE = Training("liver_roi", "idle", "", False, None, (), 0, (0,))
RUNNING = Training("liver_roi", "running", "Two of four epochs.", False, point("adaptation", 2, 0.5, 0.82, 130.0),
                   CURVE[:2], 0, (0,))  # fmt: skip
DONE = Training("liver_roi", "done", "Better on held-out patients: published.", False, None, CURVE, 1, (0, 1))


class FakeClient:
    """Takes what a client takes; ``calls`` holds what was asked, ``late`` how many seconds each answer takes."""

    def __init__(self, address=ADDRESS):
        self.address = address
        self.listed = CASES_LISTED
        self.late: dict[str, float] = {}
        self.failing: dict[str, Exception] = {}
        self.calls: list[tuple] = []
        self.next = NextCase("abdomen-02", "Chosen by 'default' of 30 scored cases.", 12, 30)
        self.state, self.scores = IDLE, Scoring("idle", 0, 0, "")
        self.differing = (
            Disagreement("abdomen-01", "region", True, {}, (("anna", "ben", 0.25),), ()),
            Disagreement("rat-07", "answer", False, {"anna": True, "ben": False}, (), ()),
        )

    def _answer(self, name, answer, *told, call=None):
        self.calls.append((name, *told))
        limit = time.monotonic() + self.late.get(told[0] if told and told[0] in self.late else name, 0.0)
        while time.monotonic() < limit:
            time.sleep(0.005)
        if name in self.failing:
            raise self.failing[name]
        return answer

    def cases(self, call=None):
        return self._answer("cases", self.listed)

    def images(self, caseId, call=None):
        return self._answer("images", (ultrasound if caseId.startswith("rat") else mri)(caseId), caseId)

    def labels(self, caseId, call=None):
        listed = next((one for one in self.listed if one.id == caseId), None)
        stored = (StoredLabel("final", "region", "anna", "2026-01-31T12:00:00Z"),)
        return self._answer("labels", stored if listed and "final" in listed.labels else (), caseId)

    def label_volume(self, caseId, tag="final", call=None):
        isRat = caseId.startswith("rat")
        volume = Volume(region((16, 9, 1)), np.eye(4)) if isRat else Volume(region(SHAPE), AFFINE)
        return self._answer("label_volume", volume, caseId, tag)

    def next_case(self, task, strategy="default", seed=None, call=None):
        return self._answer("next_case", self.next, task, strategy)

    def reopen(self, caseId, tag="final", call=None):
        self.listed = tuple(replace(one, labels=()) if one.id == caseId else one for one in self.listed)
        return self._answer("reopen", (f"{caseId}.nii.gz",), caseId)

    def disagreements(self, tag="final", call=None):
        return self._answer("disagreements", self.differing, tag)

    def save_label(self, caseId, content, fileName, reader="", tag="final", call=None):
        if caseId == "refused":
            raise RefusedError(422, "A region of this case's matrix is needed; found another. Draw it again.")
        return self._answer("save_label", None, caseId, fileName, reader)

    def training(self, task, call=None):
        return self._answer("training", replace(self.state, task=task), task)

    def start_training(self, task, options=None, call=None):
        self.state = RUNNING
        return self._answer("start_training", replace(RUNNING, task=task), task, options)

    def stop_training(self, task, call=None):
        self.state = replace(RUNNING, state="stopped", message="Stopped.", can_resume=True)
        return self._answer("stop_training", self.state, task)

    def roll_back_training(self, task, version=None, call=None):
        self.state = replace(self.state, version=0, message="Version 0 is in use again.")
        return self._answer("roll_back_training", self.state, task)

    def scoring(self, task, call=None):
        return self._answer("scoring", self.scores, task)

    def start_scoring(self, task, call=None):
        self.scores = Scoring("running", 3, 30, "Scoring with version 1.")
        return self._answer("start_scoring", self.scores, task)

    def asked(self, name) -> list[tuple]:
        return [told for called, *told in self.calls if called == name]


def connectTo(session, client=None, tasks=("pdff", "fibrotic_nash", "liver_roi")) -> FakeClient:
    """Let the session be connected to a fake."""
    client = client or FakeClient()
    session.client = client
    session.server = Server(str(client.address), "0.1.0", tuple(Task(name, "", "", ()) for name in tasks))
    session.cases = client.listed
    session.tell(SERVER)
    session.tell(CASES)
    return client


def doubleClick(table, row: int) -> None:
    """As with the mouse."""
    place = table.visualItemRect(table.item(row, 0)).center()
    QTest.mouseClick(table.viewport(), Qt.LeftButton, Qt.NoModifier, place)
    QTest.mouseDClick(table.viewport(), Qt.LeftButton, Qt.NoModifier, place)


def pressEnter(edit) -> None:
    """As with the keyboard: what was typed is taken."""
    QTest.keyClick(edit, Qt.Key_Return)
