"""Make a simulated study whose answer is known, as files that a scanner could have written."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from .console import numbers

HELP = "make a simulated study whose answer is known"
FORMATS = ("bids", "dicom", "mat")
TRUTH_FOLDER = "simulated_truth"
TRUTH_MAPS = ("pdff_percent", "r2_star_per_s", "field_map_hz", "water", "fat", "body_mask", "liver_mask")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the subcommand's options."""
    modalities = parser.add_subparsers(dest="modality", metavar="MODALITY", required=True)
    mri = modalities.add_parser("mri", help="multi-echo MRI", description="Simulate multi-echo chemical-shift MRI.")
    mri.add_argument("--kind", choices=("vials", "liver"), required=True, help="seven vials, or an abdomen")
    mri.add_argument("--out", metavar="DIR", required=True, help="folder to write; it must be new or empty")
    mri.add_argument("--snr", type=float, help="signal over the noise of one channel (default: no noise)")
    mri.add_argument("--field-strength-t", type=float, default=1.5, help="tesla (default: %(default)g)")
    mri.add_argument("--echo-times-ms", type=numbers, metavar="MS,MS,…", help="milliseconds (default: six echoes)")
    mri.add_argument("--slices", type=int, default=1, help="number of slices (default: %(default)d)")
    mri.add_argument(
        "--size", type=int, default=192, help="voxels across the same field of view (default: %(default)d)"
    )
    mri.add_argument("--seed", type=int, default=0, help="which patient and noise (default: %(default)d)")
    mri.add_argument("--dome", action="store_true", help="liver: through its dome, between the lungs")
    mri.add_argument("--pdff-percent", type=float, help="liver: its fat fraction (default: drawn)")
    mri.add_argument("--r2-star-per-s", type=float, help="liver: its R2* at 1.5 T (default: drawn)")
    mri.add_argument("--spectrum", default="hamilton_2011", help="fat spectrum (default: %(default)s)")
    mri.add_argument("--bipolar-phase-rad", type=float, default=0.0, help="phase of every second echo")
    mri.add_argument("--precession", type=int, choices=(1, -1), default=1, help="-1 stores the conjugate")
    mri.add_argument("--oblique-deg", type=float, default=0.0, help="tilt of the slices")
    mri.add_argument("--format", choices=FORMATS, default="bids", help="what to write (default: %(default)s)")
    ultrasound = modalities.add_parser(
        "ultrasound",
        help="a cohort of rats' livers: B-mode, elastograms, clinical values",
        description="Simulate a cohort with and without fibrotic NASH: B-mode images, elastograms, clinical values.",
    )
    ultrasound.add_argument("--out", metavar="DIR", required=True, help="folder to write; it must be new or empty")
    ultrasound.add_argument("--subjects", type=int, default=87, help="number of rats (default: %(default)d)")
    ultrasound.add_argument("--fibrotic", type=int, default=23, help="those with fibrotic NASH (default: %(default)d)")
    ultrasound.add_argument("--seed", type=int, default=0, help="which cohort (default: %(default)d)")
    ultrasound.add_argument(
        "--pairs", type=int, default=3, help="B-mode images, each with an elastogram, of a rat (default: %(default)d)"
    )
    ultrasound.add_argument("--size", type=int, default=224, help="pixels of a picture's side (default: %(default)d)")
    ultrasound.add_argument(
        "--shortcuts", metavar="ecg,text", help="burn in marks that give the answer away (default: none)"
    )
    nafld = modalities.add_parser(
        "nafld",
        help="patients with and without fatty liver, several B-mode frames each",
        description="Simulate patients with and without fatty liver: B-mode frames and the answer.",
    )
    nafld.add_argument("--out", metavar="DIR", required=True, help="folder to write; it must be new or empty")
    nafld.add_argument("--healthy", type=int, default=17, help="patients below 5 %% fat (default: %(default)d)")
    nafld.add_argument("--fatty", type=int, default=38, help="patients above (default: %(default)d)")
    nafld.add_argument("--frames", type=int, default=10, help="of each patient (default: %(default)d)")
    nafld.add_argument("--seed", type=int, default=0, help="which patients (default: %(default)d)")
    nafld.add_argument("--size", default="small", help="small, or paper: larger pictures (default: %(default)s)")


def run(args: argparse.Namespace) -> int:
    """Simulate and write: the study or cohort, and its truth in a folder of its own."""
    return {"mri": _run_mri, "ultrasound": _run_ultrasound, "nafld": _run_nafld}[args.modality](args)


