"""A table of clinical values and answers, CSV or Excel, one line a subject, with units in the headers."""

from __future__ import annotations

import csv
import difflib
import io
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

from ..errors import UnsuitableInputError
from .class_label import ANSWER_FIELDS, TASKS, parse_yes_no
from .clinical import CLINICAL_COLUMNS, SPECIES, ClinicalColumn, check_ranges
from .files import read_bytes

_SUBJECT = ("subject_id", "subject", "case_id", "case", "visit_id")
_PATIENT = ("patient_id", "patient", "animal_id", "animal", "rat_id")
_TASK_NAMES = {**{task: task for task in TASKS}, "fatty": "nafld", "fatty_liver": "nafld"}
"""What an answer's column is called -> its task."""
_MISSING = ("", "na", "n/a", "nan", "none", "null", "-", "missing")
_UNITS = {
    "u/l": "U/L",
    "iu/l": "U/L",
    "ukat/l": "µkat/L",
    "µkat/l": "µkat/L",
    "μkat/l": "µkat/L",
    "mmol/l": "mmol/L",
    "mg/dl": "mg/dL",
    "g": "g",
    "kg": "kg",
    "%": "%",
}
_HEADER = re.compile(r"^(?P<name>.*?)\s*(?:\((?P<round>[^()]*)\)|\[(?P<square>[^\[\]]*)\])$")
_ENOUGH_TO_BE_A_COPY = 5
"""Two subjects that agree in so many measured values are one animal."""


@dataclass(frozen=True)
class ClinicalRecord:
    """One line of the table."""

    subject_id: str
    """Of the visit: the name of its folder, and its case id."""
    patient_id: str
    """What every split groups by."""
    values: Mapping[str, float]
    """By canonical name with unit; what is missing is not in it."""
    is_fibrotic_nash: bool | None = None
    """The known answer; None: not known."""
    is_fatty: bool | None = None
    """Whether the liver is known to be fatty (NAFLD); None: not known."""


@dataclass(frozen=True)
class ClinicalTable:
    """What a table holds, and what it does not."""

    name: str
    """Of the file."""
    species: str | None
    """Whose ranges were checked; None: nobody's."""
    records: Mapping[str, ClinicalRecord]
    """By subject id, in the order of the table."""
    columns: tuple[str, ...]
    """Canonical names of the clinical values it has a column for."""
    missing: Mapping[str, tuple[str, ...]]
    """Subject id -> canonical names that its line leaves empty, only of subjects with any. Nothing is filled in."""
    unused: tuple[str, ...] = ()
    """Headers that mean nothing here."""

    def summary(self) -> str:
        """What is missing and unused, as sentences for the user."""
        said = [f"{self.name}: {len(self.records)} subjects, {len(self.columns)} clinical values."]
        for column in self.columns:
            subjects = [subject for subject, names in self.missing.items() if column in names]
            if subjects:
                more = f" and {len(subjects) - 5} more" if len(subjects) > 5 else ""
                said.append(f"{column} is missing of {', '.join(subjects[:5])}{more}; it was not filled in.")
        if self.unused:
            said.append(f"Not used: {', '.join(self.unused)}.")
        return " ".join(said)


def read_clinical_table(path: Path | str, species: str | None, *, mapping: Path | str | None = None) -> ClinicalTable:
    """Read a table of clinical values.

    Args:
        path: ``.csv`` (comma, semicolon or tab; UTF-8) or ``.xlsx`` (its first sheet). The first line holds the
            headers: ``subject_id`` and ``patient_id`` (one of them may be left out), answers as ``fibrotic_nash`` and
            ``nafld`` (or ``fatty``), and values as ``ALT (U/L)``, ``CHOL [mg/dL]``, ``cholesterol mg/dL``, ``AST/ALT``
            or canonical names (``weight_g``).
        species: One of :data:`~.clinical.SPECIES`; decides the ranges. None, for a table of answers: none are checked.
        mapping: JSON object, the table's headers -> headers as above.
    Raises:
        UnsuitableInputError: no table, no ids, a quantity without its unit, a value out of range, contradictory lines,
        an unknown answer.
    """
    path = Path(path)
    if species is not None and species not in SPECIES:
        raise UnsuitableInputError(
            f"Clinical values need the species, {' or '.join(SPECIES)}, for their ranges; found {species!r}. State it."
        )
    rows = _rows(path)
    if len(rows) < 2:
        raise UnsuitableInputError(
            f"A clinical table needs a line of headers and one a subject; '{path.name}' has {len(rows)} lines."
        )
    headers = [str(header).strip() for header in rows[0]]
    meanings = [_meaning(text) for text in _renamed(headers, mapping)]
    _check_meanings(headers, meanings, path.name)
    found: dict[str, tuple[str, dict[int, float], dict[str, bool]]] = {}
    for number, row in enumerate(rows[1:], start=2):
        row = [*row, *[""] * (len(headers) - len(row))]
        if len(row) > len(headers):
            raise UnsuitableInputError(
                f"Every line of a clinical table needs {len(headers)} cells; line {number} of '{path.name}' has "
                f"{len(row)}. Write decimals with a point, or quote them."
            )
        line = _line(row, headers, meanings, f"line {number} of '{path.name}'")
        subject = line[0]
        if subject in found and found[subject] != line[1:]:
            raise UnsuitableInputError(
                f"A subject needs one line in a clinical table; '{subject}' has two in '{path.name}' that contradict "
                "each other. Keep the right one, or give each visit its own subject_id."
            )
        found[subject] = line[1:]
    for index, (header, meaning) in enumerate(zip(headers, meanings, strict=True)):
        if isinstance(meaning, tuple) and species is not None:
            values = [(subject, line[1][index]) for subject, line in found.items() if index in line[1]]
            check_ranges(*meaning, header, values, species)
    return _table(path.name, species, headers, meanings, found)


