"""The baseline year by segment, stream and month: imported, reviewed, frozen."""
