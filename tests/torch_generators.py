"""The generators of other PyTorch programs, as small as their formats allow, for tests of the import.

Each has the parameter names, layouts and formulas of the program it stands for; the weights are random. Power
vectors are left as they come after some steps, neither fresh nor converged.
"""

import torch
from torch import nn
from torch.nn import functional


class AuthorsStudent(nn.Module):
    """TinyGAN's generator."""

    def __init__(self, channels=(6, 6, 4), latent_dim=5, num_classes=7, embedding_dim=4):
        super().__init__()
        self.first = channels[0]
        self.embeding = nn.Embedding(num_classes, embedding_dim)
        self.fc = nn.Linear(latent_dim, 16 * channels[0])
        self.blocks = nn.ModuleList(
            _AuthorsBlock(channels[i], channels[i + 1], embedding_dim)
            for i in range(len(channels) - 1)
        )
        self.bn = nn.BatchNorm2d(channels[-1])
        self.colorize = nn.Conv2d(channels[-1], 3, 3, padding=1)

    def forward(self, z, y):
        condition = self.embeding(y)
        x = self.fc(z).view(-1, self.first, 4, 4)
        for block in self.blocks:
            x = block(x, condition)
        return torch.tanh(self.colorize(functional.relu(self.bn(x))))


class _AuthorsBlock(nn.Module):
    def __init__(self, inputs, outputs, embedding_dim):
        super().__init__()
        self.dw_conv1 = nn.Conv2d(inputs, inputs, 3, padding=1, groups=inputs)
        self.pw_conv1 = nn.Conv2d(inputs, outputs, 1)
        self.dw_conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, groups=outputs)
        self.pw_conv2 = nn.Conv2d(outputs, outputs, 1)
        self.c_sc = nn.Conv2d(inputs, outputs, 1)
        self.cbn0 = _AuthorsNorm(inputs, embedding_dim)
        self.cbn1 = _AuthorsNorm(outputs, embedding_dim)

    def forward(self, x, condition):
        residual = _twice(functional.relu(self.cbn0(x, condition)), "bilinear")
        residual = self.pw_conv1(self.dw_conv1(residual))
        residual = functional.relu(self.cbn1(residual, condition))
        return self.pw_conv2(self.dw_conv2(residual)) + self.c_sc(_twice(x, "bilinear"))


class _AuthorsNorm(nn.Module):
    def __init__(self, channels, embedding_dim):
        super().__init__()
        self.bn = nn.BatchNorm2d(channels, affine=False)
        self.embed = nn.Linear(embedding_dim, 2 * channels)

    def forward(self, x, condition):
        scale, shift = self.embed(condition)[..., None, None].chunk(2, dim=1)
        return scale * self.bn(x) + shift


class AuthorsDiscriminator(nn.Module):
    """TinyGAN's discriminator; its logits."""

    def __init__(self, channels=(4, 6), num_classes=7):
        super().__init__()
        widths = (3, *channels)
        self.layers = nn.Sequential()
        for index, filters in enumerate(channels):
            convolution = nn.Conv2d(widths[index], filters, 4, 2, 1)
            self.layers.add_module(str(2 * index), nn.utils.spectral_norm(convolution))
            self.layers.add_module(str(2 * index + 1), nn.LeakyReLU(0.01))
        self.fc_src = nn.utils.spectral_norm(nn.Linear(channels[-1], 1))
        self.embeding = nn.utils.spectral_norm(nn.Embedding(num_classes, channels[-1]))

    def forward(self, images, y):
        pooled = self.layers(images).sum(dim=(2, 3))
        return self.fc_src(pooled) + (self.embeding(y) * pooled).sum(dim=1, keepdim=True)


