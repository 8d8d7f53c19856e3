"""How a process finds, tries and joins a Ray cluster: the same for jobs, sweeps and the service."""
