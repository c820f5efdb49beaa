"""Two versions of the code measured abreast, each time in new processes that take turns: what the gate on speed rests on."""
