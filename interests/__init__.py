"""The method: pure functions over Arrow and NumPy values. No Temporal, no database, no torch, no settings.

`clusters`, `keywords` and `descriptions` make the interests, `imported` takes them over; `samples`, `retrieval` and `prompts`
turn counts into what the LLM reads; `metrics`, `tables` and `gates` judge what it answers; `windows` is the calendar. Values
between them are the Arrow tables named in each docstring; `triples` holds what all tables of (c1, c2, c_next) have in common.
"""
