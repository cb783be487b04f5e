"""ViT-S at the size of detectors, 1,024 px or 64×64 patches: windows of 16 patches, which divide
the grid, over global attention, over mmpretrain's ViTSAM with the same windows, and all global over
timm's blocks where timm is installed."""

from functools import partial
from importlib.util import find_spec

from mmtoken.experiments.benchmark_models import backbone_loss
from mmtoken.experiments.benchmark_rows import Preset, Ratio, Row
from mmtoken.vit import TokenViT

from mmpretrain.models.backbones import ViTSAM
from torch import Tensor, nn

PATCH, WINDOW, GLOBAL = 16, 16, (2, 5, 8, 11)
SIZES = dict(embed_dims=384, num_layers=12, num_heads=6, feedforward_channels=1536)


def build_ours(img_size: int, window_size: int) -> nn.Module:
    """TokenViT without auxiliary tokens, which gives a map.

    Args:
        img_size: Height and width in pixels.
        window_size: Patches per side of a window; 0 for global attention in all layers.
    """
    return TokenViT(
        SIZES,
        img_size,
        PATCH,
        num_aux_tokens=0,
        out_type='featmap',
        window_size=window_size,
        global_attn_indexes=GLOBAL,
    )


class NormedSAM(ViTSAM):
    """mmpretrain's ViTSAM, its output normed as TokenViT's is; `train` returns itself, as torch's
    does.
    """

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self.ln1 = nn.LayerNorm(self.embed_dims, eps=1e-6)

    def train(self, mode: bool = True) -> nn.Module:
        super().train(mode)
        return self

    def _format_output(self, x: Tensor) -> Tensor:
        # (B, C, H, W), in channels-last memory
        return self.ln1(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2).contiguous()


def build_sam(img_size: int) -> nn.Module:
    """ViTSAM without relative positions, without its neck."""
    return NormedSAM(
        dict(SIZES, global_attn_indexes=GLOBAL),
        img_size,
        PATCH,
        out_channels=0,
        use_rel_pos=False,
        window_size=WINDOW,
        norm_cfg=dict(type='LN', eps=1e-6),
    )


def build_timm(img_size: int) -> nn.Module:
    """timm's ViT without a class token, which gives its tokens."""
    from timm.models.vision_transformer import VisionTransformer

    return VisionTransformer(
        img_size,
        PATCH,
        num_classes=0,
        global_pool='',
        embed_dim=SIZES['embed_dims'],
        depth=SIZES['num_layers'],
        num_heads=SIZES['num_heads'],
        class_token=False,
    )


def tokens_loss(model: nn.Module, images: Tensor) -> Tensor:
    """Mean square of the one output."""
    return model(images).float().square().mean()


OURS, EVERYWHERE, SAM, TIMM = 'TokenViT, windows', 'TokenViT, global', 'ViTSAM, windows', 'timm ViT'
ROWS = [
    Row(OURS, partial(build_ours, window_size=WINDOW), backbone_loss),
    Row(EVERYWHERE, partial(build_ours, window_size=0), backbone_loss),
    Row(SAM, build_sam, backbone_loss),
]
PAIRS = [(OURS, EVERYWHERE), (OURS, SAM)]
if find_spec('timm'):
    ROWS.append(Row(TIMM, build_timm, tokens_loss))
    PAIRS.append((EVERYWHERE, TIMM))

PRESET = Preset(
    title='ViT-S: all layers global, or all but four in windows of 16×16 patches',
    rows=ROWS,
    ratios=[Ratio(row, base, of=of) for row, base in PAIRS for of in ('time', 'memory')],
    cases=[(1024, 1)],
    modes=('infer', 'train'),
)
