"""One training loop for every stage, with its batching, augmentation and losses."""
