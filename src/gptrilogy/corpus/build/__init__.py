"""The steps from sources to a finished corpus, each as tasks that any worker can run and repeat."""
