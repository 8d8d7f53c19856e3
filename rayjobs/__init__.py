"""Jobs a user submits: train a concept, sample it, pretrain the pocket base.

Every job is a script (`python rayjobs/train.py`), a module of the installed package and the entry
point of a `ray job submit`. Ray and DeepSpeed appear here and nowhere below: a job reads its
configuration, builds what it needs from `cdcore`, runs it on one or many workers and reports.
"""
