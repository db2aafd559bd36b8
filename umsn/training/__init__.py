"""The paper's training: stages, losses, one loop, and what it needs to go on after a stop.

In: patches and settings. Out: RUN/STAGE.safetensors.
``stages`` has the constants, ``settings`` what a user chooses, ``curriculum`` runs stage after stage.
"""
