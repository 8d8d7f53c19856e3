"""Pictures in and out: folders of them, augmentation, pixels, PNG files and grids."""
