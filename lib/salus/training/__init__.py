"""Training by Horovod under Spark, and the verified, registered packages that come out of it."""
