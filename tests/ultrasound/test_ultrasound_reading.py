"""A subject reads the same from its folder and from its stored case."""

import json

import numpy as np
import pydicom
import pytest
from make_ultrasound import BOX, SHAPE, edit, encode, fan, field, make_cohort, make_subject, save, sector
from pydicom.data import get_testdata_file

from liver_models.errors import UnsuitableInputError
from liver_models.io.case import load_case, save_case
from liver_models.io.class_label import ClassLabel, class_label_path, read_class_labels, write_class_label
from liver_models.io.importer import import_source
from liver_models.io.reading import read_study
from liver_models.ultrasound.reading import read_cohort, read_subject


@pytest.fixture
def cohort(tmp_path):
    return make_cohort(tmp_path / "cohort")


def _same(one, other):
    assert (one.case_id, one.patient_id, one.clinical) == (other.case_id, other.patient_id, other.clinical)
    assert (one.is_fibrotic_nash, one.is_simulated) == (other.is_fibrotic_nash, other.is_simulated)
    for pair, twin in zip(one.pairs, other.pairs, strict=True):
        assert pair.name == twin.name
        for key in ("b_mode", "stiffness_kpa", "swe_rgb", "roi"):
            found, expected = getattr(pair, key), getattr(twin, key)
            assert (found is None) == (expected is None)
            assert found is None or np.array_equal(found, expected, equal_nan=key == "stiffness_kpa")


def test_a_folder_gives_the_images_in_canonical_form(cohort):
    subject = read_subject(cohort / "rat-001")
    (pair,) = subject.pairs
    assert (subject.case_id, subject.patient_id, subject.is_fibrotic_nash, subject.is_simulated) == (
        "rat-001",
        "rat-001",
        True,
        True,
    )
    assert pair.name == "left" and pair.roi.sum() == 25 * 30 and pair.roi[35, 50]
    assert pair.b_mode.dtype == np.uint8 and (pair.b_mode[~fan()] == 0).all()
    kept = pair.b_mode > 0
    assert kept.sum() > 0.95 * fan().sum() and np.array_equal(pair.b_mode[kept], sector(seed=1)[kept])
    assert pair.swe_rgb.shape == (3, *SHAPE) and pair.stiffness_kpa.dtype == np.float32
    truth = field(3, 9)[BOX[0] : BOX[2], BOX[1] : BOX[3]]
    found = pair.stiffness_kpa[BOX[0] : BOX[2], BOX[1] : BOX[3]]
    assert np.abs(found - truth).max() < 3 * 20 / 255
    assert subject.median_stiffness_kpa() == pytest.approx(np.median(truth), abs=0.1)
    assert subject.clinical["weight_g"] == 451 and len(subject.clinical) == 9


def test_a_cohort_gives_its_subjects_in_order_and_lazily(cohort):
    (cohort / "rat-002" / "bmode_1.png").write_bytes(b"no picture")
    subjects = read_cohort(cohort)
    assert len(subjects) == 3 and [source.subject_id for source in subjects.sources] == [
        "rat-001",
        "rat-002",
        "rat-003",
    ]
    assert [source.is_fibrotic_nash for source in subjects.sources] == [True, False, None]
    _same(subjects[0], read_subject(cohort / "rat-001"))
    assert [subject.case_id for subject in subjects[2:]] == ["rat-003"]
    with pytest.raises(UnsuitableInputError, match="Subject 'rat-002', image 'left': .*'bmode_1.png' is cut short"):
        subjects[1]


def test_a_stored_case_reads_as_its_folder(cohort, tmp_path):
    report = import_source(cohort, tmp_path / "studies")
    assert report.case_ids == ("rat-001", "rat-002", "rat-003")
    stored = read_cohort(tmp_path / "studies")
    for subject, source in zip(stored, read_cohort(cohort), strict=True):
        _same(subject, source)
    _same(read_subject(tmp_path / "studies" / "rat-001.case.json"), stored[0])
    label = read_class_labels(tmp_path / "studies" / "labels" / "final" / "rat-001.label.json")["fibrotic_nash"]
    assert label == ClassLabel("rat-001", "fibrotic_nash", True, source="clinical.csv")
    assert not class_label_path(tmp_path / "studies", "rat-003").exists()
    assert report.table.missing == {"rat-002": ("ggt_u_per_l",)}
    assert "ggt_u_per_l" not in stored[1].clinical


