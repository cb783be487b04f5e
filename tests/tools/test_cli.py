"""What tools/train.py and tools/test.py answer when something is wrong: a sentence, exit code 2."""

import subprocess
import sys
from pathlib import Path

import pytest
from mmengine.config import Config

from mmtoken.errors import UserError

REPO = Path(__file__).parents[2]
CONFIG = str(REPO / 'configs' / 'digits' / 'life-d6w96_digits-cls.py')


@pytest.fixture
def answer(load_tool, capsys, tmp_path, digit_scenes):
    """A function that runs a tool which must refuse, and returns its sentence."""

    def run(tool: str, *arguments: str, options: tuple[str, ...] = ()) -> str:
        data = digit_scenes / 'classification'
        roots = [f'{name}_dataloader.dataset.data_root={data}' for name in ('train', 'val', 'test')]
        flags = ['--work-dir', str(tmp_path / 'work'), '--cfg-options', *roots, *options]
        with pytest.raises(SystemExit) as exit_:
            load_tool(tool).main([*arguments, *flags])
        assert exit_.value.code == 2
        assert not (tmp_path / 'work').exists()
        error = capsys.readouterr().err.strip()
        assert 'Traceback' not in error
        return error.splitlines()[-1]

    return run


def test_a_wrong_config_path(answer):
    sentence = answer('train.py', CONFIG.replace('life-d6', 'lief-d6'))

    assert sentence.startswith("error: config '")
    assert 'life-d6w96_digits-cls.py' in sentence.split('did you mean')[1]


def test_a_config_with_a_syntax_error(answer, tmp_path):
    config = tmp_path / 'config.py'
    config.write_text('model = dict(\n')

    assert 'cannot be read: SyntaxError' in answer('train.py', str(config))


def test_a_base_that_is_not_there(answer, tmp_path):
    config = tmp_path / 'config.py'
    config.write_text("_base_ = './nothing.py'\n")

    assert 'nothing.py' in answer('train.py', str(config))


def test_an_unknown_key_in_the_config(answer, tmp_path):
    config = tmp_path / 'config.py'
    config.write_text(f'_base_ = {CONFIG!r}\nmodel = dict(backbone=dict(patch_sise=8))\n')

    assert "'patch_sise'" in answer('train.py', str(config))


def test_an_unknown_key_in_the_options(answer):
    sentence = answer('train.py', CONFIG, options=('model.backbone.patch_sise=8',))

    assert "no key 'patch_sise'; did you mean 'patch_size'?" in sentence


def test_an_option_without_a_value(answer):
    assert "'resume' is not of the form KEY=VALUE" in answer(
        'train.py', CONFIG, options=('resume',)
    )


def test_dicts_in_a_list_of_an_option(answer):
    option = 'custom_hooks.0.stages=[dict(losses=[a]),dict(begin=2,losses=[b])]'

    assert 'dicts in lists cannot be read here' in answer('train.py', CONFIG, options=(option,))


def test_a_variable_among_the_options_names_where_its_value_went(answer):
    sentence = answer('train.py', CONFIG, options=('data_root=elsewhere',))

    assert 'train_dataloader.dataset.data_root' in sentence


def test_a_missing_data_folder(answer):
    options = ('train_dataloader.dataset.data_root=data/digit_scenes/no',)

    assert "data_root 'data/digit_scenes/no' does not exist" in answer(
        'train.py', CONFIG, options=options
    )


def test_a_missing_checkpoint(answer):
    assert "checkpoint 'no.pth' does not exist" in answer('test.py', CONFIG, 'no.pth')


def test_resuming_from_a_missing_checkpoint(answer):
    assert "checkpoint 'no.pth' does not exist" in answer('train.py', CONFIG, '--resume', 'no.pth')


@pytest.mark.parametrize('flag', ['--auto-scale-lr', '--tta'])
def test_a_flag_whose_settings_the_config_lacks(answer, tmp_path, flag):
    config = tmp_path / 'config.py'
    config.write_text(f'_base_ = {CONFIG!r}\nauto_scale_lr = None\n')
    tool, rest = ('test.py', ['no.pth']) if flag == '--tta' else ('train.py', [])

    sentence = answer(tool, str(config), *rest, flag)

    assert f'{flag} needs' in sentence
    assert ('tta_model and tta_pipeline' if flag == '--tta' else 'base_batch_size') in sentence


