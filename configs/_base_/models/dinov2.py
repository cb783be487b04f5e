# What a `TokenViT` must be for DINOv2's weights with four registers (arXiv 2309.16588), whatever
# stands behind it; their positions are those of 37 x 37 patches.
dinov2 = dict(
    img_size=518,
    patch_size=14,
    num_aux_tokens=5,
    num_registers=4,
    layer_scale_init_value=1e-5,
    interpolate_mode='antialias',
)
