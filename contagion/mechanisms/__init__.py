"""One file a kind of node: parameters, state, and processes. No mechanism imports another."""
