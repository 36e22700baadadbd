"""From a UDF and its inputs to a job that can be started: check, write down, look into the cache, plan, ramp."""
