"""Other stream processors doing the job that floorpulse is compared by, each as its own documentation advises.

Each program runs in an environment of its own (`requirements-*.txt`), takes BOOTSTRAP PREFIX RUN FOLDER, reads
`PREFIXsessions` and `PREFIXqueues` from their beginning, keeps its state in a durable way under the name RUN (`plain` keeps
none), and leaves `FOLDER/result.jsonl` when it is asked to stop (or, where it ends with the input, at its end). A line is
[queue, window's length in ms, its start in ms, then the six totals of `job.TOTALS`]. All but `plain` keep hopping windows of 5
and 30 minutes that begin every minute: each fact goes into 35 of them.
"""
