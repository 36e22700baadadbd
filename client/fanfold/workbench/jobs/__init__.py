"""The page that lists all jobs."""
