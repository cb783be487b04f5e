"""What a run of any of the three libraries needs besides model, data and schedule.

The dataset's base sets ``default_scope`` and the library's ``visualizer``, which its inferencers
and tools ask for, and leaves ``collate_fn`` out for mmdet and mmseg: mmengine's inferencer reads no
dict there, and its runner has the same function as its default. The schedule's base sets
``log_processor``, since it knows whether training counts epochs or iterations.
"""

# A child's custom_imports replaces this one, so no other config has its own.
custom_imports = dict(imports=['mmtoken'], allow_failed_imports=False)

default_hooks = dict(
    timer=dict(type='IterTimerHook'),
    logger=dict(type='LoggerHook', interval=50),
    param_scheduler=dict(type='ParamSchedulerHook'),
    # Two files: where the newer one is damaged later on, --resume goes on from the older one.
    checkpoint=dict(type='mmpretrain.ReliableCheckpointHook', interval=1, max_keep_ckpts=2),
    sampler_seed=dict(type='DistSamplerSeedHook'),
    # Here, where a child's custom_hooks cannot replace them.
    strict_load=dict(type='mmpretrain.StrictLoadHook'),
    pyramid_check=dict(type='mmpretrain.PyramidCheckHook'),
    # What a run survives, and what ends it with a sentence (docs/reliability.md).
    resume=dict(type='mmpretrain.ExactResumeHook'),
    signal=dict(type='mmpretrain.SignalHook'),
    non_finite=dict(type='mmpretrain.NonFiniteHook'),
    bad_data=dict(type='mmpretrain.BadDataHook'),
    watchdog=dict(type='mmpretrain.WatchdogHook'),
)

env_cfg = dict(
    cudnn_benchmark=False,
    mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0),
    dist_cfg=dict(backend='nccl'),
)
# A fixed seed, so that the same command trains the same weights.
randomness = dict(seed=0, deterministic=False)
log_level = 'INFO'
load_from = None
resume = False
