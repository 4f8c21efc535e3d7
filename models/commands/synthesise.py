"""Train a generator of B-mode images on one fold, and draw images from it for training within that fold."""

from __future__ import annotations

import argparse
from pathlib import Path

HELP = "train a generator of B-mode images on one fold, and draw from it"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the subcommand's options."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    learn = actions.add_parser("train", help="train a generator", description="Train a generator on one fold.")
    learn.add_argument("--kind", required=True, help="ldm_semantic, ldm_class or stacked_gan")
    learn.add_argument(
        "--cases", metavar="PATH", required=True, help="a cohort's or studies folder, or the public set's .mat"
    )
    learn.add_argument("--out", metavar="FILE", required=True, help="weights to write, .safetensors")
    fold = learn.add_mutually_exclusive_group(required=True)
    fold.add_argument("--patients-of", metavar="FILE", help="text file with the training patients' ids, one a line")
    fold.add_argument("--fold", metavar="K/N", help="the training part of fold K of N, patients divided by --seed")
    learn.add_argument("--size", default="small", help="small, or paper: needs a GPU (default: %(default)s)")
    learn.add_argument("--steps", type=int, help="of training (default: the size's)")
    learn.add_argument("--variant", help="of a stacked GAN: dcgan_stacked (default), dcgan_sn_sa_stacked, ...")
    learn.add_argument("--autoencoder", metavar="DIR", help="a trained one in diffusers' format (default: train one)")
    learn.add_argument("--seed", type=int, default=0, help="of folds, start and draws (default: %(default)d)")
    learn.add_argument("--device", default="auto", help="auto, cpu or cuda (default: %(default)s)")
    draw = actions.add_parser("draw", help="draw images", description="Draw images; the same command goes on.")
    draw.add_argument("--weights", metavar="FILE", required=True, help="of a generator")
    draw.add_argument("--healthy", type=int, default=0, metavar="N", help="images without fatty liver")
    draw.add_argument("--fatty", type=int, default=0, metavar="N", help="images with")
    draw.add_argument("--out", metavar="DIR", required=True, help="folder of the set: new, or one to continue")
    draw.add_argument("--seed", type=int, default=0, help="of the set (default: %(default)d)")
    draw.add_argument("--cases", metavar="DIR", help="what it was trained on: copies are looked for and told")
    draw.add_argument("--sampler", help="of latent diffusion: dpm (default) or ddim")
    draw.add_argument("--steps", type=int, help="of the sampler (default: dpm 30, ddim 500)")
    draw.add_argument("--guidance", type=float, help="of latent diffusion (default: 1.2)")


def run(args: argparse.Namespace) -> int:
    """Train or draw."""
    return _train(args) if args.action == "train" else _draw(args)


def _train(args: argparse.Namespace) -> int:
    from ..errors import UnsuitableInputError
    from ..synthesis.generator import check_kind, train_generator
    from ..ultrasound.frames import read_frames
    from ..weights import SUFFIX, save_weights
    from .console import progress_bar

    out, kind = Path(args.out), check_kind(args.kind)
    if out.suffix != SUFFIX:
        raise UnsuitableInputError(f"The weights need a name that ends in {SUFFIX}; found {out.name!r}. Rename them.")
    options = _options(args)
    frames = read_frames(args.cases, args.size)
    frames = frames.subset(_patients_of(frames, args.patients_of) if args.patients_of else _fold(frames, args))
    with progress_bar("Training") as shown:
        weights = train_generator(
            kind,
            frames,
            options,
            folder=out.with_suffix(".work"),
            progress=lambda told: shown(told.epoch, told.n_epochs, told.stage.capitalize()),
        )
    save_weights(out, weights.tensors, weights.card)
    print(f"trained on {weights.card['trained_on']}")
    print(f"wrote {out}; draw from it with: liverlabel synthesise draw --weights {out} --fatty 100 --out DIR")
    return 0


