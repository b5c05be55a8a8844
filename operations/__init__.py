"""Use cases, one module per noun: typed in and out, no printing, no exit codes. Commands, pages and HTTP share them."""
