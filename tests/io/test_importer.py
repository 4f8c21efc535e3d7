"""An import makes whole cases or nothing."""

import errno
import os
import subprocess
import sys

import pytest
from make_studies import everything_under, make_study

from liver_models.errors import UnsuitableInputError
from liver_models.io import files, importer
from liver_models.io.case import load_case
from liver_models.io.export import write_bids, write_dicom, write_ismrm_mat
from liver_models.io.importer import import_source, remove_case
from liver_models.io.reading import read_study


@pytest.fixture
def source(tmp_path):
    write_dicom(make_study(shape=(6, 5, 2)), tmp_path / "Scan 1")
    return tmp_path / "Scan 1"


def test_a_case_reads_as_its_source(tmp_path, source):
    report = import_source(source, tmp_path / "studies")
    assert report.case_ids == ("Scan_1",)
    direct, case = read_study(source), read_study(tmp_path / "studies" / "Scan_1.case.json")
    assert case.signal.tobytes() == direct.signal.tobytes()
    assert (case.patient_id, case.is_simulated) == ("P7", True)


def test_a_bids_case_keeps_the_sidecars_it_needs(tmp_path):
    study = make_study(precession=-1)
    write_bids(study, tmp_path / "bids")
    import_source(tmp_path / "bids", tmp_path / "studies", case_id="visit-1")
    case = read_study(tmp_path / "studies" / "visit-1.case.json")
    assert case.precession == -1
    assert load_case(tmp_path / "studies" / "visit-1.case.json").patient_id == "P7"


def test_progress_counts_every_file_once(tmp_path, source):
    seen = []
    import_source(source, tmp_path / "studies", progress=lambda done, total: seen.append((done, total)))
    assert seen == [(number, 24) for number in range(1, 25)]


def test_the_same_source_is_recognised_under_any_name(tmp_path, source):
    import_source(source, tmp_path / "studies")
    before = everything_under(tmp_path / "studies")
    report = import_source(source.rename(tmp_path / "other"), tmp_path / "studies")
    assert (report.case_ids, report.existing_ids) == (("Scan_1",), ("Scan_1",))
    assert everything_under(tmp_path / "studies") == before


def test_an_import_that_comes_second_leaves_the_first_whole(tmp_path, source, monkeypatch):
    other = tmp_path / "other" / "Scan 1"
    write_dicom(make_study(shape=(6, 5, 2), seed=9), other)
    real, raced = os.rename, []

    def other_import_is_faster(staging, target):
        if not raced:
            raced.append(target)
            import_source(other, tmp_path / "studies")
        real(staging, target)

    monkeypatch.setattr(importer.os, "rename", other_import_is_faster)
    with pytest.raises(UnsuitableInputError, match="another import took 'Scan_1' meanwhile. Import again"):
        import_source(source, tmp_path / "studies")
    first = read_study(tmp_path / "studies" / "Scan_1.case.json")
    assert first.signal.tobytes() == read_study(other).signal.tobytes()
    assert import_source(source, tmp_path / "studies").case_ids == ("Scan_1-2",)


def test_another_source_of_the_same_name_gets_an_id_of_its_own(tmp_path, source):
    import_source(source, tmp_path / "studies")
    write_dicom(make_study(shape=(6, 5, 2), seed=9), source)
    report = import_source(source, tmp_path / "studies")
    assert report.case_ids == ("Scan_1-2",)


def test_an_id_that_is_taken_is_refused(tmp_path, source):
    import_source(source, tmp_path / "studies", case_id="a")
    write_dicom(make_study(shape=(6, 5, 2), seed=9), source)
    before = everything_under(tmp_path / "studies")
    with pytest.raises(UnsuitableInputError, match="'a' is taken by other images"):
        import_source(source, tmp_path / "studies", case_id="a")
    assert everything_under(tmp_path / "studies") == before


def test_a_bad_id_is_refused_before_anything_is_made(tmp_path, source):
    with pytest.raises(UnsuitableInputError, match=r"A case id needs .* found '\.\./x'"):
        import_source(source, tmp_path / "studies", case_id="../x")
    assert not (tmp_path / "studies").exists()


