"""Writes reference.json beside this file: what the tests compare the statistics with.

Nothing here shares an algorithm with the Rust code: the distributions of the rank tests are enumerated (every sign of
every difference, every choice of ranks) or SciPy's, the Hodges-Lehmann estimates are medians of all pairs, the intervals
come from SciPy's and from enumerated distributions. The seeds are fixed. Written with SciPy 1.10 (python3-scipy).

    python3 crates/statistics/src/reference.py
"""

import itertools
import json
import math
import pathlib
import random

import numpy
import scipy.stats

random.seed(2)


def signs(differences, shift):
    """P(W+ <= w) and P(W+ >= w) over all signs of the nonzero differences, ranked with the zeros (Pratt)."""
    moved = [d - shift for d in differences]
    ranks = scipy.stats.rankdata([abs(d) for d in moved])
    kept = [(rank, d) for rank, d in zip(ranks, moved) if d != 0]
    observed = sum(rank for rank, d in kept if d > 0)
    sums = numpy.zeros(1)
    for rank, _ in kept:
        sums = numpy.concatenate([sums, sums + rank])
    return {"less": float(numpy.mean(sums <= observed)), "greater": float(numpy.mean(sums >= observed))}


def choices(first, second, shift):
    """P(R <= r) and P(R >= r) over all choices of the second sample's ranks."""
    ranks = scipy.stats.rankdata(list(first) + [b - shift for b in second])
    observed = sum(ranks[len(first):])
    sums = numpy.array([sum(chosen) for chosen in itertools.combinations(ranks, len(second))])
    return {"less": float(numpy.mean(sums <= observed)), "greater": float(numpy.mean(sums >= observed))}


def walsh(values):
    return sorted((a + b) / 2 for a, b in itertools.combinations_with_replacement(values, 2))


def cut(sums, level):
    """The largest c with P(sum <= c) <= (1 - level) / 2, or 0, and the confidence that it gives."""
    c = 0
    while numpy.mean(sums <= c + 1) <= (1 - level) / 2:
        c += 1
    return c, 1 - 2 * float(numpy.mean(sums <= c))


def estimate(numbers, c, level):
    return {"value": float(numpy.median(numbers)), "low": numbers[c], "high": numbers[-1 - c], "level": level}


def one_sample(values, level):
    sums = numpy.zeros(1)
    for rank in range(1, len(values) + 1):
        sums = numpy.concatenate([sums, sums + rank])
    return estimate(walsh(values), *cut(sums, level))


def two_sample(first, second, level):
    m, n = len(first), len(second)
    sums = numpy.array([sum(c) for c in itertools.combinations(range(1, m + n + 1), n)]) - n * (n + 1) // 2
    return estimate(sorted(b - a for a in first for b in second), *cut(sums, level))


def exact(n, spread):
    """Numbers in eighths, which all sums and differences here keep without rounding: ties are ties."""
    return [round(random.gauss(0.5, spread) * 8) / 8 for _ in range(n)]


def fine(n, centre=0.0):
    return [random.gauss(centre, 1) for _ in range(n)]


signed_rank = []
for n in range(1, 15):
    for differences in (exact(n, 0.4), exact(n, 2), fine(n, 0.5)):
        for shift in (0.0, 0.5):
            signed_rank.append({"differences": differences, "shift": shift, **signs(differences, shift)})
for n in (20, 50):  # SciPy's own exact distribution, without ties and zeros
    differences = fine(n, 0.3)
    tails = {t: scipy.stats.wilcoxon(differences, alternative=t, mode="exact").pvalue for t in ("less", "greater")}
    signed_rank.append({"differences": differences, "shift": 0.0, **tails})
for n in (101, 400):  # and its normal approximation, with zeros and ties
    for differences in (exact(n, 2), fine(n, 0.1)):
        tails = {
            t: scipy.stats.wilcoxon(
                differences, alternative=t, mode="approx", zero_method="pratt", correction=True
            ).pvalue
            for t in ("less", "greater")
        }
        signed_rank.append({"differences": differences, "shift": 0.0, **tails})

rank_sum = []
for m, n in [(1, 1), (1, 4), (4, 1), (3, 3), (5, 5), (5, 9), (9, 5), (8, 8), (2, 12)]:
    for first, second in ((exact(m, 0.4), exact(n, 0.4)), (exact(m, 2), exact(n, 2)), (fine(m), fine(n, 1))):
        for shift in (0.0, 0.5):
            rank_sum.append({"first": first, "second": second, "shift": shift, **choices(first, second, shift)})
for m, n, method in [(10, 12, "exact"), (20, 30, "exact"), (40, 60, "asymptotic"), (300, 200, "asymptotic")]:
    pairs = [(fine(m), fine(n, 0.4))] + ([(exact(m, 2), exact(n, 2))] if method == "asymptotic" else [])
    for first, second in pairs:
        tails = {
            t: scipy.stats.mannwhitneyu(second, first, alternative=t, method=method).pvalue for t in ("less", "greater")
        }
        rank_sum.append({"first": first, "second": second, "shift": 0.0, **tails})

hodges_lehmann = []
for n in (1, 2, 5, 6, 9, 10, 16):
    for values in (exact(n, 1), fine(n)):
        for level in (0.9, 0.95):
            hodges_lehmann.append({"values": values, "asked": level, **one_sample(values, level)})
shift = []
for m, n in [(1, 1), (3, 3), (5, 5), (5, 8), (8, 5), (10, 10)]:
    for first, second in ((exact(m, 1), exact(n, 1)), (fine(m), fine(n, 1))):
        for level in (0.9, 0.95):
            shift.append({"first": first, "second": second, "asked": level, **two_sample(first, second, level)})

describe = []
for n in (2, 3, 10, 31):
    values = [10 + v for v in fine(n)]
    low, high = scipy.stats.t.interval(0.95, n - 1, numpy.mean(values), scipy.stats.sem(values))
    describe.append({
        "values": values, "mean": float(numpy.mean(values)), "stddev": float(numpy.std(values, ddof=1)),
        "median": float(numpy.median(values)), "low": low, "high": high,
    })  # fmt: skip

ratio = []  # to the accuracy that so many resamples have
for n in (10, 25):
    first = [math.exp(0.2 * v) for v in fine(n)]
    paired = [1.3 * a * math.exp(0.05 * v) for a, v in zip(first, fine(n))]
    alone = [1.3 * math.exp(0.2 * v) for v in fine(n + 3)]

    def of_means(a, b, axis=-1):
        return numpy.mean(b, axis=axis) / numpy.mean(a, axis=axis)

    def interval(a, b, together):
        return scipy.stats.bootstrap(
            (a, b), of_means, paired=together, method="BCa", n_resamples=50_000, vectorized=True, batch=1_000,
            random_state=numpy.random.default_rng(1),
        ).confidence_interval  # fmt: skip

    together = interval(first, paired, True)
    ratio.append({"first": first, "second": paired, "paired": True, "low": together.low, "high": together.high})
    apart = interval(first, alone, False)
    ratio.append({"first": first, "second": alone, "paired": False, "low": apart.low, "high": apart.high})

tables = {
    "describe": describe, "signed_rank": signed_rank, "rank_sum": rank_sum, "one_sample": hodges_lehmann,
    "shift": shift, "ratio": ratio,
}  # fmt: skip
rows = (f'"{name}": [\n' + ",\n".join(json.dumps(row) for row in table) + "\n]" for name, table in tables.items())
pathlib.Path(__file__).with_name("reference.json").write_text("{\n" + ",\n".join(rows) + "\n}\n")
