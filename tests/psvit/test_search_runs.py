"""A search's costs, configs, folder and report; the whole of it through the real tools."""

import json
import os
import signal
import threading
from multiprocessing import Pipe, get_context
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DATASETS
from search_files import DEIT, REPO, changed

from mmtoken.config_check.check import check_config
from mmtoken.errors import UserError
from mmtoken.experiments.scoreboard_stages import build_part
from mmtoken.experiments.study_runs import make_grid, run_config
from mmtoken.psvit.search import build_space, judge, results, runs
from mmtoken.psvit.search.budget import scheduled_backbone
from mmtoken.psvit.search.checks import check_measure, claim, occupy
from mmtoken.psvit.search.configs import check_training_set, supernet_config, write_leaf
from mmtoken.psvit.search.judge import Judge
from mmtoken.psvit.search.results import first_names


def test_what_chance_draws_again_is_trained_and_counted_once(monkeypatch):
    space = build_space(dict(units=2, widths=[12, 24], num_heads=[2, 3]))
    a, b, c, d = space
    chosen = {'searched 1': a, 'searched 2': b, 'random 1': b, 'random 2': c, 'random 3': d}
    assert first_names(chosen) == {
        'searched 1': a, 'searched 2': b, 'random 2': c, 'random 3': d
    }  # fmt: skip
    monkeypatch.setattr(results, '_baseline_costs', lambda *_: dict(macs=1, params=1, price=1))
    # The orders of four differ by one exchange of neighbors: 1 − 6·2/(4·15).
    trained = {'searched 1': 70.0, 'searched 2': 60.0, 'random 2': 40.0, 'random 3': 50.0}
    entries = [dict(arm=name, metrics={'top1': value}) for name, value in trained.items()]
    entries.append(dict(arm='DeiT', metrics={'top1': 65.0}))
    costs = SimpleNamespace(count=lambda schedule: dict(macs=2, params=3))
    search = Config(dict(metric=dict(key='top1'), budget=dict(macs=(1, 5)), baselines=[], seed=0,
                         title='t', question='q', supernet={}, folds=10))  # fmt: skip

    found = results.make_search_results(
        search, space, costs, lambda schedule: 4, {a: 9.0, b: 8.0, c: 7.0, d: 6.0}, chosen,
        entries, True,
    )  # fmt: skip

    values = {entry['name']: entry['value'] for entry in found['retrained']}
    assert values == {**trained, 'random 1': 60.0, 'DeiT': 65.0}
    assert found['found'] == str(a)
    assert found['rank_correlation'] == pytest.approx(0.8)


def test_a_metric_that_is_not_measured_is_refused_before_anything_is_trained(search):
    space = build_space(search.space)
    cfg = supernet_config(search, space, Path('work'))

    check_measure(cfg, 'accuracy/top1', next(iter(space)))
    with pytest.raises(UserError, match="'accuracy/top3' is none of .* 'accuracy/top1', .*; use"):
        check_measure(cfg, 'accuracy/top3', next(iter(space)))


def test_a_baseline_of_another_batch_is_refused_at_once(search, load_tool, capsys):
    Path('deit.py').write_text(DEIT.format(repo=REPO).replace('batch_size=4', 'batch_size=8'))

    with pytest.raises(SystemExit):
        load_tool('search.py').main(['search.py', '--work-dir', 'work'])

    assert 'give every arm and candidate the same budget' in capsys.readouterr().err
    assert not Path('work/search.json').exists()


def test_what_the_name_of_an_arch_says_is_kept():
    backbone = dict(type='PSViT', arch='1d-tiny', img_size=32, pool_before=())

    found = scheduled_backbone(backbone, [dict(depth=2, embed_dims=24, num_heads=3)])

    assert found['pooling'] == '1d' and 'arch' not in found
    pool = dict(type='TokenPool')
    assert scheduled_backbone(dict(backbone, pool=pool), [])['pool'] == pool


def images_of(cfg, loader):
    """The files of the data set of a config's loader."""
    with DATASETS.switch_scope_and_registry(cfg.default_scope) as registry:
        dataset = registry.build(cfg[loader].dataset)
    return {dataset.get_data_info(index)['img_path'] for index in range(len(dataset))}


