"""Arithmetic of size: parameters, FLOPs, memory and time. Needs no torch."""
