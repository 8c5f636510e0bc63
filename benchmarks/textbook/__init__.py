"""What ours is compared with: the same videos as three plain Dagster assets.

Written as Dagster's own documents have it: an asset for each stage, partitioned by product, a
resource for the API, values handed on by the IO manager, Dagster's default executor, one run for
each product, and the asset itself polls until its task is done. It leaves out what a first version
would leave out too (a ledger, reuse, metadata, previews), so that nothing slows it down.
"""
