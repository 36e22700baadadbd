"""Where jobs, events, objects and cached results are kept: two protocols and a cache, local and in AWS."""
