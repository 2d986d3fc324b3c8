"""The nets and their initializations in PyTorch; importing them does not import MXNet."""
