"""Participants and their keys: who they are, which key versions they have, and what each version may be used for."""
