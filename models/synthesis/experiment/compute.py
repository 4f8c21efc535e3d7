"""How each kind of unit is computed from the frames and the results of the units it needs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ...io.files import read_bytes, sha256_of_bytes
from ...io.synthetic_set import MANIFEST, read_manifest
from ...ultrasound.frames import FrameSet, centre_cut
from ...ultrasound.nafld_baselines import texture_scores
from ...weights import Weights, load_weights, save_weights
from . import parts
from .units import Unit, UnitStore

N_SHOWN = 4
"""Images of each class that a judged set shows, and the training frames nearest to them."""
Result = tuple[Mapping[str, Any], Mapping[str, np.ndarray]]


class Computer:
    """Computes the units of one experiment.

    Args:
        store: Where results of needs are, and room for weights and pictures.
        frames: The cohort's.
        imagenet: Model -> path of the ImageNet weights that units name by their digest.
    """

    def __init__(self, store: UnitStore, frames: FrameSet, imagenet: Mapping[str, str] | None = None):
        self.store, self.frames, self.imagenet = store, frames, dict(imagenet or {})

    def __call__(self, unit: Unit) -> Result:
        """Record and arrays of a unit whose needs are there."""
        return getattr(self, f"_{unit.kind}")(unit, unit.params)

    def _halves(self, params) -> tuple[FrameSet, FrameSet]:
        train, held_out = parts.split_of(self.frames, params["split"])
        return self.frames.subset(train), self.frames.subset(held_out)

    def _autoencoder(self, unit: Unit, params) -> Result:
        learnt, _ = self._halves(params)
        given = {name: params[name] for name in ("size", "seed", "device", "shape")}
        parts.kept_autoencoder(frames=learnt, folder=self.store.file(unit), **given)
        return {}, {}

    def _generator(self, unit: Unit, params) -> Result:
        learnt, _ = self._halves(params)
        given = {name: params[name] for name in ("kind", "size", "seed", "device", "options")}
        autoencoder = unit.needs.get("autoencoder")
        kept = None if autoencoder is None else self.store.file(autoencoder)
        folder = self.store.unfinished(unit)
        weights = parts.trained_generator(frames=learnt, folder=folder, autoencoders=kept, **given)
        n = sum(int(np.size(value)) for value in weights.tensors.values())
        return {"sha256": self._keep(unit, weights), "n_numbers": n}, {}

    def _draw(self, unit: Unit, params) -> Result:
        learnt, _ = self._halves(params)
        given = {name: params[name] for name in ("n_healthy", "n_fatty", "seed", "device", "sampler")}
        weights = self._weights(unit.needs["generator"])
        manifest = parts.drawn_set(weights, learnt, out=self.store.file(unit), **given)
        digest = sha256_of_bytes(read_bytes(self.store.file(unit) / MANIFEST))
        return {"manifest_sha256": digest, "audit": dict(manifest.audit), "sampler": dict(manifest.sampler)}, {}

    def _filter(self, unit: Unit, params) -> Result:
        learnt, _ = self._halves(params)
        images, manifest = parts.read_set(self.store.file(unit.needs["images"]))
        kept, n_passed = parts.plausible(images, manifest.kind, learnt, params["n_healthy"], params["n_fatty"])
        return {"n_drawn": len(images), "n_passed": n_passed}, {"kept": kept}

    def _images(self, unit: Unit) -> tuple[FrameSet, tuple[str, ...]]:
        """Images of a drawn or filtered set, and whom their generator saw."""
        if unit.kind == "filter":
            images, seen = self._images(unit.needs["images"])
            return images.subset(self.store.load(unit)[1]["kept"]), seen
        images, manifest = parts.read_set(self.store.file(unit))
        return images, manifest.training_patients

    def _classifier(self, unit: Unit, params) -> Result:
        learnt, held_out = self._halves(params)
        synthetic, seen, rate = None, None, params.get("rate", 0.0)
        if params["data"] == "images":
            synthetic, seen = self._images(unit.needs["images"])
            if "n_added" in params:
                places = [np.flatnonzero(synthetic.is_fatty == answer) for answer in (False, True)]
                chosen = [place[:n] for place, n in zip(places, params["n_added"], strict=True)]
                synthetic = synthetic.subset(np.concatenate(chosen))
                rate = len(synthetic) / len(learnt)
        options = {name: params[name] for name in ("model", "size", "seed", "device")} | dict(params["options"])
        options |= {"mixing_rate": rate, "is_oversampled": params["variant"] == "oversampled"}
        options["augment"] = "geometric" if params["data"] == "geometric" else "none"
        if params.get("imagenet"):
            options |= {"imagenet": self.imagenet[params["model"]], "imagenet_sha256": params["imagenet"]}
            options["freeze"] = {"all_frozen": "all", "all_unfrozen": "none"}.get(params["variant"], "partial")
        folder = self.store.unfinished(unit)
        logits, weights = parts.classified(learnt, held_out, synthetic, seen, options, folder)
        if params["is_kept"]:
            self._keep(unit, weights)
        return {"n_real": len(learnt), "n_mixed_in": round(rate * len(learnt))}, {"logits": np.asarray(logits, float)}

    def _forest(self, unit: Unit, params) -> Result:
        return {}, {"scores": texture_scores(*self._halves(params), params["seed"])}

    def _judge(self, unit: Unit, params) -> Result:
        learnt, held_out = self._halves(params)
        images, _ = self._images(unit.needs["images"])
        classifier = self._weights(unit.needs["classifier"])
        found: dict[str, Any] = {"audit": self._copies(unit.needs["images"])}
        kind = read_manifest(self.store.file(_drawn(unit.needs["images"]))).kind
        arrays = {}
        for name, answers in (("healthy", (False,)), ("fatty", (True,)), ("both", (False, True))):
            chosen = [np.flatnonzero(images.is_fatty == answer)[: params.get("n_judged")] for answer in answers]
            chosen = np.concatenate(chosen)
            real = [one.subset(np.flatnonzero(np.isin(one.is_fatty, answers))) for one in (learnt, held_out)]
            found[name] = parts.judged(
                images.images[chosen], kind, *real, classifier, params["n_resamples"], params["seed"]
            )
            if name != "both":
                shown = images.images[chosen[:N_SHOWN]]
                near = centre_cut(learnt.images, images.side)[parts.nearest_training(shown, learnt)]
                arrays |= {f"{name}/images": shown, f"{name}/nearest": near}
                arrays[f"{name}/real"] = centre_cut(real[1].images[:: max(len(real[1]) // N_SHOWN, 1)], images.side)[
                    :N_SHOWN
                ]
        return found, arrays

    def _copies(self, unit: Unit) -> dict:
        """How many of a drawn or filtered set's images copy a training frame."""
        drawn = _drawn(unit)
        scores = np.array(self.store.load(drawn)[0]["audit"]["scores"], float)
        if unit.kind == "filter":
            scores = scores[self.store.load(unit)[1]["kept"]]
        return {"n_images": int(scores.size), "n_copies": int((scores > 1).sum()), "share": float((scores > 1).mean())}

    def _explanation(self, unit: Unit, params) -> Result:
        images, _ = self._images(unit.needs["images"])
        weights = self._weights(unit.needs["classifier"])
        chosen = [np.flatnonzero(images.is_fatty == answer)[: params["n_of_class"]] for answer in (True, False)]
        shown = images.subset(np.concatenate(chosen))
        shap, cam = parts.explained(weights, shown.images)
        probability = [float(value) for value in parts.fatty_probability(weights, shown.images)]
        record = {"is_fatty": [bool(one) for one in shown.is_fatty], "probability": probability}
        return record, {"images": shown.images, "shap": shap, "grad_cam": cam}

    def _keep(self, unit: Unit, weights: Weights) -> str:
        return save_weights(self.store.file(unit, ".safetensors"), weights.tensors, weights.card)

    def _weights(self, unit: Unit) -> Weights:
        return load_weights(self.store.file(unit, ".safetensors"))


def _drawn(unit: Unit) -> Unit:
    """The drawn set behind one that may be filtered."""
    return unit.needs["images"] if unit.kind == "filter" else unit
