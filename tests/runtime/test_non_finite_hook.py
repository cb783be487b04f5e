"""A run does not step with what is NaN or infinite, and goes on where only a scaler overflows."""

import os
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from fragile_models import Fragile, fragile_runner
from mmengine.logging import MessageHub
from mmengine.model import BaseModel
from mmengine.optim import AmpOptimWrapper, OptimWrapper, OptimWrapperDict
from mmengine.runner import Runner
from started_ranks import run_two_ranks
from torch import nn
from torch.optim import SGD, AdamW

from mmtoken.config_check.types import registries
from mmtoken.errors import UserError
from mmtoken.runtime.guards.non_finite import bad_gradients, bad_weights, look
from mmtoken.runtime.guards.non_finite_hook import NonFiniteHook
from mmtoken.runtime.safe_loading import load_from_file
from mmtoken.unwrap import unwrap

WRONG = ('NaN loss', 'inf loss', 'NaN gradient')
OPTIMIZERS = {
    'SGD': partial(SGD, lr=0.01, momentum=0.9, weight_decay=0.1),
    'AdamW': partial(AdamW, lr=0.01, weight_decay=0.1, foreach=False),
    'foreach AdamW': partial(AdamW, lr=0.01, weight_decay=0.1, foreach=True),
    'fused AdamW': partial(AdamW, lr=0.01, weight_decay=0.1, fused=True),
}


@pytest.fixture(autouse=True)
def no_environment(monkeypatch):
    """What mmengine logs of the machine takes it a second of each run."""
    monkeypatch.setattr(Runner, '_log_env', lambda self, cfg: None)


def trained(folder, words, hooks=(), optimizer=OPTIMIZERS['SGD'], **options):
    """The weights after a run."""
    model = Fragile()
    wrapper = OptimWrapper(optimizer(model.parameters()), **options)
    fragile_runner(folder, words, hooks, wrapper, model).train()
    return model.state_dict()


def assert_same(found, expected):
    assert all(torch.equal(found[name], value) for name, value in expected.items())


@pytest.mark.parametrize('word', WRONG)
def test_a_run_stops_before_the_step(tmp_path, word):
    model = Fragile()
    runner = fragile_runner(tmp_path / 'a', ['good', word, 'good'], [NonFiniteHook()], model=model)
    expected = trained(tmp_path / 'b', ['good'], optimizer=partial(SGD, lr=0.01))

    with pytest.raises(UserError, match=r'iteration 2 \(epoch 1\): .* training stopped'):
        runner.train()

    assert_same(model.state_dict(), expected)
    assert not list((tmp_path / 'a').glob('*.pth'))


def test_the_sentence_names_losses_rate_and_remedies(tmp_path):
    with pytest.raises(UserError) as error:
        fragile_runner(tmp_path, ['NaN loss'], [NonFiniteHook()]).train()

    text = str(error.value)
    assert 'the loss is not finite (loss nan, loss_extra nan, loss_square ' in text
    assert 'accuracy' not in text
    assert 'lower the learning rate (now 0.01)' in text
    assert 'optim_wrapper.clip_grad' in text and 'mixed precision' not in text
    assert text.endswith('no checkpoint was saved')


def test_of_finite_losses_the_parameters_are_named(tmp_path):
    with pytest.raises(UserError) as error:
        fragile_runner(tmp_path, ['NaN gradient'], [NonFiniteHook()]).train()

    assert 'the gradients of 1 parameter (layer.weight) are not finite' in str(error.value)
    assert 'the losses are (loss ' in str(error.value)


def test_the_last_checkpoint_is_named_and_untouched(tmp_path):
    model, words = Fragile(), ['good', 'NaN loss']
    saving = dict(checkpoint=dict(type='CheckpointHook', interval=1, by_epoch=False))
    runner = fragile_runner(tmp_path, words, [NonFiniteHook()], model=model, default_hooks=saving)

    with pytest.raises(UserError, match='iter_1.pth is the last checkpoint, untouched'):
        runner.train()

    assert_same(model.state_dict(), load_from_file(tmp_path / 'iter_1.pth')['state_dict'])


@pytest.mark.parametrize('optimizer', OPTIMIZERS)
@pytest.mark.parametrize('word', WRONG)
def test_a_skipped_step_leaves_weights_and_optimizer_alone(tmp_path, word, optimizer):
    optimizer = OPTIMIZERS[optimizer]
    expected = trained(tmp_path / 'a', ['good', 'good'], optimizer=optimizer)

    found = trained(tmp_path / 'b', ['good', word, 'good'], [NonFiniteHook(skip=1)], optimizer)

    assert_same(found, expected)


