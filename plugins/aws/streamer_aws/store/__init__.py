"""A durable queue on DynamoDB, for any number of processes and machines. `store.DynamoStore` is the way in.

One table, of one item a request. What happens to each request is a conditional write, decided by the table itself;
the indexes only find candidates. So it keeps every promise of `contracts.stores.RequestQueue` that is about a single
request: stored before it is acknowledged, one claim at a time, one end, no late writer. These it keeps less exactly
than a store that one process owns:

- Indexes lag behind by a moment, usually less than a second. What was just stored may be missing from a claim, a
  listing or a count made elsewhere; it is in the next. `get` and `undelivered` do not lag.
- Turns are taken by each process for itself: it remembers whom it served last. Two processes that claim at the same
  time each serve the same owners in turn. Priority, and the order of one owner's records, hold within what a claim
  sees: in a lane of more than about a thousand entries of different owners, `scanning` says what it leaves to the next.
- `max_queued` is counted now and then and not with each request: `room` says by how much it may be exceeded.
- Machines have clocks of their own. They must agree to within a part of a lease, as machines on AWS do; when one of
  them is put back, nothing is moved to its time as `core.records.rebase_clock` would.
- An item has at most 400 KB for payload and result together, and all of one owner's 10 GB. More is refused where it
  comes up, unless a bucket is declared: see `blobs`.
- The table does not say who wrote. A service whose client follows a request that another service runs learns of its end
  within `claiming.FOREIGN_INTERVAL` seconds, and of its progress not at all unless it is asked.

Ended records are deleted by the table's TTL, for nothing but late; reading leaves out what is past its time.
"""
