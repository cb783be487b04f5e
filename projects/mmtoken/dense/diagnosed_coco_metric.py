"""COCO's figures of a detector, and where its errors are."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log
from mmpretrain.registry import METRICS

from mmtoken.errors import UserError
from mmtoken.runtime.stack import import_failure

from .box_errors import box_errors, require_tidecv
from .class_agnostic import class_agnostic_ap, part_of

IOU_TYPES = ('bbox', 'segm')
# What mmdet reports by default, and recall, which it computes anyway.
ITEMS = ('mAP', 'mAP_50', 'mAP_75', 'mAP_s', 'mAP_m', 'mAP_l', 'AR@100')


@METRICS.register_module()
class DiagnosedCocoMetric(BaseMetric):
    """What mmdet's `CocoMetric` reports, and more about the same predictions.

    For boxes and for masks: `<bbox|segm>_AR@100`, and `<bbox|segm>_mAP_agnostic`, the AP of
    predictions and objects whose classes are not looked at. For boxes the error shares of TIDE
    (arXiv 2008.08115) at IoU 0.5: by how much AP50 would rise without the errors of one kind,
    `bbox_tide_cls` (wrong class), `_loc` (wrong place), `_both`, `_dupe` (found twice), `_bkg` (of
    nothing) and `_miss` (not found at all). All of them are fractions, as the APs are, and −1 where
    there is nothing to find. A class that is predicted and occurs nowhere counts 0 in TIDE's mean
    over the classes, and not at all in COCO's.

    Only the images that were predicted on are evaluated (our design). `CocoMetric` takes all of
    `ann_file`, so that with a data set's `indices` every other image counts as missed; on a whole
    data set both say the same.

    In mmdet configs it is `val_evaluator = dict(type='mmpretrain.DiagnosedCocoMetric', …)`.

    Args:
        ann_file: As of `CocoMetric`, as are the next ones: the annotations; None takes the
            objects of the data set.
        metric: 'bbox', 'segm' or both.
        classwise: Report the AP of each class, too.
        format_only: Only write the predictions.
        outfile_prefix: Where they are written; None keeps no file.
        backend_args: How `ann_file` is read.
        collect_device: Where the predictions of several processes are collected.
        prefix: What the figures' names begin with.
        use_mp_eval: Let several processes compute COCO's figures.
        tide: Report TIDE's shares.

    Raises:
        UserError: If `metric` is none of them or mmdet cannot be imported; if `tide` is set and
            tidecv is not installed; in the evaluation, if images are not those of `ann_file`.
    """

    default_prefix = 'coco'

    def __init__(
        self,
        ann_file: str | None = None,
        metric: str | Sequence[str] = 'bbox',
        classwise: bool = False,
        format_only: bool = False,
        outfile_prefix: str | None = None,
        backend_args: dict | None = None,
        collect_device: str = 'cpu',
        prefix: str | None = None,
        use_mp_eval: bool = False,
        tide: bool = True,
    ) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        self.iou_types = [metric] if isinstance(metric, str) else list(metric)
        unknown = [name for name in self.iou_types if name not in IOU_TYPES]
        if unknown:
            raise UserError(
                f'DiagnosedCocoMetric: metric {unknown[0]!r} is not one of {IOU_TYPES}; '
                'use those, or CocoMetric for proposals'
            )
        if tide:
            # Now, not after the model has run.
            require_tidecv()
        try:
            # Not at the top, since mmdet is not there for everyone who imports this package.
            from mmdet.evaluation import CocoMetric
        except Exception as error:
            raise import_failure('mmdet', error) from error
        self.ann_file = ann_file
        self.outfile_prefix = outfile_prefix
        self.tide = tide
        self.coco = CocoMetric(
            ann_file=ann_file,
            metric=self.iou_types,
            metric_items=ITEMS,
            classwise=classwise,
            format_only=format_only,
            outfile_prefix=outfile_prefix,
            backend_args=backend_args,
            use_mp_eval=use_mp_eval,
        )

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        """Keep the predictions of a batch.

        Args:
            data_batch: The batch.
            data_samples: Its samples with their predictions.

        Raises:
            UserError: If `ann_file` does not have one of the images.
        """
        self._check_images([sample['img_id'] for sample in data_samples])
        self.coco.process(data_batch, data_samples)
        self.results += self.coco.results
        self.coco.results.clear()

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Evaluate all predictions.

        Args:
            results: What `process` kept, of all processes.

        Returns:
            The figures by their names; none where mmdet reports none, since there is no prediction
            or they are only written.
        """
        images = list(dict.fromkeys(truth['img_id'] for truth, _ in results))
        self.coco.dataset_meta = self.dataset_meta
        self.coco.img_ids = images
        with TemporaryDirectory() as folder:
            files = self.outfile_prefix or str(Path(folder) / 'results')
            self.coco.outfile_prefix = files
            figures = dict(self.coco.compute_metrics(results))
            self._tell_part(len(images))
            for iou_type in self.iou_types if figures else ():
                figures |= self._diagnose(
                    images, iou_type, json.loads(Path(f'{files}.{iou_type}.json').read_text())
                )
        return figures

    def _check_images(self, images: Sequence[int]) -> None:
        """Refuse images that `ann_file` does not have."""
        known = images if self.ann_file is None else self.coco._coco_api.imgs
        for image in images:
            if image not in known:
                raise UserError(
                    f'DiagnosedCocoMetric: image {image!r} of the data set is not in ann_file '
                    f'{self.ann_file!r}; give the annotations of the data set that is evaluated'
                )

    def _tell_part(self, seen: int) -> None:
        """Say which part of the annotations is evaluated, if it is not all of them."""
        known = len(self.coco._coco_api.imgs)
        if seen < known:
            print_log(
                f'evaluated are the {seen} images that were predicted on, of {known} annotated',
                logger='current',
            )

    def _diagnose(
        self, images: list[int], iou_type: str, predictions: list[dict]
    ) -> dict[str, float]:
        """What `CocoMetric` does not say.

        Args:
            images: The ids of the images.
            iou_type: 'bbox' or 'segm'.
            predictions: The predictions, in COCO's format.

        Returns:
            The figures by their names.
        """
        truth = part_of(self.coco._coco_api, images, self.coco.cat_ids)
        agnostic = class_agnostic_ap(truth, predictions, iou_type)
        figures = {f'{iou_type}_mAP_agnostic': agnostic}
        if self.tide and iou_type == 'bbox':
            shares = box_errors(truth, predictions)
            figures |= {f'bbox_tide_{name}': share for name, share in shares.items()}
        return figures