class _Spectral(nn.Module):
    """BigGAN-PyTorch's normalisation: one more power iteration from `u0` whenever it is used."""

    def __init__(self, *shape, bias=True):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(*shape) / shape[1] ** 0.5)
        self.bias = nn.Parameter(torch.randn(shape[0]) * 0.1) if bias else None
        self.register_buffer("u0", torch.randn(1, shape[0]))
        self.register_buffer("sv0", torch.ones(1))
        matrix = self.weight.detach().flatten(1)
        for _ in range(2):
            v = functional.normalize(self.u0 @ matrix)
            self.u0 = functional.normalize(v @ matrix.T)

    def normalized(self):
        matrix = self.weight.flatten(1)
        v = functional.normalize(self.u0 @ matrix)
        u = functional.normalize(v @ matrix.T)
        return self.weight / (v @ matrix.T @ u.T).squeeze()

    def forward(self, x):
        weight = self.normalized()
        if weight.dim() == 2:
            return functional.linear(x, weight, self.bias)
        return functional.conv2d(x, weight, self.bias, padding=weight.shape[-1] // 2)


class _BrockNorm(nn.Module):
    def __init__(self, channels, condition):
        super().__init__()
        self.gain = _Spectral(channels, condition, bias=False)
        self.bias = _Spectral(channels, condition, bias=False)
        self.register_buffer("stored_mean", 0.1 * torch.randn(channels))
        self.register_buffer("stored_var", 0.5 + torch.rand(channels))

    def forward(self, x, condition):
        x = functional.batch_norm(x, self.stored_mean, self.stored_var, eps=1e-5)
        return (
            x * (1 + self.gain(condition))[..., None, None] + self.bias(condition)[..., None, None]
        )


class _BrockFinal(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.gain = nn.Parameter(1 + 0.1 * torch.randn(channels))
        self.bias = nn.Parameter(0.1 * torch.randn(channels))
        self.register_buffer("stored_mean", 0.1 * torch.randn(channels))
        self.register_buffer("stored_var", 0.5 + torch.rand(channels))

    def forward(self, x):
        return functional.batch_norm(
            x, self.stored_mean, self.stored_var, self.gain, self.bias, eps=1e-5
        )


class _BrockBlock(nn.Module):
    def __init__(self, inputs, outputs, condition):
        super().__init__()
        self.conv1 = _Spectral(outputs, inputs, 3, 3)
        self.conv2 = _Spectral(outputs, outputs, 3, 3)
        self.conv_sc = _Spectral(outputs, inputs, 1, 1)
        self.bn1 = _BrockNorm(inputs, condition)
        self.bn2 = _BrockNorm(outputs, condition)

    def forward(self, x, condition):
        residual = _twice(functional.relu(self.bn1(x, condition)))
        residual = functional.relu(self.bn2(self.conv1(residual), condition))
        return self.conv2(residual) + self.conv_sc(_twice(x))


class _BrockAttention(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.theta = _Spectral(channels // 8, channels, 1, 1, bias=False)
        self.phi = _Spectral(channels // 8, channels, 1, 1, bias=False)
        self.g = _Spectral(channels // 2, channels, 1, 1, bias=False)
        self.o = _Spectral(channels, channels // 2, 1, 1, bias=False)
        self.gamma = nn.Parameter(torch.tensor(0.7))

    def forward(self, x, condition):
        return x + self.gamma * _attended(x, self.theta, self.phi, self.g, self.o)


class BrockGenerator(nn.Module):
    """BigGAN-PyTorch's generator, hierarchical, with a shared embedding."""

    def __init__(
        self, channels=(16, 16, 8, 8), piece=3, num_classes=7, embedding_dim=5, attended=1
    ):
        super().__init__()
        self.piece, self.first = piece, channels[0]
        self.shared = nn.Embedding(num_classes, embedding_dim)
        self.linear = _Spectral(16 * channels[0], piece)
        self.blocks = nn.ModuleList()
        for index in range(len(channels) - 1):
            block = [_BrockBlock(channels[index], channels[index + 1], embedding_dim + piece)]
            if index == attended:
                block.append(_BrockAttention(channels[index + 1]))
            self.blocks.append(nn.ModuleList(block))
        self.output_layer = nn.Sequential(
            _BrockFinal(channels[-1]), nn.ReLU(), _Spectral(3, channels[-1], 3, 3)
        )

    def forward(self, z, y):
        first, *pieces = z.split(self.piece, dim=1)
        x = self.linear(first).view(-1, self.first, 4, 4)
        for blocks, piece in zip(self.blocks, pieces, strict=True):
            condition = torch.cat([self.shared(y), piece], dim=1)
            for block in blocks:
                x = block(x, condition)
        return torch.tanh(self.output_layer(x))


def _spectral(module):
    return nn.utils.spectral_norm(module, eps=1e-6)


class _StudioNorm(nn.Module):
    def __init__(self, channels, condition):
        super().__init__()
        self.bn = nn.BatchNorm2d(channels, eps=1e-4, affine=False)
        self.gain = _spectral(nn.Linear(condition, channels, bias=False))
        self.bias = _spectral(nn.Linear(condition, channels, bias=False))

    def forward(self, x, condition):
        gain, shift = self.gain(condition), self.bias(condition)
        return self.bn(x) * (1 + gain)[..., None, None] + shift[..., None, None]


class _StudioBlock(nn.Module):
    def __init__(self, inputs, outputs, condition):
        super().__init__()
        self.bn1, self.bn2 = _StudioNorm(inputs, condition), _StudioNorm(outputs, condition)
        self.conv2d0 = _spectral(nn.Conv2d(inputs, outputs, 1))
        self.conv2d1 = _spectral(nn.Conv2d(inputs, outputs, 3, padding=1))
        self.conv2d2 = _spectral(nn.Conv2d(outputs, outputs, 3, padding=1))

    def forward(self, x, condition):
        residual = self.conv2d1(_twice(functional.relu(self.bn1(x, condition))))
        residual = self.conv2d2(functional.relu(self.bn2(residual, condition)))
        return residual + self.conv2d0(_twice(x))


class _StudioAttention(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.conv1x1_theta = _spectral(nn.Conv2d(channels, channels // 8, 1, bias=False))
        self.conv1x1_phi = _spectral(nn.Conv2d(channels, channels // 8, 1, bias=False))
        self.conv1x1_g = _spectral(nn.Conv2d(channels, channels // 2, 1, bias=False))
        self.conv1x1_attn = _spectral(nn.Conv2d(channels // 2, channels, 1, bias=False))
        self.sigma = nn.Parameter(torch.full((1,), 0.7))

    def forward(self, x):
        layers = (self.conv1x1_theta, self.conv1x1_phi, self.conv1x1_g, self.conv1x1_attn)
        return x + self.sigma * _attended(x, *layers)


class StudioGenerator(nn.Module):
    """PyTorch-StudioGAN's big_resnet with cBN; attention is an entry of `blocks` of its own."""

    def __init__(
        self, channels=(16, 16, 8, 8), piece=3, num_classes=7, embedding_dim=5, attended=1
    ):
        super().__init__()
        self.piece, self.first = piece, channels[0]
        self.linear0 = _spectral(nn.Linear(piece, 16 * channels[0]))
        self.shared = nn.Embedding(num_classes, embedding_dim)
        self.blocks = nn.ModuleList()
        for index in range(len(channels) - 1):
            block = _StudioBlock(channels[index], channels[index + 1], embedding_dim + piece)
            self.blocks.append(nn.ModuleList([block]))
            if index == attended:
                self.blocks.append(nn.ModuleList([_StudioAttention(channels[index + 1])]))
        self.bn4 = nn.BatchNorm2d(channels[-1], eps=1e-4)
        self.conv2d5 = _spectral(nn.Conv2d(channels[-1], 3, 3, padding=1))

    def forward(self, z, y):
        first, *pieces = z.split(self.piece, dim=1)
        conditions = [torch.cat([self.shared(y), piece], dim=1) for piece in pieces]
        x = self.linear0(first).view(-1, self.first, 4, 4)
        for (block,) in self.blocks:
            attention = isinstance(block, _StudioAttention)
            x = block(x) if attention else block(x, conditions.pop(0))
        return torch.tanh(self.conv2d5(functional.relu(self.bn4(x))))


def _twice(x, mode="nearest"):
    settings = {"align_corners": False} if mode == "bilinear" else {}
    return functional.interpolate(x, scale_factor=2, mode=mode, **settings)


def _attended(x, theta, phi, values, output):
    batch, _, height, width = x.shape
    queries = theta(x).flatten(2)
    keys = functional.max_pool2d(phi(x), 2).flatten(2)
    values = functional.max_pool2d(values(x), 2).flatten(2)
    weights = (queries.transpose(1, 2) @ keys).softmax(dim=-1)
    return output((values @ weights.transpose(1, 2)).view(batch, -1, height, width))


def settle(module, steps=3, seed=0):
    """Random running statistics and some power iterations, as training would have left them."""
    generator = torch.Generator().manual_seed(seed)
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.running_mean.normal_(0, 0.1, generator=generator)
            part.running_var.uniform_(0.5, 1.5, generator=generator)
            if part.affine:
                part.weight.data.normal_(1, 0.1, generator=generator)
                part.bias.data.normal_(0, 0.1, generator=generator)
        for name, vector in list(part.named_buffers(recurse=False)):
            if name == "weight_u":
                matrix = part.weight_orig.detach().flatten(1)
                for _ in range(steps):
                    part.weight_v.copy_(functional.normalize(vector @ matrix, dim=0))
                    vector.copy_(functional.normalize(matrix @ part.weight_v, dim=0))
    return module.eval()