def test_a_manifest_of_ultrasound_saved_again_is_the_same(cohort, tmp_path):
    import_source(cohort, tmp_path / "studies")
    path = tmp_path / "studies" / "rat-002.case.json"
    before = path.read_bytes()
    case = load_case(path)
    save_case(case, path.parent)
    assert path.read_bytes() == before
    assert case.ultrasound.images[0].pixel_spacing_mm == (0.1, 0.2)
    assert [image.path for image in case.ultrasound.images] == ["bmode_1.png", "swe_1.png"]
    assert case.species == "rat" and case.ultrasound.images[1].box == BOX


def test_the_reader_has_the_last_word(cohort, tmp_path):
    import_source(cohort, tmp_path / "studies")
    path = class_label_path(tmp_path / "studies", "rat-001")
    write_class_label(ClassLabel("rat-001", "fibrotic_nash", False, reader="r"), path)
    report = import_source(cohort, tmp_path / "studies")
    assert report.existing_ids == report.case_ids
    assert read_subject(tmp_path / "studies" / "rat-001.case.json").is_fibrotic_nash is False
    assert any("the stored answer differs and was kept" in item.reason for item in report.skipped)


def test_a_changed_table_is_not_mixed_into_stored_cases(cohort, tmp_path):
    import_source(cohort, tmp_path / "studies")
    table = (cohort / "clinical.csv").read_text()
    (cohort / "clinical.csv").write_text(table.replace("451", "461"))
    report = import_source(cohort, tmp_path / "studies")
    assert report.case_ids == ("rat-002", "rat-003")
    assert any("'rat-001' is taken by other images or values" in item.reason for item in report.skipped)


def test_one_bad_subject_is_listed_and_the_others_imported(cohort, tmp_path):
    save(cohort / "rat-002" / "bmode_1.png", np.zeros(SHAPE, dtype=np.uint8))
    report = import_source(cohort, tmp_path / "studies")
    assert report.case_ids == ("rat-001", "rat-003")
    assert any("frame 0 of 'bmode_1.png' is black all over" in item.reason for item in report.skipped)
    assert not (tmp_path / "studies" / "files" / "rat-002").exists()


def test_an_interrupted_import_of_subjects_leaves_nothing(cohort, tmp_path):
    def interrupt(done, total):
        if done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        import_source(cohort, tmp_path / "studies", progress=interrupt)
    assert [p.name for p in (tmp_path / "studies").rglob("*") if p.is_file()] == []


def test_a_file_changed_since_the_import_is_refused(cohort, tmp_path):
    import_source(cohort, tmp_path / "studies")
    folder = tmp_path / "studies" / "files" / "rat-001"
    for name in ("roi_1.png", "bmode_1.png"):
        save(folder / name, sector(seed=9))
        with pytest.raises(UnsuitableInputError, match=f"'{name}' has changed"):
            read_subject(tmp_path / "studies" / "rat-001.case.json")


def test_an_ultrasound_case_has_no_fat_fraction(cohort, tmp_path):
    import_source(cohort, tmp_path / "studies")
    with pytest.raises(UnsuitableInputError, match="PDFF needs multi-echo MRI; case 'rat-001' has none"):
        read_study(tmp_path / "studies" / "rat-001.case.json")


def test_files_named_by_role_need_no_sidecar(tmp_path):
    folder = tmp_path / "P7"
    save(folder / "bmode_left.png", sector())
    save(folder / "swe_left.png", encode(field(3, 9), sector(), 0, 20))
    (tmp_path / "clinical.csv").write_text("patient_id,ALT (U/L)\nP7,37\n")
    with pytest.raises(UnsuitableInputError, match="need one species, rat or human, .* state none"):
        read_cohort(tmp_path)
    with pytest.raises(UnsuitableInputError, match="image 'left': Reading an elastogram needs its scale"):
        read_cohort(tmp_path, species="rat")[0]
    subject = read_cohort(tmp_path, species="rat", needs_stiffness=False)[0]
    assert subject.pairs[0].swe_rgb is not None and subject.pairs[0].stiffness_kpa is None
    assert subject.clinical == {"alt_u_per_l": 37} and not subject.is_simulated
    (tmp_path / "clinical.csv").unlink()
    with pytest.raises(UnsuitableInputError, match="needs a patient_id, .*'P7' has none"):
        read_subject(folder)


