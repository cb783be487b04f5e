# What the transfer studies have in common: their cells, arms and candidates.
_init = [
    # What the pre-trained weights themselves started from.
    dict(type='Xavier', layer='Linear'),
    dict(type='Kaiming', layer='Conv2d', mode='fan_in', nonlinearity='linear'),
]

x = dict(
    name='training scenes and iterations of 4',
    values=[
        dict(value=f'{scenes:,} scenes, {iterations:,} its', scenes=scenes, iterations=iterations)
        for scenes, iterations in ((30, 600), (100, 300), (100, 600), (100, 1200), (1500, 600))
    ],
    curves=[
        dict(
            name='training scenes (600 iterations of 4)',
            key='scenes',
            where=dict(iterations=600),
            log=True,
        ),
        dict(
            name='iterations of 4 (100 scenes)',
            key='iterations',
            where=dict(scenes=100),
            log=True,
        ),
    ],
)
subset = dict(key='train_dataloader.dataset.indices', draws='scenes/first_1200_of_1500.json')
arms = [
    dict(name='from scratch', options={'model.backbone.init_cfg': _init}),
    dict(
        name='from glyphs',
        options={
            'model.backbone.init_cfg.checkpoint': '{studies}/pretraining/glyphs_3000_seed0/'
            'final.pth',
        },
    ),
]
control = 'from scratch'
sweep = dict(
    candidates=[
        dict(
            name=f'lr {lr:g}, decay {decay:g}, backbone x{mult:g}',
            options={
                'optim_wrapper.optimizer.lr': lr,
                'optim_wrapper.optimizer.weight_decay': decay,
                'optim_wrapper.paramwise_cfg': dict(backbone_lr_mult=mult),
            },
        )
        for lr, decay, mult in (
            (1.5e-3, 0.05, 1.0),
            (3e-3, 0.05, 1.0),
            (7.5e-4, 0.05, 1.0),
            (1.5e-3, 0.2, 1.0),
            (1.5e-3, 0.05, 0.3),
        )
    ],
    seeds=[100],
    # The cell that all others differ from in one respect.
    x=['100 scenes, 600 its'],
)
