"""What merging costs and keeps."""
