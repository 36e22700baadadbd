"""What is particular to one library: how its objects travel, where they say less of themselves than others do."""
