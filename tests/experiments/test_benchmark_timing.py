"""How a benchmark times and compares, on tiny models; never its times."""

import platform
import re
import subprocess
import sys
from dataclasses import replace
from functools import partial

import pytest
from torch import nn

from mmtoken.errors import UserError
from mmtoken.experiments import benchmark_timing
from mmtoken.experiments.benchmark_models import (
    backbone_loss,
    build_backbone,
    config_preset,
    load_preset,
)
from mmtoken.experiments.benchmark_report import markdown
from mmtoken.experiments.benchmark_rows import Case, Preset, Ratio, Row, Step, peak_memory
from mmtoken.experiments.benchmark_timing import compare, measure, time_once, time_rows

PRESET = """
from mmtoken.experiments.benchmark_rows import Preset, Row
from torch import nn

class Large(nn.Linear):
    def forward(self, images):
        return super().forward(images.mean().view(1, 1)).sum()

PRESET = Preset('mine', [Row('a', lambda size: Large(1, 2**20), lambda m, images: m(images))])
"""


class Recorder(nn.Module):
    """Notes its name whenever it is called."""

    def __init__(self, name: str, calls: list[str]) -> None:
        super().__init__()
        self.name, self.calls, self.scale = name, calls, nn.Linear(1, 1)

    def forward(self, images):
        self.calls.append(self.name)
        return (self.scale(images.mean().view(1, 1)),)


def recorder_rows(names: str, calls: list[str]):
    """Rows that note their name in ``calls``."""
    return [Row(n, lambda size, n=n: Recorder(n, calls), backbone_loss) for n in names]


def test_rows_are_interleaved_in_rotating_order():
    calls: list[str] = []
    time_rows(recorder_rows('abc', calls), Case(4, 1), rounds=2, warmup=1)
    assert ''.join(calls) == 'abc' + 'bca' + 'cab'


def test_what_a_model_says_is_not_of_it_is_not_counted(monkeypatch):
    (row,) = recorder_rows('a', [])
    step = Step(row, Case(4, 1))
    clock = iter([10.0, 17.0, 20.0, 27.0])
    monkeypatch.setattr(benchmark_timing.time, 'perf_counter', lambda: next(clock))
    assert time_once(step) == 7.0
    step.model.untimed = 5.0
    assert time_once(step) == 2.0


def test_warmup_is_not_counted():
    seconds = time_rows(recorder_rows('ab', []), Case(4, 1), rounds=3, warmup=2)
    assert {name: len(values) for name, values in seconds.items()} == {'a': 3, 'b': 3}


def test_training_step_leaves_gradients():
    step = Step(recorder_rows('a', [])[0], Case(4, 1))
    step.run()
    assert step.model.scale.weight.grad is not None


def test_optimizer_changes_the_weights():
    step = Step(recorder_rows('a', [])[0], Case(4, 1, optimizer=True))
    before = step.model.scale.weight.clone()
    step.run()
    assert not step.model.scale.weight.equal(before)


def test_inference_needs_no_gradients():
    step = Step(recorder_rows('a', [])[0], Case(4, 1, mode='infer'))
    step.run()
    assert step.model.scale.weight.grad is None and not step.model.training


def test_ratios_are_taken_within_a_round():
    preset = Preset('t', [], [Ratio('b', 'a', 1.5)])
    # ratios 2, 1, 3: the median of ratios, not the ratio of medians (4 / 2)
    found = compare(preset, {'a': [1.0, 4.0, 2.0], 'b': [2.0, 4.0, 6.0]}, {}, 224)[0]
    assert (found['low'], found['median'], found['high']) == (1.5, 2.0, 2.5)
    assert found['target'] == 1.5


@pytest.mark.parametrize(('memory', 'medians'), [({'a': 10.0, 'b': 5.0}, [0.5]), ({}, [])])
def test_peak_memory_is_compared_where_it_was_measured(memory, medians):
    preset = Preset('t', [], [Ratio('b', 'a', 0.2, of='memory')])
    found = compare(preset, {'a': [1.0], 'b': [1.0]}, memory, 224)
    assert [ratio['median'] for ratio in found] == medians


def test_target_may_depend_on_the_image_size():
    ratio = Ratio('b', 'a', {224: 1.05})
    assert [ratio.target_at(size) for size in (224, 512)] == [1.05, None]


def test_a_note_stands_below_the_table_and_memory_that_says_nothing_is_left_out():
    (row,) = recorder_rows('a', [])
    preset = Preset('t', [replace(row, note=lambda size: f'seen at {size}')], memory=False)

    entry = measure(lambda: preset, [Case(4, 1)], rounds=1, warmup=0)

    assert entry['cases'][0]['rows'][0]['memory_mib'] is None
    text = markdown({'': entry | {'command': 'none'}})
    assert re.search(r'^\| a \|.*\| – \|\n\n- a: seen at 4$', text, re.MULTILINE)


def test_pretrained_weights_are_not_loaded(backbone_config):
    assert build_backbone(backbone_config, 64).init_cfg is None


def test_config_without_backbone_is_refused(tmp_path):
    (tmp_path / 'a.py').write_text('model = dict(type="X")')
    with pytest.raises(UserError, match=r'has no model\.backbone'):
        build_backbone(str(tmp_path / 'a.py'), 64)


def test_peak_memory_is_measured_in_its_own_process(backbone_config):
    load = partial(config_preset, {'a': backbone_config})
    assert peak_memory(load, 'a', Case(32, 64), threads=1) > 0


def test_a_preset_file_may_time_what_it_defines_itself(tmp_path):
    path = tmp_path / 'mine.py'
    path.write_text(PRESET)
    # The weights and their gradients, 4 bytes each.
    assert peak_memory(partial(load_preset, path), 'a', Case(8, 1), threads=1) > 8


@pytest.mark.skipif(platform.libc_ver()[0] != 'glibc', reason='only glibc is told')
def test_freed_memory_is_kept():
    code = """
import ctypes
from mmtoken.experiments.benchmark_timing import keep_freed_memory

class Info(ctypes.Structure):
    names = 'arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost'
    _fields_ = [(name, ctypes.c_size_t) for name in names.split()]

libc = ctypes.CDLL(None)
libc.malloc.restype, libc.mallinfo2.restype = ctypes.c_void_p, Info

def mapped():
    before = libc.mallinfo2().hblks
    assert libc.malloc(ctypes.c_size_t(30 * 2**20))
    return libc.mallinfo2().hblks - before

print(mapped(), keep_freed_memory(), mapped())
"""

    out = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True)

    # A block that is mapped for itself goes back to the system when it is freed.
    assert out.stdout.split() == ['1', 'True', '0']
