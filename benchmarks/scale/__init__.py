"""A model of scale: what each way to start N runs takes under the limits that AWS quotes."""
