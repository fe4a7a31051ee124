"""What every contender says and hears: `python NAME.py --case JSON` prints one JSON line. Described in docs/bench-contenders.md."""

import argparse
import json
import resource
import sys
import time

MIN_RUNS, MAX_RUNS = 3, 2000
# A sample shorter than this says more about the clock than about the work.
MIN_SAMPLE_SECONDS = 5e-4


class NotRun(Exception):
    """Why this contender cannot do this case; said in the table."""


def read_case():
    parser = argparse.ArgumentParser()
    parser.add_argument("--case", required=True, help="one case as a JSON object")
    return json.loads(parser.parse_args().case)


def device_of(case):
    return case.get("device", "cpu")


def use_device(torch, case):
    """New tensors go to the case's device."""
    if device_of(case) == "cpu":
        return
    if not torch.cuda.is_available():
        raise NotRun(f"torch {torch.__version__} finds no CUDA device")
    torch.set_default_device(device_of(case))


def waited_for(torch, case, run):
    """A run on a card is done when the card is."""
    if device_of(case) == "cpu":
        return run

    def run_and_wait():
        run()
        torch.cuda.synchronize()

    return run_and_wait


def timed_runs(run, seconds, warmup=1):
    """Seconds of single runs: as many as fit into `seconds`, 3 at least. Short work is repeated within a sample."""
    for _ in range(warmup):
        run()
    begin = time.perf_counter()
    run()
    once = time.perf_counter() - begin
    repeats = max(1, round(MIN_SAMPLE_SECONDS / max(once, 1e-7)))
    samples = []
    end = time.perf_counter() + seconds
    while len(samples) < MIN_RUNS or (time.perf_counter() < end and len(samples) < MAX_RUNS):
        begin = time.perf_counter()
        for _ in range(repeats):
            run()
        samples.append((time.perf_counter() - begin) / repeats)
    return samples


def peak_rss_mib():
    try:
        # Of this program alone: getrusage also counts what the process was before it became this program.
        with open("/proc/self/status") as status:
            line = next(line for line in status if line.startswith("VmHWM:"))
        return int(line.split()[1]) / 1024
    except (OSError, StopIteration):
        unit = 2**20 if sys.platform == "darwin" else 2**10
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def answer(contender, measure):
    """Prints what `measure(case)` found: a dictionary with seconds, versions and, where the work was done elsewhere, peak_rss_mib."""
    case = read_case()
    line = {"contender": contender, **{key: case.get(key) for key in ("variant", "op", "shape", "dtype", "threads")}}
    try:
        measured = measure(case)
        line |= {"tokens": case.get("tokens"), "peak_rss_mib": round(peak_rss_mib(), 1)} | measured
    except NotRun as why:
        line["not_run"] = str(why)
    except ImportError as why:
        line["not_run"] = f"{why} in {sys.executable}"
    print(json.dumps(line), flush=True)
