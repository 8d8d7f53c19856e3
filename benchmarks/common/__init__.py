"""What benchmarks share: the machine, timing, bases of random weights."""
