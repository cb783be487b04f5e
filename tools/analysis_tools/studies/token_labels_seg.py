r"""UPerNet over LIFE-ViTs of the study token_labels: from image labels and from token labels.

Needs: as token_labels_det.py.
Costs: 45 runs of 600 iterations.
Command::

    python tools/analysis_tools/study.py tools/analysis_tools/studies/token_labels_seg.py \
        --seeds 0 1 2 3 4 --workers 2
"""

_base_ = ['./token_labels_det.py', './_base_/upernet.py']

title = 'UPerNet over LIFE-ViT, from image labels and from token labels'
question = (
    'Is a backbone a better start for a segmentor of digits where every patch of its glyphs had a '
    'label, be it from an annotator or from masks? Each run starts from the LIFE-ViT that the '
    'study token_labels trained with the same seed; all arms train with the settings that the '
    'sweep of transfer_seg chose for both of its own.'
)
metrics = _base_._metrics
arms = [dict(arm, config=_base_._segmentor) for arm in _base_.arms]
options = _base_._tuned
