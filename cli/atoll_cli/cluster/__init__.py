"""TrainingJobs on a cluster, as the command line sees them; nothing here is loaded for a local run."""
