"""The module LiverLabel of 3D Slicer: the server, its cases, annotations that wait, and training."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import slicer
import slicer.util
from LiverLabelLib.case_nodes import nodesOf
from LiverLabelLib.case_opening import FetchedCase, showFetched, unsavedCases
from LiverLabelLib.case_view import imageNode
from LiverLabelLib.nifti import Volume
from LiverLabelLib.segments import labelsFromSegmentation, replaceSegment
from LiverLabelWidgets import app
from LiverLabelWidgets.cases_panel import CasesPanel
from LiverLabelWidgets.connection_panel import ConnectionPanel
from LiverLabelWidgets.disagreements_panel import DisagreementsPanel
from LiverLabelWidgets.module_widget import ModuleWidget
from LiverLabelWidgets.outbox_panel import OutboxPanel
from LiverLabelWidgets.training_panel import TrainingPanel
from slicer.ScriptedLoadableModule import ScriptedLoadableModule, ScriptedLoadableModuleTest


class LiverLabel(ScriptedLoadableModule):
    """What Slicer's list of modules says."""

    def __init__(self, parent):
        super().__init__(parent)
        self.parent.title = "Liver Label"
        self.parent.categories = ["Quantification"]
        self.parent.contributors = ["The LiverLabel contributors"]
        self.parent.helpText = (
            "Connects to a LiverLabel server, opens its cases, asks which case to label next and lets the server learn "
            "from what readers correct. A research tool, not a medical device."
        )
        self.parent.acknowledgementText = "Part of LiverLabel."


class LiverLabelWidget(ModuleWidget):
    """The window."""

    def build(self, ui, session):
        cases = CasesPanel(ui, session)
        return [
            ConnectionPanel(ui, session),
            cases,
            DisagreementsPanel(ui, session, cases.open),
            OutboxPanel(ui, session),
            TrainingPanel(ui, session),
        ]


class LiverLabelTest(ScriptedLoadableModuleTest):
    """Self-tests that need no server."""

    def setUp(self):
        slicer.mrmlScene.Clear(0)

    def runTest(self):
        for test in (self.test_a_case_is_shown_with_its_region, self.test_an_address_without_http_is_explained):
            self.setUp()
            test()
            self.delayDisplay(f"{test.__name__}: passed")

    def test_a_case_is_shown_with_its_region(self):
        """Image and region lie voxel on voxel, and a change of the region is noticed."""
        affine = np.array([[0.0, -2, 0, 10], [1.5, 0, 0, -20], [0, 0, 5, 30], [0, 0, 0, 1]])
        values = np.arange(6 * 5 * 4, dtype=np.float32).reshape(6, 5, 4)
        labels = (values > 60).astype(np.uint8)
        image = SimpleNamespace(name="magnitude", role="magnitude", unit=None, volume=Volume(values, affine))
        images = SimpleNamespace(case_id="self-test", kind="mri", images=(image,))
        self.assertEqual(showFetched(FetchedCase(images, Volume(labels, affine))), "")
        node = imageNode("self-test")
        np.testing.assert_array_equal(slicer.util.arrayFromVolume(node), values.T)
        (segmentation,) = [one for one in nodesOf("self-test") if one.IsA("vtkMRMLSegmentationNode")]
        found, place = labelsFromSegmentation(segmentation, node)
        np.testing.assert_array_equal(found, labels)
        np.testing.assert_allclose(place, affine, atol=1e-4)
        self.assertEqual(unsavedCases(), [])
        replaceSegment(segmentation, "label_1", values > 61, node)
        self.assertEqual(unsavedCases(), ["self-test"])

    def test_an_address_without_http_is_explained(self):
        """The sentence names what is missing and the address that is likely meant; nothing is sent."""
        widget = slicer.modules.liverlabel.widgetRepresentation().self()
        settings, address = app.session().settings, app.session().settings.address
        try:
            widget.ui.addressEdit.setText("127.0.0.1:8000")
            widget.ui.connectButton.click()
            while not widget.ui.useSuggestionButton.visible and widget.panels[0].status.isBusy:
                slicer.app.processEvents()
            self.assertIn("http://", widget.ui.connectionStatusLabel.text)
            self.assertEqual(widget.ui.useSuggestionButton.text, "Use http://127.0.0.1:8000")
        finally:
            settings.address = address
            widget.ui.addressEdit.setText(address)
