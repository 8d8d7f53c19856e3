"""The HTTP service: every concept from one resident base model.

It reads concept files and nothing else of the training side; `rayjobs` and `serve` never import
each other. Write ``from ray import serve as ray_serve`` here, so that Ray's module does not hide
this one.
"""
