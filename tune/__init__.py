"""Sweeps over training jobs.

A sweep starts jobs of `rayjobs` and compares their metrics; it never reaches into the service.
Write ``from ray import tune as ray_tune`` here, so that Ray's module does not hide this one.
"""
