"""Running a sweep: trials on the cluster, and the data they share."""
