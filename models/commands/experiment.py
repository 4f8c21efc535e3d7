"""Compare methods as their papers do: tables and figures of whatever data is given."""

from __future__ import annotations

import argparse
from pathlib import Path

from . import experiment_synthesis

HELP = "compare methods: tables and figures of a whole experiment"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the subcommand's options."""
    experiments = parser.add_subparsers(dest="experiment", metavar="EXPERIMENT", required=True)
    pdff = experiments.add_parser(
        "pdff",
        help="methods that measure the fat fraction",
        description="Compare PDFF methods on measured and simulated cases: biases, uncertainty, noise, echo protocols. "
        "Running the same command again continues where it stopped.",
    )
    pdff.add_argument("--out", metavar="DIR", required=True, help="folder of the experiment; new, or one to continue")
    pdff.add_argument(
        "--cases",
        metavar="PATH",
        nargs="+",
        default=[],
        help="cases, folders of cases, or any study that can be read; label volumes named <case>_rois.nii.gz beside "
        "them give the regions right_lobe and left_lobe",
    )
    pdff.add_argument(
        "--simulated",
        metavar="N",
        type=int,
        help="number of simulated livers, with vials, noise series and protocols; 0: none (default: 12, or 0 with "
        "--cases)",
    )
    pdff.add_argument("--methods", metavar="A,B,…", help="methods to compare (default: all)")
    pdff.add_argument(
        "--reference",
        metavar="NAME",
        help="graph_cut or truth (default: the truth of simulated livers, graph_cut elsewhere)",
    )
    pdff.add_argument("--seed", type=int, default=0, help="which simulated data (default: %(default)d)")
    pdff.add_argument("--size", type=int, default=192, help="voxels across simulated images (default: %(default)d)")
    nash = experiments.add_parser(
        "nash",
        help="models of fibrotic NASH",
        description="Compare models of fibrotic NASH on a cohort whose answers are known: the paper's tables and "
        "figures. Running the same command again continues where it stopped.",
    )
    nash.add_argument("--out", metavar="DIR", required=True, help="folder of the experiment; new, or one to continue")
    nash.add_argument(
        "--cases", metavar="DIR", required=True, help="a cohort of subjects' folders, or a studies folder"
    )
    nash.add_argument("--models", metavar="A,B,…", help="models to compare (default: all six)")
    nash.add_argument("--paper", action="store_true", help="also train as the paper does, shown side by side")
    nash.add_argument(
        "--size", choices=("small", "full"), default="small", help="of the networks (default: %(default)s)"
    )
    nash.add_argument("--folds", type=int, default=3, help="of the cross-validation by patient (default: %(default)d)")
    nash.add_argument("--epochs", type=int, help="most epochs of each training (default: the model's)")
    nash.add_argument("--seed", type=int, default=0, help="of folds and training (default: %(default)d)")
    nash.add_argument("--device", default="auto", help="auto, cpu or cuda (default: %(default)s)")
    experiment_synthesis.add_arguments(experiments)


def run(args: argparse.Namespace) -> int:
    """Compute what is missing, write the results, print the main table."""
    runs = {"pdff": _run_pdff, "nash": _run_nash, "nafld": experiment_synthesis.run_nafld}
    return {**runs, "gan": experiment_synthesis.run_gan}[args.experiment](args)


def _run_pdff(args: argparse.Namespace) -> int:
    from ..mri.experiment.options import N_SIMULATED, ExperimentOptions, label
    from ..mri.experiment.run import run_experiment
    from ..mri.pdff_options import METHODS
    from .console import progress_bar

    methods = METHODS if args.methods is None else tuple(args.methods.replace(",", " ").split())
    n_simulated = args.simulated if args.simulated is not None else (0 if args.cases else N_SIMULATED)
    options = ExperimentOptions(
        methods=tuple(methods), n_simulated=n_simulated, reference=args.reference, seed=args.seed, size=args.size
    )
    with progress_bar("Comparing") as progress:
        results = run_experiment(args.out, options, args.cases, progress)
    if results["has_simulated_data"]:
        print("SIMULATED DATA" if all(c["data"] == "simulated" for c in results["cases"]) else "PARTLY SIMULATED DATA")
    biases = [row for name, rows in results["tables"].items() if name.startswith("bias_") for row in rows]
    if biases:
        print(f"{'data':9}  {'region':10}  {'method':18}  {'cases':>5}  {'bias, points':>16}")
    for row in biases:
        mean, spread = ("–" if row[key] is None else f"{row[key]:.2f}" for key in ("bias_points", "bias_std_points"))
        print(
            f"{row['data']:9}  {row['region']:10}  {label(row['method']):18}  {row['n_cases']:>5}  "
            f"{f'{mean} ± {spread}':>16}"
        )
    for refusal in results["tables"].get("not_applicable", ()):
        print(f"note: {label(refusal['method'])} refused {refusal['n_cases']} of the cases. {refusal['reason']}")
    print(f"wrote {Path(args.out) / 'report.html'}")
    return 0


def _run_nash(args: argparse.Namespace) -> int:
    from ..ultrasound.experiment.options import NashExperimentOptions
    from ..ultrasound.experiment.run import run_experiment
    from ..ultrasound.fusion_options import MODELS
    from .console import progress_bar

    models = MODELS if args.models is None else tuple(args.models.replace(",", " ").split())
    options = NashExperimentOptions(
        models=models,
        with_paper_mode=args.paper,
        size=args.size,
        n_folds=args.folds,
        seed=args.seed,
        epochs=args.epochs,
        device=args.device,
    )
    with progress_bar("Comparing") as progress:
        results = run_experiment(args.out, args.cases, options, progress)
    if results["data"] != "measured":
        print(results["data"].replace("_", " ").upper() + " DATA")
    print(f"{'mode':8}  {'model':22}  {'AUC (95 % CI)':22}  {'accuracy':>8}")
    for row in results["tables"][f"table4_performance_{results['data']}"]:
        interval = f"{row['auc']:.3f} ({row['auc_low']:.3f}–{row['auc_high']:.3f})"
        print(f"{row['mode']:8}  {row['model']:22}  {interval:22}  {row['accuracy']:8.3f}")
    print(f"wrote {Path(args.out) / 'report.html'}")
    return 0
