"""Ask readers to tell real frames from synthetic ones: make the offline page, then score the answers."""

from __future__ import annotations

import argparse
from pathlib import Path

HELP = "make a reader study of real and synthetic frames, or score its answers"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the subcommand's options."""
    parser.add_argument("--key", metavar="KEY.json", required=True, help="what each image is; keep it from the readers")
    parser.add_argument(
        "--out", metavar="PATH", required=True, help="the page, such as turing.html; with --score a folder of results"
    )
    making = parser.add_argument_group("to make the page")
    making.add_argument("--real", metavar="DIR", help="real frames: a cohort, a studies folder, a tree of pictures")
    making.add_argument(
        "--synthetic", metavar="DIR", nargs="+", help="synthetic sets or folders of pictures, one a source"
    )
    making.add_argument("--n-real", type=int, default=20, help="real frames (default: %(default)d, as the paper)")
    making.add_argument(
        "--n-synthetic", type=int, default=15, help="images of each synthetic source (default: %(default)d)"
    )
    making.add_argument("--side", type=int, help="pixels a side of every image (default: of the smallest synthetic)")
    making.add_argument("--patient-pattern", metavar="REGEX", help="of a tree of real pictures, as in liverlabel audit")
    parser.add_argument("--seed", type=int, default=0, help="of draw, order and intervals (default: %(default)d)")
    scoring = parser.add_argument_group("to score the answers")
    scoring.add_argument("--score", metavar="ANSWERS.json", nargs="+", help="the readers' files")


def run(args: argparse.Namespace) -> int:
    """Make the page and its key, or score answers."""
    from ..errors import UnsuitableInputError

    if args.score:
        if args.real or args.synthetic:
            raise UnsuitableInputError(
                "liverlabel turing either makes a page or scores answers; found --score beside --real or --synthetic. "
                "Leave one out."
            )
        return _score(args)
    if not (args.real and args.synthetic):
        raise UnsuitableInputError(
            "A reader study needs --real DIR and --synthetic DIR, or --score ANSWERS.json; found neither. Give them."
        )
    return _make(args)


def _make(args: argparse.Namespace) -> int:
    from ..errors import UnsuitableInputError
    from ..io.files import write_atomically
    from ..synthesis.turing import TuringOptions, check_side, draw_study, write_key
    from ..synthesis.turing_inputs import draws_cuts, real_pool, side_of, synthetic_pool
    from ..synthesis.turing_page import turing_page

    page_path, key_path = Path(args.out), Path(args.key)
    if page_path.resolve() == key_path.resolve() or page_path.is_dir():
        raise UnsuitableInputError(
            f"The page needs a file of its own, such as turing.html, apart from its key; found '{page_path}'. Change "
            "--out."
        )
    options = TuringOptions(args.n_real, args.n_synthetic, args.seed)
    side = check_side(min(side_of(folder) for folder in args.synthetic) if args.side is None else args.side)
    cuts_seed = args.seed if all(draws_cuts(folder) for folder in args.synthetic) else None
    real = real_pool(args.real, side, args.patient_pattern, cuts_seed=cuts_seed)
    synthetic = [synthetic_pool(folder, side) for folder in args.synthetic]
    images, key = draw_study(real, synthetic, options)
    write_key(key, key_path)
    write_atomically(page_path, turing_page(images, key.study, real.is_simulated).encode("utf-8"))
    counts = " + ".join(str(n) for n in (options.n_real, *(options.n_synthetic for _ in synthetic)))
    n_patients = len({patient for patient in real.patient_ids})
    print(f"{counts} images of {side} x {side} pixels; real ones from {n_patients} patients")
    print(f"wrote {args.out} (send this to the readers)")
    print(f"wrote {args.key} (keep this to yourself)")
    return 0


def _score(args: argparse.Namespace) -> int:
    from ..synthesis.turing import read_key
    from ..synthesis.turing_report import write_report
    from ..synthesis.turing_score import MEASURES, read_answers, score

    key = read_key(args.key)
    result = score(key, [read_answers(path) for path in args.score], seed=args.seed)
    files = " ".join(Path(path).name for path in args.score)
    command = f"liverlabel turing --score {files} --key {Path(args.key).name} --seed {args.seed} --out DIR"
    write_report(key, result, args.out, command)
    print(f"{'':24}  {'accuracy %':>18}  {'real found %':>18}  {'synthetic found %':>18}")
    for one in (*result.readers, result.pooled[0]):
        rates = [getattr(one, name) for name in MEASURES]
        cells = (f"{100 * r.value:.1f} ({100 * r.low:.0f} to {100 * r.high:.0f})" for r in rates)
        print(f"{one.reader[:24]:24}  " + "  ".join(f"{cell:>18}" for cell in cells))
    print(f"wrote {args.out}/report.html")
    return 0
