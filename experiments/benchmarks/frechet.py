"""Time and memory of the Frechet distance: ours against TF-GAN's, on the same features.

    python experiments/benchmarks/frechet.py
    python experiments/benchmarks/frechet.py --only="ours,ours with its standard error"

Four minutes and 8 GB of memory on two CPU cores; `--repeats=1` takes a third of that, and ours alone a
minute and 1 GB.

Each implementation runs in a fresh process of its own, which makes the features, calls the function
once on a few small rows (imports and thread pools are not its cost), and then `--repeats` times on all of
them. The quickest call counts, since whatever else the machine does only adds to it. "Memory added" is
the peak of the process minus its peak before the first of those calls, so it leaves out the features
themselves, which both need.

The features are Gaussian, float32, with a random orientation and variances that fall as 1 / i, as the
spectra of image features do. They stay large enough for TF-GAN's, which drops singular values of the
product of the covariances below 1e-10.
"""

import concurrent.futures
import multiprocessing
import resource
import sys
import time

import numpy as np
from absl import app, flags

from tinygan_keras import tfgan
from tinygan_keras.evaluation.metrics.frechet import (
    ERROR_ROWS,
    feature_statistics,
    frechet_distance,
    frechet_with_error,
)

FLAGS = flags.FLAGS
flags.DEFINE_integer("count", 50_000, "Feature vectors on each side.", lower_bound=10)
flags.DEFINE_integer("dimension", 2048, "Numbers per feature vector.", lower_bound=1)
flags.DEFINE_integer("repeats", 3, "Calls of each implementation.", lower_bound=1)
flags.DEFINE_integer("seed", 0, "Seed of the features.")
flags.DEFINE_list("only", [], "Implementations to run, by the names of the table; default: all.")

LEAST_SPEEDUP, LARGEST_MEMORY, LARGEST_DIFFERENCE = 5.0, 0.25, 1e-6
MOST_SECONDS, MOST_MEGABYTES = 7.0, 300.0  # of ours with its standard error
CHUNK = 1000  # rows made at a time, so that making the features leaves no peak behind


def ours(features_1, features_2):
    return frechet_distance(*feature_statistics(features_1), *feature_statistics(features_2))


def ours_with_error(features_1, features_2):
    statistics = feature_statistics(features_1), feature_statistics(features_2)
    rows = features_1[:ERROR_ROWS]
    return frechet_with_error(*statistics, rows, count=len(features_1))[0]


def tf_gans(features_1, features_2):
    distance = tfgan.evaluation().frechet_classifier_distance_from_activations
    return float(distance(features_1, features_2))


WITH_ERROR = "ours with its standard error"
IMPLEMENTATIONS = {"TF-GAN": tf_gans, "ours": ours, WITH_ERROR: ours_with_error}


def make_features(count, dimension, seed):
    """Two sets of features, float32 `[count, dimension]`, of different mean and covariance."""
    random = np.random.default_rng(seed)
    rotation = np.linalg.qr(random.normal(size=(dimension, dimension)))[0]
    deviations = np.arange(1, dimension + 1) ** -0.5
    sets = []
    for offset, exponent in ((0.4, 1.0), (0.45, 1.1)):
        mixing = (deviations[:, None] ** exponent * rotation).astype("float32")
        features = np.empty((count, dimension), "float32")
        for start in range(0, count, CHUNK):
            rows = features[start : start + CHUNK]
            noise = random.standard_normal(rows.shape, "float32")
            rows[:] = noise @ mixing + np.float32(offset)
        sets.append(features)
    return sets


def measure(name, count, dimension, seed, repeats):
    """Returns the seconds of the quickest call, bytes added to the peak, the peak before, and the value."""
    function = IMPLEMENTATIONS[name]
    function(*make_features(64, 8, seed))
    features = make_features(count, dimension, seed)
    before, seconds = peak_memory(), []
    for _ in range(repeats):
        start = time.perf_counter()
        value = function(*features)
        seconds.append(time.perf_counter() - start)
    return min(seconds), peak_memory() - before, before, value


def peak_memory():
    """Largest resident memory of this process so far, in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def main(argv):
    del argv
    spawn = multiprocessing.get_context("spawn")
    results = {}
    for name in FLAGS.only or IMPLEMENTATIONS:
        with concurrent.futures.ProcessPoolExecutor(1, mp_context=spawn) as process:
            results[name] = process.submit(
                measure, name, FLAGS.count, FLAGS.dimension, FLAGS.seed, FLAGS.repeats
            ).result()
    report(results)


def report(results):
    """Prints the table, and whether the targets are met."""
    print(
        f"{FLAGS.count:,} x {FLAGS.dimension:,} float32 features on each side, seed {FLAGS.seed}\n"
    )
    print("| implementation | seconds | memory added (MB) | peak before (MB) | distance |")
    print("|---|---|---|---|---|")
    for name, (seconds, added, before, value) in results.items():
        print(
            f"| {name} | {seconds:.2f} | {added / 1e6:,.0f} | {before / 1e6:,.0f} | {value:.10g} |"
        )
    print("\n| | measured | wanted | |\n|---|---|---|---|")
    for title, value, limit, least in comparisons(results):
        met = value >= limit if least else value <= limit
        sign = ">=" if least else "<="
        print(f"| {title} | {value:.3g} | {sign} {limit:g} | {'met' if met else 'MISSED'} |")


def comparisons(results):
    """Yields titles, values and limits, and whether a limit is the least or the most."""
    if "TF-GAN" in results and "ours" in results:
        reference, own = results["TF-GAN"], results["ours"]
        yield "times faster than TF-GAN's", reference[0] / own[0], LEAST_SPEEDUP, True
        yield "share of its memory", own[1] / max(reference[1], 1), LARGEST_MEMORY, False
        yield "relative difference", abs(own[3] / reference[3] - 1), LARGEST_DIFFERENCE, False
    if WITH_ERROR in results:
        seconds, added, *_ = results[WITH_ERROR]
        yield "seconds with a standard error", seconds, MOST_SECONDS, False
        yield "MB added with a standard error", added / 1e6, MOST_MEGABYTES, False


if __name__ == "__main__":
    app.run(main)
