"""Runs a rival, `python -m benchmarks.rival MODULE OPTIONS`: one that cannot be imported is skipped, and says why."""

import json
import runpy
import sys

if __name__ == "__main__":
    del sys.argv[0]  # a rival finds its options in its first argument
    answers = sys.stdout
    try:
        runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
    except ImportError as error:
        print(json.dumps({"skipped": str(error)}), file=answers, flush=True)
