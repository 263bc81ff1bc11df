"""Run by `test_predict_kill.py`: predict with the tiny run, a pause after every line."""

import sys
import time
from pathlib import Path

from textreel.serve.predict import PredictSettings, predict
from textreel.serve.session import load

session = load("tiny")
plain = session.ask


def ask(video, question, **kwargs):
    sys.stdout.write(f"{Path(video).name}\n")
    sys.stdout.flush()
    answer = plain(video, question, **kwargs)
    time.sleep(0.2)
    return answer


session.ask = ask
predict(session, Path(sys.argv[1]), Path(sys.argv[2]), PredictSettings(max_new_tokens=4))
