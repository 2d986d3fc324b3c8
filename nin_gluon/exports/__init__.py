"""Trained nets for other programs: ONNX, safetensors, Gluon's and PyTorch's own formats."""
