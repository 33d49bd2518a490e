"""May this reader read this article now, and if not, what should they be offered?"""
