"""Reads what comes back from other mail servers. It believes nothing and asks no database.

Whatever somebody sends to the bounce address ends up here, so nothing in here raises, and what it
returns are claims: whether a code is one of ours is for the services to say.
"""

from webapp.messaging.bounces.judging import Judgement, judge, judge_reply
from webapp.messaging.bounces.reading import read
from webapp.messaging.bounces.report import Reading, Report
from webapp.messaging.bounces.verp import return_path

__all__ = ["Judgement", "Reading", "Report", "judge", "judge_reply", "read", "return_path"]
