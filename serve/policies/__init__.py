"""Policies: plain state machines that decide, without torch and without Ray."""
