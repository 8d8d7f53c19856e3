"""Custom Diffusion itself: the method, without the machinery that runs it at scale.

A concept is an update of the text cross-attention's key and value projections and the embedding
of one new token. This package holds what that takes: the seam through which an update enters the
U-Net, the training objective, the sampler, concept files, pictures and their cached latents, and
the pocket base. It knows neither Ray nor DeepSpeed nor HTTP; `rayjobs`, `tune` and `serve` are
built on it.
"""
