"""A clinical table is read in its own units, or refused with the reason."""

import json

import openpyxl
import pytest

from liver_models.errors import UnsuitableInputError
from liver_models.io.clinical import CLINICAL_COLUMNS, CLINICAL_FEATURES, clinical_values
from liver_models.io.clinical_table import read_clinical_table

IDS = "subject_id,patient_id"


def _table(tmp_path, header, *lines, name="clinical.csv"):
    path = tmp_path / name
    path.write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
    return path


def _value(tmp_path, header, number, species="rat"):
    """The canonical values of a table with one quantity."""
    (record,) = read_clinical_table(_table(tmp_path, f"{IDS},{header}", f"a,p,{number}"), species).records.values()
    return record.values


def test_a_table_is_read_by_subject(tmp_path):
    header = f"{IDS},weight (g),ALT [U/L],cholesterol mmol/L,AST/ALT,hdl_c_mmol_per_l,fibrotic_nash"
    table = read_clinical_table(
        _table(
            tmp_path, header, "v1,p1,480,37,1.9,2.6,1.0,yes", "v2,p1,583.5,113,1.7,2.8,0.8,0", "v3,p2,400,40,2,3,1,"
        ),
        "rat",
    )
    assert list(table.records) == ["v1", "v2", "v3"]
    assert table.records["v2"].values == {
        "weight_g": 583.5,
        "alt_u_per_l": 113,
        "chol_mmol_per_l": 1.7,
        "ast_alt_ratio": 2.8,
        "hdl_c_mmol_per_l": 0.8,
    }
    assert [record.patient_id for record in table.records.values()] == ["p1", "p1", "p2"]
    assert [record.is_fibrotic_nash for record in table.records.values()] == [True, False, None]
    assert table.missing == {} and table.unused == ()


def test_a_table_may_answer_two_questions_and_hold_what_histology_counted(tmp_path):
    header = f"{IDS},fatty,fibrotic_nash,histology fat (%)"
    table = read_clinical_table(_table(tmp_path, header, "v1,p1,yes,no,35", "v2,p2,no,,3", "v3,p3,,,"), "human")
    records = list(table.records.values())
    assert [record.is_fatty for record in records] == [True, False, None]
    assert [record.is_fibrotic_nash for record in records] == [False, None, None]
    assert records[0].values == {"histology_fat_percent": 35.0} and table.missing == {"v3": ("histology_fat_percent",)}
    with pytest.raises(UnsuitableInputError, match="each quantity once; 'clinical.csv' has 'fatty' and 'nafld'"):
        read_clinical_table(_table(tmp_path, f"{IDS},fatty,nafld", "v1,p1,yes,yes"), "human")


def test_every_feature_that_methods_know_is_a_column():
    assert set(CLINICAL_FEATURES) < set(CLINICAL_COLUMNS)


def test_ranges_of_an_unknown_species_hold_those_of_every_one():
    ranges = {
        species: {one.name: (one.low, one.high) for one in clinical_values({"weight_g": 450.0}, species)}
        for species in ("rat", "human", None)
    }
    assert set(ranges[None]) == set(CLINICAL_FEATURES) and len({c.title for c in CLINICAL_COLUMNS.values()}) == 11
    assert (ranges["rat"]["weight_g"], ranges["human"]["weight_g"]) == ((50, 1500), (20_000, 300_000))
    assert ranges[None]["weight_g"] == (50, 300_000) and ranges[None]["ggt_u_per_l"] == (0, 5000)
    assert [one.value for one in clinical_values({"weight_g": 450.0}, None)] == [450.0] + [None] * 8


