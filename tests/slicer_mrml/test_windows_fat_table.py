"""The table of regions: it follows the segmentation and the threshold, and is written as CSV and as a page."""

import csv
import io
import time
from html.parser import HTMLParser

import fat_fakes
import numpy as np
import pytest
import qt
import test_windows_fat
from conftest import waitUntil
from fat_fakes import AFFINE, SHAPE, FakeClient, connect
from LiverLabelLib import pdff_scene, segments
from test_windows_fat import choose, measure

fat = test_windows_fat.fat
NASTY = "<b>=1"


@pytest.fixture
def outlined(fat):
    """A measured case with the liver (18 voxels of each half), an empty region and one with a nasty name."""
    measure(fat)
    node = pdff_scene.mapNode("a", "pdff_percent")
    labels = np.zeros(SHAPE, np.uint8)
    labels[9:15, 5:11, 1] = 1
    labels[4:6, 5:8, 2] = 3
    segments.segmentationFromLabels(labels, AFFINE, node, case="a", names={1: "Liver", 2: "Spleen", 3: NASTY})
    waitUntil(lambda: fat.ui.regionTable.rowCount == 2)
    return fat


def cells(widget, row):
    return [widget.ui.regionTable.item(row, column).text() for column in range(8)]


def save(widget, button, path):
    qt.answers.append(str(path))
    button.click()
    waitUntil(lambda: widget.ui.tableStatusLabel.text)


def test_the_table_holds_what_the_maps_hold(outlined):
    voxelMl = abs(np.linalg.det(AFFINE[:3, :3])) / 1000
    # Half the voxels are 10 ± 1 %, half 30 ± 4 %.
    weighted = (10 / 1 + 30 / 16) / (1 + 1 / 16)
    standardError = (18 * (1 + 1 / 16)) ** -0.5
    name, n, mean, weightedText, median, sd, volume, masked = cells(outlined, 0)
    assert (name, n, mean, median, masked) == ("Liver", "36", "20.00", "20.00", "0.0")
    assert weightedText == f"{weighted:.2f} ± {standardError:.2g}"
    assert sd == f"{10 * np.sqrt(36 / 35):.2f}" and volume == f"{36 * voxelMl:.2f}"
    assert cells(outlined, 1)[:3] == [NASTY, "6", "10.00"]
    heads = [outlined.ui.regionTable.horizontalHeaderItem(column).text() for column in range(8)]
    assert "Mean (%)" in heads and "ml" in heads


def test_an_empty_region_is_a_sentence_and_not_the_end_of_the_table(outlined):
    assert "'Spleen' needs at least 1 voxel" in outlined.ui.regionNotesLabel.text
    assert outlined.ui.regionTable.rowCount == 2


def test_r2_star_is_measured_in_its_unit(outlined):
    choose(outlined.ui.quantityCombo, "r2_star_per_s")
    assert cells(outlined, 0)[2] == "50.00"
    assert outlined.ui.regionTable.horizontalHeaderItem(2).text() == "Mean (1/s)"


def test_hiding_uncertain_voxels_changes_the_table(outlined):
    outlined.ui.hideUncertainBox.setChecked(True)
    outlined.ui.uncertaintySlider.setValue(2)
    waitUntil(lambda: cells(outlined, 0)[1] == "18")
    assert cells(outlined, 0)[2] == "10.00" and cells(outlined, 0)[7] == "50.0"
    assert "above 2 percentage points are left out" in outlined.ui.regionNotesLabel.text
    outlined.ui.hideUncertainBox.setChecked(False)
    waitUntil(lambda: cells(outlined, 0)[1] == "36")


def test_the_table_follows_the_segmentation(outlined):
    node, map_ = pdff_scene.regionNodes("a")[0], pdff_scene.mapNode("a", "pdff_percent")
    mask = np.zeros(SHAPE, bool)
    mask[4:6, 4:6, 0] = True
    segments.replaceSegment(node, "label_1", mask, map_)
    waitUntil(lambda: cells(outlined, 0)[1] == "4")
    node.GetSegmentation().GetSegment("label_1").SetName("Left lobe")
    waitUntil(lambda: cells(outlined, 0)[0] == "Left lobe")
    node.GetSegmentation().RemoveSegment("label_1")
    waitUntil(lambda: outlined.ui.regionTable.rowCount == 1)


def test_the_table_follows_regions_that_come_and_go(outlined, windows):
    map_ = pdff_scene.mapNode("a", "pdff_percent")
    discs = np.zeros(SHAPE, np.uint8)
    discs[5:7, 5:7, 1] = 1
    added = segments.segmentationFromLabels(discs, AFFINE, map_, case="a", role="measurement_rois", names={1: "Disc"})
    waitUntil(lambda: outlined.ui.regionTable.rowCount == 3)
    assert cells(outlined, 2)[:2] == ["Disc", "4"]
    windows.mrmlScene.RemoveNode(added)
    waitUntil(lambda: outlined.ui.regionTable.rowCount == 2)


def test_a_closed_panel_observes_nothing(outlined, windows):
    segmentation = pdff_scene.regionNodes("a")[0].GetSegmentation()
    segmentation.GetSegment("label_1").SetName("x")
    assert outlined.table._timer.active
    outlined.table.close()
    segmentation.GetSegment("label_1").SetName("y")
    windows.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    assert not outlined.table._timer.active


