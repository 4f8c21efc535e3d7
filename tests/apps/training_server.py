"""The server whose ``pdff`` trainer runs the job of :mod:`fake_training`."""

import sys

import fake_training

from liver_apps.entry import main
from liver_apps.liver.lib.trainers import pdff_adaptation

pdff_adaptation.adapt_to_site = fake_training.count_epochs

if __name__ == "__main__":
    sys.exit(main())