def test_held_out_images_are_neither_trained_on_nor_drawn_anew(search):
    space = build_space(search.space)
    with DATASETS.switch_scope_and_registry('mmpretrain') as registry:
        plain = registry.build(Config.fromfile('small.py').train_dataloader.dataset)
    every = {plain.get_data_info(index)['img_path'] for index in range(len(plain))}

    cfg = supernet_config(search, space, Path('work'))
    trained, held_out = (images_of(cfg, f'{part}_dataloader') for part in ('train', 'test'))

    assert len(every) == 40 and len(held_out) == 10
    assert trained | held_out == every and not trained & held_out
    study = runs.retraining_study(search, space, {'searched 1': next(iter(space))}, Path('s.py'))
    for run in make_grid(study, [5], {}):
        cfg = run_config(study, run, Path('work')).config
        assert images_of(cfg, 'train_dataloader') == trained
        assert images_of(cfg, 'test_dataloader') == held_out
    search.seed = 1
    assert images_of(supernet_config(search, space, Path('work')), 'test_dataloader') != held_out


def test_a_training_set_that_cannot_be_divided_is_refused(search):
    cfg = Config.fromfile('small.py')
    check_training_set(cfg, 40)

    with pytest.raises(UserError, match='folds 41 of 40 images leave none to compare schedules on'):
        check_training_set(cfg, 41)
    whole = cfg.train_dataloader.dataset
    cfg.train_dataloader.dataset = dict(type='RepeatDataset', times=2, dataset=whole)
    with pytest.raises(UserError, match='is wrapped in RepeatDataset; a search divides a plain'):
        check_training_set(cfg, 4)


def test_a_baseline_that_trains_on_other_data_is_refused(search):
    space = build_space(search.space)
    Path('deit.py').write_text(
        f'{DEIT}train_dataloader["dataset"] = dict(indices=20)\n'.format(repo=REPO)
    )

    with pytest.raises(UserError, match="the baseline 'DeiT' of search s.py trains on other data"):
        runs.retraining_study(search, space, {'searched 1': next(iter(space))}, Path('s.py'))


def test_the_supernets_config_is_legal_and_tests_on_what_is_held_out(search):
    cfg = supernet_config(search, build_space(search.space), Path('work'))

    cfg.dump('supernet.py')
    check_config(Config.fromfile('supernet.py'), ('model', 'train_dataloader'))
    trained, held_out = cfg.train_dataloader.dataset, cfg.test_dataloader.dataset
    assert (trained.test_mode, held_out.test_mode) == (False, True)
    assert held_out.dataset.data_prefix == trained.dataset.data_prefix
    assert held_out.dataset.pipeline == Config.fromfile('small.py').test_dataloader.dataset.pipeline
    assert trained.dataset.pipeline != held_out.dataset.pipeline
    assert cfg.train_cfg.max_iters == 3


def test_a_judge_measures_paths_of_their_own(search):
    space = build_space(search.space)
    cfg = supernet_config(search, space, Path('work'))
    cfg.model.backbone.out_type = 'avg_featmap'
    model = build_part(cfg, cfg.model)
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter)
        # Random features differ little between images: the scores are of what differs.
        mean = model.backbone(torch.randn(8, 3, 64, 64))[0].mean(0)
        model.head.fc.bias.copy_(-model.head.fc.weight @ mean)
    torch.save(model.state_dict(), 'net.pth')
    judge = Judge(cfg, 'net.pth', 'accuracy/top1')

    found = {str(schedule): judge.measure(str(schedule)) for schedule in space}

    assert all(0 <= value <= 100 for value in found.values()) and len(set(found.values())) > 1
    assert {text: judge.measure(text) for text in reversed(found)} == found


def test_a_leaf_of_a_schedule_is_a_config_that_trains(search, load_tool):
    space = build_space(search.space)
    Path('out').mkdir()

    write_leaf(search, space, space.read('FS|FF'), Path('out/found.py'), 'a command')

    cfg = Config.fromfile('out/found.py')
    check_config(cfg, ('model', 'train_dataloader'))
    assert cfg.model.backbone.stages == space.stages(space.read('FS|FF'))
    assert cfg.model.backbone.num_aux_tokens == 1
    # Two steps.
    options = ['train_cfg.max_epochs=1', 'train_dataloader.dataset.indices=8']
    command = ['out/found.py', '--work-dir', 'work', '--no-validate', '--cfg-options', *options]
    load_tool('train.py').main(command)
    assert Path('work/last_checkpoint').exists()


