"""What every calibration loss is: where it looks, what it is shown, and what it says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from zlib import crc32

import torch
from mmengine.dist import all_reduce
from torch import Tensor, nn

from mmtoken.checks import check_number
from mmtoken.errors import UserError, near_miss
from mmtoken.vit import TokenViT
from mmtoken.vit.arguments import resolve_layers

from .evidence import Evidence, Place, check_places

# Shares are of sums that a dead image's are 0 in.
TINY = 1e-12
CONTROLS = (None, 'random', 'shuffled')


@dataclass(frozen=True)
class Case:
    """A batch as a loss sees it.

    Args:
        evidence: For the true classes.
        labels: The true classes, (B,).
        rival: For the rivals; None where no loss asked for it.
        rivals: The best other class of each image, (B,).
        foreground: The foreground at each layer, (B, H′·W′), by layer; empty where nothing said it.
        known: Of which images it is known, (B,) boolean.
    """

    evidence: Evidence
    labels: Tensor
    rival: Evidence | None = None
    rivals: Tensor | None = None
    foreground: dict[int, Tensor] = field(default_factory=dict)
    known: Tensor | None = None


@dataclass(frozen=True)
class Judgment:
    """What a loss says.

    Args:
        losses: Of each image, (B,).
        counted: Which images it is meant for, (B,) boolean.
        logs: Numbers for the log, by name.
    """

    losses: Tensor
    counted: Tensor
    logs: dict[str, Tensor] = field(default_factory=dict)

    def mean(self) -> Tensor:
        """Over the images of this process that count; 0 where none does."""
        return (self.losses * self.counted).sum() / self.counted.sum().clamp(min=1)

    def shared_mean(self) -> Tensor:
        """Over those of all processes, such that their mean is the mean over all these images,
        whichever process has how many; every process must call it.
        """
        count = self.counted.sum().to(self.losses.dtype)
        all_reduce(count, 'mean')
        return (self.losses * self.counted).sum() / count.clamp(min=TINY)


class CalibrationLoss(nn.Module):
    """A loss on how a classifier's scores depend on what flows through it.

    Attributes:
        kind: Which `Place` of a layer it looks at.
        score: What it takes the gradient of: 'logit' or 'probability' of a class.
        needs_foreground: Whether it wants to know the foreground.
        needs_rules: Whether it wants rules of each class, `RuleLoss`.

    Args:
        layers: Which layers, an index or a sequence; negatives count from the last that runs. By
            default those that `default_layers` names.
        loss_weight: λ.
    """

    kind = 'tokens'
    score = 'logit'
    needs_foreground = False
    needs_rules = False

    def __init__(self, layers: int | Sequence[int] | None = None, loss_weight: float = 1.0) -> None:
        super().__init__()
        check_number('loss_weight', loss_weight)
        self.asked = layers
        self.loss_weight = loss_weight
        self.layers: tuple[int, ...] = ()

    def attach(self, backbone: TokenViT) -> None:
        """Learn whose layers they are.

        Args:
            backbone: The classifier's.

        Raises:
            UserError: If a layer is none of the backbone's, or says nothing.
        """
        layers = self.default_layers(backbone) if self.asked is None else self.asked
        name = f'layers of {type(self).__name__}'
        self.layers = tuple(sorted(set(resolve_layers(name, layers, backbone.num_running, 1))))
        check_places(backbone, self.places, type(self).__name__)
        self.num_aux = backbone.num_aux_tokens
        self.classifies_token = backbone.out_type == 'cls_token'

    def default_layers(self, backbone: TokenViT) -> Sequence[int]:
        """The last one."""
        return (-1,)

    @property
    def places(self) -> tuple[Place, ...]:
        """Where it looks."""
        return tuple(Place(self.kind, layer) for layer in self.layers)

    @property
    def wants_rival(self) -> bool:
        """Whether it looks at the best other class, too."""
        return False

    def concerned(self, labels: Tensor, known: Tensor | None) -> Tensor:
        """Which images it can say anything about, before any is run; the others need not be.

        Args:
            labels: The true classes, (B,).
            known: Of which images the foreground is known, (B,) boolean; None where nothing said.
        """
        return known if self.needs_foreground else torch.ones_like(labels, dtype=torch.bool)

    def forward(self, case: Case) -> Judgment:
        """Judge a batch."""
        raise NotImplementedError


class RuleLoss(CalibrationLoss):
    """A loss with a rule for each class: which dimensions its decisions may rest on.

    Rules are buffers that no checkpoint has: `CalibrationHook` collects them from the training
    images that the model is surest of.

    Args:
        layers: As of `CalibrationLoss`.
        control: 'random' lets each class have as many dimensions at random as its rule has, and
            'shuffled' the rule of another class: what must not do as well as the rules themselves.
        loss_weight: λ.
    """

    needs_rules = True

    def __init__(
        self,
        layers: int | Sequence[int] | None = None,
        control: str | None = None,
        loss_weight: float = 1.0,
    ) -> None:
        super().__init__(layers, loss_weight)
        if control not in CONTROLS:
            raise UserError(
                f'control {control!r} is unknown; use one of {CONTROLS}'
                f'{near_miss(str(control), CONTROLS[1:])}'
            )
        self.control = control

    def attach(self, backbone: TokenViT) -> None:
        super().attach(backbone)
        plans = {layer: backbone.plans[layer] for layer in self.layers}
        # D of each layer.
        self.widths = {
            layer: plan.feedforward_channels if self.kind == 'hidden' else plan.embed_dims
            for layer, plan in plans.items()
        }
        for layer in self.layers:
            self.register_buffer(f'rule_{layer}', None, persistent=False)

    def statistics(self, evidence: Evidence) -> dict[int, Tensor]:
        """Of each image, what its class's rule is made of: (B, D) by layer."""
        raise NotImplementedError

    def decide(self, means: Tensor) -> Tensor:
        """The rules of classes by the means of their images' statistics, (K, D) → boolean."""
        raise NotImplementedError

    def set_rules(self, means: dict[int, Tensor], counted: Tensor) -> None:
        """Take rules.

        Args:
            means: Of the statistics of each class's images, (K, D) by layer.
            counted: Which classes had enough images, (K,) boolean; all dimensions are allowed to
                the others.
        """
        for layer, mean in means.items():
            rules = self.decide(mean) | ~counted[:, None]
            self.put_rules(layer, self._controlled(rules, counted))

    def put_rules(self, layer: int, rules: Tensor) -> None:
        """Take a layer's rules that are made already, (K, D) boolean, on the model's device."""
        setattr(self, f'rule_{layer}', rules)

    def rules(self, layer: int) -> Tensor:
        """Which dimensions each class may rest on, (K, D) boolean.

        Raises:
            UserError: If none were collected.
        """
        found = getattr(self, f'rule_{layer}')
        if found is None:
            raise UserError(
                f'{type(self).__name__} has no rules of the classes yet; '
                'add CalibrationHook to custom_hooks, which collects them'
            )
        return found

    def ruled(self, labels: Tensor, layers: Sequence[int] | None = None) -> Tensor:
        """Which classes are not allowed all dimensions, as those without a rule are.

        Args:
            labels: The classes, (B,).
            layers: In any of which; by default all of the loss.
        """
        layers = self.layers if layers is None else layers
        free = [self.rules(layer)[labels].all(dim=1) for layer in layers]
        return ~torch.stack(free).all(dim=0)

    def concerned(self, labels: Tensor, known: Tensor | None) -> Tensor:
        return super().concerned(labels, known) & self.ruled(labels)

    def _controlled(self, rules: Tensor, counted: Tensor) -> Tensor:
        if self.control == 'shuffled':
            # Among those that have a rule: everyone gets the next one's.
            rules = rules.clone()
            rules[counted] = rules[counted].roll(1, dims=0)
        elif self.control == 'random':
            # Drawn by the rules, so that all processes draw the same, and no two classifiers do.
            generator = torch.Generator().manual_seed(crc32(rules.cpu().numpy().tobytes()))
            order = torch.rand(rules.shape, generator=generator).argsort(dim=1)
            rules = rules.gather(1, order.to(rules.device))
        return rules
