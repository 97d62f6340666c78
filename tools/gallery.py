"""Makes docs/gallery anew: every mail as a browser shows it, at the width of a phone and of a mail program, light and dark.

    python3 tools/gallery.py [--watchdog PROGRAM] [--out DIRECTORY]

The mails are those of `watchdog preview --sample --all` at a fixed instant, so that the same program makes the same pictures; and the report is
that of `watchdog report --sample`. The README's picture is one of them.
"""

import argparse
import html
import re
import shutil
import struct
import subprocess
import tempfile
import zlib
from collections import Counter
from itertools import chain
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
AT = "2026-03-01T14:05:00Z"
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
# A phone, and the width that mails are made for with what stands around them.
WIDTHS = (320, 600)
SCHEMES = (("light", 1), ("dark", 0))
ALL = tuple((width, word, scheme) for width in reversed(WIDTHS) for word, scheme in SCHEMES)
# On a phone at night, and in a mail program by day.
TWO = ((600, "light", 1), (320, "dark", 0))
# Kept in the repository, in this order: one of each kind, so that the gallery stays small. All others are made with `--every`.
KEPT = (
    "opened-warn-admins",
    "opened-critical-admins",
    "opened-exhausted-submitter",
    "escalated-critical-admins",
    "repeated-exhausted-admins",
    "resolved-critical-admins",
    "cannot-see",
    "policy",
    "several",
    "weekly",
)
# The same, of which two pictures say enough: they are made of the parts of those above.
KEPT_TWICE = (
    "silenced-critical-admins",
    "active-queries-exhausted-admins",
    "active-queries-exhausted-submitter",
    "waiting-critical-admins",
    "grant-asked",
    "granted",
    "grant-ends-soon",
    "grant-ended",
    "cutoff-amiss",
)
# The report, which is a page and no mail: on a screen and on a phone.
REPORT = tuple((width, word, scheme) for width in (1200, 320) for word, scheme in SCHEMES)
# The picture in the README.
FACE = "opened-critical-admins-600-light.png"
MOST_BYTES = 3_200_000


def browser():
    return next((path for name in BROWSERS if (path := shutil.which(name))), None)


def run_browser(program, profile, scheme, *arguments):
    command = [
        program, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
        "--disable-component-update", "--disable-sync", "--hide-scrollbars", "--force-device-scale-factor=1",
        f"--user-data-dir={profile}", f"--blink-settings=preferredColorScheme={scheme}", *arguments,
    ]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout


def shoot(program, directory, page, width, scheme, out):
    """A picture of the whole page. A browser's window is never as narrow as a phone, so the page stands in a frame of that width, which
    also tells how high the page is."""
    frame = directory / "frame.html"
    content = html.escape(page.read_text(), quote=True)

    def write(height):
        frame.write_text(
            f'<!doctype html><html><head><meta name="color-scheme" content="light dark"><style>body{{margin:0}}'
            f"iframe{{border:0;display:block}}</style></head><body>"
            f'<iframe width="{width}" height="{height}" srcdoc="{content}" onload="document.title='
            f"this.contentDocument.documentElement.scrollHeight+' '+this.contentDocument.documentElement.scrollWidth"
            f'"></iframe></body></html>'
        )

    profile = directory / "profile"
    write(100)
    dom = run_browser(program, profile, scheme, "--virtual-time-budget=2000", "--dump-dom", frame.as_uri())
    height, wide = map(int, re.search(r"<title>(\d+) (\d+)</title>", dom).groups())
    if wide > width:
        raise SystemExit(f"{page.name} is {wide} wide at {width}: something does not wrap")
    write(height)
    # The window is at least as wide as it can be; what is beside the frame is cut off afterwards.
    window = max(width, 500)
    run_browser(program, profile, scheme, f"--window-size={window},{height}", f"--screenshot={out}", frame.as_uri())
    crop(out, width)


def crop(path, width):
    """Cuts a picture to `width` and to 64 of its colours, which makes a fifth of it."""
    raw, at, data = path.read_bytes(), 8, b""
    while at < len(raw):
        length, kind = struct.unpack(">I4s", raw[at : at + 8])
        body = raw[at + 8 : at + 8 + length]
        if kind == b"IHDR":
            wide, high, depth, colours, _, _, interlaced = struct.unpack(">IIBBBBB", body)
        data += body if kind == b"IDAT" else b""
        at += 12 + length
    if depth != 8 or colours not in (2, 6) or interlaced:
        raise SystemExit(f"{path.name} is not the kind of PNG that a browser writes")
    rows = [[tuple(row[x : x + 3]) for x in range(0, len(row), size)] for row, size in unfiltered(data, wide, high, colours)]
    rows = [row[:width] for row in rows]
    palette, nearest = fewer(Counter(chain.from_iterable(rows)))
    packed = b"".join(b"\0" + bytes(nearest[colour] for colour in row) for row in rows)
    chunks = (
        (b"IHDR", struct.pack(">IIBBBBB", width, high, 8, 3, 0, 0, 0)),
        (b"PLTE", bytes(chain.from_iterable(palette))),
        (b"IDAT", zlib.compress(packed, 9)),
        (b"IEND", b""),
    )
    out = b"\x89PNG\r\n\x1a\n"
    for kind, body in chunks:
        out += struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
    path.write_bytes(out)


