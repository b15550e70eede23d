"""One training step of TinyGAN in PyTorch, under the paper's settings.

The order of ours: `S(z, y)`, then `S(z', y)` with the labels of the real batch, each a call of its own and so
with batch statistics of its own; the discriminator's update on one batch of teacher's, student's,
real and fresh images; the student's objective through the discriminator just updated, which is only
read. The adversarial terms, and the gradient through `S(z', y)`, only at every fifth step.

It is the opponent of `experiments/benchmarks/step.py`, so it does no work that it can avoid: no gradients of
the discriminator's weights in the student's update, none of anything for the teacher's feature maps, one
call for both images of an adversarial step, fused Adam, one multi-tensor operation for the average.
"""

import copy
import math

import torch
import torch.nn.functional as F
from torch.optim.swa_utils import get_ema_multi_avg_fn

FEATURE_WEIGHTS = (1 / 32, 1 / 16, 1 / 8, 1 / 4, 1.0)
PIXEL_WEIGHT = 0.2
ADVERSARIAL_DISTILLATION_WEIGHT = 0.01
ADVERSARIAL_GAN_WEIGHT = 0.002
DISCRIMINATOR_GAN_WEIGHT = 0.2
ADVERSARIAL_INTERVAL = 5
EMA_DECAY = 0.999
LEARNING_RATE, BETAS = 2e-4, (0.0, 0.9)
EPSILON = 1e-7  # of Adam; Keras' default


class Trainer:
    """A student, its discriminator, both optimisers and the average of the student.

    Args:
        student, discriminator: See `networks`.
        step: Number of the first step.
    """

    def __init__(self, student, discriminator, step=0):
        self.student = student.train()
        self.discriminator = discriminator
        self.average = copy.deepcopy(student).eval().requires_grad_(False)
        self.g_optimizer = adam(student.parameters())
        self.d_optimizer = adam(discriminator.parameters())
        self.step = step
        self.updates = 0

    def train_step(self, batch):
        """Takes one step on a batch of tensors; returns the terms as scalar tensors."""
        adversarial = self.step % ADVERSARIAL_INTERVAL == 0
        self.updates += 1
        student_images = self.student(batch["latent"], batch["label"])
        with torch.set_grad_enabled(adversarial):
            fresh_images = self.student(batch["fresh_latent"], batch["image_label"])

        d_terms = self.update_discriminator(batch, student_images, fresh_images)
        g_terms = self.update_student(batch, student_images, fresh_images if adversarial else None)
        self.update_average()
        self.step += 1
        return {**d_terms, **g_terms}

    def update_discriminator(self, batch, student_images, fresh_images):
        self.discriminator.train().requires_grad_(True)
        images = torch.cat(
            (batch["teacher_image"], student_images.detach(), batch["image"], fresh_images.detach())
        )
        labels = torch.cat((batch["label"],) * 2 + (batch["image_label"],) * 2)
        logits, _ = self.discriminator(images, labels)
        teacher, student, real, fresh = logits.chunk(4)
        distillation, gan = hinge(teacher, student), hinge(real, fresh)
        d_loss = distillation + DISCRIMINATOR_GAN_WEIGHT * gan
        take_step(self.d_optimizer, d_loss, self.updates)
        return {
            "d_loss": d_loss.detach(),
            "discriminator_distillation": distillation.detach(),
            "discriminator_gan": gan.detach(),
        }

    def update_student(self, batch, student_images, fresh_images):
        self.discriminator.eval().requires_grad_(False)
        labels, count = batch["label"], len(batch["label"])
        with torch.no_grad():
            _, teacher_features = self.discriminator(batch["teacher_image"], labels)
        images = student_images
        if fresh_images is not None:
            images = torch.cat((images, fresh_images))
            labels = torch.cat((labels, batch["image_label"]))
        logits, features = self.discriminator(images, labels)
        distances = [
            weight * F.l1_loss(features[:count], teacher)
            for weight, features, teacher in zip(
                FEATURE_WEIGHTS, features, teacher_features, strict=True
            )
        ]
        terms = {
            "feature_distillation": sum(distances),
            "pixel_distillation": F.l1_loss(student_images, batch["teacher_image"]),
            "adversarial_distillation": -logits[:count].mean(),
        }
        g_loss = terms["feature_distillation"] + PIXEL_WEIGHT * terms["pixel_distillation"]
        if fresh_images is not None:
            terms["adversarial_gan"] = -logits[count:].mean()
            g_loss = g_loss + ADVERSARIAL_DISTILLATION_WEIGHT * terms["adversarial_distillation"]
            g_loss = g_loss + ADVERSARIAL_GAN_WEIGHT * terms["adversarial_gan"]
        take_step(self.g_optimizer, g_loss, self.updates)
        return {"g_loss": g_loss.detach(), **{name: x.detach() for name, x in terms.items()}}

    def update_average(self):
        decay = min(EMA_DECAY, (1 + self.step) / (10 + self.step))
        average, current = (floating(part) for part in (self.average, self.student))
        get_ema_multi_avg_fn(decay)(average, current, None)


def hinge(real_logits, generated_logits):
    return F.relu(1 - real_logits).mean() + F.relu(1 + generated_logits).mean()


def adam(parameters):
    return torch.optim.Adam(parameters, LEARNING_RATE, BETAS, EPSILON, fused=True)


def take_step(optimizer, loss, updates):
    """Updates by the gradient of the loss; `updates` counts from 1."""
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    # Keras adds epsilon to the root of the second moment as it is, PyTorch after correcting its bias.
    # Gradients that are nothing but rounding, as those of biases in front of batch norm, show it.
    optimizer.param_groups[0]["eps"] = EPSILON / math.sqrt(1 - BETAS[1] ** updates)
    optimizer.step()


def floating(module):
    """Parameters and moving statistics, without the counters of batch normalisation."""
    state = (*module.parameters(), *module.buffers())
    return [x.detach() for x in state if x.is_floating_point()]