def test_skipped_steps_are_logged_and_counted(tmp_path, run_log):
    hook = NonFiniteHook(skip=2)
    runner = fragile_runner(tmp_path, ['NaN loss', 'NaN loss', 'good', 'inf loss'], [hook])
    lines = []
    runner.logger.warning = lines.append

    runner.train()

    assert hook.skipped == 3
    assert 'iteration 2 (epoch 1): the loss is not finite' in lines[1]
    assert 'skipped, 2 in a row of at most 2' in lines[1] and '1 in a row' in lines[2]
    assert lines[-1].startswith('3 steps of this run were skipped')


def test_more_skips_in_a_row_than_allowed_stop_the_run(tmp_path):
    runner = fragile_runner(tmp_path, ['good', *['NaN loss'] * 3], [NonFiniteHook(skip=2)])

    with pytest.raises(UserError, match='iteration 4 .*2 steps in a row were skipped before'):
        runner.train()


def test_the_losses_of_all_accumulated_batches_are_looked_at(tmp_path):
    words = ['good', 'good', 'inf loss', 'good']

    with pytest.raises(UserError, match=r'iteration 4 .*\(loss inf, loss_extra inf'):
        trained(tmp_path, words, [NonFiniteHook()], accumulative_counts=2)


def test_clipped_gradients_are_seen(tmp_path):
    with pytest.raises(UserError, match=r'gradients of 2 parameters .* warm up longer; no check'):
        trained(tmp_path, ['NaN gradient'], [NonFiniteHook()], clip_grad=dict(max_norm=1.0))


@pytest.mark.parametrize('skip', [0, 1])
def test_gradients_are_seen_before_clipping_hides_them(tmp_path, skip):
    model = Fragile()
    model.layer.weight.register_hook(lambda gradient: gradient + float('inf'))
    clipping = dict(type='value', clip_value=1.0)
    wrapper = OptimWrapper(SGD(model.parameters(), lr=0.01), clip_grad=clipping)
    runner = fragile_runner(tmp_path, ['good'] * 2, [NonFiniteHook(skip)], wrapper, model)

    with pytest.raises(UserError, match=rf'iteration {skip + 1} .*gradients of 1 parameter \(lay'):
        runner.train()

    assert_same(model.state_dict(), Fragile().state_dict())
    assert '_clip_grad' not in vars(wrapper)


def test_that_a_wrapper_such_as_deepspeeds_is_not_watched_is_said():
    model, lines, hook = Fragile(), [], NonFiniteHook()
    runner = SimpleNamespace(
        model=model,
        optim_wrapper=object(),
        logger=SimpleNamespace(warning=lines.append),
        train_loop=None,
        iter=0,
        message_hub=MessageHub('foreign'),
    )

    hook.before_train(runner)
    model.layer.bias.data.fill_(float('inf'))

    assert 'does not look at losses and gradients, since object is no OptimWrapper' in lines[0]
    with pytest.raises(
        UserError, match='1 parameter .* lower the learning rate or warm up longer;'
    ):
        hook.after_train(runner)


@pytest.mark.parametrize('optimizer', OPTIMIZERS)
@pytest.mark.parametrize('options', [{}, dict(accumulative_counts=2, clip_grad=dict(max_norm=1))])
def test_a_good_run_is_the_same_bit_for_bit(tmp_path, optimizer, options):
    runs = [
        trained(tmp_path / str(len(hooks)), ['good'] * 5, hooks, OPTIMIZERS[optimizer], **options)
        for hooks in ([], [NonFiniteHook()])
    ]

    assert_same(*runs)


def test_a_finished_run_leaves_the_model_as_it_was(tmp_path):
    model = Fragile()
    runner = fragile_runner(tmp_path, ['good'], [NonFiniteHook()], model=model)

    runner.train()

    assert 'parse_losses' not in vars(model)
    assert not runner.optim_wrapper.optimizer._optimizer_step_pre_hooks


def test_weights_that_a_step_made_infinite_are_not_saved(tmp_path):
    with pytest.raises(UserError, match=r'weights of 2 parameters .* \(now 3e\+38\)'):
        trained(tmp_path, ['good'], [NonFiniteHook()], partial(SGD, lr=3e38))

    assert not list(tmp_path.glob('*.pth'))


def test_a_run_that_saves_nothing_does_not_end_with_infinite_weights(tmp_path):
    model = Fragile()
    wrapper = OptimWrapper(SGD(model.parameters(), lr=3e38))
    hooks = [NonFiniteHook()]
    runner = fragile_runner(
        tmp_path, ['good'], hooks, wrapper, model, default_hooks=dict(checkpoint=None)
    )

    with pytest.raises(UserError, match='weights of 2 parameters'):
        runner.train()


