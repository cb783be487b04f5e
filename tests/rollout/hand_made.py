"""Hand-made predictions, and where their token sets lie."""

import torch
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData, PixelData
from mmseg.structures import SegDataSample


def segmented(logits, **meta):
    sample = SegDataSample(metainfo=meta)
    predicted = logits.argmax(0, keepdim=True)
    sample.set_data(dict(seg_logits=PixelData(data=logits), pred_sem_seg=PixelData(data=predicted)))
    return sample


def detected(shape, boxes, labels, scores, masks=None, **meta):
    fields = dict(bboxes=torch.tensor(boxes), labels=torch.tensor(labels))
    fields |= dict(scores=torch.tensor(scores)) | ({} if masks is None else dict(masks=masks))
    meta |= dict(ori_shape=shape)
    return DetDataSample(metainfo=meta, pred_instances=InstanceData(**fields))


def patches(found):
    """The indices of the patches of a set, behind one class token."""
    return (found.weights[1:] > 0).nonzero().flatten().tolist()
