"""Computes FID by pytorch-fid for two sets of 2,048 made images, with the weights by a formula of inception.py.

    python fid.py DIR                                                      # half an hour on two cores, 500 MB
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

N, SIDE = 2048, 64


def main(folder):
    os.makedirs(folder, exist_ok=True)
    net = inception.network()
    torch.save(net.state_dict(), os.path.join(folder, "weights.pth"))
    wrapped = inception.features(net)
    wrapped.output_blocks = [3]
    rng = np.random.default_rng(5)
    moments = []
    for name, roughness in (("a", 3), ("b", 4)):
        images = inception.smooth(rng, N, SIDE, SIDE, roughness)
        np.save(os.path.join(folder, name + ".npy"), images)
        start, rows = time.time(), []
        with torch.no_grad():
            for i in range(0, N, 16):
                x = torch.from_numpy(images[i:i + 16].astype("f4") / 255).permute(0, 3, 1, 2)
                rows.append(wrapped(x)[0][:, :, 0, 0].numpy())
                print("%s: %d images, %.2f a second" % (name, i + len(x), (i + len(x)) / (time.time() - start)), flush=True)
        rows = np.concatenate(rows)
        np.save(os.path.join(folder, name + "-features.npy"), rows)
        moments += [np.mean(rows.astype("f8"), axis=0), np.cov(rows.astype("f8"), rowvar=False)]
    fid = fid_score.calculate_frechet_distance(*moments)
    with open(os.path.join(folder, "fid.json"), "w") as f:
        json.dump({"fid": float(fid)}, f)
    print("FID", fid)


main(sys.argv[1])
