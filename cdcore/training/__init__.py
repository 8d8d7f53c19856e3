"""Training a concept: rows, latents, loss, and the loop over them."""
