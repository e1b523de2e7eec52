"""Process alerts: what happened, who must know, what is tried."""
