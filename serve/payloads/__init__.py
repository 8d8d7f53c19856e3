"""What passes through HTTP: uploads, image files, links and event streams."""
