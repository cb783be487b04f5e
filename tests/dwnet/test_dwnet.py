"""DWNet as a backbone: sizes, gradients, freezing, storage, graphs, and what it refuses."""

import io
import pickle
import warnings

import onnxruntime
import pytest
import torch
from mmpretrain.registry import MODELS
from torch import nn
from torch.export import Dim

from mmtoken.dwnet import DWNet
from mmtoken.errors import UserError
from mmtoken.tokens import Tokens

KERNELS = ('static', 'homogeneous', 'inhomogeneous')
ARCH = dict(embed_dims=8, depths=(1, 2), group_channels=(2, 4))
# The sheet's table, of the released classifiers with their dynamic convolution repaired.
COUNTS = {
    ('tiny', 'static'): 24_172_744,
    ('tiny', 'homogeneous'): 51_131_752,
    ('tiny', 'inhomogeneous'): 26_244_280,
    ('base', 'static'): 74_347_112,
    ('base', 'homogeneous'): 161_597_928,
    ('base', 'inhomogeneous'): 80_253_608,
}


def build(**options):
    torch.manual_seed(0)
    options = dict(arch=ARCH, img_size=32, window_size=5, drop_path_rate=0.0) | options
    built = DWNet(**options)
    for parameter in built.parameters():
        nn.init.normal_(parameter, std=0.3)
    for module in built.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            nn.init.normal_(module.running_mean)
            nn.init.uniform_(module.running_var, 0.5, 2)
    return built.eval()


def images(height=32, width=32, batch=2):
    draw = torch.Generator().manual_seed(1)
    return torch.randn(batch, 3, height, width, generator=draw)


@pytest.fixture(params=KERNELS)
def kernel(request):
    return request.param


@pytest.mark.parametrize(('arch', 'kernel'), COUNTS)
def test_presets_have_as_many_parameters_as_the_released_models(arch, kernel):
    width = 8 * DWNet.archs[arch]['embed_dims']
    with torch.device('meta'):
        model = MODELS.build(
            dict(
                type='ImageClassifier',
                backbone=dict(type='DWNet', arch=arch, kernel=kernel),
                neck=dict(type='GlobalAveragePooling'),
                head=dict(type='LinearClsHead', num_classes=1000, in_channels=width),
            )
        )

    assert sum(p.numel() for p in model.parameters()) == COUNTS[arch, kernel]