def fewer(counts, most=64):
    """The colours of which the fewest dots are far away, and for each colour the place of the nearest of them. The most frequent ones alone would
    be the greys at the borders of letters, and a thin line in a colour of its own would get another one."""
    palette, nearest = [], {}
    # How far each colour is from the nearest that was chosen, and which that is.
    far = {colour: (1 << 20, 0) for colour in counts}
    while len(palette) < most and far:
        chosen = max(far, key=lambda colour: (counts[colour] * far[colour][0], colour))
        for colour, (distance, _) in far.items():
            to = sum((a - b) ** 2 for a, b in zip(chosen, colour))
            if to < distance:
                far[colour] = (to, len(palette))
        nearest[chosen] = len(palette)
        palette.append(chosen)
        del far[chosen]
    return palette, nearest | {colour: place for colour, (_, place) in far.items()}


def unfiltered(data, wide, high, colours):
    """Each row's bytes and how many a dot has, the format's five filters undone."""
    size = 4 if colours == 6 else 3
    data, stride, before = zlib.decompress(data), wide * size, bytearray(wide * size)
    for y in range(high):
        kind, row = data[y * (stride + 1)], bytearray(data[y * (stride + 1) + 1 : (y + 1) * (stride + 1)])
        for x in range(stride) if kind else ():
            left = row[x - size] if x >= size else 0
            up, corner = before[x], before[x - size] if x >= size else 0
            if kind == 1:
                guess = left
            elif kind == 2:
                guess = up
            elif kind == 3:
                guess = (left + up) // 2
            else:
                guess = min((left, up, corner), key=lambda one: abs(left + up - corner - one))
            row[x] = (row[x] + guess) & 255
        yield row, size
        before = row


def row(cells):
    return "| " + " | ".join(cells) + " |"


def index(out, shots):
    lines = [
        "# Every mail, as it is read",
        "",
        "Made by `make gallery` from `watchdog preview --sample`; the use is made up, the words and pictures are those of the real thing.",
        "",
    ]
    for name, pictures in shots.items():
        lines += [f"## {name.replace('-', ' ')}", ""]
        if name == "report":
            lines += ["The page of `watchdog report --sample --html report.html`.", ""]
        lines += [row(f"{width} {word}" for width, word, _ in pictures), "|" + "---|" * len(pictures)]
        lines += [row(f"![{name}, {width} wide, {word}]({name}-{width}-{word}.png)" for width, word, _ in pictures), ""]
    (out / "README.md").write_text("\n".join(lines))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--watchdog", default=ROOT / "target/debug/watchdog", type=Path)
    parser.add_argument("--out", default=ROOT / "docs/gallery", type=Path)
    parser.add_argument("--every", action="store_true", help="all mails, not only one of each kind")
    arguments = parser.parse_args()
    program = browser()
    if program is None:
        print(f"SKIPPED: the gallery needs one of {', '.join(BROWSERS)} on the path; nothing was changed")
        return
    with tempfile.TemporaryDirectory() as scratch:
        scratch = Path(scratch)
        mails = scratch / "mails"
        subprocess.run(
            [arguments.watchdog, "preview", "--sample", "--all", "--at", AT, "--out", mails], check=True, capture_output=True
        )
        pages = sorted(mails.glob("*.html"))
        shots = {page.stem: ALL for page in pages} if arguments.every else dict.fromkeys(KEPT, ALL) | dict.fromkeys(KEPT_TWICE, TWO)
        shots["report"] = REPORT
        arguments.out.mkdir(parents=True, exist_ok=True)
        for old in arguments.out.glob("*.png"):
            old.unlink()
        subprocess.run([arguments.watchdog, "report", "--sample", "--html", mails / "report.html"], check=True, capture_output=True)
        for name, pictures in shots.items():
            for width, word, scheme in pictures:
                out = arguments.out / f"{name}-{width}-{word}.png"
                shoot(program, scratch, mails / f"{name}.html", width, scheme, out)
        index(arguments.out, shots)
    if arguments.out == ROOT / "docs/gallery":
        shutil.copyfile(arguments.out / FACE, ROOT / "docs/mail.png")
    size = sum(path.stat().st_size for path in arguments.out.glob("*.png"))
    print(f"{len(shots) - 1} mails and the report, {sum(map(len, shots.values()))} pictures, {size:,} bytes in {arguments.out}")
    if size > MOST_BYTES and not arguments.every:
        raise SystemExit(f"that is more than {MOST_BYTES:,} bytes: keep fewer")


if __name__ == "__main__":
    main()
