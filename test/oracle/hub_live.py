"""The cache folder of the hub, shared with Python's huggingface_hub: what one fetched the other finds, without the network.

    python hub_live.py [--node "node --import tsx"]

Both fetch from a hub of our own on this machine, each into an empty cache.
"""

import argparse
import json
import os
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = "test/oracle/hub_live.ts"
REPOSITORIES = [("org/model", "model"), ("org/data", "dataset")]


def contents(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def inodes(cache):
    return {path.name: path.stat().st_ino for path in cache.glob("*/blobs/*")}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--node", default="node --import tsx")
    node = shlex.split(parser.parse_args().node)
    server = subprocess.Popen([*node, PROGRAM, "serve"], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        # The library reads its environment when it is imported.
        os.environ["HF_ENDPOINT"] = server.stdout.readline().strip()
        os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"
        for name in ("HF_TOKEN", "HF_HUB_OFFLINE", "HF_HUB_CACHE"):
            os.environ.pop(name, None)
        with tempfile.TemporaryDirectory() as temporary:
            os.environ["HF_HOME"] = temporary
            compare(node, Path(temporary))
    finally:
        server.stdin.close()
        server.wait()


def compare(node, folder):
    import huggingface_hub
    from huggingface_hub import scan_cache_dir, snapshot_download, try_to_load_from_cache

    def ours(cache, offline):
        environment = {**os.environ, "HF_HUB_CACHE": str(cache), "HF_HUB_OFFLINE": "1" if offline else "0"}
        command = [*node, PROGRAM, "fetch", *(repository for repository, _ in REPOSITORIES)]
        fetched = subprocess.run(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, check=True)
        found = json.loads(fetched.stdout)
        return {"org/model": Path(found["model"]), "org/data": Path(found["data"][0]).parents[1]}, found["data"]

    def theirs(cache, **options):
        return {
            repository: Path(snapshot_download(repository, repo_type=kind, cache_dir=cache, **options))
            for repository, kind in REPOSITORIES
        }

    def same(what, received, expected):
        if received != expected:
            sys.exit(f"{what}: {received} is not {expected}")

    a, b = folder / "a", folder / "b"
    mine, files = ours(a, offline=False)
    same("our cache, read by huggingface_hub", theirs(a, local_files_only=True), mine)
    pointer = try_to_load_from_cache("org/model", "model-1.safetensors", cache_dir=a)
    same("a file of ours", Path(pointer), mine["org/model"] / "model-1.safetensors")
    info = scan_cache_dir(a)
    same("warnings about our cache", info.warnings, [])
    same("repositories", {repository.repo_id for repository in info.repos}, {"org/model", "org/data"})
    before = inodes(a)
    theirs(a)
    same("blobs after huggingface_hub looked for news", inodes(a), before)

    fetched = theirs(b)
    read, same_files = ours(b, offline=True)
    same("their cache, read by us", read, fetched)
    same("files", [Path(path).name for path in same_files], [Path(path).name for path in files])
    for repository in mine:
        same(f"{repository} in both", contents(mine[repository]), contents(fetched[repository]))
    same("blobs", set(inodes(a)), set(inodes(b)))
    print(f"hub: caches of ours and of huggingface_hub {huggingface_hub.__version__} agree, {len(before)} blobs each")


main()
