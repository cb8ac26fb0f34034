"""Input from outside, changed at random: nothing but our own errors may come of it.

`targets` names what reads input, `seeds` makes honest input for each, `corpus/` holds the inputs
that reach further code. `make test` replays the corpus and changes it a little; `make fuzz` lets
atheris (libFuzzer) search for more.
"""
