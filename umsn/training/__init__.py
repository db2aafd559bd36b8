"""The paper's training: stages, losses, one loop, and what it needs to go on after a stop.

In: patches and settings. Out: RUN/STAGE.safetensors.
The stages' constants are in ``stages``; the order of stages is in ``curriculum``.
"""
