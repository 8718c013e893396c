"""Fitted models for other runtimes: graphs of ONNX, modules of PyTorch.

:func:`to_onnx` needs ``pip install "fastcf[onnx]"``, :func:`to_torch` ``pip install "fastcf[torch]"``.
"""

from fastcf.export.runtimes import to_onnx, to_torch

__all__ = ["to_onnx", "to_torch"]