def _table(name, species, headers, meanings, found) -> ClinicalTable:
    columns = {index: meaning for index, meaning in enumerate(meanings) if isinstance(meaning, tuple)}
    records, missing = {}, {}
    for subject, (patient, numbers, answers) in found.items():
        values = {columns[i][0].name: n * columns[i][0].to_canonical[columns[i][1]] for i, n in numbers.items()}
        records[subject] = ClinicalRecord(
            subject, patient, values, **{ANSWER_FIELDS[task]: answer for task, answer in answers.items()}
        )
        absent = tuple(columns[index][0].name for index in columns if index not in numbers)
        if absent:
            missing[subject] = absent
    _check_copies(records.values(), name)
    unused = tuple(h for h, meaning in zip(headers, meanings, strict=True) if meaning is None and h)
    return ClinicalTable(name, species, records, tuple(c.name for c, _ in columns.values()), missing, unused)


def _check_copies(records, name: str) -> None:
    for one, other in combinations(records, 2):
        is_long = len(one.values) >= _ENOUGH_TO_BE_A_COPY
        if is_long and one.values == other.values and one.patient_id != other.patient_id:
            raise UnsuitableInputError(
                f"A patient needs one patient_id; '{one.patient_id}' and '{other.patient_id}' in '{name}' agree in all "
                f"{len(one.values)} values. Give both the same patient_id, or remove one."
            )


def _renamed(headers: Sequence[str], mapping: Path | str | None) -> list[str]:
    if mapping is None:
        return list(headers)
    path = Path(mapping)
    try:
        names = json.loads(read_bytes(path).decode("utf-8"))
    except ValueError as error:
        raise UnsuitableInputError(f"A mapping of headers needs to be JSON; '{path.name}' is not.") from error
    if not isinstance(names, dict) or not all(isinstance(value, str) for value in names.values()):
        raise UnsuitableInputError(
            f'A mapping of headers needs the form {{"Alanin": "ALT (U/L)"}}; \'{path.name}\' has another.'
        )
    unknown = sorted(set(names) - set(headers))
    if unknown:
        raise UnsuitableInputError(
            f"A mapping needs the headers of the table, {', '.join(headers)}; '{path.name}' has {', '.join(unknown)}."
        )
    return [names.get(header, header) for header in headers]


def _meaning(header: str) -> str | tuple[ClinicalColumn, str] | None:
    """``subject``, ``patient``, a task, (quantity, unit), or None: not known."""
    plain = re.sub(r"\s+", "_", header.strip().lower())
    if plain in _SUBJECT:
        return "subject"
    if plain in _PATIENT:
        return "patient"
    if plain in _TASK_NAMES:
        return _TASK_NAMES[plain]
    if plain in CLINICAL_COLUMNS:
        return CLINICAL_COLUMNS[plain], CLINICAL_COLUMNS[plain].unit
    name, unit = _split(header.strip())
    key = re.sub(r"\s+", "", name.lower())
    column = next((column for column in CLINICAL_COLUMNS.values() if key in column.aliases), None)
    if column is None:
        _check_typo(header, plain, key)
        return None
    if unit is None:
        if "" in column.to_canonical:
            return column, ""
        raise UnsuitableInputError(
            f"Column '{header}' needs its unit in the header, such as '{name} ({column.unit})'; units known are "
            f"{', '.join(column.to_canonical)}."
        )
    known = _UNITS.get(unit.lower().replace(" ", ""), "" if unit in ("", "1", "ratio") else unit)
    if known not in column.to_canonical:
        raise UnsuitableInputError(
            f"Column '{header}' needs one of the units {', '.join(u or 'none' for u in column.to_canonical)}; found "
            f"'{unit}'. Convert the numbers."
        )
    return column, known


