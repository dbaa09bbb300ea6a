"""One end of a job as a pure machine: what is legal when, what became of which file, what is to be done."""