def test_a_region_outside_every_estimate_has_no_numbers(outlined):
    node, map_ = pdff_scene.regionNodes("a")[0], pdff_scene.mapNode("a", "pdff_percent")
    mask = np.zeros(SHAPE, bool)
    mask[0, 0, :] = True
    segments.replaceSegment(node, "label_1", mask, map_)
    waitUntil(lambda: cells(outlined, 0)[1] == "0")
    assert cells(outlined, 0)[2:6] == ["–"] * 4 and cells(outlined, 0)[7] == "–"


def test_without_uncertainty_the_mean_has_no_weights(fat):
    connect(FakeClient(without=("pdff_std_percent",)))
    measure(fat)
    labels = np.zeros(SHAPE, np.uint8)
    labels[4:8, 5:8, 1] = 1
    segments.segmentationFromLabels(labels, AFFINE, pdff_scene.mapNode("a", "pdff_percent"), case="a")
    waitUntil(lambda: fat.ui.regionTable.rowCount == 1)
    assert cells(fat, 0)[2:4] == ["10.00", "–"]


def test_without_a_measurement_or_a_region_the_table_says_what_to_do(fat):
    assert "Measure first" in fat.ui.regionNotesLabel.text and not fat.ui.exportReportButton.enabled
    measure(fat)
    waitUntil(lambda: "Outline the liver" in fat.ui.regionNotesLabel.text)
    assert not fat.ui.copyButton.enabled and not fat.ui.exportCsvButton.enabled and fat.ui.exportReportButton.enabled


def test_the_csv_holds_the_table_and_no_formula(outlined, tmp_path):
    save(outlined, outlined.ui.exportCsvButton, tmp_path / "table")
    rows = list(csv.reader(io.StringIO((tmp_path / "table.csv").read_text("utf-8"))))
    assert rows[0][:3] == ["Segment", "Voxels", "PDFF mean (%)"]
    assert [row[:3] for row in rows[1:]] == [["Liver", "36", "20"], [NASTY, "6", "10"]]
    assert outlined.ui.tableStatusLabel.text == "Written: table.csv"
    assert [one.name for one in tmp_path.iterdir()] == ["table.csv"]


def test_the_table_is_copied_with_tabs(outlined):
    outlined.ui.copyButton.click()
    lines = qt.QApplication.clipboard().text().splitlines()
    assert lines[1].split("\t")[:3] == ["Liver", "36", "20"] and outlined.ui.tableStatusLabel.text


def test_a_dialog_that_is_cancelled_writes_nothing(outlined, tmp_path):
    for button in (outlined.ui.exportCsvButton, outlined.ui.exportReportButton):
        button.click()
    time.sleep(0.1)
    waitUntil(lambda: True)
    assert outlined.ui.tableStatusLabel.text == ""


def test_a_file_that_cannot_be_written_is_a_sentence(outlined, tmp_path):
    save(outlined, outlined.ui.exportCsvButton, tmp_path / "missing" / "table.csv")
    assert "'table.csv' cannot be written" in outlined.ui.tableStatusLabel.text
    assert "#b00020" in outlined.ui.tableStatusLabel.styleSheet


class Page(HTMLParser):
    """What a page loads and says."""

    def __init__(self, text):
        super().__init__()
        self.loads, self.tags, self.said = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.loads += [value for name, value in attributes if name in ("src", "href", "data", "action")]

    def handle_data(self, data):
        self.said.append(data)


def test_the_report_is_one_page_that_says_everything_and_loads_nothing(outlined, tmp_path):
    outlined.ui.hideUncertainBox.setChecked(True)
    waitUntil(lambda: cells(outlined, 0)[1] == "36")
    save(outlined, outlined.ui.exportReportButton, tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text("utf-8")
    page = Page(text)
    assert page.loads and all(one.startswith("data:image/png;base64,") for one in page.loads)
    assert "b" not in page.tags and "script" not in page.tags and "://" not in text
    said = " ".join(page.said)
    for part in ("Simulated", "Not for diagnosis.", "not a medical device", "Case a", "AI-DEAL", "ai_deal 0.1.0"):
        assert part in said
    for part in (NASTY, "20.00", "50 %", "0 %", "1.2, 3.2, 5.2 ms", "1.5 T", "Spleen", "slice 2 of 4", "Three echoes"):
        assert part in said


def test_the_chosen_region_is_the_one_that_is_drawn(outlined, tmp_path):
    outlined.ui.regionTable.selectRow(1)
    save(outlined, outlined.ui.exportReportButton, tmp_path / "report")
    assert "slice 3 of 4, outline of &lt;b&gt;=1" in (tmp_path / "report.html").read_text("utf-8")


def test_regions_of_chosen_files_are_those_of_no_case(fat, windows):
    from LiverLabelLib.mr_echoes import Scan
    from LiverLabelWidgets.echo_panel import Source

    source = Source(scan=Scan(None, (), (), (), ()))
    fat.maps.showAnswer(fat_fakes.answer("upload"), source, "hamilton_2011")
    map_ = pdff_scene.mapNode("upload (files)", "pdff_percent")
    labels = np.zeros(SHAPE, np.uint8)
    labels[4:8, 5:8, 1] = 1
    drawn = segments.segmentationFromLabels(labels, AFFINE, map_, case="", names={1: "Drawn"})
    drawn.RemoveAttribute("LiverLabel.case")
    waitUntil(lambda: fat.ui.regionTable.rowCount == 1)
    assert cells(fat, 0)[:3] == ["Drawn", "12", "10.00"]