def _new_folder(folder: str) -> Path:
    from ..errors import UnsuitableInputError

    out = Path(folder)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UnsuitableInputError(f"A phantom needs a new or empty folder; {out} holds something. Choose another.")
    return out


def _run_mri(args: argparse.Namespace) -> int:
    import numpy as np

    from ..io.export import write_bids, write_dicom, write_ismrm_mat
    from ..mri.pdff_files import whole_folder
    from ..mri.phantom import make_phantom

    out = _new_folder(args.out)
    study, truth = make_phantom(
        args.kind,
        snr=args.snr,
        field_strength_t=args.field_strength_t,
        echo_times_s=None if args.echo_times_ms is None else np.array(args.echo_times_ms) / 1e3,
        seed=args.seed,
        n_slices=args.slices,
        size=args.size,
        dome=args.dome,
        pdff_percent=args.pdff_percent,
        r2_star_per_s=args.r2_star_per_s,
        spectrum=args.spectrum,
        bipolar_phase_rad=args.bipolar_phase_rad,
        precession=args.precession,
        oblique_deg=args.oblique_deg,
    )
    with whole_folder(out) as partial:
        if args.format == "bids":
            write_bids(study, partial)
        elif args.format == "dicom":
            write_dicom(study, partial / f"{study.case_id}-dicom")
        else:
            write_ismrm_mat(study, partial / f"{study.case_id}.mat")
        write_truth(truth, study, partial / "derivatives" / TRUTH_FOLDER, vars(args))
    print(f"wrote the simulated study {study.case_id} and its truth to {out}")
    return 0


def _run_ultrasound(args: argparse.Namespace) -> int:
    from ..mri.pdff_files import whole_folder
    from ..ultrasound.phantom import simulate_cohort
    from ..ultrasound.phantom_files import write_cohort

    out = _new_folder(args.out)
    shortcuts = [name.strip() for name in args.shortcuts.split(",")] if args.shortcuts else ()
    cohort = simulate_cohort(args.subjects, args.fibrotic, args.seed, args.pairs, args.size, shortcuts)
    with whole_folder(out) as partial:
        write_cohort(cohort, partial)
    print(f"wrote a simulated cohort of {len(cohort)} subjects, {args.fibrotic} fibrotic, and its truth to {out}")
    return 0


def _run_nafld(args: argparse.Namespace) -> int:
    from ..mri.pdff_files import whole_folder
    from ..ultrasound.phantom_files import write_nafld_cohort
    from ..ultrasound.phantom_nafld import simulate_nafld_cohort
    from .console import progress_bar

    out = _new_folder(args.out)
    cohort = simulate_nafld_cohort(args.healthy, args.fatty, args.frames, args.seed, args.size)
    with whole_folder(out) as partial, progress_bar("Simulating") as shown:
        write_nafld_cohort(cohort, partial, on_subject=lambda n: shown(n, len(cohort)))
    print(f"wrote {len(cohort)} simulated patients, {args.fatty} with fatty liver, and their truth to {out}")
    return 0


def write_truth(truth, study, folder: Path, settings: dict) -> None:
    """The truth as volumes whose names say that they are simulated, its regions as one label volume with names.

    Args:
        truth: A :class:`~..mri.phantom.PhantomTruth`.
        study: Its study.
        folder: Where to; made.
        settings: The options it was made with, for ``simulated_truth.json``.
    """
    import numpy as np

    from ..io.volumes import write_volume

    folder.mkdir(parents=True)
    for name in TRUTH_MAPS:
        write_volume(folder / f"simulated_truth_{name}.nii.gz", getattr(truth, name), study.affine)
    labels = np.zeros(truth.body_mask.shape, np.uint8)
    for number, mask in enumerate(truth.rois.values(), start=1):
        labels[mask] = number
    write_volume(folder / "simulated_rois.nii.gz", labels, study.affine)
    names = {name: number for number, name in enumerate(truth.rois, start=1)}
    (folder / "simulated_rois.json").write_text(json.dumps(names, indent=2) + "\n", encoding="utf-8")
    kept = {key: value for key, value in settings.items() if key not in ("run", "out", "subcommand")}
    about = {"is_simulated": True, "noise_std": truth.noise_std, "options": kept}
    (folder / "simulated_truth.json").write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")
