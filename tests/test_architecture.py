"""Who may import whom, read from the source: DESIGN's rooms, as a test."""

import ast
import os
import re
import sys
from importlib import metadata
from pathlib import Path

import pytest

import liver_models

LIBRARY = Path(liver_models.__file__).parent
FOUNDATION = {"", "units", "errors", "weights"}
SHARED = {"io", "learning", "reports"}
MAY_IMPORT = {
    **{name: FOUNDATION for name in FOUNDATION},
    "io": FOUNDATION | {"io"},
    "learning": FOUNDATION | {"learning"},
    "reports": FOUNDATION | {"io", "reports"},
    "mri": FOUNDATION | SHARED | {"mri"},
    "ultrasound": FOUNDATION | SHARED | {"ultrasound"},
    "synthesis": FOUNDATION | SHARED | {"mri", "ultrasound", "synthesis"},
    "segmentation": FOUNDATION | SHARED | {"mri", "ultrasound", "segmentation"},
}
"""Room -> rooms it may use; rooms not named here (the command line) may use all."""
NOT_IN_THE_LIBRARY = ("monailabel", "fastapi", "starlette", "uvicorn", "slicer", "liver_apps")
EXTENSION = Path(__file__).resolve().parents[1] / "slicer_extension"
SHIPPED_WITH_SLICER = {
    "slicer",
    "vtk",
    "qt",
    "ctk",
    "pydicom",
    "itk",
    "SimpleITK",
    "numpy",
    "LiverLabelLib",
    "LiverLabelWidgets",
}
WITHOUT_SLICER = {"numpy", "LiverLabelLib"}
FACING_SLICER = {
    "case_nodes.py",
    "case_opening.py",
    "case_view.py",
    "display.py",
    "mrml_io.py",
    *(f"outline_{part}.py" for part in ("history", "marks", "save", "scene", "segments")),
    "pdff_scene.py",
    "picture_files.py",
    "picture_view.py",
    "roi.py",
    "segments.py",
}
"""Files of LiverLabelLib that know Slicer; no other one does."""
EXTENSION_FILES = sorted(EXTENSION.rglob("*.py"))
FILES = sorted(LIBRARY.rglob("*.py"))


def room_of(path: Path) -> str:
    return path.relative_to(LIBRARY).with_suffix("").parts[0].replace("__init__", "")


def imported(path: Path):
    """Absolute names of everything a file imports, wherever in the file."""
    package = ("liver_models", *path.relative_to(LIBRARY).parts[:-1])
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join((*base, *([node.module] if node.module else [])))
            yield from (f"{module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(LIBRARY)))
def test_a_file_imports_only_what_its_room_may(path):
    allowed = MAY_IMPORT.get(room_of(path))
    for name in imported(path):
        root, _, rest = name.partition(".")
        assert root not in NOT_IN_THE_LIBRARY, f"{path.name} imports {name}: the library knows nothing of servers"
        if root == "liver_models" and allowed is not None:
            used = rest.split(".")[0]
            room = used if (LIBRARY / used).is_dir() or (LIBRARY / f"{used}.py").is_file() else ""
            assert room in allowed, f"{path.relative_to(LIBRARY)} may not import {name}"


@pytest.mark.skipif(os.environ.get("LIVERLABEL_TEST_WHEEL") != "1", reason="the wheel is tested by make test")
def test_what_the_library_imports_is_what_its_package_requires():
    distributions = metadata.packages_distributions()
    # h5py is asked for only by MATLAB files of version 7.3, with a sentence where it is missing.
    lines = [line for line in metadata.requires("liverlabel") if "extra" not in line or '"matlab"' in line]
    required = {re.split(r"[^\w-]", line)[0].lower() for line in lines}
    used = {name.split(".")[0] for path in FILES for name in imported(path)} - set(sys.stdlib_module_names)
    for package in used - {"liver_models", "__future__"}:
        owners = {name.lower() for name in distributions.get(package, [package])}
        assert owners & required, f"liver_models imports {package}; setup.py does not require it"


def test_the_rule_sees_relative_and_late_imports(tmp_path):
    assert any(name == "liver_models.io.study.MultiEchoStudy" for name in imported(LIBRARY / "mri" / "phantom.py"))
    assert any(name.startswith("liver_models.mri.pdff_report") for name in imported(LIBRARY / "mri" / "pdff_files.py"))


def test_every_room_has_a_rule_or_is_a_recipe():
    rooms = {room_of(path) for path in FILES}
    assert rooms - set(MAY_IMPORT) <= {"__main__", "commands"}


def roots(path: Path) -> set[str]:
    """First names of what a file outside the library imports absolutely."""
    nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    plain = {alias.name.split(".")[0] for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    return plain | {n.module.split(".")[0] for n in nodes if isinstance(n, ast.ImportFrom) and not n.level}


@pytest.mark.parametrize("path", EXTENSION_FILES, ids=lambda path: path.name)
def test_the_extension_imports_only_what_slicer_ships(path):
    own = {file.stem for file in EXTENSION_FILES}
    assert roots(path) - set(sys.stdlib_module_names) - own <= SHIPPED_WITH_SLICER
    if path.parent.name == "LiverLabelLib" and path.name not in FACING_SLICER:
        more = {"pydicom"} if path.name in ("us_dicom.py", "us_pixels.py", "mr_headers.py") else set()
        assert roots(path) - set(sys.stdlib_module_names) <= WITHOUT_SLICER | more, f"{path.name} works without Slicer"
    if path.parent.name == "LiverLabelLib":
        assert not roots(path) & {"qt", "ctk", "LiverLabelWidgets"}, f"{path.name} works without windows"
