# Writes the .pth files in this folder with PyTorch: the same tree in both containers and in another protocol.
import collections
import os

import torch

here = os.path.dirname(os.path.abspath(__file__))
base = torch.arange(24, dtype=torch.float32)
net = torch.nn.Linear(2, 3)  # an OrderedDict with _metadata
with torch.no_grad():
    net.weight.copy_(base[:6].view(3, 2))
    net.bias.copy_(base[6:9])
tree = [
    net.state_dict(),
    collections.OrderedDict(
        parameter=torch.nn.Parameter(base[:4].clone()),
        shared_a=base[2:10].view(2, 4),
        shared_b=base,
        transposed=base.view(4, 6).t(),
        strided=base[1::3],
        channels_last=base[:24].clone().view(1, 2, 3, 4).contiguous(memory_format=torch.channels_last),
        expanded=torch.tensor([5.0]).expand(2, 3),
        scalar=torch.tensor(7.5),
        float64=torch.tensor([0.1, 1e300], dtype=torch.float64),
        float16=torch.tensor([0.5, -65504], dtype=torch.float16),
        bfloat16=torch.tensor([1.5, -2], dtype=torch.bfloat16),
        int64=torch.tensor([1, -(2**62)]),
        int32=torch.tensor([-3], dtype=torch.int32),
        int16=torch.tensor([-4], dtype=torch.int16),
        int8=torch.tensor([-5], dtype=torch.int8),
        uint8=torch.tensor([250], dtype=torch.uint8),
        bool=torch.tensor([True, False]),
        empty=torch.zeros(0, 3),
        size=base.view(4, 6).shape,
    ),
    {0: 12, "text": "\u03c3", "none": None, "yes": True, "float": 0.25, "big": 2**40, "negative": -1, "tuple": (0.9, 0.999, 1, 2)},
    3,
]
torch.save(tree, os.path.join(here, "zip.pth"))
torch.save(tree, os.path.join(here, "stream.pth"), _use_new_zipfile_serialization=False)
torch.save(tree, os.path.join(here, "zip-protocol4.pth"), pickle_protocol=4)
torch.save(tree, os.path.join(here, "stream-protocol4.pth"), pickle_protocol=4, _use_new_zipfile_serialization=False)
