"""Liver fat and iron from multi-echo MRI: measure, look, outline, table and report."""

import numpy as np
import slicer
import slicer.util
from LiverLabelLib.nifti import Volume
from LiverLabelLib.pdff_choices import QUANTITIES
from LiverLabelLib.results import PdffAnswer
from LiverLabelLib.segments import segmentationFromLabels
from LiverLabelWidgets.echo_panel import EchoPanel, Source
from LiverLabelWidgets.map_panel import MapPanel
from LiverLabelWidgets.module_widget import ModuleWidget
from LiverLabelWidgets.outline_panel import addOutlinePanel
from LiverLabelWidgets.pdff_panel import PdffPanel
from LiverLabelWidgets.roi_table_panel import RoiTablePanel
from slicer.ScriptedLoadableModule import ScriptedLoadableModule, ScriptedLoadableModuleTest


class LiverFat(ScriptedLoadableModule):
    """What Slicer shows of the module."""

    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        parent.title = "Liver Fat (PDFF)"
        parent.categories = ["Quantification"]
        parent.dependencies = ["LiverLabel"]
        parent.contributors = ["The LiverLabel contributors"]
        parent.helpText = (
            "Fat fraction (PDFF) and R2* of the liver from multi-echo MRI, each voxel with its standard deviation, by "
            "a LiverLabel server. Connect in the module LiverLabel first. A research tool, not a medical device."
        )
        parent.acknowledgementText = "Part of LiverLabel."


class LiverFatWidget(ModuleWidget):
    """The window."""

    def build(self, ui, session):
        self.echoes = EchoPanel(ui, session)
        self.maps = MapPanel(ui, session)
        self.pdff = PdffPanel(ui, session, self.echoes, self.maps)
        self.outline = addOutlinePanel(ui.outlineCollapsible.layout(), session)
        self.table = RoiTablePanel(ui, session, self.maps)
        return [self.echoes, self.maps, self.pdff, self.outline, self.table]


class LiverFatTest(ScriptedLoadableModuleTest):
    """Needs no server: a computed answer is shown, measured in a region and written down."""

    CASE = "self-test"

    def runTest(self):
        for test in (self.test_anAnswerIsShownWithItsUnit, self.test_aRegionIsMeasured):
            slicer.mrmlScene.Clear(False)
            test()
        slicer.mrmlScene.Clear(False)

    def test_anAnswerIsShownWithItsUnit(self):
        """PDFF lies over water, and a map that is chosen takes its place."""
        widget = self.shown()
        node = slicer.util.getNode("PDFF")
        self.assertEqual(node.GetAttribute("LiverLabel.unit"), "%")
        self.assertEqual(
            (node.GetDisplayNode().GetWindowLevelMin(), node.GetDisplayNode().GetWindowLevelMax()), (0, 50)
        )
        widget.ui.mapCombo.setCurrentIndex(widget.ui.mapCombo.findData("r2_star_per_s"))
        self.assertEqual(slicer.util.getNode("R2*").GetAttribute("LiverLabel.unit"), "1/s")

    def test_aRegionIsMeasured(self):
        """The table holds the mean that was put in."""
        widget = self.shown()
        labels = np.zeros((8, 7, 3), np.uint8)
        labels[2:5, 2:5, 1] = 1
        node = slicer.util.getNode("PDFF")
        affine = self.affine()
        segmentationFromLabels(labels, affine, node, case=self.CASE, names={1: "Liver"})
        widget.table.measure()
        self.assertEqual(widget.ui.regionTable.item(0, 0).text(), "Liver")
        self.assertEqual(widget.ui.regionTable.item(0, 2).text(), "12.00")

    def shown(self):
        """The module's widget with a computed answer."""
        widget = slicer.modules.liverfat.widgetRepresentation().self()
        shape = (8, 7, 3)
        values = {"pdff_percent": 12.0, "pdff_std_percent": 1.0, "r2_star_per_s": 40.0, "r2_star_std_per_s": 2.0}
        values |= {"water": 88.0, "fat": 12.0}
        volumes = {name: Volume(np.full(shape, value, np.float32), self.affine()) for name, value in values.items()}
        units = dict.fromkeys(QUANTITIES.values(), "percentage points") | {"pdff_percent": "%", "r2_star_per_s": "1/s"}
        units |= {"r2_star_std_per_s": "1/s", "water": "units of the input", "fat": "units of the input"}
        n = int(np.prod(shape))
        answer = PdffAnswer(
            "pdff", self.CASE, True, "", "self-test", volumes, units, (), method="ai_deal", n_voxels=n, n_valid_voxels=n
        )
        widget.maps.showAnswer(answer, Source(caseId=self.CASE), "hamilton_2011")
        return widget

    @staticmethod
    def affine():
        """Oblique and anisotropic, RAS."""
        angle = np.radians(20)
        turned = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
        affine = np.eye(4)
        affine[:3, :3] = turned @ np.diag([1.5, 1.5, 6.0])
        return affine