def test_what_cannot_be_used_leaves_nothing(tmp_path, source):
    path = sorted(source.iterdir())[0]
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(UnsuitableInputError, match="is cut short"):
        import_source(source, tmp_path / "studies")
    assert not (tmp_path / "studies").exists()


@pytest.mark.parametrize("failing_call", [1, 5, 24, 25])
def test_a_full_disk_leaves_nothing(tmp_path, source, monkeypatch, failing_call):
    import_source(source, tmp_path / "studies", case_id="before")
    before = everything_under(tmp_path / "studies")
    calls = 0

    def fsync(_):
        nonlocal calls
        calls += 1
        if calls == failing_call:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(files.os, "fsync", fsync)
    with pytest.raises(UnsuitableInputError, match="No space left on device. Free some space"):
        import_source(source, tmp_path / "studies", case_id="after")
    assert everything_under(tmp_path / "studies") == before


def test_a_write_that_the_system_stops_midway_leaves_nothing(tmp_path):
    write_ismrm_mat(make_study(shape=(40, 30, 4)), tmp_path / "visit.mat")
    program = (
        "import sys, signal, resource; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "from liver_models.io.importer import import_source\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (20000, resource.RLIM_INFINITY))\n"
        "import_source(sys.argv[1], sys.argv[2])\n"
    )
    run = subprocess.run(
        [sys.executable, "-B", "-c", program, str(tmp_path / "visit.mat"), str(tmp_path / "studies")],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert "UnsuitableInputError: A folder with free space that can be written is needed" in run.stderr
    assert everything_under(tmp_path / "studies") == ["files"]


@pytest.mark.parametrize("moment", [1, 13, 24])
def test_an_interrupted_import_leaves_nothing(tmp_path, source, moment):
    def interrupt(done, total):
        if done == moment:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        import_source(source, tmp_path / "studies", progress=interrupt)
    assert everything_under(tmp_path / "studies") == ["files"]


def test_when_the_second_case_fails_the_first_goes_too(tmp_path, source, monkeypatch):
    write_dicom(make_study(shape=(4, 4, 2), seed=4), source / "more")
    original, calls = importer.save_case, []

    def save_case(case, studies_dir):
        calls.append(case.case_id)
        if len(calls) == 2:
            raise UnsuitableInputError("disk full")
        return original(case, studies_dir)

    monkeypatch.setattr(importer, "save_case", save_case)
    with pytest.raises(UnsuitableInputError, match="disk full"):
        import_source(source, tmp_path / "studies")
    assert len(calls) == 2
    assert everything_under(tmp_path / "studies") == ["files"]


def test_an_acquisition_that_cannot_be_used_is_listed_and_the_other_imported(tmp_path, source):
    write_dicom(make_study(shape=(4, 4, 2), seed=4), source / "more")
    (source / "more" / "phase_echo02_slice0001.dcm").unlink()
    report = import_source(source, tmp_path / "studies")
    assert report.case_ids == ("Scan_1",)
    assert ["but its phase image at 3.18 ms has 1" in item.reason for item in report.skipped] == [True]


def test_a_source_that_changes_while_it_is_copied_is_refused(tmp_path, source, monkeypatch):
    def changing(path, target, sha256):
        path.write_bytes(path.read_bytes() + b"x")
        files.copy_checked(path, target, sha256)

    monkeypatch.setattr(importer, "copy_checked", changing)
    with pytest.raises(UnsuitableInputError, match="needs to stay unchanged while it is imported"):
        import_source(source, tmp_path / "studies")
    assert everything_under(tmp_path / "studies") == ["files"]


def test_a_removed_case_is_gone(tmp_path, source):
    import_source(source, tmp_path / "studies")
    remove_case(tmp_path / "studies", "Scan_1")
    assert everything_under(tmp_path / "studies") == ["files"]


def test_names_of_dicom_files_are_not_kept(tmp_path, source):
    sorted(source.iterdir())[0].rename(source / "DOE_JANE_1970.dcm")
    import_source(source, tmp_path / "studies")
    assert not [name for name in everything_under(tmp_path / "studies") if "DOE" in name]
    assert "DOE" not in (tmp_path / "studies" / "Scan_1.case.json").read_text()
