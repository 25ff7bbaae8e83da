"""Work in other processes and on other machines: executors, the units that travel, parts of a run and their merge."""