class Pair(Fragile):
    """A model of two optimizers, as GANs are, of which the second one sees what is wrong."""

    def __init__(self):
        super().__init__()
        self.other = nn.Linear(1, 1)

    def train_step(self, data, optim_wrapper):
        loss, named = self.parse_losses(dict(loss_other=self.other(torch.ones(1, 1)).square()))
        optim_wrapper['other'].update_params(loss)
        loss, more = self.parse_losses(self(**data))
        optim_wrapper['layer'].update_params(loss)
        return named | more


def test_each_of_several_optimizers_is_watched(tmp_path):
    model = Pair()
    parts = [(name, getattr(model, name)) for name in ('other', 'layer')]
    wrapper = OptimWrapperDict(
        **{name: OptimWrapper(SGD(part.parameters(), lr=0.01)) for name, part in parts}
    )
    runner = fragile_runner(tmp_path, ['good', 'NaN loss'], [NonFiniteHook()], wrapper, model)
    runner.logger.warning = print

    with pytest.raises(UserError, match=r'iteration 2 .*\(loss nan, loss_extra nan'):
        runner.train()


@pytest.fixture
def scaled(monkeypatch):
    """A function that wraps an optimizer for mixed precision, which mmengine has for GPUs only."""
    module = 'mmengine.optim.optimizer.amp_optimizer_wrapper'
    monkeypatch.setattr(f'{module}.is_cuda_available', lambda: True)
    monkeypatch.setattr(f'{module}.GradScaler', partial(torch.amp.GradScaler, device='cpu'))

    def wrap(model: nn.Module, scale: float, fused: bool) -> AmpOptimWrapper:
        optimizer = AdamW(model.parameters(), lr=0.01, fused=fused)
        return AmpOptimWrapper(optimizer=optimizer, loss_scale=dict(init_scale=scale))

    return wrap


@pytest.mark.parametrize('fused', [False, True])
def test_steps_that_a_scaler_leaves_out_are_no_error(tmp_path, scaled, fused):
    model = Fragile()
    wrapper = scaled(model, 2.0**127, fused)

    fragile_runner(tmp_path, ['good'] * 8, [NonFiniteHook()], wrapper, model).train()

    assert 2.0**119 < wrapper.loss_scaler.get_scale() < 2.0**127
    assert not torch.equal(model.layer.weight, Fragile().layer.weight)


@pytest.mark.parametrize('fused', [False, True])
def test_a_scaler_that_no_scale_helps_is_an_error(tmp_path, scaled, fused):
    model = Fragile()
    wrapper = scaled(model, 8.0, fused)
    runner = fragile_runner(tmp_path, ['NaN gradient'] * 60, [NonFiniteHook()], wrapper, model)

    with pytest.raises(UserError, match=r'left out 2\d steps in a row.* in bfloat16'):
        runner.train()


@pytest.mark.parametrize('fused', [False, True])
def test_a_fixed_scale_that_never_fits_is_an_error(tmp_path, scaled, fused):
    model = Fragile()
    wrapper = scaled(model, 8.0, fused)
    wrapper._scale_update_param = 8.0
    runner = fragile_runner(tmp_path, ['NaN gradient'] * 120, [NonFiniteHook()], wrapper, model)

    with pytest.raises(UserError, match='iteration 100 .*left out 100 steps in a row'):
        runner.train()


@pytest.mark.parametrize('fused', [False, True])
@pytest.mark.parametrize('word', ['NaN loss', 'inf loss'])
def test_under_a_scaler_the_loss_itself_must_be_finite(tmp_path, scaled, word, fused):
    model = Fragile()
    wrapper = scaled(model, 8.0, fused)
    runner = fragile_runner(tmp_path, ['good', word, 'good'], [NonFiniteHook()], wrapper, model)

    with pytest.raises(UserError, match=r'iteration 2 \(epoch 1\): the loss is not finite'):
        runner.train()


def test_an_optimizer_that_rests_is_not_taken_for_one_that_a_scaler_stops(tmp_path, scaled):
    class Resting(Fragile):
        def train_step(self, data, optim_wrapper):
            return self.parse_losses(self(**data))[1]

    model = Resting()
    wrapper = scaled(model, 8.0, fused=False)

    fragile_runner(tmp_path, ['good'] * 100, [NonFiniteHook()], wrapper, model).train()


