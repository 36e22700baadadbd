"""The page on which a UDF is edited, filled in and run."""