@pytest.mark.parametrize(
    ("one", "number", "other", "factor", "name"),
    [
        ("CHOL (mmol/L)", 2.0, "CHOL (mg/dL)", 38.67, "chol_mmol_per_l"),
        ("HDL-C (mmol/L)", 1.0, "HDL [mg/dl]", 38.67, "hdl_c_mmol_per_l"),
        ("LDL-C (mmol/L)", 0.4, "ldl-c mg/dL", 38.67, "ldl_c_mmol_per_l"),
        ("TG (mmol/L)", 0.8, "triglycerides (mg/dL)", 88.57, "tg_mmol_per_l"),
        ("glucose (mmol/L)", 6.0, "GLU (mg/dL)", 18.016, "glucose_mmol_per_l"),
        ("weight (g)", 480, "body weight (kg)", 0.001, "weight_g"),
        ("ALT (U/L)", 60, "GPT (µkat/L)", 1 / 60, "alt_u_per_l"),
    ],
)
def test_units_are_converted(tmp_path, one, number, other, factor, name):
    assert _value(tmp_path, one, number)[name] == pytest.approx(number)
    assert _value(tmp_path, other, number * factor)[name] == pytest.approx(number)


@pytest.mark.parametrize(
    ("quantity", "mmol", "factor"),
    [("CHOL", 1.9, 38.67), ("TG", 0.7, 88.57), ("HDL-C", 1.0, 38.67), ("LDL-C", 0.3, 38.67), ("glucose", 7, 18.016)],
)
@pytest.mark.parametrize("species", ["rat", "human"])
def test_numbers_of_the_other_unit_are_refused(tmp_path, quantity, mmol, factor, species):
    if species == "human":
        mmol = {"CHOL": 5.0, "TG": 1.3, "HDL-C": 1.3, "LDL-C": 3.0, "glucose": 5.5}[quantity]
    numbers = [mmol * share for share in (0.8, 1.0, 1.3)]
    for unit, other, scale in (("mmol/L", "mg/dL", factor), ("mg/dL", "mmol/L", 1 / factor)):
        right = [n * (1 if unit == "mmol/L" else factor) for n in numbers]
        lines = [f"v{i},p{i},{number}" for i, number in enumerate(right)]
        read_clinical_table(_table(tmp_path, f"{IDS},{quantity} ({unit})", *lines), species)
        lines = [f"v{i},p{i},{number * scale}" for i, number in enumerate(right)]
        sentence = rf"Column '{quantity} \({unit}\)' needs .* for a {species}; .*The numbers look like {other}"
        with pytest.raises(UnsuitableInputError, match=sentence):
            read_clinical_table(_table(tmp_path, f"{IDS},{quantity} ({unit})", *lines), species)


def test_numbers_eighteen_times_too_high_are_refused(tmp_path):
    lines = [f"v{i},p{i},{1.9 * 18 + i}" for i in range(3)]
    with pytest.raises(UnsuitableInputError, match="values of 0.3 to 20 mmol/L for a rat; subject 'v0' has 34.2"):
        read_clinical_table(_table(tmp_path, f"{IDS},CHOL (mmol/L)", *lines), "rat")


def test_numbers_that_are_each_possible_but_not_together_are_refused(tmp_path):
    lines = [f"v{i},p{i},{number}" for i, number in enumerate((4.1, 5.0, 6.2))]
    sentence = "a median of 0.08 to 3 mmol/L over subjects for a rat; the median is 5. The numbers look like mg/dL"
    with pytest.raises(UnsuitableInputError, match=sentence):
        read_clinical_table(_table(tmp_path, f"{IDS},LDL-C (mmol/L)", *lines), "rat")
    assert _value(tmp_path, "LDL-C (mmol/L)", 5.0) == {"ldl_c_mmol_per_l": 5}


def test_the_ranges_are_those_of_the_species(tmp_path):
    assert _value(tmp_path, "weight (kg)", 80, "human") == {"weight_g": 80_000}
    with pytest.raises(UnsuitableInputError, match="needs values of 0.05 to 1.5 kg for a rat; subject 'a' has 80"):
        _value(tmp_path, "weight (kg)", 80)
    with pytest.raises(UnsuitableInputError, match="look like g "):
        _value(tmp_path, "weight (kg)", 480)
    with pytest.raises(UnsuitableInputError, match="need the species, rat or human"):
        _value(tmp_path, "weight (kg)", 80, "mouse")


