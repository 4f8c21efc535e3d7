"""Fatty liver (NAFLD) from B-mode ultrasound."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

HELP = "probability of fatty liver from B-mode ultrasound"
DEFAULT_MIXING_RATE = 1.5
"""Images mixed in for each real one, where there are any to mix in: the paper's best."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the subcommand's options."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    ask = actions.add_parser("predict", help="ask a model about patients", description="Ask a model about patients.")
    ask.add_argument(
        "inputs", metavar="CASE_OR_FOLDER", nargs="+", help="cases (.case.json), or folders of one subject or of many"
    )
    ask.add_argument("--out", metavar="DIR", required=True, help="folder of the results; a result there is replaced")
    ask.add_argument("--weights", metavar="FILE", help="of a model (default: the demonstration weights)")
    ask.add_argument("--threshold", type=float, default=0.5, help="probability from which it is called (default: 0.5)")
    ask.add_argument("--no-maps", action="store_true", help="leave out Grad-CAM and gradient SHAP")
    learn = actions.add_parser("train", help="train a model on labelled patients", description="Train a model.")
    learn.add_argument(
        "--cases", metavar="PATH", required=True, help="a cohort's or studies folder, or the public set's .mat"
    )
    learn.add_argument("--out", metavar="FILE", required=True, help="weights to write, .safetensors")
    learn.add_argument(
        "--model", default="small", help="small, resnet50, efficientnet_b0 or efficientnet_v2_s (default: %(default)s)"
    )
    learn.add_argument("--mode", default="default", help="default, or paper: nobody calibrates (default: %(default)s)")
    learn.add_argument("--size", default="small", help="small: 64 x 64; paper: 256 x 256 (default: %(default)s)")
    learn.add_argument(
        "--augment",
        default="none",
        help="none; geometric: crops and turns are mixed in; or images of ldm_semantic, ldm_class or stacked_gan, "
        "trained first on the patients that are learnt from",
    )
    learn.add_argument("--generator", metavar="FILE", help="one of this kind to draw from instead of training it")
    learn.add_argument("--generator-steps", type=int, metavar="N", help="of its training (default: the size's)")
    learn.add_argument(
        "--synthetic", metavar="DIR", action="append", default=[], help="set of synthetic images to mix in; may repeat"
    )
    learn.add_argument(
        "--mixing-rate",
        type=float,
        help=f"images mixed in for each real one (default: {DEFAULT_MIXING_RATE}, where there are any)",
    )
    learn.add_argument("--oversample", action="store_true", help="draw the rarer class as often as the other")
    learn.add_argument("--steps", type=int, help="of the training (default: the size's)")
    learn.add_argument("--seed", type=int, default=0, help="of split, start and draws (default: %(default)d)")
    learn.add_argument("--device", default="auto", help="auto, cpu or cuda (default: %(default)s)")
    learn.add_argument(
        "--max-minutes",
        type=float,
        help="stop each of the stages, making images and training, after so long; the same command goes on",
    )
    learn.add_argument("--imagenet", metavar="FILE", help="ImageNet weights in torchvision's format, path or https")
    learn.add_argument("--imagenet-sha256", metavar="HEX", help="their SHA-256")
    learn.add_argument("--freeze", help="none, partial (the paper's) or all; needs ImageNet weights")


def run(args: argparse.Namespace) -> int:
    """Ask or train."""
    return _predict(args) if args.action == "predict" else _train(args)


def _predict(args: argparse.Namespace) -> int:
    from ..io.files import cannot_write, write_atomically
    from ..ultrasound.nafld import NafldModel, predict
    from ..ultrasound.nafld_files import overlays, result_json
    from ..ultrasound.nafld_training import ARCHITECTURE
    from ..weights import load_weights
    from .console import called, percent

    model = NafldModel(load_weights(args.weights, ARCHITECTURE) if args.weights else None)
    if model.card.get("is_trained_on_simulated_data", True):
        print(f"note: the model was trained on {model.card.get('trained_on')}")
    for source in args.inputs:
        for subject in _subjects(Path(source)):
            answer = predict(subject, model, threshold=args.threshold, with_maps=not args.no_maps)
            folder = Path(args.out) / subject.case_id
            try:
                folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise cannot_write(folder, error) from error
            for name, picture in overlays(subject, answer).items():
                write_atomically(folder / name, picture)
            text = json.dumps(result_json(subject, answer), indent=2, ensure_ascii=False, allow_nan=False)
            write_atomically(folder / "result.json", (text + "\n").encode("utf-8"))
            stated = percent(answer.probability, answer.probability_low, answer.probability_high)
            decided = called(answer.conformal_answers) if answer.is_calibrated else "not calibrated"
            print(f"{subject.case_id}: {stated}, at 90 % coverage: {decided}")
    return 0


