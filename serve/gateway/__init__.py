"""From HTTP to engines: what is asked of them, with Ray or in this process."""
