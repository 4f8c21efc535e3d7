"""Module LiverUltrasound: fibrotic NASH from B-mode, elastograms and clinical values; fatty liver from B-mode."""

from __future__ import annotations

import numpy as np
import slicer
import slicer.util
from LiverLabelLib.us_subject import Subject
from LiverLabelWidgets.answer_panel import AnswerPanel
from LiverLabelWidgets.ask_panel import AskPanel
from LiverLabelWidgets.clinical_panel import ClinicalPanel
from LiverLabelWidgets.module_widget import ModuleWidget
from LiverLabelWidgets.outline_panel import addOutlinePanel
from LiverLabelWidgets.swe_panel import SwePanel
from LiverLabelWidgets.viewer_panel import ViewerPanel
from slicer.ScriptedLoadableModule import ScriptedLoadableModule, ScriptedLoadableModuleTest


class LiverUltrasound(ScriptedLoadableModule):
    """What 3D Slicer lists."""

    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        parent.title = "Liver Ultrasound"
        parent.categories = ["Quantification"]
        parent.dependencies = ["LiverLabel"]
        parent.contributors = ["The LiverLabel contributors"]
        parent.helpText = (
            "Shows the ultrasound pictures of a case or of files, asks a LiverLabel server for the probability of "
            "fibrotic NASH or of fatty liver and stores the reader's answer and outline. The weights that come with "
            "LiverLabel were trained on simulated rats and patients only. Research tool, not a medical device. Not for "
            "diagnosis or treatment decisions."
        )
        parent.acknowledgementText = (
            "Fibrotic NASH: ResHy-Net (Xia F et al.). Fatty liver: networks of B-mode frames (Byra M et al.)."
        )


class LiverUltrasoundWidget(ModuleWidget):
    """The window."""

    def build(self, ui, session):
        self.subject = subject = Subject(session)
        viewer = ViewerPanel(ui, session, subject)
        swe, clinical = SwePanel(ui, session, subject), ClinicalPanel(ui, session, subject)
        ask = AskPanel(ui, session, subject, clinical, swe)
        self.outline = addOutlinePanel(ui.outlineCollapsible.layout(), session)
        viewer.onCase()
        return [viewer, swe, clinical, ask, AnswerPanel(ui, session, subject), self.outline]


class LiverUltrasoundTest(ScriptedLoadableModuleTest):
    """Runs in 3D Slicer (Reload and Test) and in the project's tests; no server is needed."""

    def setUp(self):
        slicer.mrmlScene.Clear(0)

    def runTest(self):
        self.setUp()
        self.test_a_picture_of_a_file_is_shown_with_its_size()
        self.setUp()
        self.test_a_value_out_of_range_is_not_sent()
        self.setUp()

    @property
    def widget(self):
        return slicer.modules.liverultrasound.widgetRepresentation().self()

    def openFile(self, name):
        """A grey picture that states no size, as if it was opened from a file."""
        from pathlib import Path

        from LiverLabelLib.picture_files import OpenedFile

        pixels = np.tile(np.arange(120, dtype=np.uint8), (80, 1))
        self.widget.subject.add([OpenedFile(Path(name), [pixels], None, "bmode")])

    def test_a_picture_of_a_file_is_shown_with_its_size(self):
        self.openFile("bmode.png")
        node = self.widget.panels[0].node
        self.assertEqual(node.GetImageData().GetDimensions(), (120, 80, 1))
        self.assertIn("120 x 80 pixels", self.widget.ui.pictureInfoLabel.text)
        self.assertIn("states no size", self.widget.ui.pictureInfoLabel.text)
        self.assertFalse(self.widget.ui.saveAnswerButton.enabled)

    def test_a_value_out_of_range_is_not_sent(self):
        self.openFile("bmode.png")
        clinical = self.widget.panels[2]
        edit = slicer.util.findChild(self.widget.ui.clinicalFrame, "alt_u_per_lLineEdit")
        edit.setText("40")
        self.assertEqual(clinical.values, {"alt_u_per_l": 40.0})
        edit.setText("400000")
        self.assertEqual((clinical.values, clinical.wrong), ({}, ["ALT"]))
