"""Compiles a program of one product once and runs it: what the contenders oneDNN and OpenBLAS come down to."""

import hashlib
import json
import os
import platform
import shutil
import subprocess
from pathlib import Path

from protocol import NotRun, answer

HERE = Path(__file__).parent
FLAGS = ["-O2", "-std=c++17"]


def compiled(source, header, library):
    """The program's path: compiled when it is not there, under a name that changes with its text."""
    compiler = os.environ.get("CXX") or shutil.which("g++") or shutil.which("c++")
    if compiler is None:
        raise NotRun("no C++ compiler (g++)")
    text = (HERE / source).read_bytes() + (HERE / "timing.h").read_bytes() + platform.machine().encode()
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "coppice" / "contenders"
    program = cache / f"{Path(source).stem}-{hashlib.sha256(text).hexdigest()[:12]}"
    if not program.exists():
        cache.mkdir(parents=True, exist_ok=True)
        unfinished = program.with_suffix(f".{os.getpid()}")
        command = [compiler, *FLAGS, str(HERE / source), "-o", str(unfinished), f"-l{library}"]
        result = subprocess.run(command, capture_output=True, text=True)
        if result.returncode != 0:
            missing = f"{header}: No such file" in result.stderr or f"cannot find -l{library}" in result.stderr
            raise NotRun(f"{header} or lib{library} is not there" if missing else f"{source} does not compile: {first_error(result.stderr)}")
        unfinished.rename(program)
    return program


def first_error(text):
    return next((line for line in text.splitlines() if "error" in line), "no error said")


def main(contender, source, header, library, package):
    def measure(case):
        if case["kind"] != "op" or not case["op"].startswith("linear"):
            raise NotRun(f"no counterpart of {case['op']}")
        try:
            program = compiled(source, header, library)
        except NotRun as why:
            raise NotRun(f"{why} (Debian: {package})") from None
        sizes = [str(case["sizes"][name]) for name in ("rows", "cols", "inner")]
        command = [str(program), case["op"], case["dtype"], case["variant"], *sizes, str(case["seconds"])]
        measured = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
        if "not_run" in measured:
            raise NotRun(measured["not_run"])
        return {"seconds": measured["seconds"], "peak_rss_mib": measured["peak_rss_mib"], "versions": {contender: measured["version"]}}

    answer(contender, measure)