def test_a_cohort_read_without_elastograms_passes_over_a_broken_one(tmp_path):
    save(tmp_path / "P7" / "bmode_left.png", sector())
    save(tmp_path / "P7" / "swe_left.png", np.zeros((3, *SHAPE), np.uint8))
    (tmp_path / "clinical.csv").write_text("patient_id,nafld\nP7,yes\n")
    with pytest.raises(UnsuitableInputError, match="black all over"):
        read_cohort(tmp_path, needs_stiffness=False)[0]
    (subject,) = read_cohort(tmp_path, with_elastograms=False)[:1]
    assert subject.is_fatty and subject.pairs[0].swe_rgb is None and subject.pairs[0].b_mode.any()


def _ultrasound_dicom(path, rgb, **attributes):
    dataset = pydicom.dcmread(get_testdata_file("examples_rgb_color.dcm", download=False))
    dataset.Rows, dataset.Columns = rgb.shape[1:]
    dataset.PlanarConfiguration = 0
    dataset.PixelData = np.moveaxis(rgb, 0, -1).tobytes()
    dataset.PatientID = "P7"
    for key, value in attributes.items():
        setattr(dataset, key, value)
    path.parent.mkdir(exist_ok=True)
    dataset.save_as(path)
    return path


def _region(data_type, box, **attributes):
    item = pydicom.Dataset()
    item.RegionSpatialFormat, item.RegionDataType = 1, data_type
    item.RegionLocationMinY0, item.RegionLocationMinX0 = box[:2]
    item.RegionLocationMaxY1, item.RegionLocationMaxX1 = box[2] - 1, box[3] - 1
    for key, value in attributes.items():
        setattr(item, key, value)
    return item


def test_dicom_states_box_bar_and_speeds_of_an_elastogram(tmp_path):
    speed = field(0.9, 2.4)
    rgb = encode(speed, sector(), 0.5, 3.0)
    bar = np.linspace(3.0, 0.5, 64)[:, None] * np.ones(7)
    rgb[:, 10:74, 119:126] = encode(bar, np.zeros((64, 7), np.uint8), 0.5, 3.0, box=(0, 0, 64, 7))
    speeds = {"PixelComponentPhysicalUnits": 7, "TableOfParameterValues": [50.0, 300.0]}
    regions = [_region(2, BOX), _region(14, (10, 119, 74, 126), **speeds)]
    _ultrasound_dicom(
        tmp_path / "s" / "IM1.dcm", rgb, SeriesDescription="Liver SWE", SequenceOfUltrasoundRegions=regions
    )
    _ultrasound_dicom(tmp_path / "s" / "IM2.dcm", np.repeat(sector()[None], 3, axis=0))
    _ultrasound_dicom(tmp_path / "s" / "IM3.dcm", rgb, SequenceOfUltrasoundRegions=regions)
    subject = read_subject(tmp_path / "s")
    assert [(pair.name, pair.b_mode is None) for pair in subject.pairs] == [("IM1", True), ("IM2", False)]
    found = subject.pairs[0].stiffness_kpa[BOX[0] : BOX[2], BOX[1] : BOX[3]]
    truth = 3 * speed[BOX[0] : BOX[2], BOX[1] : BOX[3]] ** 2
    assert np.median(np.abs(found - truth)) < 0.2
    report = import_source(tmp_path / "s", tmp_path / "studies")
    assert [item.name for item in report.skipped] == ["s/IM3.dcm"] and "state its role" in report.skipped[0].reason
    case = load_case(tmp_path / "studies" / "s.case.json")
    assert case.patient_id == "P7" and case.ultrasound.images[0].box == BOX
    assert "IM1.dcm" not in [path.name for path in (tmp_path / "studies").rglob("*")]


def test_one_ultrasound_file_is_a_subject_and_its_other_frames_are_named(tmp_path):
    dataset = pydicom.dcmread(get_testdata_file("examples_ybr_color.dcm", download=False))
    dataset.PatientID = "P1"
    dataset.save_as(tmp_path / "cine.dcm")
    report = import_source(tmp_path / "cine.dcm", tmp_path / "studies")
    assert report.case_ids == ("cine",) and "frames 1 to 29" in report.skipped[0].reason
    subject = read_subject(tmp_path / "studies" / "cine.case.json")
    assert subject.pairs[0].b_mode.shape == (240, 320)


