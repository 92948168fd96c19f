"""Fault campaigns: kills, full disks, flipped bits, bombs and odd machines against real runs, counted."""
