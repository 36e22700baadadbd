"""A soak: thousands of runs while whatever carries them out is killed at random, and a count of what that has cost."""
