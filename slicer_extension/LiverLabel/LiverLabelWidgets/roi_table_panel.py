"""What each region of the case holds of fat or iron, as a table, as CSV and as a report."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import qt
import slicer
import vtk
from LiverLabelLib import pdff_scene
from LiverLabelLib.display import COLOURS, LOOKS, MapLook, lookOf
from LiverLabelLib.errors import LiverLabelError, UnsuitableInputError
from LiverLabelLib.pdff_choices import QUANTITIES, result_facts
from LiverLabelLib.report import Report, report_html, row_cells, write_whole
from LiverLabelLib.roi import Observers
from LiverLabelLib.slice_picture import colour_bar, middle_slice, slice_axis, slice_picture
from LiverLabelLib.stats import SegmentRow, segment_table, table_csv

from .echo_panel import fill
from .map_panel import MapPanel
from .panel import Panel
from .status_line import ERROR_STYLE

SETTLED_MS = 250
"""How long the segmentation rests before it is measured again."""
HEADS = ("Region", "Voxels", "Mean ({})", "Weighted ± SE ({})", "Median ({})", "SD ({})", "ml", "Masked %")
_CHANGES = ("SegmentModified", "SegmentAdded", "SegmentRemoved", "SourceRepresentationModified")


@dataclass(frozen=True, eq=False)
class Measured:
    """What the table shows, and what its report needs."""

    look: MapLook
    """Title and unit of the quantity."""
    rows: tuple[SegmentRow, ...] = ()
    """Of segments that hold something."""
    masks: tuple[np.ndarray, ...] = ()
    """Of the rows, shape (x, y, z)."""
    notes: tuple[str, ...] = ()
    """Sentences on the others."""
    values: np.ndarray | None = None
    """The map; NaN also where a voxel is too uncertain."""
    affine: np.ndarray | None = None
    """Of the map."""


class RoiTablePanel(Panel):
    """Follows the map, the threshold and the segmentation.

    Args:
        ui, session: As of every panel.
        maps: What is measured.
    """

    def __init__(self, ui, session, maps: MapPanel):
        super().__init__(ui, session)
        self._maps = maps
        self._ofRegions = Observers()
        self._isMeasuring = False
        self.measured = Measured(LOOKS["pdff_percent"])
        self._timer = qt.QTimer()
        self._timer.setInterval(SETTLED_MS)
        self._timer.setSingleShot(True)
        self._timer.connect("timeout()", self.measure)
        for name in QUANTITIES:
            ui.quantityCombo.addItem(LOOKS[name].title, name)
        ui.quantityCombo.connect("currentIndexChanged(int)", self.measure)
        ui.copyButton.connect("clicked(bool)", self.onCopy)
        ui.exportCsvButton.connect("clicked(bool)", self.onExportCsv)
        ui.exportReportButton.connect("clicked(bool)", self.onExportReport)
        scene = slicer.mrmlScene
        for event in (scene.NodeAddedEvent, scene.NodeRemovedEvent):
            self.observers.add(scene, event, self.onNode)
        maps.changed.append(self.later)
        self.measure()

    def later(self) -> None:
        """Measure again when nothing changes any more."""
        if not self._isMeasuring:
            self._timer.start()

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def onNode(self, caller, event, node) -> None:
        """A segmentation came or went."""
        if node is not None and node.IsA("vtkMRMLSegmentationNode"):
            self.later()

    def measure(self) -> None:
        """Fill the table."""
        self._timer.stop()
        self._isMeasuring = True  # Masks are taken by way of a node that comes and goes.
        try:
            self.measured = self._measured()
        except LiverLabelError as error:
            self.measured = Measured(self.measured.look, notes=(str(error),))
        finally:
            self._isMeasuring = False
        self._observeRegions()
        look, table = self.measured.look, self.ui.regionTable
        for column, head in enumerate(HEADS):
            table.horizontalHeaderItem(column).setText(head.format(look.unit))
        fill(table, [row_cells(row) for row in self.measured.rows])
        self.ui.regionNotesLabel.setText("\n".join(self.measured.notes))
        self.ui.regionNotesLabel.setVisible(bool(self.measured.notes))
        for button in (self.ui.copyButton, self.ui.exportCsvButton):
            button.setEnabled(bool(self.measured.rows))
        self.ui.exportReportButton.setEnabled(self.measured.values is not None)
        self._say("")

    def onCopy(self) -> None:
        """The table for a spreadsheet, with tabs."""
        qt.QApplication.clipboard().setText(self._csv("\t"))
        self._say("The table is copied.")

    def onExportCsv(self) -> None:
        """The table as a file."""
        self.measure()
        self._write("Export the table", ".csv", "CSV (*.csv)", self._csv())

    def onExportReport(self) -> None:
        """The page."""
        self.measure()
        if self.measured.values is not None:
            self._write("Export a report", ".html", "Web page (*.html)", self._report())

    def close(self) -> None:
        """The module is taken down."""
        self._timer.stop()
        self._ofRegions.removeAll()
        super().close()

    def _measured(self) -> Measured:
        name = self.ui.quantityCombo.itemData(self.ui.quantityCombo.currentIndex)
        look = LOOKS[name]
        node = self._maps.node(name)
        if node is None:
            why = "The table needs a measurement" if self._maps.answer is None else "The answer holds no such map"
            return Measured(look, notes=(f"{why}. Measure first.",))
        self._maps.node(QUANTITIES[name])
        values, std, affine, unit = pdff_scene.valuesOf(node)
        look, limit = lookOf(name, unit), None if std is None else self._maps.limitOf(name)
        rows, masks, notes = [], [], []
        found = pdff_scene.regions(self._maps.case, node, isStored=bool(self._maps.source.caseId))
        for segment, mask in found:
            try:
                rows += segment_table(values, std, {segment: mask}, affine, limit)
                masks.append(mask)
            except UnsuitableInputError as error:
                notes.append(str(error))
        if not found:
            notes.append("There are no regions. Outline the liver, or propose and place regions.")
        if limit is not None:
            deviation = lookOf(QUANTITIES[name], self._maps.answer.units[QUANTITIES[name]])
            notes.append(f"Voxels with a standard deviation above {limit:g} {deviation.unit} are left out.")
            with np.errstate(invalid="ignore"):
                values = np.where(std <= limit, values, np.nan)
        return Measured(look, tuple(rows), tuple(masks), tuple(notes), values, affine)

    def _observeRegions(self) -> None:
        self._ofRegions.removeAll()
        if self._maps.case:
            for node in pdff_scene.regionNodes(self._maps.case, isStored=bool(self._maps.source.caseId)):
                segmentation = node.GetSegmentation()
                for change in _CHANGES:
                    self._ofRegions.add(segmentation, getattr(segmentation, change), lambda *_: self.later())

    def _csv(self, separator: str = ",") -> str:
        return table_csv(self.measured.rows, self.measured.look.title, self.measured.look.unit, separator)

    def _report(self) -> str:
        measured, answer = self.measured, self._maps.answer
        look, axis = measured.look, slice_axis(measured.affine)
        chosen = max(self.ui.regionTable.currentRow(), 0)
        mask = measured.masks[chosen] if measured.rows else None
        index = measured.values.shape[axis] // 2 if mask is None else middle_slice(mask, axis)
        region = "" if mask is None else f", outline of {measured.rows[chosen].name}"
        colours = COLOURS[look.colours]
        ticks = np.linspace(look.high, look.low, look.nLabels)
        opened = self.session.opened
        facts = result_facts(answer, self._maps.spectrum)
        if self._maps.source.caseId and opened is not None and opened.echo_times_s:
            facts["Echo times"] = ", ".join(f"{1000 * one:g}" for one in opened.echo_times_s) + " ms"
        if self._maps.source.caseId and opened is not None and opened.field_strength_t:
            facts["Field strength"] = f"{opened.field_strength_t:g} T"
        facts["Written"] = time.strftime("%Y-%m-%d %H:%M")
        return report_html(
            Report(
                title="Liver fat" if look.title == "PDFF" else f"Liver {look.title}",
                case_id=self._maps.source.caseId,
                is_simulated=answer.is_simulated,
                notice=answer.notice,
                facts=facts,
                quantity=look.title,
                unit=look.unit,
                rows=measured.rows,
                remarks=(*measured.notes, *answer.remarks),
                picture=slice_picture(measured.values, measured.affine, index, (look.low, look.high), colours, mask),
                caption=f"{look.title} in {look.unit}, slice {index + 1} of {measured.values.shape[axis]}{region}. "
                "Dark grey: no estimate, or left out.",
                bar=colour_bar(colours),
                ticks=[f"{tick:.{look.decimals}f} {look.unit}" for tick in ticks],
            )
        )

    def _path(self, title: str, end: str, kinds: str) -> Path | None:
        name = (self._maps.source.caseId or "scan") + f" {self.measured.look.title}".replace("*", "star") + end
        chosen = qt.QFileDialog.getSaveFileName(None, title, name, kinds)
        return None if not chosen else Path(chosen if chosen.lower().endswith(end) else chosen + end)

    def _write(self, title: str, end: str, kinds: str, content: str) -> None:
        """Ask where, and write what was shown then, off the window's thread; a closed scene does not end it."""
        path = self._path(title, end, kinds)
        if path is None:
            return
        self.session.runner.start(
            "export",
            lambda job: write_whole(path, content),
            lambda _: self._say(f"Written: {path.name}"),
            lambda error: self._say(str(error), isError=True),
            is_exclusive=False,
            is_of_scene=False,
        )

    def _say(self, sentence: str, isError: bool = False) -> None:
        self.ui.tableStatusLabel.setStyleSheet(ERROR_STYLE if isError else "")
        self.ui.tableStatusLabel.setText(sentence)
        self.ui.tableStatusLabel.setVisible(bool(sentence))
