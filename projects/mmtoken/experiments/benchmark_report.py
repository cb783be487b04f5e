"""The benchmark's numbers as Markdown."""

from typing import Any


def markdown(entries: dict[str, dict[str, Any]]) -> str:
    """Write measured entries as tables.

    Args:
        entries: The content of ``docs/benchmark.json``.

    Returns:
        The text of ``docs/benchmark.md``.
    """
    lines = [
        '# Benchmark',
        '',
        'Written by `tools/analysis_tools/benchmark.py`. All models of a table are timed in one '
        'process, one after the other in every round; a ratio is the median over the rounds of '
        'the ratio within a round, with its quartiles. Peak memory is what '
        "torch's allocator has given out at a time, over two steps in a fresh process.",
    ]
    for name, entry in entries.items():
        lines += ['', *_section(name, entry)]
    return '\n'.join(lines) + '\n'


def _section(name: str, entry: dict[str, Any]) -> list[str]:
    step = 'training step (forward, loss, backward)' if entry['mode'] == 'train' else 'inference'
    step += ' and AdamW' if entry['optimizer'] else ''
    place = entry['gpu'] or f'{entry["processor"]}, {entry["threads"]} threads'
    precision = f'autocast {entry["amp"]}' if entry['amp'] else 'float32'
    versions = ', '.join(f'{key} {value}' for key, value in entry['versions'].items())
    lines = [
        f'## {name or entry["title"]}',
        '',
        f'{entry["title"]}; {step}, {precision}, on {place}; {entry["rounds"]} rounds. '
        f'{entry["date"]}, commit {entry["commit"]}, {versions}.',
        '',
        f'    {entry["command"]}',
    ]
    for case in entry['cases']:
        lines += ['', f'### {case["size"]} × {case["size"]} px, batch {case["batch"]}', '']
        lines += ['| model | ms (quartiles) | peak memory |', '| --- | ---: | ---: |']
        for row in case['rows']:
            times = f'{row["median"] * 1e3:.1f} ({row["low"] * 1e3:.1f}–{row["high"] * 1e3:.1f})'
            memory = '–' if row['memory_mib'] is None else f'{row["memory_mib"]:.0f} MiB'
            lines.append(f'| {row["name"]} | {times} | {memory} |')
        # Entries from before there were any have none.
        notes = [f'- {row["name"]}: {row["note"]}' for row in case['rows'] if row.get('note')]
        lines += ['', *notes] if notes else []
        if case['ratios']:
            lines += ['', '| ratio | median (quartiles) | target |', '| --- | ---: | ---: |']
        for ratio in case['ratios']:
            spread = f'{ratio["median"]:.3f} ({ratio["low"]:.3f}–{ratio["high"]:.3f})'
            target = '–' if ratio['target'] is None else _most(ratio['target'])
            # Entries from before there were others are ratios of time.
            of = ', memory' if ratio.get('of') == 'memory' else ''
            lines.append(f'| {ratio["row"]} / {ratio["base"]}{of} | {spread} | {target} |')
    return lines


def _most(target: float) -> str:
    """A target with two digits, or as many as it has where two would make it another."""
    two = f'{target:.2f}'
    return f'≤ {two if float(two) == target else format(target, "g")}'
