"""Samples made ready to be painted."""

import numpy as np
import torch
from mmengine.structures import BaseDataElement, InstanceData, PixelData

from mmtoken.datasets.browse import enlarge


def test_enlarging_keeps_annotations_on_their_pixels():
    mask = np.zeros((1, 160, 200), bool)
    mask[0, 10:20, 30:50] = True
    instances = InstanceData(bboxes=torch.tensor([[30.0, 10.0, 50.0, 20.0]]), masks=mask)
    sample = BaseDataElement(
        gt_instances=instances, gt_sem_seg=PixelData(data=torch.from_numpy(mask))
    )

    image = enlarge(np.zeros((160, 200, 3), np.uint8), sample)

    assert image.shape == (320, 400, 3)
    assert sample.gt_instances.bboxes.tolist() == [[60.0, 20.0, 100.0, 40.0]]
    assert sample.gt_instances.masks[0, 20:40, 60:100].all()
    assert sample.gt_instances.masks.sum() == 4 * mask.sum()
    assert np.array_equal(sample.gt_sem_seg.data.numpy(), sample.gt_instances.masks)
