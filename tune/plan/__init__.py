"""The plan of a sweep: what is searched, to which goal, on which slots."""
