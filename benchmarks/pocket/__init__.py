"""How good the pocket base is, and its individuals."""
