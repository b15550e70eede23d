"""One training step as the authors' program takes it, in PyTorch.

Written from what that program does, as the judge of `experiments/imagenet_128/paper.py`: slow and plain, with
PyTorch's own spectral normalisation and its own Adam. Where it differs from `step.py`:

- The teacher's feature maps are those of the discriminator's own update, from before its weights move.
- The discriminator stays in training mode and is called once for every set of images, in the student's update
  too, at adversarial steps twice for S(z, y): every call is a step of power iteration.
- The student generates S(z, y) anew for its own update, and at adversarial steps S(z', y) from another z'.
  Each call moves the moving statistics of its batch norms.
- Adam has PyTorch's epsilon, the discriminator's class table starts from N(0, 1), the conditional norms start
  as `start_norms` says.
- The first adversarial step is the fifth. Nothing is averaged.
"""

import re

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils import spectral_norm

from experiments.pytorch_twin import networks, step, weights


class Discriminator(networks.Discriminator):
    """`networks.Discriminator` with PyTorch's own spectral normalisation, of the class table by rows."""

    def __init__(self, channels=(32, 64, 128, 256, 512), num_classes=1000):
        nn.Module.__init__(self)
        pairs = zip((3, *channels), channels, strict=False)
        stages = (spectral_norm(nn.Conv2d(*pair, 4, stride=2, padding=1)) for pair in pairs)
        self.stages = nn.ModuleList(stages)
        self.head = spectral_norm(nn.Linear(channels[-1], 1))
        self.projection = spectral_norm(nn.Embedding(num_classes, channels[-1]))


def start_norms(student):
    """Starts the conditional norms of a `networks.Student` as the authors' program does.

    The weight of the affine map is `[2 C, K]`, scales first. Columns are set where rows were meant.
    """
    for module in student.modules():
        if isinstance(module, networks.ConditionalBatchNorm):
            channels = module.norm.num_features
            module.affine.reset_parameters()
            with torch.no_grad():
                module.affine.weight[:, :channels] = 1.0
                module.affine.weight[:, channels:] = 0.0


def their_name(name) -> str:
    """The name in this `Discriminator` of a parameter or vector of `networks.Discriminator`."""
    if name == "projection.u":
        return "projection.weight_v"  # the vector over features, which Keras keeps
    return re.sub(r"\.weight$", ".weight_orig", re.sub(r"\.u$", ".weight_u", name))


def load(discriminator, network):
    """Gives a `Discriminator` of here the weights and vectors of a Keras one, and returns it."""
    values = weights.carried(network.variables).items()
    state = {their_name(name): torch.from_numpy(value) for name, value in values}
    # PyTorch's iteration starts from the table's other vector, the one over classes.
    product = state["projection.weight_orig"] @ state["projection.weight_v"]
    state["projection.weight_u"] = F.normalize(product, dim=0)
    discriminator.load_state_dict({**discriminator.state_dict(), **state})
    return discriminator


class Trainer:
    """Both networks and both optimisers.

    Args:
        student: `networks.Student`.
        discriminator: `Discriminator` of this file.
        step_number: Number of the first step; adversarial are 4, 9, 14, ...
    """

    def __init__(self, student, discriminator, step_number=0):
        self.student, self.discriminator = student.train(), discriminator.train()
        self.g_optimizer = torch.optim.Adam(student.parameters(), step.LEARNING_RATE, step.BETAS)
        self.d_optimizer = torch.optim.Adam(
            discriminator.parameters(), step.LEARNING_RATE, step.BETAS
        )
        self.step_number = step_number

    def train_step(self, batch):
        """Takes one step on a batch with "fresh_latent" and "second_fresh_latent"; returns the terms."""
        adversarial = (self.step_number + 1) % step.ADVERSARIAL_INTERVAL == 0
        d_terms, teacher_features = self.update_discriminator(batch)
        g_terms = self.update_student(batch, teacher_features, adversarial)
        self.step_number += 1
        return {**d_terms, **g_terms}

    def update_discriminator(self, batch):
        self.discriminator.requires_grad_(True)
        labels, image_labels = batch["label"], batch["image_label"]
        with torch.no_grad():
            student_images = self.student(batch["latent"], labels)
            fresh_images = self.student(batch["fresh_latent"], image_labels)
        teacher_logits, features = self.discriminator(batch["teacher_image"], labels)
        student_logits, _ = self.discriminator(student_images, labels)
        real_logits, _ = self.discriminator(batch["image"], image_labels)
        fresh_logits, _ = self.discriminator(fresh_images, image_labels)
        distillation = step.hinge(teacher_logits, student_logits)
        gan = step.hinge(real_logits, fresh_logits)
        d_loss = distillation + step.DISCRIMINATOR_GAN_WEIGHT * gan
        take_step(self.d_optimizer, d_loss)
        terms = {
            "d_loss": d_loss.detach(),
            "discriminator_distillation": distillation.detach(),
            "discriminator_gan": gan.detach(),
        }
        return terms, [each.detach() for each in features]

    def update_student(self, batch, teacher_features, adversarial):
        self.discriminator.requires_grad_(False)
        labels, image_labels = batch["label"], batch["image_label"]
        images = self.student(batch["latent"], labels)
        _, features = self.discriminator(images, labels)
        triples = zip(step.FEATURE_WEIGHTS, features, teacher_features, strict=True)
        terms = {
            "feature_distillation": sum(w * F.l1_loss(ours, theirs) for w, ours, theirs in triples),
            "pixel_distillation": F.l1_loss(images, batch["teacher_image"]),
        }
        g_loss = terms["feature_distillation"] + step.PIXEL_WEIGHT * terms["pixel_distillation"]
        if adversarial:
            logits, _ = self.discriminator(images, labels)
            fresh_images = self.student(batch["second_fresh_latent"], image_labels)
            fresh_logits, _ = self.discriminator(fresh_images, image_labels)
            terms["adversarial_distillation"] = -logits.mean()
            terms["adversarial_gan"] = -fresh_logits.mean()
            g_loss = (
                g_loss + step.ADVERSARIAL_DISTILLATION_WEIGHT * terms["adversarial_distillation"]
            )
            g_loss = g_loss + step.ADVERSARIAL_GAN_WEIGHT * terms["adversarial_gan"]
        take_step(self.g_optimizer, g_loss)
        return {"g_loss": g_loss.detach(), **{name: x.detach() for name, x in terms.items()}}


def take_step(optimizer, loss):
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
