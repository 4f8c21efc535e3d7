"""Fibrotic NASH from B-mode ultrasound, shear-wave elastography and clinical values."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

HELP = "probability of fibrotic NASH from ultrasound, elastography and clinical values"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the subcommand's options."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    ask = actions.add_parser("predict", help="ask a model about subjects", description="Ask a model about subjects.")
    ask.add_argument("inputs", metavar="CASE", nargs="+", help="cases (.case.json) or folders of one subject")
    ask.add_argument("--out", metavar="DIR", required=True, help="folder of the results; a result there is replaced")
    ask.add_argument("--weights", metavar="FILE", help="of a model (default: the demonstration weights)")
    ask.add_argument("--threshold", type=float, default=0.5, help="probability from which it is called (default: 0.5)")
    learn = actions.add_parser("train", help="train a model on labelled subjects", description="Train a model.")
    learn.add_argument(
        "--cases", metavar="DIR", required=True, help="a cohort of subjects' folders, or a studies folder"
    )
    learn.add_argument("--out", metavar="FILE", required=True, help="weights to write, .safetensors")
    learn.add_argument("--model", default="combined", help="combined, b_mode_swe, b_mode, swe, clinical or swe_value")
    learn.add_argument("--mode", default="default", help="default, or paper: as the text stands")
    learn.add_argument("--size", default="small", help="small, or full: two ResNet-18 (default: %(default)s)")
    learn.add_argument("--epochs", type=int, help="most epochs (default: the size's)")
    learn.add_argument("--seed", type=int, default=0, help="of split, start and draws (default: %(default)d)")
    learn.add_argument("--device", default="auto", help="auto, cpu or cuda (default: %(default)s)")
    learn.add_argument("--max-minutes", type=float, help="stop after so long; the same command goes on")
    learn.add_argument(
        "--imagenet", metavar="FILE", help="ImageNet ResNet-18 weights, path or https address; full only"
    )
    learn.add_argument("--imagenet-sha256", metavar="HEX", help="their SHA-256")
    learn.add_argument("--frozen-stages", type=int, default=0, help="stages of each ResNet that are not trained")


def run(args: argparse.Namespace) -> int:
    """Ask or train."""
    return _predict(args) if args.action == "predict" else _train(args)


def _predict(args: argparse.Namespace) -> int:
    from ..io.files import cannot_write, write_atomically
    from ..ultrasound.fusion import FusionModel, predict
    from ..ultrasound.fusion_training import ARCHITECTURE
    from ..ultrasound.nash_files import overlay_png, result_json
    from ..ultrasound.reading import read_subject
    from ..weights import load_weights
    from .console import called, percent

    model = FusionModel(load_weights(args.weights, ARCHITECTURE) if args.weights else None)
    if model.card.get("is_trained_on_simulated_data", True):
        print(f"note: the model was trained on {model.card.get('trained_on')}")
    needs_stiffness = model.options.mode != "paper"
    for source in args.inputs:
        subject = read_subject(source, needs_stiffness=needs_stiffness)
        answer = predict(subject, model, threshold=args.threshold)
        folder = Path(args.out) / subject.case_id
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise cannot_write(folder, error) from error
        if answer.grad_cam is not None:
            write_atomically(folder / "grad_cam.png", overlay_png(subject, answer))
        text = json.dumps(result_json(subject, answer), indent=2, ensure_ascii=False, allow_nan=False)
        write_atomically(folder / "result.json", (text + "\n").encode("utf-8"))
        stated = percent(answer.probability, answer.probability_low, answer.probability_high)
        print(f"{subject.case_id}: {stated}, at 90 % coverage: {called(answer.conformal_answers)}")
    return 0


def _train(args: argparse.Namespace) -> int:
    from ..errors import UnsuitableInputError
    from ..ultrasound.fusion_options import FusionOptions
    from ..ultrasound.fusion_training import train_fusion
    from ..ultrasound.reading import read_cohort
    from ..weights import SUFFIX, save_weights
    from .console import progress_bar

    out = Path(args.out)
    if out.suffix != SUFFIX:
        raise UnsuitableInputError(f"The weights need a name that ends in {SUFFIX}; found {out.name!r}. Rename them.")
    options = FusionOptions(
        model=args.model,
        mode=args.mode,
        size=args.size,
        epochs=args.epochs,
        seed=args.seed,
        device=args.device,
        max_minutes=args.max_minutes,
        imagenet=args.imagenet,
        imagenet_sha256=args.imagenet_sha256,
        n_frozen_stages=args.frozen_stages,
    )
    cohort = read_cohort(args.cases, needs_stiffness=args.mode != "paper")
    labelled = [k for k, source in enumerate(cohort.sources) if source.is_fibrotic_nash is not None]
    with progress_bar("Training") as shown:
        weights = train_fusion(
            [cohort[k] for k in labelled],
            options,
            folder=out.with_suffix(".work"),
            progress=lambda told: shown(told.epoch, told.n_epochs),
        )
    save_weights(out, weights.tensors, weights.card)
    print(f"trained on {weights.card['trained_on']}")
    print(f"wrote {out}; use it with: liverlabel nash predict CASE --out DIR --weights {out}")
    return 0
