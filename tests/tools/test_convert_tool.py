"""Files are converted by the command line, and say which backbone they are of."""

import json
import re

import pytest
import torch
from mmpretrain.registry import MODELS
from safetensors.torch import load_file, save_file

from mmtoken.errors import UserError
from mmtoken.vit import TokenViT

ARCH = dict(embed_dims=192, num_layers=2, num_heads=3, feedforward_channels=64)
HIDDEN = ('fc1', 'fc2')
CONVERTED = dict(type='TokenViT', arch=ARCH, img_size=32, patch_size=8, num_aux_tokens=5,
                 num_registers=4, layer_scale_init_value=1e-5)  # fmt: skip


@pytest.fixture
def main(load_tool):
    """`main` of the tool."""
    return load_tool('model_converters/convert.py').main


def timm_state(registers=4, scales=True, classes=5):
    """Weights by timm's names, of a model as DINOv2's with registers."""
    channels, hidden = ARCH['embed_dims'], ARCH['feedforward_channels']
    made = torch.Generator().manual_seed(0)

    def draw(*shape):
        return torch.randn(*shape, generator=made)

    state = {'cls_token': draw(1, 1, channels), 'pos_embed': draw(1, 16, channels)}
    if registers:
        state['reg_token'] = draw(1, registers, channels)
    shapes = {'patch_embed.proj': (channels, 3, 8, 8), 'norm': (channels,)}
    for index in range(ARCH['num_layers']):
        block = f'blocks.{index}.'
        for norm in ('norm1', 'norm2'):
            shapes[block + norm] = (channels,)
        shapes[f'{block}attn.qkv'] = (3 * channels, channels)
        shapes[f'{block}attn.proj'] = (channels, channels)
        shapes[f'{block}mlp.fc1'] = (hidden, channels)
        shapes[f'{block}mlp.fc2'] = (channels, hidden)
        for scale in ('ls1', 'ls2') if scales else ():
            state[f'{block}{scale}.gamma'] = draw(channels)
    shapes['head'] = (classes, channels)
    for name, shape in shapes.items():
        state |= {f'{name}.weight': draw(*shape), f'{name}.bias': draw(shape[0])}
    return state


@pytest.fixture
def source(tmp_path):
    """A file of timm's."""
    torch.save(timm_state(), tmp_path / 'timm.pth')
    return tmp_path / 'timm.pth'


def test_a_converted_file_loads_into_the_backbone_that_it_names(main, source, tmp_path, capsys):
    target = tmp_path / 'ours.safetensors'

    main([str(source), str(target)])

    printed = capsys.readouterr().out
    config = re.search(r"^backbone=(dict\(type='TokenViT'.*\))$", printed, re.MULTILINE)[1]
    backbone = MODELS.build(
        dict(
            eval(config),
            init_cfg=dict(type='Pretrained', checkpoint=str(target), prefix='backbone.'),
        )
    )
    backbone.init_weights()
    given = timm_state()
    assert torch.equal(backbone.layers[1].attn.qkv.weight, given['blocks.1.attn.qkv.weight'])
    assert torch.equal(backbone.pos_embed[:, 5:], given['pos_embed'])
    assert not backbone.pos_embed[:, :5].any()
    assert "recognised: timm's VisionTransformer" in printed


@pytest.mark.parametrize('target', ['ours.safetensors', 'ours.pth', 'ours'])
def test_a_backbone_that_does_not_fit_is_told_which_options_would(main, source, tmp_path, target):
    main([str(source), str(tmp_path / target)])
    written = tmp_path / (target if '.' in target else 'ours.safetensors')
    init_cfg = dict(type='Pretrained', checkpoint=str(written), prefix='backbone.')

    with pytest.raises(UserError, match='do not cover the model') as error:
        TokenViT(ARCH, 32, 8, num_aux_tokens=5, init_cfg=init_cfg).init_weights()

    needed = 'num_registers=4, layer_scale_init_value=1e-05, interpolate_mode='
    assert f'a backbone with {needed}' in str(error.value)


def test_weights_that_fit_and_compute_another_function_are_refused(main, source, tmp_path):
    target = tmp_path / 'ours.safetensors'
    main([str(source), str(target)])
    init_cfg = dict(type='Pretrained', checkpoint=str(target), prefix='backbone.')
    options = {**CONVERTED, 'arch': {**ARCH, 'num_heads': 6}}
    other = MODELS.build({**options, 'init_cfg': init_cfg})

    with pytest.raises(
        UserError, match=r'fit, but are of a backbone with arch=dict\(.*num_heads=3'
    ):
        other.init_weights()
    init_cfg['allow_partial'] = True
    MODELS.build({**options, 'init_cfg': init_cfg}).init_weights()


def test_every_weight_is_in_the_report(main, source, tmp_path):
    report = tmp_path / 'report.json'

    main([str(source), str(tmp_path / 'ours.pth'), '--report', str(report)])

    content = json.loads(report.read_text())
    assert content['weights'].keys() == timm_state().keys()
    assert content['weights']['head.bias'] == dict(
        what='dropped', into=None, why='of the head; --head keeps it'
    )
    assert content['weights']['norm.bias']['into'] == 'backbone.ln1.bias'
    assert content['weights']['pos_embed']['what'] == 'changed'
    assert content['backbone']['num_registers'] == 4