def test_gradients_of_every_kind_are_read():
    sparse, odd, plain = nn.Embedding(4, 2, sparse=True), nn.ParameterList(), nn.Linear(1, 1)
    odd.append(nn.Parameter(torch.ones(2, dtype=torch.complex64)))
    odd.append(nn.Parameter(torch.ones(2), requires_grad=False))
    model = nn.ModuleList([sparse, odd, plain])
    optimizer = SGD(model.parameters(), lr=0.1)

    (sparse(torch.tensor([1])).sum() + odd[0].abs().sum()).backward()
    good = look(optimizer, [])
    odd[0].grad[1] = complex(0, float('inf'))
    sparse.weight.grad._values()[0, 1] = float('nan')

    assert not good.gradient and look(optimizer, []).gradient
    assert bad_gradients(model, optimizer) == ['0.weight', '1.0']


def test_finite_gradients_whose_norm_overflows_are_no_error(tmp_path):
    model = Fragile()
    wrapper = OptimWrapper(SGD(model.parameters(), lr=1e-25))
    model.layer.weight.register_hook(lambda gradient: gradient * 0 + 1e25)

    fragile_runner(tmp_path, ['good'], [NonFiniteHook()], wrapper, model).train()

    assert not torch.equal(model.layer.weight, Fragile().layer.weight)


def test_infinite_weights_are_named_and_frozen_ones_are_not():
    layers = nn.Sequential(nn.Linear(1, 1), nn.Linear(1, 1))
    for weight in (layers[0].weight, layers[1].bias):
        weight.data.fill_(float('inf'))
    layers[0].weight.requires_grad_(False)

    assert bad_weights(layers) == ['1.bias']


@pytest.mark.parametrize('scope', ['mmpretrain', 'mmdet', 'mmseg'])
def test_models_add_their_losses_up_where_they_are_read(scope):
    """Models that step by themselves, as GANs do, are not in these three libraries."""
    found = [item for registry in registries(scope) for item in registry.module_dict.values()]
    models = [item for item in found if isinstance(item, type) and issubclass(item, BaseModel)]

    odd = [model for model in models if model.train_step is not BaseModel.train_step]

    assert len(models) > 5 and not odd


@pytest.mark.parametrize('skip', [-1, 1.5])
def test_a_number_of_skips_that_is_none_is_refused(skip):
    with pytest.raises(UserError, match=f'skip {skip} is not a whole number'):
        NonFiniteHook(skip=skip)


def run_rank(rank: int, folder: Path, word: str, skip: int, rate: float) -> None:
    """One of two processes, of which the second one has a wrong step; writes how it ended."""
    os.environ['LOCAL_RANK'] = str(rank)
    store = torch.distributed.FileStore(str(folder / 'store'), 2)
    torch.distributed.init_process_group('gloo', store=store, rank=rank, world_size=2)
    words = ['good', word if rank else 'good', 'good']
    on_cpu = dict(type='MMDistributedDataParallel', device_ids=None)
    model, saving = Fragile(), dict(type='CheckpointHook', interval=1, by_epoch=False)
    runner = fragile_runner(
        folder / str(rank),
        words,
        [NonFiniteHook(skip)],
        OptimWrapper(SGD(model.parameters(), lr=rate)),
        model,
        launcher='pytorch',
        cfg=dict(model_wrapper_cfg=on_cpu),
        default_hooks=dict(checkpoint=saving),
    )
    end = 'finished'
    try:
        runner.train()
    except UserError as error:
        end = str(error)
    (folder / f'{rank}.txt').write_text(f'{runner.iter} {end}')
    torch.save(unwrap(runner.model).state_dict(), folder / f'{rank}.pth')


def two_ranks(
    folder: Path, word: str, skip: int = 0, rate: float = 0.01
) -> tuple[list[str], list[dict]]:
    """How two processes ended, and their weights."""
    run_two_ranks(run_rank, folder, word, skip, rate)
    return (
        [(folder / f'{rank}.txt').read_text() for rank in (0, 1)],
        [torch.load(folder / f'{rank}.pth') for rank in (0, 1)],
    )


@pytest.mark.parametrize('word', WRONG)
def test_all_processes_stop_together_with_the_same_sentence(tmp_path, word):
    ends, weights = two_ranks(tmp_path, word)

    # Each looks for the checkpoint in its own folder here.
    sentences = [end.rpartition('; ')[0] for end in ends]
    assert sentences[0] == sentences[1] and ends[0].startswith('1 iteration 2')
    if word != 'NaN gradient':
        assert 'the loss is not finite on rank 1 (loss ' in ends[0]
    assert_same(*weights)


def test_all_processes_find_out_what_is_not_saved(tmp_path):
    ends, _ = two_ranks(tmp_path, 'good', rate=3e38)

    assert ends[0] == ends[1]
    assert ends[0].startswith('0 iteration 1 (epoch 1): the weights of 2 parameters')


def test_all_processes_skip_together(tmp_path):
    ends, weights = two_ranks(tmp_path, 'inf loss', skip=1)

    assert ends == ['3 finished'] * 2
    assert_same(*weights)
