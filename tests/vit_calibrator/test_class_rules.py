"""Rules are of the images that a model is surest of, and are collected once."""

import re
from dataclasses import replace

import torch
from calibrated_models import CLASSES, LOSSES, build
from mmpretrain.structures import DataSample

from mmtoken.vit_calibrator import class_rules
from mmtoken.vit_calibrator.class_rules import Collection, collect_means, collect_once


class Pictures(torch.utils.data.Dataset):
    """Random images with random labels.

    Args:
        count: How many.
    """

    def __init__(self, count=60):
        draw = torch.Generator().manual_seed(0)
        self.images = torch.randn(count, 3, 16, 16, generator=draw)
        self.labels = torch.randint(CLASSES, (count,), generator=draw)

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, index):
        sample = DataSample().set_gt_label(self.labels[index])
        return dict(inputs=self.images[index], data_samples=sample)


def collection(samples=4, batch_size=7, **options):
    said = []
    return Collection(Pictures(**options), samples, batch_size, 0, said.append), said


def small(**options):
    calibration = {name: LOSSES[name] for name in ('dimension', 'intra', 'channel')}
    model = build(calibration=calibration, **options)
    # So that not all images are of one class.
    with torch.no_grad():
        scores = model(Pictures().images.float(), mode='tensor')
        model.head.fc.bias.sub_(scores.mean(0))
    return model.eval()


def test_rules_are_means_over_the_surest_correct_images_of_each_class():
    model, (how, _) = small(), collection()
    found = collect_means(model, ['dimension', 'channel'], how)

    pictures = how.dataset
    with torch.no_grad():
        scores = model(pictures.images.float(), mode='tensor').softmax(1)
    confidence, guess = scores.max(1)
    for label in range(CLASSES):
        right = ((guess == label) & (pictures.labels == label)).nonzero().flatten()
        best = right[confidence[right].argsort(descending=True)][:4]
        assert found.counts[label] == len(best)
        if not len(best):
            continue
        own = torch.full((len(best),), label)
        losses = [model.calibration[name] for name in ('dimension', 'channel')]
        single = model.statistics(pictures.images[best].float(), own, losses)
        for name, statistics in zip(('dimension', 'channel'), single, strict=True):
            expected = statistics[3].mean(0)
            torch.testing.assert_close(found.means[name][3][label], expected, atol=1e-6, rtol=1e-4)
    assert (found.counts > 0).sum() > 1 and found.counts.max() == 4


def test_a_model_that_is_always_wrong_has_no_rules():
    model = small()
    with torch.no_grad():
        model.head.fc.weight.zero_()
        model.head.fc.bias.copy_(torch.tensor([9.0, 0, 0, 0, 0]))
    how, _ = collection()
    how.dataset.labels[:] = 1

    found = collect_means(model, ['dimension', 'intra'], how)
    assert found.counts.tolist() == [0] * CLASSES
    shapes = {name: layers[3].shape for name, layers in found.means.items()}
    assert shapes == {'dimension': (CLASSES, 24), 'intra': (CLASSES, 48)}
    model.calibration['dimension'].set_rules(found.means['dimension'], found.counts >= 1)
    assert model.calibration['dimension'].rules(3).all()


def test_batches_do_not_matter_to_rules():
    model = small()
    one = collect_means(model, ['dimension'], collection(batch_size=60)[0])
    other = collect_means(model, ['dimension'], collection(batch_size=3)[0])

    assert torch.equal(one.counts, other.counts)
    torch.testing.assert_close(one.means['dimension'][3], other.means['dimension'][3])


def test_collecting_leaves_the_model_as_it_is():
    model = small().train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    collect_means(model, ['dimension'], collection()[0])

    assert model.training and all(p.grad is None for p in model.parameters())
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_rules_are_of_the_model_as_it_is_tested():
    model, (how, _) = small(drop_rate=0.5), collection()
    expected = collect_means(model.eval(), ['dimension'], how)
    found = collect_means(model.train(), ['dimension'], how)

    assert torch.equal(found.counts, expected.counts)
    torch.testing.assert_close(found.means['dimension'][3], expected.means['dimension'][3])


def test_what_was_collected_is_found_again_until_something_changes(tmp_path, monkeypatch):
    model, (how, said) = small(), collection()
    first = collect_once(model, ['dimension'], how, tmp_path)
    calls = []
    real = class_rules.collect_means
    monkeypatch.setattr(class_rules, 'collect_means', lambda *a: calls.append(1) or real(*a))

    again = collect_once(model, ['dimension'], how, tmp_path)
    assert not calls and 'was collected before' in said[-1]
    assert torch.equal(again.means['dimension'][3], first.means['dimension'][3])
    assert torch.equal(again.counts, first.counts)

    collect_once(model, ['dimension'], replace(how, samples=5), tmp_path)
    collect_once(model, ['channel'], how, tmp_path)
    with torch.no_grad():
        model.head.fc.bias.add_(1e-3)
    collect_once(model, ['dimension'], how, tmp_path)
    assert len(calls) == 3 and len(list(tmp_path.glob('*.pth'))) == 4
    collect_once(model, ['dimension'], replace(how, setting='other windows'), tmp_path)
    collect_once(model, ['dimension'], replace(how, dataset=Pictures(59)), tmp_path)
    assert len(calls) == 5


def test_weights_of_every_kind_are_told_apart(tmp_path):
    # Batch norms count in a tensor without dimensions.
    model = small(stem=dict(type='ConvStem'), patch_size=8)
    collect_once(model, ['dimension'], collection()[0], tmp_path)
    with torch.no_grad():
        model.get_buffer('backbone.patch_embed.bn1.num_batches_tracked').add_(1)
    collect_once(model, ['dimension'], collection()[0], tmp_path)

    assert len(list(tmp_path.glob('*.pth'))) == 2


def test_collecting_draws_nothing_that_training_would():
    model, (how, _) = small(), collection()
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    collect_means(model, ['dimension'], how)

    assert torch.equal(torch.rand(3), expected)


def test_how_far_it_is_is_said_now_and_then(monkeypatch):
    monkeypatch.setattr(class_rules, 'INTERVAL', -1)
    how, said = collection(batch_size=20)
    collect_means(small(), ['dimension'], how)

    assert re.fullmatch(r'classifying 20 of 60 images, \d+ s left', said[0])
    assert said[-1].startswith('looking at')