@pytest.mark.parametrize('form', ['timm.safetensors', 'timm.bin'])
def test_a_head_is_kept_where_asked_from_every_kind_of_file(main, tmp_path, form):
    state, file = timm_state(), tmp_path / form
    save_file(state, file) if form.endswith('safetensors') else torch.save(state, file)

    main([str(file), str(tmp_path / 'ours.safetensors'), '--head'])

    written = load_file(tmp_path / 'ours.safetensors')
    assert torch.equal(written['head.layers.head.weight'], state['head.weight'])


@pytest.mark.parametrize('between', ['ours.safetensors', 'ours.pth'])
def test_a_converted_file_goes_back_to_timm_unchanged(main, source, tmp_path, between):
    main([str(source), str(tmp_path / between), '--head'])
    main([str(tmp_path / between), str(tmp_path / 'back.pth'), '--to', 'timm'])

    back, given = torch.load(tmp_path / 'back.pth', weights_only=True), timm_state()
    assert back.keys() == given.keys()
    assert all(torch.equal(back[name], given[name]) for name in given)


def test_a_file_goes_to_timm_at_once_and_all_of_it_is_accounted_for(main, source, tmp_path):
    report = tmp_path / 'report.json'
    main([str(source), str(tmp_path / 'back.safetensors'), '--to', 'timm', '--report', str(report)])

    back = load_file(tmp_path / 'back.safetensors')
    assert back.keys() == {name for name in timm_state() if not name.startswith('head.')}
    fates = json.loads(report.read_text())['weights']
    assert fates.keys() == timm_state().keys()
    assert {fate['into'] for fate in fates.values()} == {*back, None}
    assert fates['norm.bias'] == dict(what='kept', into='norm.bias', why='')
    assert fates['head.bias']['what'] == 'dropped' and fates['pos_embed']['what'] == 'changed'


@pytest.mark.parametrize(
    ('flags', 'message'),
    [(['--head'], 'leave out --head'), (['--from', 'timm'], 'leave out --from'),
     (['--eps', '1e-5'], '--eps says nothing of a file that is converted already')],
)  # fmt: skip
def test_what_a_converted_file_says_itself_is_not_asked_for(
    main, source, tmp_path, flags, message, capsys
):
    main([str(source), str(tmp_path / 'ours.pth')])
    back = [tmp_path / 'ours.pth', tmp_path / 'back.pth', '--to', 'timm']
    assert message in refusal(main, [*back, *flags], capsys)


def refusal(main, arguments, capsys):
    """The sentence of a command that is refused."""
    with pytest.raises(SystemExit) as left:
        main([str(argument) for argument in arguments])
    assert left.value.code == 2
    # mmengine logs before it that it loads a file.
    return capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize(
    ('target', 'flags', 'message'),
    [
        ('ours.npz', [], 'must end in .safetensors or .pth'),
        ('missing/ours.pth', [], 'its folder does not exist; create it first'),
        ('timm.pth', [], 'is the file that is converted; name another one'),
        ('ours.pth', ['--from', 'swim'], "source 'swim' is unknown; use one of"),
        ('ours.pth', ['--from', 'swin'], 'are of no known model of swin'),
        ('ours.pth', ['--num-heads', '5'], 'num_heads 5'),
        ('ours.pth', ['--num-heads', '0'], 'num_heads 0 is not'),
        ('ours.pth', ['--eps', '0'], 'eps 0.0 is not'),
        ('ours.pth', ['--window-size', '7'], '--window-size says nothing of'),
        ('ours.pth', ['--report', 'missing/report.json'], 'cannot be written: No such file'),
    ],
)
def test_what_cannot_be_done_is_said_in_a_sentence(
    main, source, tmp_path, target, flags, message, capsys
):
    assert message in refusal(main, [source, tmp_path / target, *flags], capsys)


def test_a_missing_and_a_converted_source_are_refused(main, source, tmp_path, capsys):
    target = tmp_path / 'ours.pth'
    main([str(source), str(target)])

    assert 'does not exist' in refusal(main, [tmp_path / 'no.pth', tmp_path / 'x.pth'], capsys)
    assert 'is converted already' in refusal(main, [target, tmp_path / 'x.pth'], capsys)


def test_a_head_that_is_not_there_is_refused(main, tmp_path, capsys):
    state = {name: v for name, v in timm_state().items() if not name.startswith('head')}
    torch.save(state, tmp_path / 'timm.pth')

    line = refusal(main, [tmp_path / 'timm.pth', tmp_path / 'x.pth', '--head'], capsys)

    assert 'have no head; leave --head out' in line


def test_a_head_behind_a_norm_of_the_mean_is_refused(main, tmp_path, capsys):
    state = {name.replace('norm.', 'fc_norm.') if name.startswith('norm.') else name: value
             for name, value in timm_state().items()}  # fmt: skip
    torch.save(state, tmp_path / 'timm.pth')

    line = refusal(main, [tmp_path / 'timm.pth', tmp_path / 'x.pth', '--head'], capsys)

    assert "'fc_norm.weight' norms the mean of the tokens" in line


class _Touch:
    """Would write a file, were it unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), 'w')


def test_nothing_in_a_file_is_executed(main, tmp_path, capsys):
    torch.save({**timm_state(), 'extra': _Touch(tmp_path / 'made')}, tmp_path / 'bad.pth')

    line = refusal(main, [tmp_path / 'bad.pth', tmp_path / 'x.pth'], capsys)

    assert 'cannot be read as weights' in line
    assert not (tmp_path / 'made').exists()
