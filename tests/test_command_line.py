"""The ``liverlabel`` command as a user meets it."""

import errno
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import nibabel
import numpy as np
import pytest

import liver_models
from liver_models.__main__ import SUBCOMMANDS, main
from liver_models.mri.pdff_files import RESULT_NAMES

HEAVY = ("numpy", "scipy", "torch", "pydicom", "nibabel", "matplotlib", "rich", "monai", "maxflow")


def liverlabel(*arguments) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "liver_models", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


@pytest.fixture(scope="module")
def phantom(tmp_path_factory) -> Path:
    """A small simulated liver of two slices as BIDS, with its truth, under a path with a space and an accent."""
    out = tmp_path_factory.mktemp("Grüße x") / "phantom"
    assert main(["phantom", "mri", "--kind", "liver", "--out", str(out), *"--snr 60 --size 48 --slices 2".split()]) == 0
    return out


def rois_of(phantom: Path) -> str:
    return str(phantom / "derivatives" / "simulated_truth" / "simulated_rois.nii.gz")


@pytest.mark.parametrize(
    "arguments", [[], *([name] for name in SUBCOMMANDS)], ids=lambda a: a[0] if a else "liverlabel"
)
def test_help_loads_nothing_heavy(arguments):
    code = (
        "import sys\nfrom liver_models.__main__ import main\n"
        f"try: main({[*arguments, '--help']!r})\nexcept SystemExit: pass\n"
        f"print('LOADED', [m for m in {HEAVY!r} if m in sys.modules])"
    )
    reply = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert reply.stdout.endswith("LOADED []\n")


def test_help_answers_in_half_a_second():
    def once() -> float:
        start = time.perf_counter()
        assert "not a medical device" in " ".join(liverlabel("--help").stdout.split())
        return time.perf_counter() - start

    assert min(once() for _ in range(4)) < 0.5


@pytest.mark.skipif(os.environ.get("LIVERLABEL_TEST_WHEEL") != "1", reason="the wheel is tested by make test")
def test_the_installed_wheel_is_tested_and_holds_the_app_and_its_resources():
    package = Path(liver_models.__file__).parent
    assert not package.is_relative_to(Path(__file__).parents[1]) or "site-packages" in package.parts
    apps = package.parent / "liver_apps"
    assert (apps / "liver" / "main.py").is_file() and (apps / "compat" / "pydicom_seg").is_dir()
    assert (package / "mri" / "resources" / "result.schema.json").is_file()
    assert (package / "reports" / "resources" / "report.css").is_file()
    scripts = Path(sys.executable).parent
    assert subprocess.run([scripts / "liverlabel", "--version"], capture_output=True, text=True).stdout.split()[0] == (
        "liverlabel"
    )
    assert "liver_apps.entry" in (scripts / "monailabel").read_text()


@pytest.mark.parametrize("file_format", ["bids", "dicom", "mat"])
def test_a_phantom_in_every_format_gives_its_known_fat_back(file_format, tmp_path, capsys):
    options = "--snr 80 --size 64 --pdff-percent 18 --seed 4 --oblique-deg 15".split()
    made = tmp_path / "made"
    assert main(["phantom", "mri", "--kind", "liver", "--format", file_format, "--out", str(made), *options]) == 0
    assert main(["pdff", str(made), "--out", str(tmp_path / "out"), "--roi", rois_of(made)]) == 0
    shown = capsys.readouterr().out
    assert "SIMULATED DATA" in shown and "right_lobe" in shown
    result = json.loads((tmp_path / "out" / "result.json").read_text("utf-8"))
    assert result["is_simulated"] is True
    assert len(result["inputs"]) >= 1 and all(len(item["sha256"]) == 64 for item in result["inputs"])
    lobe = next(row for row in result["rois"] if row["name"] == "right_lobe")
    assert lobe["pdff_mean_percent"] == pytest.approx(18, abs=1.0)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(RESULT_NAMES)
    written = nibabel.load(tmp_path / "out" / "pdff_percent.nii.gz")
    truth = nibabel.load(made / "derivatives" / "simulated_truth" / "simulated_truth_pdff_percent.nii.gz")
    corners = np.array([[0, 0, 0, 1], [63, 0, 0, 1], [0, 63, 0, 1], [63, 63, 0, 1]]).T
    assert written.affine @ corners == pytest.approx(truth.affine @ corners, abs=0.05)


def test_every_file_of_a_phantom_says_that_it_is_simulated(phantom):
    folder = phantom / "derivatives" / "simulated_truth"
    assert all("simulated" in path.name for path in folder.iterdir())
    assert json.loads((folder / "simulated_truth.json").read_text())["is_simulated"] is True


