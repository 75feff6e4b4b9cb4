"""Several processes' worth of a service in one process: a bus, subscriptions and a store that all of them share."""
