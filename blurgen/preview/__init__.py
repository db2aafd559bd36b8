"""Pictures of what is in banks and datasets."""
