"""Who is measured: one file each, with `send` and `receive`.

Both take a `Task`, do what is not to be measured (imports, clients, keys), and return the call that is.
A `send` first removes what an earlier one left, so that each makes a new object.
"""
