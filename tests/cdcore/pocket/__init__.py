"""Tests of the pocket world."""
