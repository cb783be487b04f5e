"""What the authors' own code computed, as tensors."""

from pathlib import Path

import numpy as np
import torch

REFERENCES = Path(__file__).resolve().parent / 'data' / 'references'


def read_reference(name):
    """The arrays of a file as {group: {name: tensor}}, without its texts."""
    groups: dict[str, dict] = {}
    with np.load(REFERENCES / f'{name}.npz') as arrays:
        for key in arrays.files:
            group, _, inner = key.partition('/')
            value = np.asarray(arrays[key])
            if value.dtype.kind != 'U':
                groups.setdefault(group, {})[inner] = torch.from_numpy(value)
    return groups


def close(found, expected):
    """To 1e-5, of the largest entry where that is above 1."""
    atol = 1e-5 * max(1.0, expected.abs().max().item())
    torch.testing.assert_close(found, expected.to(found.dtype), atol=atol, rtol=0)


def check_stages(backbone, image, outputs):
    """Each stage with the merging behind it, from what the authors' code left of the one before: in
    float32 what rounding makes of one stage may be more than the tolerance after the next.
    """
    tokens, ends = backbone.embed(image), set(backbone.pools)
    stage = 0
    for index, layer in enumerate(backbone.layers):
        tokens = layer(tokens)
        if str(index + 1) in ends or index + 1 == backbone.num_layers:
            if str(index + 1) in ends:
                tokens = backbone.pools[str(index + 1)](tokens)
            close(tokens.x, outputs[f'stage_{stage}'])
            tokens = tokens.with_(x=outputs[f'stage_{stage}'].to(tokens.x.dtype))
            stage += 1
    assert f'stage_{stage}' not in outputs
    return tokens
