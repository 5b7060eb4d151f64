"""What keeps an app from taking a provider's tokens: looked for step by step, and said with the remedy."""
