"""How a process is put together: the same in every service and in every mode (one process, several, forked from a parent)."""

from shared.process.process import Process, Service
from shared.process.web import application
from shared.process.worker import WorkerParts, run_worker

__all__ = ["Process", "Service", "WorkerParts", "application", "run_worker"]
