"""A researcher's own files: exposures (`files`), positions and liquidations (`positions`), a scenario's `tables`.

What is wrong with a file is said with its line, all at once, and nothing is guessed.
"""
