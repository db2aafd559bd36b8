"""Trained networks for other programs: ONNX, torch.export, and a page that runs in a browser.

In: a checkpoint of stage ``umsn``. Out: one file, or a folder of static files. Everything that an exported
network needs lies inside it: S-Net and the masks as well.
"""
