"""The two optimisers of a `TinyGAN`: made ready, applied, and shown to Keras' callbacks as one.

Optimisers add up what replicas have found, so each replica scales its loss by the number of replicas. In
float16 the loss is scaled too, or gradients vanish; Keras would do it for one optimiser only.
Rejected: `keras.optimizers.MultiOptimizer`. It takes all gradients at once; the student's are computed after
the discriminator's update.
"""

import keras
import tensorflow as tf

from ..errors import InputError


def ready_optimizers(student, g_optimizer, discriminator, d_optimizer) -> list:
    """Returns both optimisers, the paper's where they are None, built for the variables of their networks."""
    if g_optimizer is not None and g_optimizer is d_optimizer:
        raise InputError(
            "Got one optimizer object as g_optimizer and d_optimizer. Expected two, since an optimizer "
            "keeps the state of one network's variables. Create a second one with the same arguments."
        )
    ready = []
    for network, optimizer in ((student, g_optimizer), (discriminator, d_optimizer)):
        if optimizer is None:
            optimizer = keras.optimizers.Adam(2e-4, beta_1=0.0, beta_2=0.9)
        optimizer = keras.optimizers.get(optimizer)
        if network.compute_dtype == "float16" and not _scales(optimizer):
            optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
        workers = tf.distribute.MultiWorkerMirroredStrategy
        if _scales(optimizer) and isinstance(tf.distribute.get_strategy(), workers):
            raise InputError(
                "Got float16 on several workers. Expected a type that needs no scaling of the loss: each "
                "worker alone finds whether a step counts, and they would wait for each other forever. Use "
                "mixed_bfloat16, or train on the devices of one host."
            )
        # Built now: the state of an unbuilt optimiser is silently left out of a restored checkpoint.
        optimizer.build(network.trainable_variables)
        ready.append(optimizer)
    return ready


def apply_gradients(optimizer, gradients, variables):
    """Applies one replica's gradients.

    Keras clips gradients, and looks for infinite ones, before it adds those of all replicas. An optimiser
    that does so gets the sum at the first replica, and zeros at the others.
    """
    context = tf.distribute.get_replica_context()
    clips = (getattr(optimizer, n, None) for n in ("clipnorm", "global_clipnorm", "clipvalue"))
    if context.num_replicas_in_sync > 1 and (_scales(optimizer) or any(clips)):
        first = tf.equal(context.replica_id_in_sync_group, 0)
        summed = context.all_reduce("sum", gradients)
        gradients = [tf.where(first, total, tf.zeros_like(total)) for total in summed]
    optimizer.apply(gradients, variables)


def _scales(optimizer):
    return isinstance(optimizer, keras.optimizers.LossScaleOptimizer)


class OptimizerView:
    """Named optimisers as one, and each by itself: what Keras' callbacks want of `model.optimizer`."""

    built = True

    def __init__(self, **named):
        self.name = " and ".join(named)
        self._all = list(named.values())
        self.iterations = self._all[0].iterations
        if len(named) > 1:
            self.optimizers = [OptimizerView(**{name: one}) for name, one in named.items()]

    def get_config(self):
        """The settings of all, by their names; MLflow's callback logs them."""
        names = self.name.split(" and ")
        configs = zip(names, (one.get_config() for one in self._all), strict=True)
        return {f"{name}_{key}": value for name, each in configs for key, value in each.items()}

    @property
    def learning_rate(self):
        return self._all[0].learning_rate

    @learning_rate.setter
    def learning_rate(self, value):
        for one in self._all:
            one.learning_rate = value
