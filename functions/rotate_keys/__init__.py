"""Keep managed participants' keys young. Runs on a schedule, from a queue, and for `pqtransfer keys rotate`."""