def test_what_is_missing_is_stated_and_not_filled(tmp_path):
    lines = ["a,p,480,37,note", "b,q,,41,", "c,r,n/a,NA,", "d,s,500,39,"]
    table = read_clinical_table(_table(tmp_path, f"{IDS},weight (g),ALT (U/L),colour of tag", *lines), "rat")
    assert table.missing == {"b": ("weight_g",), "c": ("weight_g", "alt_u_per_l")}
    assert "weight_g" not in table.records["b"].values and table.records["c"].values == {}
    assert table.unused == ("colour of tag",)
    assert "weight_g is missing of b, c; it was not filled in. alt_u_per_l is missing of c" in table.summary()
    assert "Not used: colour of tag." in table.summary()


def test_a_mapping_renames_headers(tmp_path):
    path = _table(tmp_path, "Nr,Alanin,Chol", "7,37,75")
    mapping = tmp_path / "mapping.json"
    mapping.write_text(json.dumps({"Nr": "patient_id", "Alanin": "ALT (U/L)", "Chol": "CHOL (mg/dL)"}))
    record = read_clinical_table(path, "rat", mapping=mapping).records["7"]
    assert (record.patient_id, record.values["alt_u_per_l"]) == ("7", 37)
    assert record.values["chol_mmol_per_l"] == pytest.approx(75 / 38.67)
    for content, sentence in (
        ({"Alannin": "ALT (U/L)"}, "needs the headers of the table, Nr, Alanin, Chol; .* has Alannin"),
        ({"Alanin": 3}, "needs the form"),
    ):
        mapping.write_text(json.dumps(content))
        with pytest.raises(UnsuitableInputError, match=sentence):
            read_clinical_table(path, "rat", mapping=mapping)
    mapping.write_text("{")
    with pytest.raises(UnsuitableInputError, match="mapping of headers needs to be JSON"):
        read_clinical_table(path, "rat", mapping=mapping)


def test_a_spreadsheet_reads_as_the_csv_does(tmp_path):
    header = ["subject_id", "patient_id", "ALT (U/L)", "CHOL (mmol/L)", "fibrotic_nash", None]
    book = openpyxl.Workbook()
    for row in (header, ["v1", 7, 37, 1.9, "yes"], ["v2", 8.0, None, 1.7, False], [None] * 5):
        book.active.append(row)
    book.save(tmp_path / "clinical.xlsx")
    lines = ["v1,7,37,1.9,yes", "v2,8,,1.7,no"]
    expected = read_clinical_table(_table(tmp_path, ",".join(header[:-1]), *lines), "rat")
    found = read_clinical_table(tmp_path / "clinical.xlsx", "rat")
    assert found.records == expected.records and found.missing == expected.missing


def test_other_delimiters_and_a_byte_order_mark_are_read(tmp_path):
    path = tmp_path / "clinical.csv"
    path.write_bytes("\ufeffsubject_id;patient_id;ALT (U/L)\r\na;p;37.5\r\n".encode())
    assert read_clinical_table(path, "rat").records["a"].values == {"alt_u_per_l": 37.5}


def test_an_unknown_answer_is_refused_with_a_suggestion(tmp_path):
    for word, hint in (("yess", "Did you mean 'yes'"), ("flase", "Did you mean 'false'"), ("F2", "Correct it")):
        path = _table(tmp_path, f"{IDS},fibrotic_nash", "a,p,yes", f"b,q,{word}")
        with pytest.raises(
            UnsuitableInputError, match=f"line 3 .*yes, no, 1, 0, true or false; found '{word}'. {hint}"
        ):
            read_clinical_table(path, "rat")


