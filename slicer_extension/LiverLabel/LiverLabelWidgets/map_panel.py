"""Which map the slice views show, over what, and which voxels are left out as too uncertain."""

from __future__ import annotations

from collections.abc import Callable

import qt
from LiverLabelLib import pdff_scene
from LiverLabelLib.display import LOOKS, lookOf
from LiverLabelLib.errors import LiverLabelError
from LiverLabelLib.pdff_choices import CHOICES, STD_MAPS, has_values
from LiverLabelLib.results import PdffAnswer
from LiverLabelLib.session import CASE

from .echo_panel import Source
from .panel import Panel, say

BACKGROUND_TEXTS = {"water": "Water", "magnitude": "Magnitude image", "fat": "Fat", "none": "Nothing"}
SETTLED_MS = 120
"""How long a slider rests before the views follow."""


class MapPanel(Panel):
    """PDFF and water are shown at once; the other maps join the scene one by one, or when they are chosen."""

    def __init__(self, ui, session):
        super().__init__(ui, session)
        self.answer: PdffAnswer | None = None
        """What is shown."""
        self.source = Source()
        """Of what it is the answer."""
        self.case, self.spectrum = "", ""
        """Under which its nodes are in the scene; which fat spectrum was asked for."""
        self.changed: list[Callable[[], None]] = []
        """Called when the answer, or what is left out as uncertain, changes."""
        self._pending: list[str] = []
        self._limits: dict[str, tuple[bool, float]] = {}
        self._isFilling = False
        self._later, self._settled = qt.QTimer(), qt.QTimer()
        self._later.setInterval(0)
        self._later.connect("timeout()", self._makeNext)
        self._settled.setInterval(SETTLED_MS)
        self._settled.setSingleShot(True)
        self._settled.connect("timeout()", self.showChosen)
        for name, text in BACKGROUND_TEXTS.items():
            ui.backgroundCombo.addItem(text, name)
        ui.opacitySlider.setValue(60)
        ui.mapCombo.connect("currentIndexChanged(int)", self.onMap)
        ui.backgroundCombo.connect("currentIndexChanged(int)", self.onBackground)
        ui.opacitySlider.connect("valueChanged(double)", self.onOpacity)
        ui.hideUncertainBox.connect("toggled(bool)", self.onLimit)
        ui.uncertaintySlider.connect("valueChanged(double)", self.onLimit)
        self.observe(CASE, self.onCase)
        self._fill()

    @property
    def chosen(self) -> str:
        """Name of the chosen map; empty where nothing is measured."""
        return self.ui.mapCombo.itemData(self.ui.mapCombo.currentIndex) or ""

    def showAnswer(self, answer: PdffAnswer, source: Source, spectrum: str) -> None:
        """Show a new answer: PDFF over water, every uncertain voxel too."""
        self.answer, self.source, self.spectrum, self._limits = answer, source, spectrum, {}
        self.case = source.caseId or f"{answer.case_id} (files)"
        self._pending = pdff_scene.showMaps(answer, self.case, opacity=self.ui.opacitySlider.value / 100)
        self._fill()
        self._later.start()
        self._tell()

    def onCase(self) -> None:
        """The scene was closed or another case opened: its maps are gone. The same case again shows them again."""
        if self.answer is None:
            return
        if self.source.caseId and self.source.caseId == self.session.caseId:
            self.showChosen()
        else:
            self._pending, self.answer, self.source, self.case, self._limits = [], None, Source(), "", {}
            self._settled.stop()
            self._fill()
            self._tell()

    def node(self, name: str):
        """The map's volume, made if it is not there yet; None where the answer lacks it."""
        if self.answer is None or name not in self.answer.maps:
            return None
        if name in self._pending:
            self._pending.remove(name)
        return pdff_scene.mapNode(self.case, name) or pdff_scene.makeMap(self.answer, name, self.case)

    def limitOf(self, name: str) -> float | None:
        """Largest standard deviation of a map that is shown and measured, in its unit; None: all are."""
        isOn, value = self._limits.get(name, (False, 0.0))
        return value if isOn else None

    def onMap(self) -> None:
        """Another map was chosen."""
        if not self._isFilling:
            self._fillLimit()
            self.showChosen()

    def onBackground(self) -> None:
        """Another image was chosen to lie under the map."""
        if not self._isFilling:
            self.showChosen()

    def onOpacity(self) -> None:
        """The views follow at once."""
        if self.answer is not None:
            pdff_scene.setOpacity(self.ui.opacitySlider.value / 100)

    def onLimit(self) -> None:
        """What is left out changed; the views follow when the slider rests."""
        if not self._isFilling and self.answer is not None:
            self._limits[self.chosen] = (self.ui.hideUncertainBox.checked, self.ui.uncertaintySlider.value)
            self.ui.uncertaintySlider.setEnabled(self.ui.hideUncertainBox.checked)
            self._settled.start()

    def showChosen(self) -> None:
        """Show the chosen map as it was asked for."""
        self._settled.stop()
        name, notes, share = self.chosen, "", 0.0
        limit = self.limitOf(name)
        try:
            node = self.node(name)
            if node is None:
                notes = (
                    f"The server's answer holds no map of {LOOKS[name].title}. The map before stays." if name else ""
                )
            else:
                background = self.ui.backgroundCombo.itemData(self.ui.backgroundCombo.currentIndex)
                under = pdff_scene.backgroundNode(self.case, background) or self.node(background)
                if under is None and background != "none":
                    notes = f"There is no {BACKGROUND_TEXTS[background].lower()} to lay the map over."
                if limit is not None:
                    self.node(STD_MAPS[name])
                share = pdff_scene.showMap(node, under, self.ui.opacitySlider.value / 100, limit)
                if not self._hasValues(name):
                    notes = f"No voxel has a value of {LOOKS[name].title}: the method does not state it."
        except LiverLabelError as error:
            notes = str(error)
        say(self.ui.mapNoteLabel, notes)
        say(self.ui.hiddenLabel, f"{share:.1%} of the estimated voxels are hidden." if limit is not None else "")
        self._tell()

    def close(self) -> None:
        """The module is taken down."""
        self._later.stop()
        self._settled.stop()
        super().close()

    def _makeNext(self) -> None:
        """Put one more map into the scene; the window works in between."""
        if self.answer is not None and self._pending:
            self.node(self._pending[0])
        if not self._pending:
            self._later.stop()

    def _fill(self) -> None:
        """The maps of the answer, those it lacks said to be missing."""
        self._isFilling = True
        combo = self.ui.mapCombo
        combo.clear()
        for name in CHOICES if self.answer is not None else ():
            missing = "" if name in self.answer.maps else " (not in the answer)"
            combo.addItem(LOOKS[name].title + missing, name)
        self._isFilling = False
        for widget in (combo, self.ui.backgroundCombo, self.ui.opacitySlider):
            widget.setEnabled(self.answer is not None)
        say(self.ui.mapNoteLabel, "")
        say(self.ui.hiddenLabel, "")
        self._fillLimit()

    def _fillLimit(self) -> None:
        """The slider in the unit of the chosen map, or why there is none."""
        self._isFilling = True
        box, slider, name = self.ui.hideUncertainBox, self.ui.uncertaintySlider, self.chosen
        std = STD_MAPS.get(name, "")
        reason = "" if name else "Nothing is measured yet."
        if name and not std:
            reason = f"There is no standard deviation of {LOOKS[name].title}."
        elif name and not self._hasValues(std):
            reason = f"This answer states no standard deviation of {LOOKS[name].title}."
        if not reason:
            look = lookOf(std, self.answer.units[std])
            slider.maximum, slider.singleStep, slider.decimals = look.high, look.high / 100, 1
            box.setText(f"Hide voxels less sure than ({look.unit}):")
            slider.setValue(self._limits.get(name, (False, look.high / 2))[1])
        box.setChecked(not reason and self.limitOf(name) is not None)
        box.setEnabled(not reason)
        box.setToolTip(reason or "Leave out voxels whose standard deviation is larger, in the views and in the table")
        slider.setEnabled(not reason and box.checked)
        self._isFilling = False

    def _hasValues(self, name: str) -> bool:
        return self.answer is not None and has_values(self.answer, name)

    def _tell(self) -> None:
        for call in self.changed:
            call()
