"""The stand-ins refuse what PythonQt refuses, and every module and form is made of what 3D Slicer has."""

import xml.etree.ElementTree as ElementTree

import pytest
import qt
import slicer_gui

FORMS = sorted(slicer_gui.EXTENSION.glob("*/Resources/UI/*.ui"))


def test_properties_are_attributes_and_unknown_ones_are_refused(windows):
    label = qt.QLabel("fat")
    label.setText("water")
    assert (label.text, label.enabled, label.className()) == ("water", True, "QLabel")
    label.name = "waterLabel"
    assert label.objectName == label.name == "waterLabel"
    with pytest.raises(AttributeError):
        label.txet = "fat"
    with pytest.raises(TypeError):
        label.text()


def test_signals_are_checked_and_give_no_more_than_is_taken(windows):
    button, heard = qt.QPushButton("Connect"), []
    button.connect("clicked(bool)", lambda: heard.append("none"))
    button.connect("clicked(bool)", lambda isChecked: heard.append(isChecked))
    button.click()
    assert heard == ["none", False]
    with pytest.raises(ValueError, match="clicked\\(int\\)"):
        button.connect("clicked(int)", lambda: None)
    with pytest.raises(TypeError, match="needs 2"):
        button.connect("clicked(bool)", lambda a, b: None)
    button.disconnect("clicked(bool)")
    button.click()
    assert len(heard) == 2


@pytest.mark.parametrize("path", FORMS, ids=lambda path: path.stem)
def test_a_form_is_made_of_classes_that_slicer_has(windows, path):
    root = ElementTree.parse(path).getroot()
    named = {one.get("name"): one.get("class") for one in root.iter("widget")}
    ui = windows.util.childWidgetVariables(windows.util.loadUI(str(path)))
    assert all(getattr(ui, name).className() == kind for name, kind in list(named.items())[1:])


@pytest.mark.parametrize("name", slicer_gui.MODULES)
def test_a_module_opens_closes_and_leaves_no_shortcut(openModule, windows, name):
    widget = openModule(name)
    widget.exit()
    assert [one for one in windows.util.mainWindow().findChildren(qt.QShortcut) if one.enabled] == []
    widget.enter()
