"""The cluster: connecting, shared storage, capacity, actors and their failures."""