def _subjects(path: Path):
    """One subject, or those of a cohort's or a studies folder."""
    from ..io.case import CASE_SUFFIX
    from ..io.ultrasound_folder import is_subject
    from ..ultrasound.reading import read_cohort, read_subject

    if path.is_dir() and (any(path.glob(f"*{CASE_SUFFIX}")) or not is_subject(path)):
        return read_cohort(path, with_elastograms=False)
    return [read_subject(path, with_elastograms=False)]


def _train(args: argparse.Namespace) -> int:
    from ..errors import UnsuitableInputError
    from ..ultrasound.frames import read_frames
    from ..ultrasound.nafld_mixing import read_synthetic
    from ..ultrasound.nafld_training import train_nafld
    from ..weights import SUFFIX, save_weights
    from .console import progress_bar

    out = Path(args.out)
    if out.suffix != SUFFIX:
        raise UnsuitableInputError(f"The weights need a name that ends in {SUFFIX}; found {out.name!r}. Rename them.")
    options, draw = _options(args), _drawing(args)
    mixed = {}
    if args.synthetic:
        mixed["synthetic"], mixed["seen_patients"] = read_synthetic(args.synthetic)
    frames = read_frames(args.cases, args.size)
    folder, note = out.with_suffix(".work"), None
    with progress_bar("Training") as shown:

        def told(report):
            shown(report.epoch, report.n_epochs, report.stage.capitalize())

        if draw is not None:
            drawn = draw(frames, options, folder, progress=told)
            mixed, note = {"synthetic": drawn.images, "seen_patients": drawn.seen_patients}, dict(drawn.note)
        weights = train_nafld(frames, options, folder=folder, progress=told, **mixed)
    if note is not None:
        weights.card["generator"] = note
    save_weights(out, weights.tensors, weights.card)
    print(f"trained on {weights.card['trained_on']}")
    print(f"wrote {out}; use it with: liverlabel nafld predict CASE --out DIR --weights {out}")
    return 0


def _options(args: argparse.Namespace):
    """Of the classifier's training; drawn images are given to it as synthetic ones are."""
    from ..errors import UnsuitableInputError
    from ..synthesis.kinds import KINDS
    from ..ultrasound.nafld_options import AUGMENT, NafldOptions

    if args.augment not in (*AUGMENT, *KINDS):
        raise UnsuitableInputError(
            f"The augmentation needs to be one of {', '.join((*AUGMENT, *KINDS))}; found {args.augment!r}."
        )
    is_mixed = bool(args.synthetic) or args.augment != "none"
    default_rate = DEFAULT_MIXING_RATE if is_mixed else 0.0
    return NafldOptions(
        model=args.model,
        mode=args.mode,
        size=args.size,
        freeze=args.freeze,
        augment="none" if args.augment in KINDS else args.augment,
        mixing_rate=default_rate if args.mixing_rate is None else args.mixing_rate,
        is_oversampled=args.oversample,
        steps=args.steps,
        seed=args.seed,
        device=args.device,
        max_minutes=args.max_minutes,
        imagenet=args.imagenet,
        imagenet_sha256=args.imagenet_sha256,
    )


def _drawing(args: argparse.Namespace):
    """What draws synthetic images for the training; None: nothing does."""
    from functools import partial

    from ..errors import UnsuitableInputError
    from ..synthesis.augmentation import draw_images, generator_options
    from ..synthesis.kinds import KINDS
    from ..weights import load_weights

    given = {"--generator": args.generator, "--generator-steps": args.generator_steps}
    named = [name for name, value in given.items() if value is not None]
    if args.augment not in KINDS:
        if named:
            raise UnsuitableInputError(
                f"{named[0]} needs --augment with one of {', '.join(KINDS)}; found {args.augment}. Name its kind."
            )
        return None
    if args.synthetic:
        raise UnsuitableInputError(
            f"A training needs one kind of images to mix in; found --synthetic and --augment {args.augment}. Leave one "
            "out."
        )
    if len(named) == 2:
        raise UnsuitableInputError(
            "A generator is given or trained; found --generator and --generator-steps. Leave one out."
        )
    if args.generator is not None:
        return partial(draw_images, args.augment, generator=load_weights(args.generator))
    training = generator_options(
        args.augment, size=args.size, seed=args.seed, device=args.device, steps=args.generator_steps
    )
    return partial(draw_images, args.augment, training=training)
