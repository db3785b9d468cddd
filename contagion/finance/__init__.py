"""Financial arithmetic: numbers in, numbers out, one published formula or contract per function."""
