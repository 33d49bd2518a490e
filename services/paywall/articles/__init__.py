"""The registry of articles: what the website says each one is."""
