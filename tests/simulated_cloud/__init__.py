"""A cloud on this machine: EC2 by moto, machines by Linux namespaces, ssh and docker by stand-ins.

Ray's cluster launcher runs as it is, on `cluster.yaml` as it is, and its commands run for real:
each machine has a network, a process table, a home and a /tmp of its own, so that `ray stop` on one
stops nothing on another. What is not there: GPUs, images, an NFS server, and sshd.
"""
