"""Writes small checkpoints of PyTorch in the forms that programs save them in, for weights_test.go."""

import copy
import os

import torch

here = os.path.dirname(os.path.abspath(__file__))


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("sigmas", torch.tensor([4.0, 2.0, 1.0], dtype=torch.float64))
        self.a = torch.nn.Linear(2, 1)
        self.b = torch.nn.Conv2d(1, 2, 1, bias=False)
        with torch.no_grad():
            for i, p in enumerate(self.parameters()):
                p.copy_(torch.arange(p.numel(), dtype=torch.float32).view(p.shape) + 10 * i)


net = Net()


def trained(kind=torch.optim.Adam, steps=2, **options):
    o = kind(net.parameters(), lr=2e-4, **options)
    for _ in range(steps):
        for i, p in enumerate(net.parameters()):
            p.grad = torch.full_like(p, i + 1.0)
        state = copy.deepcopy(net.state_dict())
        o.step()
        net.load_state_dict(state)
    return o.state_dict()


def save(name, tree):
    torch.save(tree, os.path.join(here, name + ".pth"))


model = torch.nn.DataParallel(net).state_dict()
adam = trained(betas=(0.8, 0.99), eps=1e-7)
ema = {k: p.detach() + 0.5 for k, p in net.named_parameters()}
save("list", [model, adam, 1, 7, ema])
save("list-without-ema", [model, adam, 1, 7])
save("dict", {"model": model, "optimizer": adam, "ema": {"decay": 0.999, "num_updates": 2, "shadow_params": list(ema.values())}, "step": torch.tensor(7)})
save("state_dict", net.state_dict())
save("half", net.half().state_dict())
net = Net()
save("amsgrad", [model, trained(amsgrad=True)])
save("weight-decay", [model, trained(weight_decay=0.1)])
save("sgd", [model, trained(torch.optim.SGD, momentum=0.9)])
save("fresh", [model, trained(steps=0)])
uneven = copy.deepcopy(adam)
uneven["state"][1]["step"] = torch.tensor(3.0)
save("uneven", [model, uneven])
fewer = copy.deepcopy(adam)
fewer["param_groups"][0]["params"].pop()
save("fewer", [model, fewer])
save("numbers", [1, 2, 3])
save("ema-of-others", {"model": model, "ema": {"shadow_params": list(ema.values())[1:]}})
save("empty-tensor", {"a": torch.zeros(0, 2)})
