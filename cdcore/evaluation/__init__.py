"""Evaluation on CustomConcept101 and its pocket counterpart: cells, scores and tables."""
