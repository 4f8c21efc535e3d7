"""LiverLabel's MONAI Label app: one explicit table of tasks."""

from __future__ import annotations

import logging
import os
import sys
from typing import Any

from liver_apps.liver.lib import nafld_job, nash_job, pdff_job, region_job
from liver_apps.liver.lib.activelearning.chooser import Chooser
from liver_apps.liver.lib.activelearning.score_job import SCORED_TASKS
from liver_apps.liver.lib.activelearning.strategies import NextCase, ScoreCases, strategies
from liver_apps.liver.lib.activelearning.unasked import UnaskedScoring
from liver_apps.liver.lib.datastore import open_datastore, site_folder
from liver_apps.liver.lib.failures import UnknownNameError
from liver_apps.liver.lib.map_task import MapTask
from liver_apps.liver.lib.nafld_task import NafldTask
from liver_apps.liver.lib.nash_task import NashTask
from liver_apps.liver.lib.pdff_task import PdffTask
from liver_apps.liver.lib.published import PublishedWeights
from liver_apps.liver.lib.region_task import RegionTask
from liver_apps.liver.lib.settings import ServerSettings
from liver_apps.liver.lib.trainers.base import Trainer
from liver_apps.liver.lib.trainers.nafld import GeneratorTrainer, NafldTrainer
from liver_apps.liver.lib.trainers.nash import NashTrainer
from liver_apps.liver.lib.trainers.pdff import PdffTrainer
from liver_apps.liver.lib.trainers.region import RegionTrainer
from liver_apps.liver.lib.trainers.runner import TrainingRunner
from liver_apps.liver.lib.worker import Worker
from liver_models import __version__
from liver_models.synthesis.kinds import KINDS
from liver_models.synthesis.augmentation import architecture_of
from monailabel.interfaces.app import MONAILabelApp
from monailabel.interfaces.datastore import Datastore
from monailabel.interfaces.tasks.infer_v2 import InferType

logger = logging.getLogger(__name__)


class LiverApp(MONAILabelApp):
    """Answers questions about a patient's liver; research use only.

    MONAI Label finds this class because it is a direct subclass of its own; see its constructor for the arguments.
    """

    def __init__(self, app_dir: str, studies: str, conf: dict[str, str]):
        if "liver_apps.liver.server" not in sys.modules:
            logger.warning(
                "LiverLabel runs without its own server in front: no token is asked and stock routes are open. "
                "Start it "
                "with the 'monailabel' command of LiverLabel, or 'liverlabel serve'."
            )
        models = site_folder(studies) / "models"
        self.published = {
            "pdff": PublishedWeights(models / "pdff", pdff_job.ARCHITECTURE),
            "fibrotic_nash": PublishedWeights(models / "fibrotic_nash", nash_job.ARCHITECTURE),
            "nafld": PublishedWeights(models / "nafld", nafld_job.ARCHITECTURE),
            "liver_roi": PublishedWeights(models / "liver_roi", region_job.ARCHITECTURE),
        }
        self.published |= {kind: PublishedWeights(models / kind, architecture_of(kind)) for kind in KINDS}
        settings = ServerSettings.from_environment()
        self.choosers: dict[str, Chooser] = {}
        self.trainings = TrainingRunner(lambda task: self.unasked_scoring.start(task))
        self.unasked_scoring = UnaskedScoring(self.choosers, self.trainings, settings.scores_by_itself)
        self.worker = Worker(pdff_job.prepare, settings.max_waiting, region_job.prepare)
        super().__init__(
            app_dir=app_dir,
            studies=studies,
            conf=conf,
            name="LiverLabel",
            description=(
                "The liver: its fat from MRI, fatty liver and NASH from ultrasound, outline. Research tool, no medical "
                "device."
            ),
            version=__version__,
        )

    def init_datastore(self) -> Datastore:
        """The studies folder, or the DICOMweb server at that address."""
        return open_datastore(self.studies)

    def init_infers(self) -> dict[str, MapTask]:
        """The table of tasks."""
        return {
            "pdff": PdffTask(self.worker, self.published["pdff"].folder),
            "fibrotic_nash": NashTask(self.worker, self.published["fibrotic_nash"].folder),
            "nafld": NafldTask(self.worker, self.published["nafld"].folder),
            "liver_roi": RegionTask(self.worker, self.published["liver_roi"].folder),
            "liver_roi_clicks": RegionTask(self.worker, self.published["liver_roi"].folder, InferType.DEEPEDIT),
        }

    def init_trainers(self) -> dict[str, Trainer]:
        """The table of trainers."""
        return {
            "pdff": PdffTrainer(self.trainings, self.published["pdff"], self.datastore()),
            "fibrotic_nash": NashTrainer(self.trainings, self.published["fibrotic_nash"], self.datastore()),
            "nafld": NafldTrainer(self.trainings, self.published["nafld"], self.datastore()),
            "liver_roi": RegionTrainer(self.trainings, self.published["liver_roi"], self.datastore()),
            **{kind: GeneratorTrainer(kind, self.trainings, self.published[kind], self.datastore()) for kind in KINDS},
        }

    def init_strategies(self) -> dict[str, NextCase]:
        """Every strategy, over the choosers of the tasks that learn from labels."""
        self.choosers |= {
            name: Chooser(name, self.worker, self.published[name], self.datastore()) for name in SCORED_TASKS
        }
        return strategies(self.choosers, self.unasked_scoring)

    def init_scoring_methods(self) -> dict[str, ScoreCases]:
        """One a task."""
        return {name: ScoreCases(chooser) for name, chooser in self.choosers.items()}

    def async_scoring(self, method: str | None, params: dict[str, Any] | None = None) -> dict[str, Any]:
        """Score inside the server when asked by name; the stock class starts a process that loads the app each time."""
        return self.choosers[method].start_scoring() if method in self.choosers else {}

    def task(self, name: str) -> MapTask:
        """The task of that name.

        Raises:
            UnknownNameError: there is none.
        """
        task = self._infers.get(name)
        if task is None:
            raise UnknownNameError(f"There is no task {name!r} on this server; it has: {', '.join(self._infers)}.")
        return task

    def infer(self, request: dict[str, Any], datastore: Datastore | None = None) -> dict[str, Any]:
        """Run a task on a stored case, as MONAI Label's own callers do; a path is never taken for a case.

        Raises:
            UnknownNameError: no such task or case.
        """
        task = self.task(request.get("model", ""))
        source = self.datastore().case_source(os.fspath(request.get("image", "")))
        file, result = task({**request, "image": str(source)})
        return {"label": file, "tag": next(iter(task.fields)), "file": file, "params": result}