def test_an_ending_that_predictions_cannot_have(answer, tmp_path):
    checkpoint = tmp_path / 'some.pth'
    checkpoint.touch()

    sentence = answer('test.py', CONFIG, str(checkpoint), '--out', 'predictions.txt')

    assert "--out 'predictions.txt' must end in one of .pkl, .pickle" in sentence


def test_a_folder_of_label_maps_goes_to_the_metric_that_writes_them(load_tool):
    writer, other = dict(type='IoUMetric'), dict(type='mmpretrain.Accuracy')

    for metrics in (writer, [other, writer]):
        cfg = Config(dict(default_scope='mmseg', test_evaluator=metrics))
        load_tool('test.py').apply_out(cfg, 'maps', 'pred')
        found = cfg.test_evaluator if metrics is writer else cfg.test_evaluator[1]
        assert found.output_dir == 'maps'


def test_a_folder_of_label_maps_that_no_metric_writes(load_tool):
    cfg = Config(dict(default_scope='mmseg', test_evaluator=[dict(type='mmpretrain.Accuracy')]))

    with pytest.raises(UserError, match="--out 'maps' must end in"):
        load_tool('test.py').apply_out(cfg, 'maps', 'pred')


def test_a_window_without_a_display(answer, monkeypatch):
    monkeypatch.setattr(sys, 'platform', 'linux')
    monkeypatch.delenv('DISPLAY', raising=False)
    monkeypatch.delenv('WAYLAND_DISPLAY', raising=False)

    assert 'use --show-dir' in answer('test.py', CONFIG, 'no.pth', '--show')


def test_mixed_precision_without_a_device_for_it(answer, monkeypatch):
    monkeypatch.setattr('mmtoken.runtime.resuming.checkpoints.get_device', lambda: 'cpu')

    assert "does not work on 'cpu'" in answer('train.py', CONFIG, '--amp')


def test_a_recorded_checkpoint_that_is_gone(load_tool, capsys, tmp_path):
    (tmp_path / 'last_checkpoint').write_text('/gone/epoch_3.pth')

    with pytest.raises(SystemExit) as exit_:
        load_tool('train.py').main([CONFIG, '--work-dir', str(tmp_path), '--resume'])

    assert exit_.value.code == 2
    assert 'epoch_3.pth' in capsys.readouterr().err


def test_the_record_of_a_moved_work_dir_is_understood(tmp_path):
    from mmtoken.runtime.resuming.checkpoints import latest_checkpoint

    (tmp_path / 'last_checkpoint').write_text('/elsewhere/epoch_3.pth')
    (tmp_path / 'epoch_3.pth').touch()

    assert latest_checkpoint(tmp_path) == tmp_path / 'epoch_3.pth'


def test_resume_without_a_checkpoint_keeps_load_from_and_says_so(load_tool, capsys, tmp_path):
    cfg = Config(dict(work_dir=str(tmp_path), load_from='weights.pth'))

    load_tool('train.py').apply_resume(cfg, 'auto')

    assert cfg.load_from == 'weights.pth'
    assert cfg.resume is False
    assert 'training starts with the weights of weights.pth' in capsys.readouterr().out


@pytest.mark.parametrize('tool', ['train.py', 'test.py'])
def test_the_flags_that_mim_relies_on(load_tool, tool):
    arguments = [CONFIG, *(['x.pth'] if tool == 'test.py' else []), '--launcher', 'slurm']

    for spelling in ('--local_rank', '--local-rank'):
        args = load_tool(tool).parse_args([*arguments, spelling, '1'])
        assert (args.launcher, args.local_rank) == ('slurm', 1)
    with pytest.raises(SystemExit):
        load_tool(tool).parse_args([*arguments, '--gpus', '1'])


def test_the_sentence_and_exit_code_reach_the_shell():
    command = [sys.executable, 'tools/train.py', 'configs/digits/none.py']

    done = subprocess.run(command, cwd=REPO, capture_output=True, text=True)

    assert done.returncode == 2
    assert done.stderr.strip().splitlines()[-1].startswith("error: config 'configs/digits/none.py'")


@pytest.mark.parametrize('name', ['dist_train', 'dist_test', 'slurm_train', 'slurm_test'])
def test_a_launcher_without_arguments_says_how_it_is_used(name):
    done = subprocess.run(['bash', f'tools/{name}.sh'], cwd=REPO, capture_output=True, text=True)

    assert done.returncode == 2
    assert done.stderr.startswith('usage: ')
