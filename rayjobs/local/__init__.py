"""Work without a cluster: sampling, merging, conversion, compression."""
