"""Kernels in C++ where PyTorch's operations are too many or too slow; each has a twin in PyTorch that runs without."""
