"""How much of a test a training corpus holds: GPT-3's Appendix C, and GPT-2's Table 6."""
