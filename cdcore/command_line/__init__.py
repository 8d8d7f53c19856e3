"""The command line of every command, built from its configuration class."""
