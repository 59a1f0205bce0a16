"""A ledger as a whole: copied to another database, kept in a file, brought back from one. Goes over whatever tables
there are, and knows by name only those of `special`."""
