r"""The pyramids of the study pyramids, each with the learning rate that a sweep chose for it.

Costs: 48 runs of the sweep and 40 final ones, of 1,000 iterations.
Command::

    python tools/analysis_tools/study.py tools/analysis_tools/studies/pyramids_tuned.py \
        --seeds 0 1 2 3 4 --workers 2
"""

_base_ = './pyramids.py'

title = 'Pyramids on glyphs, each arm tuned'
question = (
    'The study pyramids trains every arm at one learning rate. Which of its differences are those '
    'of the networks, and which of the rate? Each arm trains as there, at the rate that a sweep '
    f'chose for it on held-out training images; all train {_base_.iterations} iterations.'
)
sweep = dict(
    candidates=[
        dict(name=f'lr {lr:g}', options={'optim_wrapper.optimizer.lr': lr})
        for lr in (2.5e-4, 5e-4, 1e-3, 2e-3, 4e-3, 8e-3)
    ],
    seeds=[101],  # 100 is a classifier's that a sweep of pyramids_det.py starts from
    metric='accuracy/top1',
    options={
        'train_dataloader.dataset.indices': 11000,
        'test_dataloader.dataset.ann_file': 'meta/train.txt',
        'test_dataloader.dataset.data_prefix': 'train',
        'test_dataloader.dataset.indices': [*range(11000, 12000)],
    },
)
