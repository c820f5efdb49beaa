"""Two versions of the code measured in turns, each time in a fresh process: what the gate on speed rests on."""
