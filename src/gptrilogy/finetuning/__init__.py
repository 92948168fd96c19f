"""GPT-1's second stage: labelled examples, their transformation into token sequences, and training on them."""
