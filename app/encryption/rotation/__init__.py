"""Replaces keys while the service runs.

Everything that is done is in the rows: whoever is killed at any moment is followed by another
run, which goes on from there. Rows are changed only where they are still as they were read.
"""
