"""The module LiverFat: what is measured, how, and what the slice views show of the answer."""

import time

import fat_fakes
import numpy as np
import pytest
import qt
from conftest import shortcutsOf, waitUntil
from fat_fakes import FakeClient, addSliceViews, connect, openCase, sliceViews
from LiverLabelLib import pdff_choices, pdff_scene
from LiverLabelLib.errors import RefusedError
from LiverLabelLib.session import NOT_CONNECTED
from LiverLabelWidgets import app


@pytest.fixture
def fat(openModule, windows):
    """The module's widget with a case open and a client connected."""
    addSliceViews(windows)
    widget = openModule("LiverFat")
    connect(FakeClient())
    openCase()
    return widget


def measure(widget):
    widget.ui.measureButton.click()
    return waitUntil(lambda: not widget.pdff.status.isBusy)


def pause(forS):
    """Let the window work; its longest absence that is the machine's own, in seconds."""
    end = time.monotonic() + forS
    return waitUntil(lambda: time.monotonic() > end)


def choose(combo, name):
    combo.setCurrentIndex(combo.findData(name))
    assert combo.itemData(combo.currentIndex) == name


def test_the_open_case_shows_its_echo_times_and_field(fat):
    assert "3 echoes, 1.5 T" in fat.ui.sourceLabel.text and "Simulated" in fat.ui.sourceLabel.text
    assert [fat.ui.echoTable.item(row, 0).text() for row in range(3)] == ["1.2", "3.2", "5.2"]
    assert fat.ui.echoTable.item(0, 2).text() == "4"


def test_the_result_is_shown_over_water_in_every_slice_view(fat, windows):
    client = connect(FakeClient(0.7)).client
    choose(fat.ui.methodCombo, "graph_cut")
    choose(fat.ui.spectrumCombo, "ren_2008")
    fat.ui.measureButton.click()
    seen = []
    waitUntil(lambda: seen.append(fat.ui.pdffStatusLabel.text) or not fat.pdff.status.isBusy)
    assert any("2 of 3 steps" in text for text in seen)
    task, case, params, _ = client.asked[0]
    assert (task, case, params) == ("pdff", "a", {"method": "graph_cut", "spectrum": "ren_2008"})
    assert client.threads == {False}
    assert sliceViews(windows) == [("Water", "PDFF", 0.6)] * 2
    legend = windows.vtkSlicerColorLogic.GetColorLegendDisplayNode(pdff_scene.mapNode("a", "pdff_percent"))
    assert legend.GetVisibility() and legend.GetTitleText() == "PDFF (%)"
    assert fat.ui.simulatedLabel.text.startswith("Simulated") and not fat.ui.simulatedLabel.isHidden()
    for said in ("ai_deal 0.1.0", "AI-DEAL", "Ren 2008", "1008 of 1920"):
        assert said in fat.ui.resultLabel.text
    assert "Three echoes" in fat.ui.remarksLabel.text and fat.ui.noticeLabel.text == "Not for diagnosis."


def test_every_map_joins_the_scene_with_its_window_and_place(fat):
    measure(fat)
    waitUntil(lambda: all(pdff_scene.mapNode("a", name) for name in fat_fakes.UNITS))
    for name, (low, high) in {"pdff_percent": (0, 50), "r2_star_per_s": (0, 200), "field_map_hz": (-200, 200)}.items():
        node = pdff_scene.mapNode("a", name)
        display = node.GetDisplayNode()
        assert (display.GetWindowLevelMin(), display.GetWindowLevelMax()) == (low, high)
        values, std, affine, unit = pdff_scene.valuesOf(node)
        assert np.array_equal(values, fat_fakes.phantom()[name], equal_nan=True) and unit == fat_fakes.UNITS[name]
        assert np.allclose(affine, fat_fakes.AFFINE)


def test_the_window_answers_while_a_slow_infer_runs(fat):
    connect(FakeClient(1.5))
    idleS = pause(1.0)
    fat.ui.measureButton.click()
    awayS = waitUntil(lambda: fat.pdff.status.isBusy and "2 of 3" in fat.ui.pdffStatusLabel.text)
    print(f"longest time the window did not answer: {1000 * awayS:.0f} ms; without requests {1000 * idleS:.0f} ms")
    assert awayS <= max(0.05, 2 * idleS)
    fat.ui.pdffCancelButton.click()


