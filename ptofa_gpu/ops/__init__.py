"""Kernels: one CUDA source and one CPU twin each, same signature, same bits."""
