"""The algorithms: numpy and the standard library only, no I/O, time passed in as `now_s`."""