def test_a_folder_of_another_search_is_refused(search):
    cfg = Config.fromfile('small.py')
    claim(Path('work'), search, build_space(search.space), cfg)
    assert not Path('work').exists()
    claim(Path('work'), search, build_space(search.space), cfg)()
    claim(Path('work'), search, build_space(search.space), cfg)()

    with pytest.raises(UserError, match='another processes: 1, and this one has 2'):
        claim(Path('work'), search, build_space(search.space), cfg, processes=2)
    cfg.model.head.topk = (1, 5)
    with pytest.raises(UserError, match='small.py is not what it was when the search in work'):
        claim(Path('work'), search, build_space(search.space), cfg)
    cfg = Config.fromfile('small.py')
    other = changed('space = dict(units=3, widths=[12, 24], num_heads=[2, 3])')

    with pytest.raises(
        UserError, match=r"folder work holds a search of another space: .*'units': 2"
    ):
        claim(Path('work'), other, build_space(other.space), cfg)


def test_a_page_that_is_no_report_is_not_written_over(search, load_tool, capsys):
    Path('README.md').write_text('mine')

    with pytest.raises(SystemExit) as stop:
        load_tool('search.py').main(['search.py', '--out', '.', '--work-dir', 'work'])

    assert stop.value.code == 2
    assert 'README.md is of no earlier report' in capsys.readouterr().err
    assert Path('README.md').read_text() == 'mine' and not Path('work').exists()


def measure_for_ever(connection):
    """What a process of a search does that measures one schedule after another."""
    judge.end_with_parent()
    connection.send(os.getpid())
    threading.Event().wait(60)


def search_for_ever(connection):
    """A search, and a process of its own."""
    worker = get_context('spawn').Process(target=measure_for_ever, args=(connection,))
    worker.start()
    worker.join()


def test_what_measures_for_a_search_that_is_killed_ends(tmp_path):
    here, there = Pipe()
    searching = get_context('spawn').Process(target=search_for_ever, args=(there,))
    searching.start()
    worker = here.recv()
    os.kill(searching.pid, signal.SIGKILL)
    searching.join()
    there.close()

    # Its end of the pipe closes with it.
    assert here.poll(30)
    with pytest.raises(EOFError):
        here.recv()
    assert not Path(f'/proc/{worker}/exe').exists()


def test_a_second_search_in_the_same_folder_is_refused(search, load_tool, capsys):
    with occupy(Path('work')), pytest.raises(SystemExit) as stop:
        load_tool('search.py').main(['search.py', '--work-dir', 'work'])

    assert stop.value.code == 2
    assert 'another search runs in the folder work; let it end first' in capsys.readouterr().err
    # The first has ended.
    with occupy(Path('work')):
        pass


@pytest.mark.parametrize('flags', [['--workers', '0'], ['--processes', '0']])
def test_no_process_runs_nothing(search, load_tool, flags, capsys):
    with pytest.raises(SystemExit) as stop:
        load_tool('search.py').main(['search.py', *flags])
    assert stop.value.code == 2
    assert 'runs nothing; use 1 or more' in capsys.readouterr().err


@pytest.mark.long
def test_a_search_goes_from_its_first_step_to_a_config_that_trains(search, load_tool, monkeypatch):
    tool = load_tool('search.py')
    together = ['search.py', '--workers', '2', '--processes', '2', '--work-dir', 'work']
    tool.main([*together, '--out', 'out'])

    found = json.loads(Path('out/results.json').read_text())
    assert {entry['schedule'] for entry in found['measured']} == {
        'FF|FF', 'FF|FS', 'FS|FF', 'FS|FS'
    }  # fmt: skip
    assert [entry['name'] for entry in found['retrained']] == ['searched 1', 'random 1', 'DeiT']
    check_config(Config.fromfile('out/search_found.py'), ('model', 'train_dataloader'))
    # Nothing is measured, and nothing trained, again.
    monkeypatch.setattr(runs, 'judge_all', lambda *_: pytest.fail('measured again'))
    before = {path: path.stat().st_mtime for path in Path('work').rglob('*.log')}
    tool.main([*together, '--out', 'again'])
    assert {path: path.stat().st_mtime for path in Path('work').rglob('*.log')} == before
    again = json.loads(Path('again/results.json').read_text())
    assert {k: v for k, v in again.items() if k != 'environment'} == {
        k: v for k, v in found.items() if k != 'environment'
    }