def _split(header: str) -> tuple[str, str | None]:
    match = _HEADER.match(header)
    if match:
        return match["name"], match["round"] if match["round"] is not None else match["square"]
    name, _, last = header.rpartition(" ")
    if name and last.lower() in _UNITS:
        return name, last
    return header, None


def _check_typo(header: str, plain: str, key: str) -> None:
    named = {alias: column.name for column in CLINICAL_COLUMNS.values() for alias in column.aliases if len(alias) > 3}
    known = {**named, **{name: name for name in (*_TASK_NAMES, *_SUBJECT, *_PATIENT)}}
    close = difflib.get_close_matches(plain, known, 1, 0.85) or difflib.get_close_matches(key, known, 1, 0.85)
    if close:
        raise UnsuitableInputError(
            f"Column '{header}' of a clinical table is not known. Did you mean '{close[0]}'? Correct or rename it."
        )


def _check_meanings(headers, meanings, name: str) -> None:
    if not {"subject", "patient"} & {meaning for meaning in meanings if isinstance(meaning, str)}:
        raise UnsuitableInputError(
            f"A clinical table needs a column patient_id; '{name}' has {', '.join(headers)}. Every split goes by it."
        )
    seen: dict[str, str] = {}
    for header, meaning in zip(headers, meanings, strict=True):
        key = meaning[0].name if isinstance(meaning, tuple) else meaning
        if key is not None and key in seen:
            raise UnsuitableInputError(
                f"A clinical table needs each quantity once; '{name}' has '{seen[key]}' and '{header}'. Remove one."
            )
        seen[key] = header


def _line(row, headers, meanings, where: str) -> tuple[str, str, dict[int, float], dict[str, bool]]:
    """(subject, patient, column index -> number, task -> answer) of one line."""
    ids: dict[str, str] = {}
    numbers, answers = {}, {}
    for index, (cell, header, meaning) in enumerate(zip(row, headers, meanings, strict=True)):
        text = _text(cell)
        if meaning in ("subject", "patient"):
            ids[meaning] = text
        elif text.lower() in _MISSING:
            continue
        elif meaning in TASKS:
            answers[meaning] = parse_yes_no(text, f"Column '{header}', {where},")
        elif isinstance(meaning, tuple):
            numbers[index] = _number(text, header, where)
    for meaning, text in ids.items():
        if not text:
            raise UnsuitableInputError(f"Every line of a clinical table needs its {meaning}_id; {where} has none.")
    subject = ids.get("subject", ids.get("patient"))
    return subject, ids.get("patient", subject), numbers, answers


def _text(cell: object) -> str:
    """A cell as text; a whole number of a spreadsheet without its decimals."""
    if cell is None:
        return ""
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    return str(cell).strip()


def _number(text: str, header: str, where: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise UnsuitableInputError(
            f"Column '{header}' needs numbers with a decimal point; {where} has '{text}'. Write the number, or leave "
            "it empty where it was not measured."
        )
    return number


def _rows(path: Path) -> list[list[object]]:
    """The lines that are not empty."""
    data = read_bytes(path)
    if path.suffix.lower() == ".xlsx":
        rows = _sheet(data, path.name)
    elif path.suffix.lower() in (".csv", ".tsv", ".txt"):
        rows = _text_rows(data, path.name)
    else:
        raise UnsuitableInputError(f"A clinical table needs to be .csv or .xlsx; found '{path.name}'. Save it as one.")
    return [row for row in rows if any(_text(cell) for cell in row)]


def _text_rows(data: bytes, name: str) -> list[list[str]]:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UnsuitableInputError(
            f"A clinical table needs to be text in UTF-8; '{name}' is not. Save it as CSV UTF-8."
        ) from error
    if "\0" in text:
        raise UnsuitableInputError(f"A clinical table needs to be text; '{name}' is not. Save it as CSV UTF-8.")
    first = text.partition("\n")[0]
    delimiter = max(",;\t", key=first.count)
    return [list(row) for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)]


def _sheet(data: bytes, name: str) -> list[list[object]]:
    try:
        import openpyxl
    except ImportError as error:
        raise UnsuitableInputError(
            f"An Excel table needs the package openpyxl; it is not installed. Install it or save '{name}' as CSV."
        ) from error
    try:
        book = openpyxl.load_workbook(io.BytesIO(data), read_only=True, data_only=True)
        rows = [list(row) for row in book.worksheets[0].iter_rows(values_only=True)]
    except Exception as error:  # A damaged archive makes openpyxl raise whatever its XML reader meets.
        raise UnsuitableInputError(
            f"A whole Excel file (.xlsx) is needed; '{name}' is cut short, damaged or another kind. Save it as CSV."
        ) from error
    width = max((len(row) for row in rows), default=0)
    while width and all(_text(row[width - 1]) == "" for row in rows if len(row) >= width):
        width -= 1
    return [row[:width] for row in rows]
