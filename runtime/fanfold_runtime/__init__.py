"""What runs in the image: thin triggers over the stores and the one `execute` routine. Never in the wheel."""