def test_a_measurement_is_cancelled_by_its_button(fat):
    connect(FakeClient(10))
    fat.ui.measureButton.click()
    start = time.monotonic()
    fat.ui.pdffCancelButton.click()
    waitUntil(lambda: not fat.pdff.status.isBusy)
    assert time.monotonic() - start < 0.5 and "Cancelled" in fat.ui.pdffStatusLabel.text
    assert fat.maps.answer is None and fat.ui.resultLabel.text == "Nothing is measured yet."


def test_an_answer_for_a_case_that_is_not_open_any_more_is_dropped(fat, windows):
    fat.ui.measureButton.click()
    openCase("b")
    waitUntil(lambda: not fat.pdff.status.isBusy)
    assert "case 'a' is done and not shown" in fat.ui.pdffStatusLabel.text
    assert fat.maps.answer is None and pdff_scene.mapNode("a", "pdff_percent") is None
    assert sliceViews(windows)[0][0] == "b magnitude"


def test_another_case_takes_the_result_away(fat):
    measure(fat)
    openCase("b")
    assert fat.maps.answer is None and fat.ui.resultLabel.text == "Nothing is measured yet."
    assert fat.ui.simulatedLabel.isHidden() and fat.ui.mapCombo.count == 0 and not fat.ui.mapCombo.enabled


def test_the_same_case_opened_again_shows_its_maps_again(fat, windows):
    measure(fat)
    openCase("a")
    assert sliceViews(windows) == [("Water", "PDFF", 0.6)] * 2 and fat.ui.simulatedLabel.text


def test_a_scene_closed_while_measuring_leaves_nothing(fat, windows):
    fat.ui.measureButton.click()
    windows.mrmlScene.Clear(False)
    assert not fat.pdff.status.isBusy and fat.ui.pdffStatusLabel.text == ""
    pause(0.4)
    assert fat.maps.answer is None and windows.mrmlScene.GetNumberOfNodesByClass("vtkMRMLScalarVolumeNode") == 0
    assert not fat.ui.measureButton.enabled and "Open an MRI case" in fat.ui.measureButton.toolTip


def test_a_scene_closed_while_the_maps_are_made_stops_that(fat, windows):
    measure(fat)
    windows.mrmlScene.Clear(False)
    pause(0.3)
    assert windows.mrmlScene.GetNumberOfNodesByClass("vtkMRMLScalarVolumeNode") == 0
    assert fat.ui.regionTable.rowCount == 0


def test_the_servers_refusal_is_shown_as_it_is(fat, monkeypatch):
    def refuse(*_, **__):
        raise RefusedError(422, "PDFF needs at least 3 echoes; this study has 2. Export every echo.")

    monkeypatch.setattr(FakeClient, "infer", refuse)
    measure(fat)
    assert fat.ui.pdffStatusLabel.text == "PDFF needs at least 3 echoes; this study has 2. Export every echo."
    assert fat.ui.measureButton.enabled


def test_what_cannot_be_measured_is_greyed_out_with_the_reason(openModule, windows):
    widget = openModule("LiverFat")
    assert not widget.ui.measureButton.enabled and widget.ui.measureButton.toolTip == NOT_CONNECTED
    connect(FakeClient())
    assert "Open an MRI case" in widget.ui.measureButton.toolTip
    openCase("u", kind="ultrasound")
    assert not widget.ui.measureButton.enabled and "'u' is ultrasound" in widget.ui.measureButton.toolTip
    openCase("a")
    assert widget.ui.measureButton.enabled and "Ctrl+Return" in widget.ui.measureButton.toolTip


def test_the_shortcut_measures_while_the_module_is_open(fat, windows):
    (shortcut,) = shortcutsOf("Ctrl+Return")
    shortcut.activated.emit()
    assert fat.pdff.status.isBusy
    waitUntil(lambda: not fat.pdff.status.isBusy)


