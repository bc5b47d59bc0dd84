# Writes the .npy files in this folder, as NumPy does.
import os
import numpy as np

here = os.path.dirname(os.path.abspath(__file__))
for name, dtype, order in [("f4", "<f4", "C"), ("f8-big", ">f8", "C"), ("f2", "<f2", "F"), ("u1", "|u1", "C"), ("i1", "|i1", "F"),
                           ("i8", "<i8", "C"), ("i2-big", ">i2", "F"), ("u4", "<u4", "C"), ("bool", "|b1", "C")]:
    a = np.arange(12)
    if dtype[1] in "if":
        a = a - 3
    np.save(os.path.join(here, name + ".npy"), np.asarray(a.reshape(2, 3, 2).astype(dtype), order=order))
