"""The cluster: shared storage, capacity, actors and their failures."""
