"""Which echoes chosen files hold, read from headers as written by the test; the server's rules on the same files."""

import json
import zipfile

import mr_files
import numpy as np
import pytest
from LiverLabelLib.errors import CancelledError, UnsuitableInputError
from LiverLabelLib.mr_echoes import read_scan
from LiverLabelLib.nifti import Volume, write_nifti
from LiverLabelLib.pdff_choices import METHODS, SPECTRA
from LiverLabelLib.upload_files import sendable
from mr_files import writeEchoes, writeImage
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from liver_models.io.dicom import find_dicom
from liver_models.mri.fat_spectra import SPECTRA as KNOWN_SPECTRA
from liver_models.mri.pdff_options import METHODS as KNOWN_METHODS


def rows(scan):
    return [(echo.echo_time_ms, echo.part, echo.n_slices, echo.series) for echo in scan.echoes]


def test_echoes_are_grouped_by_series_part_and_time(tmp_path):
    writeEchoes(tmp_path, parts=("M", "P"), nSlices=3)
    told = []
    scan = read_scan([tmp_path], lambda done, total: told.append((done, total)))
    series = "series 5 'multi-echo'"
    expected = [(time, part, 3, series) for part in ("magnitude", "phase") for time in (1.2, 3.2, 5.2)]
    assert rows(scan) == expected and scan.problems == scan.remarks == ()
    assert len(scan.files) == 18 and told[-1] == (18, 18)


def test_the_server_groups_the_same_files_alike(tmp_path):
    writeEchoes(tmp_path, parts=("M", "P"), nSlices=3, MagneticFieldStrength="1.5")
    scan = read_scan([tmp_path])
    (study,) = find_dicom(sorted(one for one in tmp_path.rglob("*") if one.is_file()), tmp_path).studies
    times = {(file.part, *file.echo_times_s) for file in study.files}
    assert times == {(echo.part, round(echo.echo_time_ms / 1e3, 6)) for echo in scan.echoes}


@pytest.mark.parametrize(
    ("write", "sentence"),
    [
        (lambda f: writeEchoes(f, times=(2.3,)), "at least 3 echoes; these files have 1 (2.3 ms)"),
        (
            lambda f: (writeEchoes(f), writeImage(f / "x", None)),
            "has images without it (1)",
        ),
        (lambda f: (writeEchoes(f), writeImage(f / "x", 7.2, size=(8, 8))), "images of 6 x 4 and 8 x 8 pixels"),
        (lambda f: (writeEchoes(f), writeImage(f / "x", 1.2, 0.0)), "One image is needed for each slice"),
        (lambda f: (writeEchoes(f), writeImage(f / "x", 1.2, 12.0)), "have 2 to 3 slices"),
        (lambda f: (writeEchoes(f / "a"), writeEchoes(f / "b", series=7)), "both hold magnitude images of the same"),
        (lambda f: writeEchoes(f, parts=("P",)), "found phase without magnitude images"),
        (lambda f: (writeEchoes(f), writeImage(f / "x", 7.2, PatientID="q")), "these files are of 2"),
    ],
)
def test_what_the_server_will_refuse_is_said_before_it_is_sent(tmp_path, write, sentence):
    write(tmp_path)
    assert any(sentence in problem for problem in read_scan([tmp_path]).problems)


def test_what_is_no_echo_is_left_out_and_said(tmp_path):
    writeEchoes(tmp_path)
    writeImage(tmp_path / "us", storage=mr_files.US)
    writeImage(tmp_path / "water", 1.2, part="WATER")
    (tmp_path / "cut.dcm").write_bytes(b"\0" * 128 + b"DICM" + b"\x02\0\x10")
    (tmp_path / "letter.txt").write_text("no image")
    (tmp_path / ".hidden").write_text("no image")
    scan = read_scan([tmp_path])
    said = " ".join(scan.remarks)
    for part in ("not MR but US: 'us'", "cut short or damaged", "'letter.txt'", "so not used: 1"):
        assert part in said
    assert "hidden" not in said and len(scan.files) == 7 and scan.problems == ()
    assert "Magnitude images only" in said