@pytest.mark.parametrize('arch', ['tiny', 'base'])
def test_presets_share_kernels_among_a_32nd_of_the_channels(arch):
    sizes = DWNet.archs[arch]
    channels = [sizes['embed_dims'] * 2**stage for stage in range(4)]
    assert sizes['group_channels'] == tuple(width // 32 for width in channels)


def test_names_of_the_weights(kernel):
    names = {name for name in build(kernel=kernel).state_dict() if name.startswith('stages.1.')}
    statistics = ('weight', 'bias', 'running_mean', 'running_var', 'num_batches_tracked')

    def norm(name):
        return [f'{name}.{part}' for part in statistics]

    of_kernel = {
        'static': ['weight', 'bias'],
        'homogeneous': ['bias', 'conv1.weight', *norm('bn'), 'conv2.weight', 'conv2.bias'],
        'inhomogeneous': [
            *('conv1.0.weight', 'conv1.0.bias'),
            *norm('conv1.1'),
            *('conv2.0.weight', 'conv2.0.bias'),
        ],
    }[kernel]
    block = [
        *('attn.conv0.weight', *norm('attn.bn0'), *norm('attn.bn')),
        *('attn.conv2.weight', *norm('attn.bn2'), *norm('norm2')),
        *(f'attn.conv.{name}' for name in of_kernel),
        *(f'ffn.layers.{layer}.{part}' for layer in ('0.0', '1') for part in ('weight', 'bias')),
    ]
    assert names == {f'stages.1.blocks.{index}.{name}' for index in (0, 1) for name in block}


@pytest.mark.parametrize('pad', [False, True])
@pytest.mark.parametrize('size', [(32, 32), (33, 18), (50, 75), (4, 40)])
def test_images_of_any_size(kernel, size, pad):
    backbone = build(kernel=kernel, out_indices=(0, 1), pad_to_window=pad)

    first, last = backbone(images(*size))

    grid = [-(-side // 4) for side in size]
    assert first.shape == (2, 8, *grid)
    assert last.shape == (2, 16, *(-(-side // 2) for side in grid))
    assert first.is_contiguous() and last.is_contiguous()


# Biases before a batch norm, which takes them away again: their gradients are zero, but for what
# rounding leaves.
CANCELLED = ('attn.conv.bias', 'attn.conv.conv1.0.bias')


@pytest.mark.parametrize('options', [{}, dict(out_norm_cfg=dict(type='BN')),
                                     dict(use_abs_pos_embed=True, pad_to_window=True)])  # fmt: skip
def test_gradients_reach_every_parameter(kernel, options):
    backbone = build(kernel=kernel, out_indices=(0, 1), **options).train()

    sum((out * torch.randn(out.shape)).sum() for out in backbone(images())).backward()

    for name, parameter in backbone.named_parameters():
        assert parameter.grad is not None, name
        assert name.endswith(CANCELLED) or parameter.grad.any(), name


def test_an_image_is_computed_as_it_would_be_alone(kernel):
    backbone = build(kernel=kernel)

    (both,) = backbone(images())

    for index in range(2):
        (alone,) = backbone(images()[index : index + 1])
        torch.testing.assert_close(both[index], alone[0], atol=1e-5, rtol=1e-4)


def test_recomputed_blocks_learn_the_same(kernel):
    def learn(with_cp):
        backbone = build(kernel=kernel, with_cp=with_cp).train()
        backbone(images())[0].square().sum().backward()
        return [p.grad for p in backbone.parameters()]

    torch.testing.assert_close(learn(True), learn(False), rtol=1e-4, atol=1e-5)


def test_recomputed_blocks_count_a_batch_once(kernel):
    def count(with_cp):
        backbone = build(kernel=kernel, with_cp=with_cp).train()
        backbone(images())[0].square().sum().backward()
        return statistics(backbone)

    found, expected = count(True), count(False)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)
    assert all(n == 1 for name, n in found.items() if name.endswith('num_batches_tracked'))


def statistics(backbone):
    return {name: value.clone() for name, value in backbone.named_buffers()}


def test_frozen_stages_neither_learn_nor_follow_statistics(kernel):
    backbone = build(
        kernel=kernel, frozen_stages=1, out_indices=(0, 1), out_norm_cfg=dict(type='BN')
    ).train()
    before = statistics(backbone)

    sum(out.sum() for out in backbone(images())).backward()

    changed = {n for n, value in statistics(backbone).items() if not value.equal(before[n])}
    frozen = ('patch_embed', 'stages.0', 'norm0')
    assert not any(name.startswith(frozen) for name in changed)
    assert {name for name in before if not name.startswith(frozen)} == changed
    # The merging after a frozen stage belongs to it.
    learning = {name for name, p in backbone.named_parameters() if p.grad is not None}
    assert learning == {n for n, _ in backbone.named_parameters() if not n.startswith(frozen)}


def test_it_can_be_stored_and_copied(kernel):
    backbone, other = build(kernel=kernel), DWNet(ARCH, window_size=5, kernel=kernel).eval()
    other.load_state_dict(backbone.state_dict(), strict=True)

    expected = backbone(images())[0]

    assert torch.equal(other(images())[0], expected)
    assert torch.equal(pickle.loads(pickle.dumps(backbone))(images())[0], expected)


def test_without_attention_nothing_can_follow_it():
    with pytest.raises(UserError, match='DWNet mixes tokens without attention, which labels'):
        build()(images(), torch.ones(2, 64, 1))


def test_norms_may_be_synchronized(kernel):
    synchronized = dict(type='SyncBN')
    backbone = build(kernel=kernel, block_norm_cfg=synchronized, out_norm_cfg=synchronized)
    plain = build(kernel=kernel, out_norm_cfg=dict(type='BN'))
    plain.load_state_dict(backbone.state_dict(), strict=True)

    norms = [m for m in backbone.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    assert all(isinstance(norm, nn.SyncBatchNorm) for norm in norms)
    assert len(norms) == 3 * (4 if kernel == 'static' else 5) + 1
    torch.testing.assert_close(backbone(images()), plain(images()))


def test_norms_are_those_of_the_released_classifier():
    backbone = DWNet(ARCH)
    batch = [m for m in backbone.modules() if isinstance(m, nn.BatchNorm2d)]
    layer = [m for m in backbone.modules() if isinstance(m, nn.LayerNorm)]

    # Four of each block; of embedding, merging, and output.
    assert len(batch) == 3 * 4 and len(layer) == 3
    assert {norm.eps for norm in (*batch, *layer)} == {1e-5}


@pytest.mark.parametrize('norm', ['BN', 'SyncBN'])
def test_one_image_a_device_is_refused_where_an_image_is_one_value(norm):
    backbone = build(kernel='homogeneous', block_norm_cfg=dict(type=norm))
    backbone(images(batch=1))
    backbone.train()
    with pytest.raises(UserError, match='given 1 value of each channel.*every device a batch of 2'):
        backbone(images(batch=1))


@pytest.mark.parametrize('kernel', ['static', 'inhomogeneous'])
def test_one_image_a_device_trains_where_it_is_many_values(kernel):
    (out,) = build(kernel=kernel).train()(images(batch=1))
    assert out.isfinite().all()


@pytest.mark.parametrize('pad', [False, True])
def test_one_token_is_refused_in_training(kernel, pad):
    backbone = build(kernel=kernel, pad_to_window=pad)
    backbone(images(4, 4, batch=1))
    with pytest.raises(UserError, match='1 image is a grid of 1x1 tokens here; use more or larger'):
        backbone.train()(images(4, 4, batch=1))


def test_statistics_over_several_processes_are_not_refused(monkeypatch):
    backbone = build(kernel='homogeneous', block_norm_cfg=dict(type='SyncBN')).train()
    monkeypatch.setattr('mmtoken.dwnet.batch_norms.get_world_size', lambda: 2)
    # torch's own refusal: here is a single process.
    with pytest.raises(ValueError, match='Expected more than 1 value') as refused:
        backbone(images(batch=1))
    assert not isinstance(refused.value, UserError)


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(kernel='dynamic'), "kernel 'dynamic' is unknown; use one of .'static', 'homogen"),
        (dict(kernel='homogenous'), "mean 'homogeneous'"),
        (dict(kernel=['static']), 'is unknown; use one of'),
        (dict(window_size=6), 'window_size 6 is even.*use 5 or 7'),
        (dict(window_size=0), 'window_size 0 is not a whole number from 1 up'),
        (dict(window_size=7.0), 'window_size 7.0 is not a whole number'),
        (
            dict(arch=dict(ARCH, embed_dims=10), kernel='homogeneous'),
            '10 channels are not a multiple of 4.*set embed_dims to',
        ),
        (
            dict(arch=dict(ARCH, embed_dims=10), kernel='inhomogeneous'),
            '10 channels are not a multiple of 4',
        ),
        (
            dict(arch=dict(ARCH, group_channels=(2, 3)), kernel='inhomogeneous'),
            '16 channels are not a multiple of group_channels 3',
        ),
        (
            dict(arch=dict(ARCH, group_channels=(0, 4)), kernel='inhomogeneous'),
            'group_channels 0 is not a whole number from 1 up',
        ),
        (dict(arch=dict(embed_dims=8, depths=(1,), num_heads=(2,))), 'depths and group_channels'),
        # Also where nothing uses them.
        (
            dict(arch=dict(ARCH, group_channels=('2', 4))),
            "group_channels '2' is not a whole number",
        ),
        (dict(block_norm_cfg=dict(type='BN', epsilon=1e-3)), "BatchNorm2d does not take 'epsilon'"),
        (dict(out_norm_cfg=dict(type='NL')), "out_norm_cfg has type 'NL', which is not registered"),
        (dict(block_norm_cfg=dict(type='LN')), 'is no batch norm of maps'),
        (dict(block_norm_cfg=dict(type='BN1d')), 'is no batch norm of maps'),
        (dict(block_norm_cfg=dict(type='BatchNorm')), 'is no batch norm of maps'),
        (dict(block_norm_cfg='BN'), "'BN' is not the config of a part"),
        (dict(out_norm_cfg=dict(type='GN', num_groups=4)), "out_norm_cfg of type 'GN' norms maps"),
        (dict(out_norm_cfg=dict(type='BN1d')), "out_norm_cfg of type 'BN1d' norms"),
        (dict(out_norm_cfg=dict(type='BN3d')), "out_norm_cfg of type 'BN3d' norms"),
    ],
)
def test_what_has_no_meaning_is_refused(options, message):
    with pytest.raises(UserError, match=message):
        build(**options)


@torch.no_grad()
def test_no_image_has_an_empty_map(kernel):
    assert build(kernel=kernel)(images(batch=0))[0].shape == (0, 16, 4, 4)


def test_widths_that_no_kernel_is_predicted_from_are_free():
    assert build(arch=dict(ARCH, embed_dims=10))(images())[0].shape == (2, 20, 4, 4)


def load(tmp_path, source, target, **lost):
    """Weights of one backbone, those of some names lost, as pretrained ones of another."""
    state = {name: value for name, value in source.state_dict().items() if name not in lost}
    torch.save(state, tmp_path / 'weights.pth')
    target.init_cfg = dict(type='Pretrained', checkpoint=str(tmp_path / 'weights.pth'))
    target.init_weights()
    return target


def test_batch_norms_of_outputs_start_anew_over_a_classifiers_weights(tmp_path, run_log):
    classifier = build()
    fresh = DWNet(ARCH, window_size=5, out_indices=(0, 1), out_norm_cfg=dict(type='BN'))

    dense = load(tmp_path, classifier, fresh)

    assert dense.norm0.weight.eq(1).all() and dense.norm1.weight.eq(1).all()
    name = 'stages.1.blocks.1.attn.conv.weight'
    assert torch.equal(dense.get_parameter(name), classifier.get_parameter(name))
    assert {'norm0', 'norm1'} <= {text.split()[0] for _, text in run_log if 'anew' in text}


def test_batch_norms_of_outputs_are_loaded_where_the_weights_have_them(tmp_path):
    source = build(out_indices=(0, 1), out_norm_cfg=dict(type='BN'))

    both, last = (
        load(tmp_path, source, DWNet(ARCH, window_size=5, out_norm_cfg=dict(type='BN'), **options))
        for options in (dict(out_indices=(0, 1)), dict(out_indices=1))
    )

    expected = source(images())
    torch.testing.assert_close(both.eval()(images()), expected)
    torch.testing.assert_close(last.eval()(images())[0], expected[1])


@pytest.mark.parametrize('lost', ['norm0.running_mean', 'norm0.weight', 'norm1.running_var'])
def test_a_batch_norm_of_which_a_part_is_lost_is_missed(tmp_path, lost):
    norms = dict(out_indices=(0, 1), out_norm_cfg=dict(type='BN'))
    with pytest.raises(UserError, match=lost):
        load(tmp_path, build(**norms), DWNet(ARCH, window_size=5, **norms), **{lost: True})


SIZE = {0: Dim.DYNAMIC, 2: Dim.DYNAMIC, 3: Dim.DYNAMIC}
SMALL = dict(arch=dict(ARCH, depths=(1, 1)), window_size=3)


def test_an_exported_graph_takes_another_batch_and_size(kernel):
    backbone = build(kernel=kernel, **SMALL)

    exported = torch.export.export(backbone, (images(40, 48),), dynamic_shapes=(SIZE,)).module()

    for other in (images(52, 36, batch=5), images()):
        torch.testing.assert_close(exported(other), backbone(other), rtol=1e-4, atol=1e-5)


def test_an_exported_graph_that_pads_to_windows_takes_another_batch():
    backbone = build(kernel='homogeneous', pad_to_window=True, **SMALL)
    batch = ({0: Dim.DYNAMIC},)

    exported = torch.export.export(backbone, (images(),), dynamic_shapes=batch).module()

    expected = backbone(images(batch=5))
    torch.testing.assert_close(exported(images(batch=5)), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.long
def test_onnx_takes_another_batch_and_size(kernel):
    backbone, file = build(kernel=kernel, **SMALL), io.BytesIO()
    program = torch.onnx.export(
        backbone, (images(40, 48),), dynamo=True, dynamic_shapes=(SIZE,), verbose=False
    )
    program.save(file)
    session = onnxruntime.InferenceSession(file.getvalue())
    other = images(52, 36, batch=5)

    (found,) = session.run(None, {session.get_inputs()[0].name: other.numpy()})

    torch.testing.assert_close(torch.from_numpy(found), backbone(other)[0], rtol=1e-4, atol=1e-5)


def test_a_traced_graph_takes_another_batch(kernel):
    backbone = build(kernel=kernel, **SMALL)

    with warnings.catch_warnings():
        # Sizes of the image are constants of the graph, of which torch warns.
        warnings.simplefilter('ignore', torch.jit.TracerWarning)
        traced = torch.jit.trace(backbone, images())

    expected = backbone(images(batch=5))
    torch.testing.assert_close(traced(images(batch=5)), expected, rtol=1e-4, atol=1e-5)


def test_a_mixer_compiles_and_trains_without_graph_breaks(kernel):
    torch._dynamo.reset()
    mixer = build(kernel=kernel, window_size=3).layers[0].attn.train()
    tokens = Tokens(torch.randn(2, 30, 8), (5, 6), 0)

    def learn(run):
        mixer.zero_grad()
        run(tokens).x.square().mean().backward()
        return [p.grad.clone() for p in mixer.parameters()]

    compiled = torch.compile(mixer, backend='aot_eager', fullgraph=True)
    torch.testing.assert_close(learn(compiled), learn(mixer), rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
def test_mixed_precision_stays_close(kernel, dtype):
    backbone = build(kernel=kernel)

    with torch.autocast('cpu', dtype):
        (mixed,) = backbone(images())

    (exact,) = backbone(images())
    assert mixed.isfinite().all()
    assert (mixed.float() - exact).abs().mean() < 0.02 * exact.abs().mean().clamp(min=1)


def test_a_backbone_of_low_precision_runs(kernel):
    (out,) = build(kernel=kernel).bfloat16()(images().bfloat16())
    assert out.dtype == torch.bfloat16 and out.isfinite().all()
