"""Computes FID by pytorch-fid for two sets of made images, with the weights by a formula of inception.py.

    python fid.py DIR [N]          # N images a set, 2,048 unless said; half an hour on two cores; goes on where it stopped
    SIGMAZ_FID=DIR go test -tags nocuda -run TestFID -v -timeout 1h ./sample/eval/inception

DIR gets weights.pth, the images a.npy and b.npy, their features a-features.npy and b-features.npy, and fid.json. The test
compares the features and the distance that the Go code makes of the same weights and images.
"""

import json
import os
import sys
import time

import numpy as np
import torch
from pytorch_fid import fid_score

import inception

SIDE, BATCH = 64, 16


def distance(m1, s1, m2, s2):
    """pytorch-fid's distance. With as many images as features the covariances are singular, SciPy's root of their product has
    an imaginary part, and pytorch-fid gives up: then by the eigenvalues of S1^1/2 S2 S1^1/2, which is symmetric."""
    try:
        return fid_score.calculate_frechet_distance(m1, s1, m2, s2), "pytorch-fid"
    except ValueError as e:
        print("pytorch-fid: %s; by eigenvalues instead" % e)
    values, axes = np.linalg.eigh(s1)
    root = (axes * np.sqrt(np.maximum(values, 0))) @ axes.T
    middle = np.linalg.eigvalsh(root @ s2 @ root)
    return np.sum((m1 - m2) ** 2) + np.trace(s1) + np.trace(s2) - 2 * np.sum(np.sqrt(np.maximum(middle, 0))), "eigenvalues"


def main(folder, n=2048):
    def at(name):
        return os.path.join(folder, name)

    os.makedirs(folder, exist_ok=True)
    net = inception.network()
    torch.save(net.state_dict(), at("weights.pth"))
    wrapped = inception.features(net)
    rng = np.random.default_rng(5)
    images, found = {}, {}
    for name, roughness in (("a", 3), ("b", 4)):
        images[name] = inception.smooth(rng, n, SIDE, SIDE, roughness)
        np.save(at(name + ".npy"), images[name])
        path = at(name + "-features.npy")
        if not os.path.exists(path) or len(np.load(path, mmap_mode="r")) != n:
            np.save(path, np.full((n, 2048), np.nan, "f4"))
        found[name] = np.load(path, mmap_mode="r+")
    start, done = time.time(), 0
    for i in range(0, n, BATCH):
        for name, x in images.items():
            if np.isnan(found[name][i:i + BATCH]).any():
                x = torch.from_numpy(x[i:i + BATCH].astype("f4") / 255).permute(0, 3, 1, 2)
                with torch.no_grad():
                    found[name][i:i + BATCH] = wrapped(x)[3][:, :, 0, 0].numpy()
                done += len(x)
                print("%s: %d images, %.2f a second" % (name, i + len(x), done / (time.time() - start)), flush=True)
    moments = []
    for x in found.values():
        x.flush()
        moments += [np.mean(x, axis=0, dtype="f8"), np.cov(x.astype("f8"), rowvar=False)]
    fid, by = distance(*moments)
    with open(at("fid.json"), "w") as f:
        json.dump({"fid": float(fid)}, f)
    print("FID", fid, "by", by)


main(sys.argv[1], *map(int, sys.argv[2:]))
