"""What runs this project on other people's machines: manifests, images and monitoring."""
