"""Pretraining: configs, schedule, optimizer, and the loop that can stop anywhere and continue exactly."""
