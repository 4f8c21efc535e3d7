"""PySide6 with the ways of PythonQt, so that the extension's windows run without 3D Slicer's.

What PythonQt does and PySide6 does not: properties are attributes (``label.text``), ``connect("clicked(bool)", f)``
with as many arguments as ``f`` takes. What would fail there fails here: a signal that the class has not, an attribute
that is no property of a C++ object.
"""

from __future__ import annotations

import inspect

from PySide6 import QtCore, QtGui, QtWidgets

_plain = object.__getattribute__
_properties: dict[type, frozenset[str]] = {}
# A class in Python would be asked for its size hint by the property itself, without end.
_METHODS = {"property", "setProperty", "metaObject", "connect", "disconnect", "children", "inherits", "sizeHint"}


def propertiesOf(widget) -> frozenset[str]:
    """Names of the Qt properties of an object's class."""
    if type(widget) not in _properties:
        meta = QtCore.QObject.metaObject(widget)
        names = {meta.property(index).name() for index in range(meta.propertyCount())}
        _properties[type(widget)] = frozenset(names - _METHODS)
    return _properties[type(widget)]


def _get(self, name):
    if name[:1] == "_" or name in _METHODS:
        return _plain(self, name)
    if name == "name":
        return QtCore.QObject.objectName.__get__(self)()
    if name in propertiesOf(self):
        return QtCore.QObject.property(self, name)
    return _plain(self, name)


def _set(self, name, value):
    if name == "name":
        name = "objectName"
    if name[:1] != "_" and name in propertiesOf(self):
        if not QtCore.QObject.setProperty(self, name, value):
            raise ValueError(f"'{name}' of {type(self).__name__} does not take {value!r}")
    elif _isPythonClass(type(self)):
        descriptor = inspect.getattr_static(type(self), name, None)
        if hasattr(descriptor, "__set__"):
            descriptor.__set__(self, value)
        else:
            self.__dict__[name] = value
    elif isinstance(value, QtCore.QObject) and value.objectName == name:
        return  # PySide's loader of forms puts each child at its parent; PythonQt's does not.
    else:
        raise AttributeError(f"PythonQt knows no property '{name}' of {type(self).__name__}")


def _isPythonClass(kind: type) -> bool:
    return not kind.__module__.startswith("PySide6")


def connect(self, signal: str, receiver, slot: str | None = None):
    """PythonQt's ``sender.connect("signal(types)", callable)``."""
    if slot is not None:
        raise TypeError("Connect to a callable; this extension uses no connections by name")
    signal = bytes(QtCore.QMetaObject.normalizedSignature(signal).data()).decode()
    if self.metaObject().indexOfSignal(signal) < 0:
        raise ValueError(f"{type(self).__name__} has no signal '{signal}'")
    nArguments = len([part for part in signal[signal.index("(") + 1 : -1].split(",") if part])
    taken = _taken(receiver, nArguments)

    def call(*arguments):
        receiver(*arguments[:taken])

    # As many parameters as the signal has: PySide gives a callable no more than it asks for.
    names = ", ".join(f"a{index}" for index in range(nArguments))
    asked = eval(f"lambda {names}: call({names})", {"call": call})
    connections = self.__dict__.setdefault("_pythonQtConnections", [])
    connections.append((signal, receiver, QtCore.QObject.connect(self, QtCore.SIGNAL(signal), asked), asked))
    return True


def _taken(receiver, nArguments: int) -> int:
    try:
        parameters = inspect.signature(receiver).parameters.values()
    except (TypeError, ValueError):
        return nArguments
    if any(one.kind is one.VAR_POSITIONAL for one in parameters):
        return nArguments
    positional = [one for one in parameters if one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)]
    needed = [one for one in positional if one.default is one.empty]
    if len(needed) > nArguments:
        raise TypeError(f"{receiver} needs {len(needed)} arguments; the signal has {nArguments}")
    return min(len(positional), nArguments)


def disconnect(self, signal: str | None = None, receiver=None):
    connections = self.__dict__.get("_pythonQtConnections", [])
    if signal is not None:
        signal = bytes(QtCore.QMetaObject.normalizedSignature(signal).data()).decode()
    for one in list(connections):
        if signal in (None, one[0]) and receiver in (None, one[1]):
            QtCore.QObject.disconnect(one[2])
            connections.remove(one)
    return True


def _className(self) -> str:
    return QtCore.QObject.metaObject(self).className()


def install() -> None:
    """Patch PySide6 once."""
    if QtCore.QObject.__dict__.get("className") is _className:
        return
    modules = (QtCore, QtGui, QtWidgets)
    kinds = [getattr(module, name) for module in modules for name in dir(module) if name[:1] == "Q"]
    kinds = [kind for kind in kinds if isinstance(kind, type) and issubclass(kind, QtCore.QObject)]
    QtCore.QObject.className = _className
    QtCore.QObject.__getattribute__ = _get
    for kind in kinds:
        kind.__setattr__ = _set
        # QObject's own connect is still what does the work.
        if kind is not QtCore.QObject:
            kind.connect, kind.disconnect = connect, disconnect
