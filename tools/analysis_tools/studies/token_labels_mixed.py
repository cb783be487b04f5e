r"""Token labels of mixed images: MixToken, CutMix by area and TL-Align, and none, with LIFE.

Needs: the label maps of configs/_base_/datasets/glyphs_token-labels.py.
Costs: 20 runs of 1,000 iterations.
Command::

    python tools/analysis_tools/study.py tools/analysis_tools/studies/token_labels_mixed.py \
        --seeds 0 1 2 3 4 --workers 2
"""

_base_ = './token_labels.py'  # metrics, data and the budget of every run

_config = 'configs/glyphs/token-label-life-d6w96_glyphs-cls.py'

title = 'Token labels of mixed images'
question = (
    'What does mixing do to a small ViT that is trained on a label for every patch, and does it '
    'matter whether tokens or pixels are mixed, by area or aligned? Labels come from masks; all '
    f'arms train {_base_.iterations} iterations of 32 images.'
)


def _arm(name, mix, target='cutmix', against='MixToken'):
    """An arm that mixes images so."""
    options = {'model.mix': dict(type=mix, prob=1.0), 'model.target': target}
    return dict(name=name, config=_config, options=options, against=against)


arms = [
    # The config does not mix; so this arm's runs are those of LIFE from masks in token_labels.
    dict(name='no mixing', config=_config),
    _arm('MixToken', 'MixToken', against='no mixing'),
    _arm('CutMix', 'PatchCutMix'),
    _arm('MixToken, aligned', 'MixToken', target='tl_align'),
]
control = 'no mixing'
