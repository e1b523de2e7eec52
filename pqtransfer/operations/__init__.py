"""What happened, who must know, what is tried: rules without a cloud."""
