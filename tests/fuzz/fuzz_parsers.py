"""Coverage-guided fuzzing of every parser in Python, by atheris (libFuzzer for Python).

    pip install atheris                                      # wheels for Linux, x86-64
    python tests/fuzz/fuzz_parsers.py CORPUS [libFuzzer's options]
    python tests/fuzz/fuzz_parsers.py CRASH                  # reproduces one input

The corpus folder is made if need be, and gets valid messages of every kind to start from. An input
is the index of a parser, in which the highest bit says that the header is to be put right, and the
bytes for that parser. It ends with an error when a parser raises what it does not document, or
writes other bytes than it read. ``tests/cpp/fuzz/README.md`` says how to run for long.
"""

import sys
import warnings
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["veilsum"]):
    from parsers import parsers

HEADER = 14
PARSERS = list(parsers().values())


def one_input(data: bytes) -> None:
    if not data:
        return
    parser = PARSERS[(data[0] & 0x7F) % len(PARSERS)]
    message = data[1:]
    if data[0] & 0x80:
        body = message[HEADER:]
        message = parser.seeds[0][:6] + len(body).to_bytes(8, "little") + body
    parser.accepts(message)


def write_seeds(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for index, parser in enumerate(PARSERS):
        for number, seed in enumerate(parser.seeds):
            for kind in (index, index | 0x80):
                (folder / f"seed-{kind:02x}-{number}").write_bytes(bytes([kind]) + seed)


def main() -> None:
    warnings.simplefilter("ignore")  # of short keys
    if len(sys.argv) < 2 or sys.argv[1].startswith("-"):
        sys.exit("name the folder of the corpus first, or a file to reproduce")
    if not Path(sys.argv[1]).is_file():
        write_seeds(Path(sys.argv[1]))
    options = ["-timeout=20", "-rss_limit_mb=1024", "-malloc_limit_mb=64"]
    atheris.Setup([sys.argv[0], *options, *sys.argv[1:]], one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
