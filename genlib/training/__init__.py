"""One loop for all models; the run folder; the job that is its own process. Import from the submodules: `run` and `job`
must stay importable without PyTorch, because a job that waits in the queue should cost nothing."""