def test_frames_named_in_the_sidecar_are_read(tmp_path):
    folder = make_subject(tmp_path / "rat-1")
    source = get_testdata_file("examples_ybr_color.dcm", download=False)
    (folder / "cine.dcm").write_bytes(open(source, "rb").read())
    image = {"file": "cine.dcm", "role": "bmode"}
    edit(folder, lambda c: c["images"].extend([{**image, "name": "a", "frame": 3}, {**image, "name": "b", "frame": 9}]))
    subject = read_subject(folder)
    assert [pair.name for pair in subject.pairs] == ["left", "a", "b"]
    assert not np.array_equal(subject.pairs[1].b_mode, subject.pairs[2].b_mode)
    import_source(folder, tmp_path / "studies")
    _same(read_subject(tmp_path / "studies" / "rat-1.case.json"), subject)
    edit(folder, lambda c: c["images"][-1].update(frame=30))
    with pytest.raises(UnsuitableInputError, match="'cine.dcm' needs an index from 0 to 29; found 30"):
        read_subject(folder)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda c: c.update(colour="red"), "found colour"),
        (lambda c: c.update(schema="x"), "'rat-1/ultrasound.json' needs \"schema\""),
        (lambda c: c.update(patient_id=" "), "needs a patient_id, by which every split goes; it is empty"),
        (lambda c: c.update(patient_id=7), "patient_id needs to be of type str"),
        (lambda c: c.pop("is_simulated"), "needs is_simulated"),
        (lambda c: c.update(species="mouse"), "species needs to be one of rat, human, None; found 'mouse'"),
        (lambda c: c.update(images=[]), "bmode_1.png, swe_1.png is not in it"),
        (lambda c: c["images"].pop(0), "needs to list every picture; bmode_1.png is not in it"),
        (lambda c: c["images"][0].update(role="b"), "role needs to be one of bmode, swe; found 'b'"),
        (lambda c: c["images"][0].update(file="gone.png"), "'gone.png' is missing"),
        (lambda c: c["images"][0].update(file="../rat-1/bmode_1.png"), "needs a name inside the folder of the case"),
        (lambda c: c["images"][0].update(frame=-1), "frame needs to be an index from 0; found -1"),
        (lambda c: c["images"][0].update(frame=1), "'bmode_1.png' needs an index from 0 to 0; found 1"),
        (lambda c: c["images"][0].update(pixel_spacing_mm=[0.1]), "pixel_spacing_mm needs two lengths above 0"),
        (lambda c: c["images"][0].update(box=[0, 0, 5, 5]), "scale and box need a picture of role swe"),
        (lambda c: c["images"][1].update(roi="roi_1.png"), "roi needs a picture of role bmode"),
        (lambda c: c["images"][1].update(box=[5, 0, 5, 5]), r"box needs \[top, left, bottom, right\]"),
        (lambda c: c["images"][1].update(box=[0, 0, 500, 50]), "elasticity box needs to lie in the picture"),
        (lambda c: c["images"][1].pop("scale"), "Reading an elastogram needs its scale"),
        (lambda c: c["images"][1]["scale"].pop("unit"), "ElastogramScale needs unit"),
        (lambda c: c["images"][1]["scale"].update(low="0"), "low needs to be of type int or float; found '0'"),
        (lambda c: c["images"][1]["scale"].update(unit="kpa"), "its unit, kPa or m/s; found 'kpa'"),
        (lambda c: c["images"][1]["scale"].update(high=4), "The unit is likely m/s"),
        (lambda c: c["images"].append(dict(c["images"][0])), "has bmode 'left' more than once"),
    ],
)
def test_a_sidecar_with_a_fault_is_refused_by_name(tmp_path, change, sentence):
    folder = make_subject(tmp_path / "rat-1")
    edit(folder, change)
    with pytest.raises(UnsuitableInputError, match=sentence):
        read_subject(folder)


