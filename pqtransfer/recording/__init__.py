"""What workers, functions and clients say of transfers and keys in the audit log: the same thing in the same words.

It joins the domains, which do not know each other. Facts are built from public things alone, so no secret gets in.
"""
