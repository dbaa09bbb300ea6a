"""Comparisons with peers and ceilings, interleaved in one run; never timed tests."""
