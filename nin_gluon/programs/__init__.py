"""Running other people's MXNet 1.x programs, unchanged.

The files, from the bottom up:

- ``datasets``: Gluon's MNIST, FashionMNIST and CIFAR10 take the official files
- ``data_loader``: Gluon's DataLoader takes no more workers than the machine has room for
- ``epochs``: fewer epochs than a program says
- ``fast_nets``: a Sequential net as it is computed faster, bit for bit the same
- ``fast``: what takes the place of d2lzh's functions under ``--fast``
- ``preparation``: all of this, done to a process just before it needs it
- ``scripts``, ``notebooks``: a script, a module or a notebook is run in a prepared process
- ``kernel_spec``: the Jupyter kernel whose processes are prepared

Nothing is patched on disk. Every change is to a module in the memory of one process, made when that
module is imported.
"""
