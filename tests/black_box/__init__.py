"""The specification, tested from outside: over HTTP and at the command line, without a look at the code."""
