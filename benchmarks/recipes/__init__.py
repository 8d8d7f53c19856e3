"""Recipes of training that are compared: ours, the stock one, and the script of diffusers."""
