"""The whole story, in chapters; ``tests/e2e/test_story.py`` tells it (``make story``)."""