def test_modulus_declared_as_speed_is_refused(tmp_path):
    folder = make_subject(tmp_path / "rat-1", kpa=(8.0, 12.0))
    edit(folder, lambda c: c["images"][1]["scale"].update(unit="m/s", high=10))
    with pytest.raises(UnsuitableInputError, match="The unit is likely kPa"):
        read_subject(folder)


def test_a_region_of_another_size_is_refused(tmp_path):
    folder = make_subject(tmp_path / "rat-1")
    for roi in (np.ones((4, 4), np.uint8), np.zeros(SHAPE, np.uint8)):
        save(folder / "roi_1.png", roi)
        with pytest.raises(UnsuitableInputError, match="region of interest needs the size of its image, 90 x 130"):
            read_subject(folder)


@pytest.mark.parametrize("name", ["bmode_1.png", "swe_1.png"])
def test_a_black_image_is_refused(tmp_path, name):
    folder = make_subject(tmp_path / "rat-1")
    save(folder / name, np.zeros(SHAPE, np.uint8))
    with pytest.raises(UnsuitableInputError, match="black all over"):
        read_subject(folder)
    with pytest.raises(UnsuitableInputError, match="black all over"):
        import_source(folder, tmp_path / "studies")


def test_ids_that_contradict_the_table_are_refused(cohort):
    edit(cohort / "rat-001", lambda c: c.update(patient_id="other"))
    with pytest.raises(
        UnsuitableInputError, match="'rat-001' has 'other' in its images and 'rat-001' in 'clinical.csv'"
    ):
        read_cohort(cohort)


def test_a_table_of_other_subjects_is_refused(cohort):
    (cohort / "clinical.csv").write_text("patient_id,ALT (U/L)\nQ,37\n")
    with pytest.raises(UnsuitableInputError, match="needs the names of the subjects' folders .* has none of rat-001"):
        read_cohort(cohort)


def test_a_folder_without_ultrasound_is_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(UnsuitableInputError, match="A cohort needs a folder for each subject"):
        read_cohort(tmp_path / "empty")
    with pytest.raises(UnsuitableInputError, match="One ultrasound subject is needed"):
        read_subject(tmp_path / "empty")


def test_clinical_options_need_ultrasound(tmp_path):
    (tmp_path / "a").mkdir()
    with pytest.raises(UnsuitableInputError, match="are imported with ultrasound subjects; 'a' holds none"):
        import_source(tmp_path / "a", tmp_path / "studies", species="rat")


def test_one_id_for_several_subjects_is_refused(cohort, tmp_path):
    with pytest.raises(UnsuitableInputError, match="for one subject; 'cohort' holds 3"):
        import_source(cohort, tmp_path / "studies", case_id="x")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda c: c["ultrasound"].update(x=1), "the keys of Ultrasound are images; found x"),
        (lambda c: c["ultrasound"]["images"][0].update(x=1), "the keys of UltrasoundImage are path, .*; found x"),
        (lambda c: c["ultrasound"]["images"][0].update(sha256="ab"), "sha256 needs 64 hexadecimal digits"),
        (lambda c: c["ultrasound"]["images"][0]["roi"].update(path="../x"), "needs a name inside the folder"),
        (lambda c: c["ultrasound"]["images"][0].update(path="gone.png"), "'gone.png' of case 'rat-001' is missing"),
        (lambda c: c["clinical"].update(alt=3), "clinical values are weight_g, .*; found alt"),
        (lambda c: c["clinical"].update(alt_u_per_l="3"), "alt_u_per_l needs to be a number; found '3'"),
        (lambda c: c.update(species="mouse"), "species needs to be one of rat, human, None"),
    ],
)
def test_a_manifest_with_a_fault_is_refused_by_name(cohort, tmp_path, change, sentence):
    import_source(cohort, tmp_path / "studies")
    path = tmp_path / "studies" / "rat-001.case.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    with pytest.raises(UnsuitableInputError, match=sentence):
        read_subject(path)


def test_the_command_imports_a_cohort_and_says_what_is_missing(cohort, tmp_path, capsys):
    from liver_models.__main__ import main

    assert main(["import", str(cohort), "--studies", str(tmp_path / "studies")]) == 0
    said = capsys.readouterr().out
    assert "imported  rat-003" in said
    assert "ggt_u_per_l is missing of rat-002; it was not filled in." in said
