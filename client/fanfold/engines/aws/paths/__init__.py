"""The launch paths of AWS, one file each."""
