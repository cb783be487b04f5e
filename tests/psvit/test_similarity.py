"""Maps of layers are compared as they are: a shared one is its source's, those of pools are not."""

from pathlib import Path

import matplotlib.image
import pytest
import torch
from explicit_attention import explicit_attention, layers_of
from mmengine.config import Config

from mmtoken.experiments.scoreboard_stages import build_part
from mmtoken.psvit.similarity import map_similarity, neighbors, plot_similarity
from mmtoken.vit import TokenViT

ARCH = dict(embed_dims=24, num_layers=4, num_heads=3, feedforward_channels=48)
REPO = Path(__file__).parents[2]


def backbone(**options):
    torch.manual_seed(0)
    built = TokenViT(ARCH, 32, 4, **options).eval()
    for parameter in built.layers.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return built


@pytest.mark.parametrize('options', [{}, dict(window_size=3)])
def test_a_layer_that_shares_has_one_with_its_source(options):
    found = map_similarity(backbone(pattern='FSFF', **options), torch.randn(2, 3, 32, 32))

    assert found.shape == (4, 4)
    torch.testing.assert_close(found, found.T)
    torch.testing.assert_close(found.diagonal(), torch.ones(4))
    assert found[0, 1] == pytest.approx(1, abs=1e-5)
    assert found[0, 2] < 0.99 and found[2, 3] < 0.99


def test_maps_of_other_tokens_are_not_compared():
    model = backbone(pool_before=(2,))
    found = map_similarity(model, torch.randn(1, 3, 32, 32))

    assert found[:2, 2:].isnan().all() and not found[:2, :2].isnan().any()
    assert neighbors(found, model) == pytest.approx(float(found[0, 1] + found[2, 3]) / 2)


def test_a_shared_map_says_nothing_of_neighbors():
    model = backbone(pattern='FSFS')
    found = map_similarity(model, torch.randn(1, 3, 32, 32))

    assert neighbors(found, model) == pytest.approx(float(found[1, 2]))
    assert torch.isnan(torch.tensor(neighbors(found[:2, :2], model)))


def test_it_is_the_cosine_of_the_explicit_matrices():
    model, images = backbone(), torch.randn(2, 3, 32, 32)

    with torch.no_grad():
        maps = [
            explicit_attention(layer.attn, tokens.with_(x=layer.ln1(tokens.x))).mean(1)
            for layer, tokens in layers_of(model, images)
        ]
        one, other = (maps[i] - maps[i].mean(-1, keepdim=True) for i in (0, 3))
        expected = torch.cosine_similarity(one, other, dim=-1).mean()

    torch.testing.assert_close(map_similarity(model, images)[0, 3], expected)


def test_the_picture_shows_the_values(tmp_path):
    plot_similarity(torch.eye(3), 'title', tmp_path / 'a.png')
    plot_similarity(torch.full((3, 3), torch.nan), 'title', tmp_path / 'b.png')

    pictures = [matplotlib.image.imread(tmp_path / name) for name in ('a.png', 'b.png')]
    assert abs(pictures[0] - pictures[1]).max() > 0.5


def test_the_tool_draws_a_config_and_its_weights(
    tmp_path, monkeypatch, digit_scenes, load_tool, capsys
):
    monkeypatch.chdir(tmp_path)
    Path('data').mkdir()
    Path('data/digit_scenes').symlink_to(digit_scenes)
    tool = load_tool('visualization/attention_similarity.py')
    path = REPO / 'configs' / 'digits' / 'psvit-d8w96-144_digits-cls.py'
    cfg = Config.fromfile(path)
    torch.save(build_part(cfg, cfg.model).state_dict(), 'weights.pth')

    tool.main([str(path), 'weights.pth', '--number', '3', '--out', 'out/a.png'])

    assert 'neighboring layers that do not share, on average: ' in capsys.readouterr().out
    assert Path('out/a.png').is_file()
    with pytest.raises(SystemExit) as error:
        tool.main([str(path), 'weights.pth', '--number', '0'])
    assert error.value.code == 2
