"""The command line: parser, settings, quiet starts, progress and checks of outputs."""
