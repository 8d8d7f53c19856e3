"""Sampling: requests, guidance, solvers, and rows that each have a concept of their own."""
