"""What the tool prints of a conversion."""

from __future__ import annotations

from collections import Counter, defaultdict

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from mmtoken.vit.options import call_of

from .conversion import Conversion


def print_summary(conversion: Conversion, console: Console) -> None:
    """Print what was recognised, what became of the weights, and the config of the backbone.

    Args:
        conversion: What was converted.
        console: Where to.
    """
    console.print(f'recognised: [bold]{escape(conversion.what)}[/bold]')
    counts = Counter(fate.what for fate in conversion.report.values())
    reasons = defaultdict(list)
    for name, fate in conversion.report.items():
        if fate.what in ('dropped', 'changed', 'split'):
            reasons[fate.what, fate.why].append(name)
    table = Table('weights', 'what became of them', 'such as', box=None, pad_edge=False)
    for what, count in counts.items():
        if what not in ('dropped', 'changed', 'split'):
            first = next(name for name, fate in conversion.report.items() if fate.what == what)
            into = conversion.report[first].into
            table.add_row(str(count), what, escape(f'{first} → {into}'))
    for (what, why), names in reasons.items():
        table.add_row(str(len(names)), escape(f'{what}: {why}'), escape(names[0]))
    console.print(table)
    # The config is one that can be copied: no line of it is broken.
    console.print(
        f'backbone={call_of(conversion.backbone)}', markup=False, highlight=False, soft_wrap=True
    )
    for note in conversion.notes:
        console.print(f'note: {note}', markup=False, highlight=False, soft_wrap=True)