def test_a_chosen_map_and_image_replace_the_former(fat, windows):
    measure(fat)
    for name, title in (("r2_star_per_s", "R2*"), ("swap_probability", "Probability of a swap"), ("water", "Water")):
        choose(fat.ui.mapCombo, name)
        shown = sliceViews(windows)[0]
        # Water over water is water.
        assert shown[:2] == ((title, None) if name == "water" else ("Water", title))
    choose(fat.ui.mapCombo, "pdff_percent")
    for background, title in (("magnitude", "a magnitude"), ("fat", "Fat")):
        choose(fat.ui.backgroundCombo, background)
        assert sliceViews(windows)[0][:2] == (title, "PDFF")
    choose(fat.ui.backgroundCombo, "none")
    assert sliceViews(windows)[0][:2] == ("PDFF", None)
    choose(fat.ui.backgroundCombo, "water")
    fat.ui.opacitySlider.setValue(25)
    assert sliceViews(windows) == [("Water", "PDFF", 0.25)] * 2


def test_uncertain_voxels_are_hidden_in_the_unit_of_the_map(fat, windows):
    measure(fat)
    assert not fat.ui.hideUncertainBox.checked and fat.ui.hideUncertainBox.enabled
    assert not fat.ui.uncertaintySlider.enabled and fat.ui.hiddenLabel.text == ""
    assert "(percentage points)" in fat.ui.hideUncertainBox.text and fat.ui.uncertaintySlider.maximum == 10
    fat.ui.hideUncertainBox.setChecked(True)
    fat.ui.uncertaintySlider.setValue(2)
    waitUntil(lambda: fat.ui.hiddenLabel.text)
    pdff = fat_fakes.phantom()["pdff_percent"]
    share = (pdff[np.isfinite(pdff)] == 30).mean()
    assert fat.ui.hiddenLabel.text == f"{share:.1%} of the estimated voxels are hidden."
    shown = pdff_scene.mapNode("a", "pdff_percent.shown")
    assert np.nanmax(pdff_scene.valuesOf(shown)[0]) == 10 and sliceViews(windows)[0][1] == shown.GetName()
    # Each map has a threshold of its own.
    choose(fat.ui.mapCombo, "r2_star_per_s")
    assert not fat.ui.hideUncertainBox.checked and "(1/s)" in fat.ui.hideUncertainBox.text
    choose(fat.ui.mapCombo, "pdff_percent")
    assert fat.ui.hideUncertainBox.checked and fat.ui.uncertaintySlider.value == 2
    fat.ui.hideUncertainBox.setChecked(False)
    waitUntil(lambda: sliceViews(windows)[0][1] == "PDFF")
    assert fat.ui.hiddenLabel.text == ""


def test_a_new_answer_shows_uncertain_voxels_again(fat, windows):
    measure(fat)
    fat.ui.hideUncertainBox.setChecked(True)
    waitUntil(lambda: fat.ui.hiddenLabel.text)
    measure(fat)
    assert not fat.ui.hideUncertainBox.checked and sliceViews(windows)[0][1] == "PDFF"
    assert pdff_scene.mapNode("a", "pdff_percent.shown") is None


def test_a_missing_map_is_said_and_leaves_the_former_one(fat, windows):
    connect(FakeClient(without=("r2_star_per_s", "water", "pdff_std_percent")))
    measure(fat)
    assert sliceViews(windows) == [("a magnitude", "PDFF", 0.6)] * 2
    assert not fat.ui.hideUncertainBox.enabled and "states no standard deviation" in fat.ui.hideUncertainBox.toolTip
    assert "(not in the answer)" in fat.ui.mapCombo.itemText(fat.ui.mapCombo.findData("r2_star_per_s"))
    choose(fat.ui.mapCombo, "r2_star_per_s")
    assert "holds no map of R2*" in fat.ui.mapNoteLabel.text and sliceViews(windows)[0][1] == "PDFF"


def test_a_map_without_any_value_is_said_to_hold_none(fat, monkeypatch):
    def nothing(shape=fat_fakes.SHAPE):
        made = phantom(shape)
        return made | {n: np.full_like(made[n], np.nan) for n in ("swap_probability", "pdff_std_percent")}

    phantom = fat_fakes.phantom
    monkeypatch.setattr(fat_fakes, "phantom", nothing)
    measure(fat)
    assert not fat.ui.hideUncertainBox.enabled
    choose(fat.ui.mapCombo, "swap_probability")
    assert "No voxel has a value" in fat.ui.mapNoteLabel.text


