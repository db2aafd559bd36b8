"""The folder of a training: its log, its kept checkpoints, its processes and signals.

In: what a training loop reports. Out: files under RUN/, and reading them back.
Nothing here knows a loss.
"""