def test_a_case_and_its_source_give_the_same_maps(phantom, tmp_path, capsys):
    assert main(["import", str(phantom), "--studies", str(tmp_path / "studies"), "--case-id", "simulated-1"]) == 0
    shown = capsys.readouterr().out
    assert "imported  simulated-1" in shown and "skipped" in shown
    case = tmp_path / "studies" / "simulated-1.case.json"
    for source, out in ((phantom, "a"), (case, "b")):
        assert main(["pdff", str(source), "--out", str(tmp_path / out)]) == 0
    for name in RESULT_NAMES[:-2]:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_two_masks_with_the_same_names_keep_both(phantom, tmp_path):
    again = tmp_path / "second.nii.gz"
    again.write_bytes(Path(rois_of(phantom)).read_bytes())
    arguments = ["pdff", phantom, "--out", tmp_path / "out", "--roi", rois_of(phantom), "--roi", again, "--roi", again]
    assert main([str(argument) for argument in arguments]) == 0
    names = [row["name"] for row in json.loads((tmp_path / "out" / "result.json").read_text())["rois"]]
    assert len(names) == len(set(names)) and "right_lobe" in names and "second_roi_1" in names


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["pdff", "{tmp}/nowhere", "--out", "{tmp}/out"], "existing folder or file"),
        (["pdff", "{phantom}", "--out", "{tmp}/out", "--method", "magic"], "one of the methods ai_deal"),
        (["pdff", "{phantom}", "--out", "{tmp}/out", "--spectrum", "lard"], "one of hamilton_2011"),
        (["pdff", "{phantom}", "--out", "{tmp}/out", "--precession", "+2"], "precession needs to be one of"),
        (["pdff", "{phantom}", "--out", "{tmp}/out", "--readout", "odd"], "readout needs to be one of"),
        (["pdff", "{phantom}", "--out", "{tmp}/full"], "a folder of its own; .* also holds mine.txt"),
        (["pdff", "{phantom}", "--out", "{tmp}/full/mine.txt/x"], "would lie in .*mine.txt, which is a file"),
        (["pdff", "{phantom}", "--out", "/proc/x/y"], "would lie in /proc, which cannot be written|for 'y'; found"),
        (["import", "{phantom}", "--studies", "{tmp}/full/mine.txt"], "A folder .* is needed .* Not a directory"),
        (["import", "{tmp}/full", "--studies", "{tmp}/out"], "multi-echo"),
        (["import", "{phantom}", "--studies", "{tmp}/out", "--case-id", "../x"], "case id needs"),
        (["phantom", "mri", "--kind", "liver", "--out", "{tmp}/full"], "new or empty folder"),
        (["phantom", "mri", "--kind", "vials", "--out", "{tmp}/out", "--snr", "-3"], "SNR needs to be above 0"),
        (["phantom", "mri", "--kind", "vials", "--out", "{tmp}/out", "--echo-times-ms", "1,2"], "at least 3 echoes"),
        (["phantom", "mri", "--kind", "vials", "--out", "{tmp}/out", "--seed", "-1"], "seed needs to be 0 or above"),
        (["phantom", "mri", "--kind", "vials", "--out", "{tmp}/full/mine.txt/x"], "which is a file"),
        (["serve", "--studies", "{tmp}/full/mine.txt"], "A folder .* is needed .*mine.txt is a file"),
    ],
    ids=lambda value: value if isinstance(value, str) else value[0],
)
def test_what_cannot_be_used_ends_with_a_sentence_and_writes_nothing(arguments, sentence, phantom, tmp_path, capsys):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")
    before = sorted(tmp_path.rglob("*"))
    assert main([argument.format(tmp=tmp_path, phantom=phantom) for argument in arguments]) == 2
    said = capsys.readouterr().err
    assert said.startswith("liverlabel: ") and "Traceback" not in said
    import re

    assert re.search(sentence, " ".join(said.split()))
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux allows names that are no text")
@pytest.mark.parametrize("subcommand", ["import", "pdff"])
def test_a_file_name_that_is_no_text_is_refused(subcommand, phantom, tmp_path):
    odd = tmp_path / os.fsdecode(b"Le\xffber")
    odd.symlink_to(phantom, target_is_directory=True)
    option = "--studies" if subcommand == "import" else "--out"
    reply = liverlabel(subcommand, odd, option, tmp_path / "out")
    assert reply.returncode == 2 and "Le\\udcffber' is not. Rename it" in reply.stderr
    assert not (tmp_path / "out").exists()


def test_numbers_go_to_a_terminal_without_umlauts_and_the_progress_bar_does_not(phantom, tmp_path):
    command = [sys.executable, "-m", "liver_models", "pdff", phantom, "--out", tmp_path / "Grüße"]
    reply = subprocess.run(command, capture_output=True, env={**os.environ, "PYTHONIOENCODING": "ascii"}, timeout=120)
    assert (reply.returncode, reply.stderr) == (0, b"") and b"Gr\\xfc\\xdfe" in reply.stdout
    assert b"Estimating" not in reply.stdout and b"report.html" in reply.stdout


