"""A durable queue on DynamoDB, for any number of processes and machines. The main class is `store.DynamoStore`.

One table, with one item per request. Each change of a request is a conditional write, decided by the table itself; the
indexes only find candidates. So it keeps every promise of `contracts.stores.RequestQueue` about a single request:
stored before it is acknowledged, one claim at a time, one end, no late writer. These promises are weaker than in a
store that one process owns:

- Indexes lag behind, usually by less than a second. A new request may be missing from a claim, a listing or a count
  made elsewhere; the next one includes it. `get` and `undelivered` do not lag.
- Each process takes fair turns by itself: it remembers which owners it served last. Two processes that claim at the
  same time each serve the same owners in turn. Priority, and the order of one owner's records, hold within what a claim
  sees: in a lane of more than about a thousand entries of different owners, `scanner` describes what it leaves for the
  next claim.
- `max_queued` is counted now and then and not with each request: `queue_capacity` describes by how much it may be
  exceeded.
- Machines have different clocks. They must agree to within a part of a lease, as machines on AWS do; when one of them
  is set back, times are not moved as `core.records.rebase_clock` would.
- An item can have at most 400 KB for payload and result together, and all items of one owner 10 GB. More is refused,
  unless a bucket is configured: see `blobs`.
- The table does not say who wrote. A service whose client is subscribed to a request that another service runs notices
  its end within `claimer.FOREIGN_INTERVAL` seconds, and its progress only when queried.

The table's TTL deletes ended records, free of charge but late; reads ignore expired ones.
"""
