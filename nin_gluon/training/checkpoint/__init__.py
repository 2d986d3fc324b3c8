"""Checkpoints: saved between two steps, read without running anything that is in them."""

from nin_gluon.training.checkpoint.checkpoint import complete, latest, load, save

__all__ = ["complete", "latest", "load", "save"]