def test_a_subject_with_two_lines_that_contradict_is_refused(tmp_path):
    same = _table(tmp_path, f"{IDS},ALT (U/L)", "a,p,37", "a,p,37")
    assert len(read_clinical_table(same, "rat").records) == 1
    for lines in (("a,p,37", "a,p,38"), ("a,p,37", "a,q,37"), ("a,p,37", "a,p,")):
        with pytest.raises(UnsuitableInputError, match="'a' has two in 'clinical.csv' that contradict each other"):
            read_clinical_table(_table(tmp_path, f"{IDS},ALT (U/L)", *lines), "rat")
    by_patient = _table(tmp_path, "patient_id,ALT (U/L)", "p,37", "p,38")
    with pytest.raises(UnsuitableInputError, match="'p' has two"):
        read_clinical_table(by_patient, "rat")


def test_one_patient_under_two_ids_is_refused(tmp_path):
    header = f"{IDS},weight (g),ALT (U/L),AST (U/L),CHOL (mmol/L),TG (mmol/L)"
    path = _table(tmp_path, header, "a,p,480,37,101,1.9,0.7", "b,q,480,37,101,1.9,0.7")
    with pytest.raises(UnsuitableInputError, match="'p' and 'q' in 'clinical.csv' agree in all 5 values"):
        read_clinical_table(path, "rat")
    read_clinical_table(_table(tmp_path, header, "a,p,480,37,101,1.9,0.7", "b,p,480,37,101,1.9,0.7"), "rat")


@pytest.mark.parametrize(
    ("header", "lines", "sentence"),
    [
        ("ALT (U/L),weight (g)", ["37,480"], "needs a column patient_id; .*Every split goes by it"),
        (f"{IDS},ALT", ["a,p,37"], "Column 'ALT' needs its unit in the header, such as 'ALT .U/L.'"),
        (f"{IDS},CHOL (g/L)", ["a,p,1"], "needs one of the units mmol/L, mg/dL; found 'g/L'"),
        (f"{IDS},cholestrol (mmol/L)", ["a,p,1"], "Did you mean 'cholesterol'"),
        (f"{IDS},fibrotic_nahs", ["a,p,yes"], "Did you mean 'fibrotic_nash'"),
        (f"{IDS},weight_kg", ["a,p,1"], "Did you mean 'weight_g'"),
        (f"{IDS},ALT (U/L),GPT (U/L)", ["a,p,37,37"], "needs each quantity once; .* 'ALT .U/L.' and 'GPT .U/L.'"),
        (f"{IDS},ALT (U/L)", ["a,p,<5"], "line 2 of 'clinical.csv' has '<5'"),
        (f"{IDS},ALT (U/L)", ["a,p,inf"], "has 'inf'"),
        (f"{IDS},ALT (U/L)", ["a,p,37,5"], "needs 3 cells; line 2 of 'clinical.csv' has 4"),
        (f"{IDS},ALT (U/L)", ["a,,37"], "needs its patient_id; line 2"),
        (f"{IDS},ALT (U/L)", ["a,p,-3"], "values of 3 to 5e.03 U/L for a rat; subject 'a' has -3. Correct the value"),
        (f"{IDS},ALT (U/L)", [], "has 1 lines"),
    ],
)
def test_a_table_with_a_fault_is_refused_by_name(tmp_path, header, lines, sentence):
    with pytest.raises(UnsuitableInputError, match=sentence):
        read_clinical_table(_table(tmp_path, header, *lines), "rat")


@pytest.mark.parametrize(
    ("name", "data", "sentence"),
    [
        ("a.pdf", b"x", "needs to be .csv or .xlsx"),
        ("a.csv", b"patient_id,\xe4\n", "needs to be text in UTF-8"),
        ("a.csv", b"patient_id\0\n1", "needs to be text;"),
        ("a.xlsx", b"PK\x03\x04 cut", "A whole Excel file .* 'a.xlsx' is cut short"),
    ],
)
def test_a_file_that_is_no_table_is_refused(tmp_path, name, data, sentence):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(UnsuitableInputError, match=sentence):
        read_clinical_table(tmp_path / name, "rat")
