"""``liverlabel experiment nafld`` and ``experiment gan``: what generated images add to a classifier of fatty liver."""

from __future__ import annotations

import argparse
import ast
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..errors import UnsuitableInputError

_SHARED = "Running the same command again continues where it stopped; running it elsewhere on the same folder joins in."
_OPTION = "an option of a part that differs from its own; may be given several times: "


def add_arguments(experiments) -> None:
    """Add both experiments to those there are."""
    nafld = experiments.add_parser(
        "nafld",
        help="what generated images add to a classifier of fatty liver",
        description="Train classifiers of fatty liver on real images, and on real images mixed with geometric or "
        "generated ones, in every fold and with several seeds; judge the images; tables, figures, and what did not "
        f"work. {_SHARED}",
    )
    _add_shared(nafld)
    nafld.add_argument("--data", metavar="A,B,…", help="none, geometric, ldm_semantic, ldm_class, stacked_gan (all)")
    nafld.add_argument(
        "--rates",
        metavar="R,R,…",
        help="mixed-in images for each real one (default: 0,1.5; paper: 0,0.5,1,1.5,2)",
    )
    nafld.add_argument(
        "--models",
        metavar="A,B,…",
        help="small, resnet50, efficientnet_b0, efficientnet_v2_s (default: small; paper: the other three); the first "
        "in every way, the others on real images and with the first generator",
    )
    nafld.add_argument(
        "--variants",
        metavar="A,B,…",
        help="default, all_frozen, all_unfrozen, oversampled (default: default; paper: all that can be)",
    )
    nafld.add_argument("--seeds", type=int, metavar="N", help="trainings of each kind (default: 2; paper: 25)")
    nafld.add_argument("--folds", type=int, default=5, help="by patient (default: %(default)d)")
    nafld.add_argument("--filter", action="store_true", help="keep only generated images that the fold finds plausible")
    nafld.add_argument(
        "--imagenet",
        metavar="MODEL=FILE,SHA256",
        action="append",
        default=[],
        help="ImageNet weights of a model in torchvision's format, and their digest",
    )
    nafld.add_argument(
        "--option",
        metavar="PART.NAME=VALUE",
        action="append",
        default=[],
        help=_OPTION + "ldm_semantic.steps=800, ldm_class.sampler.guidance=1.5, classifier.steps=500",
    )
    gan = experiments.add_parser(
        "gan",
        help="six GANs: their images, and what they add",
        description="Train six GANs on random splits by patient, judge their images, and classify with training sets "
        f"that they expand and balance: the tables of the stacked GAN's paper. {_SHARED}",
    )
    _add_shared(gan)
    gan.add_argument("--gans", metavar="A,B,…", help="variants to compare (default: all six)")
    gan.add_argument("--model", help="classifier (default: small; paper: efficientnet_b0)")
    gan.add_argument("--repeats", type=int, metavar="N", help="random splits (default: 2; paper: 5)")
    gan.add_argument("--judged", type=int, metavar="N", help="images of each class (default: 120; paper: 400)")
    gan.add_argument(
        "--option",
        metavar="PART.NAME=VALUE",
        action="append",
        default=[],
        help=_OPTION + "generator.steps=1000, generator.mode=paper, classifier.steps=500",
    )