def _options(args: argparse.Namespace):
    from ..errors import UnsuitableInputError
    from ..synthesis.augmentation import generator_options

    if args.kind == "stacked_gan" and args.autoencoder:
        raise UnsuitableInputError("A stacked GAN has no autoencoder; found --autoencoder. Leave it out.")
    if args.kind != "stacked_gan" and args.variant:
        raise UnsuitableInputError("Only a stacked GAN has variants; found --variant. Leave it out.")
    shared = {"size": args.size, "seed": args.seed, "steps": args.steps, "device": args.device}
    return generator_options(args.kind, **shared, variant=args.variant, autoencoder=args.autoencoder)


def _patients_of(frames, file: str) -> list[int]:
    """Frames of the patients that a text file names."""
    from ..errors import UnsuitableInputError
    from ..io.files import read_bytes

    try:
        lines = read_bytes(Path(file)).decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise UnsuitableInputError(f"Patients need to be named in a text file; '{Path(file).name}' is none.") from error
    wanted = {line.strip() for line in lines if line.strip()}
    unknown = sorted(wanted - frames.patients)
    if not wanted or unknown:
        found = f"'{unknown[0]}' has no frame with an answer" if unknown else "the file names nobody"
        raise UnsuitableInputError(f"The training patients need frames with an answer; {found}. Correct the file.")
    return [k for k, patient in enumerate(frames.patient_ids) if patient in wanted]


def _fold(frames, args: argparse.Namespace):
    """Frames of the training part of a fold."""
    from ..errors import UnsuitableInputError
    from ..learning.splits import cross_validation

    number, _, n_folds = args.fold.partition("/")
    if not (number.isdecimal() and n_folds.isdecimal() and 1 <= int(number) <= int(n_folds)):
        raise UnsuitableInputError(f"A fold needs to be K/N with K from 1 to N, such as 1/5; found {args.fold!r}.")
    folds = cross_validation(frames.patient_ids, int(n_folds), args.seed, list(frames.is_fatty))
    return folds[int(number) - 1][0]


def _draw(args: argparse.Namespace) -> int:
    from ..synthesis.synthesise import synthesise
    from .console import progress_bar

    sampler, given = None, {key: getattr(args, key) for key in ("sampler", "steps", "guidance")}
    if any(value is not None for value in given.values()):
        from ..synthesis.samplers import SamplerOptions

        sampler = SamplerOptions(**{key: value for key, value in given.items() if value is not None})
    audit = _audit(args) if args.cases else None
    with progress_bar("Drawing") as shown:
        manifest = synthesise(
            args.weights, args.healthy, args.fatty, args.seed, args.out, sampler=sampler, audit=audit, progress=shown
        )
    if manifest.is_trained_on_simulated_data:
        print(f"note: the generator was trained on {manifest.generator.get('trained_on', 'simulated frames')}")
    n_fatty = sum(one.is_fatty for one in manifest.images)
    print(f"drew {len(manifest.images) - n_fatty} healthy and {n_fatty} fatty images into {args.out}")
    if manifest.audit:
        print(f"{manifest.audit['n_copies']} of {len(manifest.images)} images are called copies of a training frame")
    print(f"for training with the {len(manifest.training_patients)} patients its generator saw, and nobody else")
    return 0


def _audit(args: argparse.Namespace):
    """What compares images with the frames that the generator saw."""
    from ..errors import UnsuitableInputError
    from ..synthesis.features import small_network
    from ..synthesis.generator import load_generator
    from ..synthesis.memorisation import audit_memorisation
    from ..ultrasound.frames import FRAME_SIZES, read_frames
    from ..weights import load_weights

    generator = load_generator(load_weights(args.weights))
    size = next(name for name, (_, side) in FRAME_SIZES.items() if side == generator.side)
    frames = read_frames(args.cases, size)
    absent = sorted(set(generator.training_patients) - frames.patients)
    if absent:
        raise UnsuitableInputError(
            f"Copies are looked for in the frames that the generator saw; '{Path(args.cases).name}' lacks "
            f"{len(absent)} of its {len(generator.training_patients)} patients. Give the cases it was trained on."
        )
    seen = frames.subset([k for k, one in enumerate(frames.patient_ids) if one in set(generator.training_patients)])
    return lambda images, answers: audit_memorisation(images, seen, small_network()).to_json()
