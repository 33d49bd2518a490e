"""The metrics layer: revenue recorded by every service, growth against the target, per agency.

Services import :mod:`shared.metrics.record` and nothing else of this package.
"""