def _add_shared(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", metavar="DIR", required=True, help="folder of the experiment; new, or one to continue")
    parser.add_argument(
        "--cases", metavar="PATH", help="a cohort of subjects' folders, or a studies folder (default: simulated)"
    )
    parser.add_argument("--size", choices=("small", "paper"), default="small", help="(default: %(default)s)")
    parser.add_argument("--workers", type=int, default=2, metavar="N", help="processes here (default: %(default)d)")
    parser.add_argument("--seed", type=int, default=0, help="the first of all seeds (default: %(default)d)")
    parser.add_argument("--device", default="cpu", help="cpu, cuda or auto (default: %(default)s)")


def run_nafld(args: argparse.Namespace) -> int:
    """Compute what is missing, write the results, print what mixing in gains."""
    from ..synthesis.experiment.options import DATA, NafldExperimentOptions

    settings = _settings(args.option, (*DATA[2:], "classifier"))
    sampler = {part: values.pop("sampler") for part, values in settings.items() if "sampler" in values}
    classifier = settings.pop("classifier", {})
    weights = dict(_imagenet(one) for one in args.imagenet)
    options = NafldExperimentOptions(
        size=args.size,
        data=tuple(dict.fromkeys(("none", *(_names(args.data) or DATA)))),
        rates=_rates(args.rates),
        models=_names(args.models),
        variants=_names(args.variants),
        n_seeds=args.seeds,
        n_folds=args.folds,
        seed=args.seed,
        is_filtered=args.filter,
        generator={part: values for part, values in settings.items() if values},
        sampler=sampler,
        classifier=classifier,
        imagenet={model: sha256 for model, (_, sha256) in weights.items()},
        device=args.device,
    )
    paths = {model: path for model, (path, _) in weights.items()}
    document, rows = _run("nafld", args, options, "table2_gain", paths)
    if rows:
        print(f"{'mixed in':14}  {'rate':>4}  {'model':18}  {'variant':12}  {'gain in patient AUC (95 % CI)':30}")
    for row in rows:
        gain = f"{row['patient_gain']:+.3f} ({row['patient_low']:+.3f} to {row['patient_high']:+.3f})"
        print(f"{row['data']:14}  {row['rate']:>4g}  {row['model']:18}  {row['variant']:12}  {gain:30}")
    return _done(document, args)


def run_gan(args: argparse.Namespace) -> int:
    """Compute what is missing, write the results, print the table of classification."""
    from ..synthesis.experiment.gan_options import GAN_VARIANTS, GanExperimentOptions

    settings = _settings(args.option, ("generator", "classifier"))
    options = GanExperimentOptions(
        size=args.size,
        gans=_names(args.gans) or GAN_VARIANTS,
        model=args.model,
        n_repeats=args.repeats,
        n_judged=args.judged,
        seed=args.seed,
        generator=settings.get("generator", {}),
        classifier=settings.get("classifier", {}),
        device=args.device,
    )
    document, rows = _run("gan", args, options, "table2_classification", {})
    print(f"{'training set':28}  {'accuracy %':>10}  {'gain, points (95 % CI)':28}")
    for row in rows:
        gain = "" if row["gain"] is None else f"{row['gain']:+.1f} ({row['low']:+.1f} to {row['high']:+.1f})"
        print(f"{row['gan']:28}  {row['accuracy']:>10.1f}  {gain:28}")
    return _done(document, args)


def _run(name, args, options, stem, imagenet) -> tuple[dict, list[dict]]:
    from ..synthesis.experiment.run import rows_of, run_experiment
    from .console import progress_bar

    with progress_bar("Comparing") as progress:
        document = run_experiment(
            name, args.out, options, args.cases, workers=args.workers, imagenet=imagenet, progress=progress
        )
    if document["data"] == "simulated":
        print("SIMULATED DATA")
    return document, rows_of(document, stem)


def _done(document, args) -> int:
    print(document["headline"])
    print(f"wrote {Path(args.out) / 'report.html'}")
    return 0


def _names(text: str | None) -> tuple[str, ...] | None:
    return None if text is None else tuple(text.replace(",", " ").split())


def _rates(text: str | None) -> tuple[float, ...] | None:
    try:
        return None if text is None else tuple(float(one) for one in text.replace(",", " ").split())
    except ValueError as error:
        raise UnsuitableInputError(f"Mixing rates need numbers such as 0,1.5; found {text!r}.") from error


def _settings(given: Sequence[str], parts: Sequence[str]) -> dict[str, dict[str, Any]]:
    """``part.name=value`` as nested dicts; values are Python's literals, or else words."""
    found: dict[str, dict[str, Any]] = {}
    for text in given:
        name, separator, value = text.partition("=")
        keys = name.split(".")
        if not separator or keys[0] not in parts or not 2 <= len(keys) <= 3:
            raise UnsuitableInputError(
                f"An option needs the form PART.NAME=VALUE with a part of {', '.join(parts)}; found {text!r}."
            )
        try:
            value = ast.literal_eval(value)
        except (ValueError, SyntaxError):
            pass  # A word.
        place = found.setdefault(keys[0], {})
        for key in keys[1:-1]:
            place = place.setdefault(key, {})
        place[keys[-1]] = value
    return found


def _imagenet(text: str) -> tuple[str, tuple[str, str]]:
    model, separator, rest = text.partition("=")
    path, comma, sha256 = rest.rpartition(",")
    if not separator or not comma or not path:
        raise UnsuitableInputError(f"ImageNet weights need the form MODEL=FILE,SHA256; found {text!r}.")
    return model, (path, sha256.lower())
