"""What a training step takes beside a program that keeps all cores busy, by how threads wait.

OpenMP's threads spin while they wait for each other, unless OMP_WAIT_POLICY says otherwise before
torch is loaded; so each row steps in a process of its own.
"""

import atexit
import os
import signal
import subprocess
import sys
from functools import cache, partial

from mmtoken.experiments.benchmark_rows import Preset, Ratio, Row
from mmtoken.runtime.waiting import VARIABLES

import torch
from torch import Tensor, nn

# Steps of DeiT-T, each when a line is read.
STEPS = """
import sys
import mmtoken, torch
from mmtoken.experiments.benchmark_models import build_classifier, classifier_loss
torch.manual_seed(0)
size, batch = map(int, sys.argv[1:])
model = build_classifier(dict(type='TokenViT', arch='deit-tiny'), size).train()
images = torch.randn(batch, 3, size, size)
for line in sys.stdin:
    model.zero_grad()
    classifier_loss(model, images).backward()
    print('done', flush=True)
"""


@cache
def neighbors() -> list[subprocess.Popen]:
    """A program for each core that does nothing else, stopped until it is needed."""
    found = []
    for _ in range(len(os.sched_getaffinity(0))):
        found.append(subprocess.Popen([sys.executable, '-c', 'while True: pass']))
        atexit.register(found[-1].kill)
        found[-1].send_signal(signal.SIGSTOP)
    return found


class Elsewhere(nn.Module):
    """A training in another process, in the place of a model.

    Args:
        policy: How its threads wait; None leaves it to the library.
        busy: Whether the neighbors run while it steps.
        size: Of the images, in pixels.
    """

    def __init__(self, policy: str | None, busy: bool, size: int) -> None:
        super().__init__()
        self.policy, self.busy, self.size = policy, busy, size
        self.process: subprocess.Popen | None = None

    def start(self, batch: int) -> None:
        """Start the other process and let it warm up."""
        env = {name: value for name, value in os.environ.items() if name not in VARIABLES}
        env.update({'OMP_WAIT_POLICY': self.policy} if self.policy else {})
        self.process = subprocess.Popen(
            [sys.executable, '-c', STEPS, str(self.size), str(batch)],
            env=env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        atexit.register(self.process.kill)
        self.step()

    def step(self) -> None:
        """One step there."""
        self.process.stdin.write('go\n')
        self.process.stdin.flush()
        while (line := self.process.stdout.readline()) != 'done\n':
            if not line:
                raise RuntimeError('the process that steps has ended; run its program by hand')

    def forward(self, batch: int) -> Tensor:
        """One step, beside the neighbors or alone."""
        if self.process is None:
            self.start(batch)
        for neighbor in neighbors() if self.busy else ():
            neighbor.send_signal(signal.SIGCONT)
        try:
            self.step()
        finally:
            for neighbor in neighbors():
                neighbor.send_signal(signal.SIGSTOP)
        return torch.zeros(())


def _row(name: str, policy: str | None, busy: bool) -> Row:
    return Row(name, partial(Elsewhere, policy, busy), lambda model, images: model(len(images)))


PRESET = Preset(
    title='Training DeiT-T alone and beside a program on all cores, by how threads wait',
    rows=[
        _row('alone, as torch is', None, busy=False),
        _row('alone, passive', 'passive', busy=False),
        _row('beside, as torch is', None, busy=True),
        _row('beside, passive', 'passive', busy=True),
    ],
    ratios=[
        Ratio('beside, as torch is', 'alone, as torch is'),
        # Two programs share each core.
        Ratio('beside, passive', 'alone, passive', 2.5),
        Ratio('alone, passive', 'alone, as torch is', 1.05),
    ],
    cases=[(224, 8)],
    modes=['infer'],
)
