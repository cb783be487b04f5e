"""Where the leaf configs are."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LEAVES = sorted(p for p in (ROOT / 'configs').rglob('*.py') if '_base_' not in p.parts)