def test_a_former_result_needs_overwrite(phantom, tmp_path, capsys):
    arguments = ["pdff", str(phantom), "--out", str(tmp_path / "out")]
    assert main(arguments) == 0
    assert main(arguments) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert main([*arguments, "--overwrite"]) == 0


def test_echo_times_need_to_be_numbers(capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["phantom", "mri", "--kind", "vials", "--out", "x", "--echo-times-ms", "one"])
    assert stopped.value.code == 2
    assert "needs numbers such as 1.3,3.4,5.5; found 'one'" in capsys.readouterr().err


def raising(error):
    def raise_it(*_, **__):
        raise error

    return raise_it


@pytest.mark.parametrize(
    ("error", "code", "sentence"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "/data/x"), 2, "The disk that holds /data/x is full"),
        (OSError(errno.EDQUOT, "Quota exceeded"), 2, "The disk is full"),
        (PermissionError(errno.EACCES, "Permission denied", "/data/x"), 2, "/data/x may not: Permission denied"),
        (KeyboardInterrupt(), 130, "Interrupted"),
    ],
    ids=["full", "quota", "locked", "interrupted"],
)
def test_a_full_disk_and_an_interruption_are_said_without_a_traceback(
    error, code, sentence, monkeypatch, tmp_path, capsys
):
    monkeypatch.setattr("liver_models.mri.phantom.make_phantom", raising(error))
    assert main(["demo", "--out", str(tmp_path / "out")]) == code
    assert sentence in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_defect_of_ours_is_not_hidden(monkeypatch, tmp_path):
    monkeypatch.setattr("liver_models.mri.phantom.make_phantom", raising(ZeroDivisionError()))
    with pytest.raises(ZeroDivisionError):
        main(["demo", "--out", str(tmp_path / "out")])


def test_the_demo_writes_a_report_and_replaces_a_former_one(tmp_path, monkeypatch, capsys):
    from liver_models.mri import phantom

    real = phantom.make_phantom
    monkeypatch.setattr(phantom, "make_phantom", lambda kind, **options: real(kind, **(options | {"size": 64})))
    for _ in range(2):
        assert main(["demo", "--out", str(tmp_path / "demo")]) == 0
    assert "SIMULATED DATA" in (tmp_path / "demo" / "report.html").read_text("utf-8")
    assert "right_lobe" in capsys.readouterr().out


@pytest.fixture
def started(monkeypatch) -> dict:
    """What ``serve`` would become, instead of becoming it; sample cases of 32 x 32."""
    from liver_models.commands import serve

    seen = {}
    small = {name: settings | {"size": 32, "n_slices": 1} for name, settings in serve.SAMPLE_CASES.items()}
    monkeypatch.setattr(serve, "SAMPLE_CASES", small)
    monkeypatch.setattr(os, "execve", lambda path, argv, env: seen.update(argv=argv, env=env) or 0)
    return seen


def test_an_empty_studies_folder_gets_simulated_cases_before_the_server_starts(started, tmp_path):
    from liver_models.io.reading import read_study
    from liver_models.ultrasound.reading import read_subject

    studies = tmp_path / "studies"
    main(["serve", "--studies", str(studies), "--port", "8123"])
    cases = sorted(studies.glob("*.case.json"))
    assert len(cases) == 5
    for case in cases:
        is_rat = case.name.startswith("simulated-rat-")
        found = read_subject(case) if is_rat else read_study(case)
        assert case.name.startswith("simulated-") and found.is_simulated
        assert not is_rat or found.is_fibrotic_nash is None
    assert started["argv"][1:4] == ["-m", "liver_apps.entry", "start_server"]
    assert started["argv"][started["argv"].index("--port") + 1] == "8123"
    assert (Path(started["argv"][started["argv"].index("--app") + 1]) / "main.py").is_file()


def test_a_studies_folder_in_use_is_left_alone(started, tmp_path):
    (tmp_path / "plain.nii.gz").write_bytes(b"")
    main(["serve", "--studies", str(tmp_path)])
    assert [path.name for path in tmp_path.iterdir()] == ["plain.nii.gz"]


def test_the_token_is_not_on_the_servers_command_line(started, tmp_path):
    main(["serve", "--studies", str(tmp_path), "--no-samples", "--token", "a-very-secret-token"])
    assert "a-very-secret-token" not in " ".join(started["argv"])
    assert started["env"]["LIVERLABEL_TOKEN"] == "a-very-secret-token"


def test_no_probability_is_told_as_certain():
    from liver_models.commands.console import percent

    assert percent(0.9999, 0.42, 1.0) == ">99 % (42–>99 %)" and percent(0.0, 0.0, 0.05) == "<1 % (<1–5 %)"