def test_a_map_that_the_reader_deleted_comes_back_when_it_is_chosen(fat, windows):
    measure(fat)
    waitUntil(lambda: pdff_scene.mapNode("a", "valid_mask"))
    windows.mrmlScene.RemoveNode(pdff_scene.mapNode("a", "r2_star_per_s"))
    choose(fat.ui.mapCombo, "r2_star_per_s")
    assert sliceViews(windows)[0][1] == "R2*"


def test_chosen_files_are_read_sent_and_shown(fat, windows, tmp_path):
    from mr_files import writeEchoes

    writeEchoes(tmp_path / "scan", times=(1.2, 3.2, 5.2), nSlices=2)
    qt.answers.append(str(tmp_path / "scan"))
    fat.ui.chooseFolderButton.click()
    waitUntil(lambda: not fat.echoes.status.isBusy)
    assert "6 chosen files" in fat.ui.sourceLabel.text and fat.ui.echoTable.rowCount == 3
    assert [fat.ui.echoTable.item(1, column).text() for column in range(3)] == ["3.2", "magnitude", "2"]
    measure(fat)
    sent = app.session().client.asked[0][1]
    # The same names in several folders go into an archive, which is there while it is sent.
    assert sent == [("scan.zip", True)]
    assert pdff_scene.mapNode("upload (files)", "pdff_percent") is not None
    fat.ui.clearFilesButton.click()
    assert "Open case 'a'" in fat.ui.sourceLabel.text


def test_chosen_files_that_are_no_scan_say_so(fat, tmp_path):
    (tmp_path / "letter.txt").write_text("no image")
    qt.answers.append([str(tmp_path / "letter.txt")])
    fat.ui.chooseFilesButton.click()
    waitUntil(lambda: not fat.echoes.status.isBusy)
    assert "none of the files is one" in fat.ui.echoProblemsLabel.text
    assert not fat.ui.measureButton.enabled and "none of the files is one" in fat.ui.measureButton.toolTip
    assert "'letter.txt'" in fat.ui.echoRemarksLabel.text


def test_reading_many_headers_leaves_the_window_free_and_is_cancelled(fat, monkeypatch):
    from LiverLabelWidgets import echo_panel

    def slow(chosen, report, isCancelled):
        for number in range(400):
            if isCancelled():
                raise echo_panel_cancelled
            report(number, 400)
            time.sleep(0.01)

    from LiverLabelLib.errors import CancelledError

    echo_panel_cancelled = CancelledError("Cancelled. Nothing was read.")
    monkeypatch.setattr(echo_panel, "read_scan", slow)
    idleS = pause(0.5)
    fat.echoes.read(["anything"])
    awayS = waitUntil(lambda: "of 400 files" in fat.ui.echoStatusLabel.text)
    assert awayS <= max(0.05, 2 * idleS)
    fat.ui.echoCancelButton.click()
    waitUntil(lambda: not fat.echoes.status.isBusy)
    assert "Cancelled" in fat.ui.echoStatusLabel.text and fat.echoes.scan is None


def test_forty_slices_are_shown_within_a_second(fat, windows, record_property):
    large = fat_fakes.answer(shape=(256, 256, 40))
    start = time.monotonic()
    fat.maps.showAnswer(large, fat.echoes.source, "hamilton_2011")
    shownS = time.monotonic() - start
    awayS = waitUntil(lambda: pdff_scene.mapNode("a", "valid_mask"), 30)
    allS = time.monotonic() - start
    record_property("forty_slices_pdff_shown_s", shownS)
    record_property("forty_slices_all_maps_shown_s", allS)
    record_property("forty_slices_longest_pause_s", awayS)
    start = time.monotonic()
    fat.ui.hideUncertainBox.setChecked(True)
    fat.maps.showChosen()
    record_property("forty_slices_uncertain_hidden_s", time.monotonic() - start)
    assert sliceViews(windows)[0][0] == "Water" and allS < 5


def test_the_modules_own_tests_pass(fat):
    import LiverFat

    LiverFat.LiverFatTest().runTest()


def test_methods_and_maps_have_texts(fat):
    assert [fat.ui.methodCombo.itemData(i) for i in range(fat.ui.methodCombo.count)] == list(pdff_choices.METHODS)
    assert set(pdff_choices.CHOICES) | {"valid_mask"} == set(fat_fakes.UNITS)
