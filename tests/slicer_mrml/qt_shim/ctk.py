"""The few CTK widgets that the extension uses, with the properties and signals of the real ones."""

from PySide6 import QtCore, QtWidgets
from PySide6.QtCore import Property, Signal


class ctkCollapsibleButton(QtWidgets.QWidget):
    """A heading that shows or hides what is under it.

    The real one hides its children and shows again those that were not hidden by themselves; this one covers them.
    """

    contentsCollapsed = Signal(bool)
    _HEADING_PX = 26

    def __init__(self, parent=None):
        super().__init__(parent)
        self._text, self._isCollapsed = "", False
        self._heading = QtWidgets.QToolButton(self)
        self._heading.setToolButtonStyle(QtCore.Qt.ToolButtonTextBesideIcon)
        self._heading.setStyleSheet(
            "QToolButton { font-weight: bold; border: none; background: #d8dde3; padding: 3px; }"
        )
        self._heading.setCheckable(True)
        QtCore.QObject.connect(self._heading, QtCore.SIGNAL("clicked()"), self._toggle)
        self.setContentsMargins(0, self._HEADING_PX, 0, 0)
        self._show()

    def resizeEvent(self, event):
        self._heading.setGeometry(0, 0, event.size().width(), self._HEADING_PX)

    def _toggle(self):
        self._setCollapsed(not self._isCollapsed)

    def _getText(self):
        return self._text

    def _setText(self, value):
        self._text = value
        self._show()

    def _getCollapsed(self):
        return self._isCollapsed

    def _setCollapsed(self, value):
        self._isCollapsed = value
        self.setMaximumHeight(self._HEADING_PX if value else 16777215)
        self._show()
        self.contentsCollapsed.emit(value)

    def _show(self):
        self._heading.setArrowType(QtCore.Qt.RightArrow if self._isCollapsed else QtCore.Qt.DownArrow)
        self._heading.setText(self._text)

    def setText(self, text):
        self._setText(text)

    def setCollapsed(self, isCollapsed):
        self._setCollapsed(isCollapsed)

    text = Property(str, _getText, _setText)
    collapsed = Property(bool, _getCollapsed, _setCollapsed)


class ctkSliderWidget(QtWidgets.QWidget):
    """A slider with a spin box for a number with decimals."""

    valueChanged = Signal(float)

    def __init__(self, parent=None):
        super().__init__(parent)
        layout = QtWidgets.QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        self._slider = QtWidgets.QSlider(QtCore.Qt.Horizontal)
        self._box = QtWidgets.QDoubleSpinBox()
        layout.addWidget(self._slider)
        layout.addWidget(self._box)
        self._slider.setMaximum(1000)
        QtCore.QObject.connect(self._box, QtCore.SIGNAL("valueChanged(double)"), self._onBox)
        QtCore.QObject.connect(self._slider, QtCore.SIGNAL("sliderMoved(int)"), self._onSlider)

    def _onBox(self, value):
        low, high = self._box.minimum, self._box.maximum
        self._slider.setValue(round(1000 * (value - low) / (high - low)) if high > low else 0)
        self.valueChanged.emit(value)

    def _onSlider(self, step):
        self._box.setValue(self._box.minimum + step / 1000 * (self._box.maximum - self._box.minimum))

    def setValue(self, value):
        self._box.setValue(value)

    value = Property(float, lambda self: self._box.value, lambda self, value: self._box.setValue(value))
    minimum = Property(float, lambda self: self._box.minimum, lambda self, value: self._box.setMinimum(value))
    maximum = Property(float, lambda self: self._box.maximum, lambda self, value: self._box.setMaximum(value))
    singleStep = Property(float, lambda self: self._box.singleStep, lambda self, value: self._box.setSingleStep(value))
    decimals = Property(int, lambda self: self._box.decimals, lambda self, value: self._box.setDecimals(value))
    suffix = Property(str, lambda self: self._box.suffix, lambda self, value: self._box.setSuffix(value))


WIDGETS = {"ctkCollapsibleButton": ctkCollapsibleButton, "ctkSliderWidget": ctkSliderWidget}
