"""Both networks of TinyGAN in PyTorch, written from the paper's tables for comparison with ours.

Scope: the student and the discriminator of `tinygan_128` and its smaller relatives, as somebody who knows
PyTorch would write them: NCHW, activations in place where autograd allows it. The 1x1 shortcut comes
before the upsampling here too, so that both programs do the same work.

Rejected: `torch.nn.utils.parametrizations.spectral_norm`. Outside of training it divides by a singular
value found with the vectors of the last training call; ours takes the step of power iteration and
does not keep it. The two differ after every update of the weights.
"""

import itertools

import torch
import torch.nn.functional as F
from torch import nn

EPSILON, MOMENTUM = 1e-5, 0.1  # of every batch normalisation


class ConditionalBatchNorm(nn.Module):
    """Batch normalisation whose scale and shift are linear in the class embedding."""

    def __init__(self, channels, condition_dim):
        super().__init__()
        self.norm = nn.BatchNorm2d(channels, EPSILON, MOMENTUM, affine=False)
        self.affine = nn.Linear(condition_dim, 2 * channels)
        nn.init.normal_(self.affine.weight, std=0.02)
        with torch.no_grad():
            self.affine.bias[:channels] = 1.0
            self.affine.bias[channels:] = 0.0

    def forward(self, features, condition):
        scale, shift = self.affine(condition)[:, :, None, None].chunk(2, dim=1)
        return torch.addcmul(shift, self.norm(features), scale)


class Separable(nn.Sequential):
    """Depthwise 3x3, then pointwise 1x1, both with biases."""

    def __init__(self, channels, filters):
        depthwise = nn.Conv2d(channels, channels, 3, padding=1, groups=channels)
        super().__init__(depthwise, nn.Conv2d(channels, filters, 1))


class ResidualBlock(nn.Module):
    """Doubles the side of a feature map."""

    def __init__(self, channels, filters, condition_dim):
        super().__init__()
        self.norm_0 = ConditionalBatchNorm(channels, condition_dim)
        self.separable_0 = Separable(channels, filters)
        self.norm_1 = ConditionalBatchNorm(filters, condition_dim)
        self.separable_1 = Separable(filters, filters)
        self.shortcut = nn.Conv2d(channels, filters, 1)

    def forward(self, features, condition):
        residual = upsample(self.norm_0(features, condition).relu_())
        residual = self.separable_0(residual)
        residual = self.separable_1(self.norm_1(residual, condition).relu_())
        return residual.add_(upsample(self.shortcut(features)))


class Student(nn.Module):
    """Latents `[B, Z]` and labels `[B]` to images `[B, 3, S, S]` in [-1, 1]."""

    def __init__(
        self,
        channels=(512, 512, 256, 128, 64, 32),
        latent_dim=128,
        num_classes=1000,
        embedding_dim=128,
    ):
        super().__init__()
        self.channels = channels
        self.class_embedding = nn.Embedding(num_classes, embedding_dim)
        self.projection = nn.Linear(latent_dim, channels[0] * 16)
        pairs = itertools.pairwise(channels)
        self.blocks = nn.ModuleList(ResidualBlock(*pair, embedding_dim) for pair in pairs)
        self.final_norm = nn.BatchNorm2d(channels[-1], EPSILON, MOMENTUM)
        self.to_rgb = nn.Conv2d(channels[-1], 3, 3, padding=1)

    def forward(self, latents, labels):
        condition = self.class_embedding(labels)
        features = self.projection(latents).view(-1, self.channels[0], 4, 4)
        if self.to_rgb.weight.is_contiguous(memory_format=torch.channels_last):
            features = features.contiguous(memory_format=torch.channels_last)
        for block in self.blocks:
            features = block(features, condition)
        return self.to_rgb(self.final_norm(features).relu_()).tanh_()


class SpectralNorm(nn.Module):
    """A weight that is divided by its largest singular value.

    Args:
        weight: `[outputs, ...]`.
        outputs_dim: Axis of the outputs.
    """

    def __init__(self, weight, outputs_dim=0):
        super().__init__()
        self.weight = nn.Parameter(weight)
        self.outputs_dim = outputs_dim
        self.register_buffer("u", F.normalize(torch.randn(weight.shape[outputs_dim]), dim=0))

    def sigma(self):
        """The largest singular value; one step of power iteration, kept only in training."""
        matrix = self.weight.flatten(1) if self.outputs_dim == 0 else self.weight.t()
        with torch.no_grad():
            v = F.normalize(matrix.t() @ self.u, dim=0)
            u = F.normalize(matrix @ v, dim=0)
            if self.training:
                self.u.copy_(u)
        return torch.dot(u, matrix @ v)


class SpectralConv2d(SpectralNorm):
    """A 4x4 convolution of stride 2 with its kernel spectrally normalised."""

    def __init__(self, channels, filters):
        convolution = nn.Conv2d(channels, filters, 4, 2, 1)
        super().__init__(convolution.weight.detach())
        self.bias = convolution.bias

    def forward(self, features):
        return F.conv2d(features, self.weight / self.sigma(), self.bias, stride=2, padding=1)


class SpectralLinear(SpectralNorm):
    """A linear layer with its matrix spectrally normalised."""

    def __init__(self, features, outputs):
        linear = nn.Linear(features, outputs)
        super().__init__(linear.weight.detach())
        self.bias = linear.bias

    def forward(self, features):
        return F.linear(features, self.weight / self.sigma(), self.bias)


class SpectralEmbedding(SpectralNorm):
    """An embedding with its table spectrally normalised."""

    def __init__(self, num_classes, channels):
        super().__init__(torch.randn(num_classes, channels), outputs_dim=1)

    def forward(self, labels):
        return F.embedding(labels, self.weight) / self.sigma()  # the rows, not the whole table


class Discriminator(nn.Module):
    """Images `[B, 3, S, S]` and labels `[B]` to logits `[B, 1]` and a list of feature maps."""

    def __init__(self, channels=(32, 64, 128, 256, 512), num_classes=1000):
        super().__init__()
        pairs = itertools.pairwise((3, *channels))
        self.stages = nn.ModuleList(SpectralConv2d(*pair) for pair in pairs)
        self.head = SpectralLinear(channels[-1], 1)
        self.projection = SpectralEmbedding(num_classes, channels[-1])

    def forward(self, images, labels):
        features, maps = images, []
        for stage in self.stages:
            features = F.leaky_relu_(stage(features), 0.01)
            maps.append(features)
        pooled = features.sum((2, 3))
        matched = (pooled * self.projection(labels)).sum(1, keepdim=True)
        return self.head(pooled) + matched, maps


def upsample(features):
    """Doubles height and width, bilinear with half-pixel centres."""
    return F.interpolate(features, scale_factor=2, mode="bilinear", align_corners=False)
