"""What a caller writes: `submit`, `run`, the decorator, and the executors that other libraries take."""