def test_a_vendors_component_and_frames_of_one_file_are_told_apart(tmp_path):
    frames = []
    for time in (1.2, 3.2, 5.2):
        frame, echo, kind, place = Dataset(), Dataset(), Dataset(), Dataset()
        echo.EffectiveEchoTime, kind.FrameType = time, ["ORIGINAL", "PRIMARY", "M_FFE", "M"]
        kind.ComplexImageComponent, place.ImagePositionPatient = "MAGNITUDE", [0, 0, 0]
        frame.MREchoSequence, frame.MRImageFrameTypeSequence = Sequence([echo]), Sequence([kind])
        frame.PlanePositionSequence = Sequence([place])
        frames.append(frame)
    enhanced = "1.2.840.10008.5.1.4.1.1.4.1"
    writeImage(tmp_path / "e", None, storage=enhanced, Modality="MR", PerFrameFunctionalGroupsSequence=Sequence(frames))
    assert [row[:3] for row in rows(read_scan([tmp_path / "e"]))] == [
        (time, "magnitude", 1) for time in (1.2, 3.2, 5.2)
    ]
    for time in (1.2, 3.2, 5.2):
        path = writeImage(tmp_path / "ge" / f"{time}", time, part="OTHER")
        data = mr_files.pydicom.dcmread(path)
        data.add_new((0x0043, 0x102F), "SS", 3)
        data.save_as(path)
    assert {row[1] for row in rows(read_scan([tmp_path / "ge"]))} == {"imaginary"}


def test_nifti_takes_seconds_from_the_json_beside_it(tmp_path):
    volume = write_nifti(Volume(np.zeros((6, 5, 4), np.float32), np.eye(4)))
    for number, time in enumerate((0.0012, 0.0032, 0.0052), start=1):
        for part in ("mag", "phase"):
            stem = f"sub-1_echo-{number}_part-{part}_MEGRE"
            (tmp_path / f"{stem}.nii.gz").write_bytes(volume)
            (tmp_path / f"{stem}.json").write_text(json.dumps({"EchoTime": time}))
    scan = read_scan(sorted(tmp_path.iterdir()))
    assert [row[:3] for row in rows(scan)][:3] == [(time, "magnitude", 4) for time in (1.2, 3.2, 5.2)]
    assert len(scan.echoes) == 6 and scan.problems == () and len(scan.files) == 12
    (tmp_path / "sub-1_echo-3_part-mag_MEGRE.json").unlink()
    assert any("EchoTime is needed" in one for one in read_scan([tmp_path]).problems)


def test_a_mat_file_is_left_to_the_server(tmp_path):
    (tmp_path / "scan.mat").write_bytes(b"MATLAB")
    scan = read_scan([tmp_path / "scan.mat"])
    assert scan.files == (tmp_path / "scan.mat",) and scan.problems == () and "read by the server" in scan.remarks[0]


def test_nothing_usable_and_cancelling_are_said(tmp_path):
    (tmp_path / "a.json").write_text("{}")
    assert read_scan([tmp_path]).files == () and "none of the files is one" in read_scan([tmp_path]).problems[0]
    with pytest.raises(CancelledError):
        read_scan([tmp_path], is_cancelled=lambda: True)
    (tmp_path / "a.json").unlink()
    with pytest.raises(UnsuitableInputError, match="holds none"):
        read_scan([tmp_path])


def test_files_with_plain_names_are_sent_themselves_and_others_in_an_archive(tmp_path):
    writeEchoes(tmp_path / "a scan")
    files = read_scan([tmp_path / "a scan"]).files
    with sendable(files, tmp_path / "a scan") as sent:
        (archive,) = sent
        assert sorted(zipfile.ZipFile(archive).namelist())[0] == "M1.2/IM0" and archive.stat().st_size > 0
    assert not archive.exists()
    with sendable(files[:2], tmp_path) as sent:
        assert sent == list(files[:2])


def test_choices_are_those_of_the_library():
    assert tuple(METHODS) == KNOWN_METHODS and set(SPECTRA) == set(KNOWN_SPECTRA)
    assert next(iter(SPECTRA)) == next(iter(KNOWN_SPECTRA))
