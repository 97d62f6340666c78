"""Makes docs/gallery anew: every mail as a browser shows it, at the width of a phone and of a mail program, light and dark.

    python3 tools/gallery.py [--watchdog PROGRAM] [--out DIRECTORY]

The mails are those of `watchdog preview --sample --all` at a fixed instant, so that the same program makes the same pictures; and the report is
that of `watchdog report --sample`. The README's picture is one of them. Needs Pillow: `tools/install.py pictures`.
"""

import argparse
import html
import re
import shutil
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
AT = "2026-03-01T14:05:00Z"
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
# A phone, and the width that mails are made for with what stands around them.
WIDTHS = (320, 600)
SCHEMES = (("light", 1), ("dark", 0))
ALL = tuple((width, word, scheme) for width in reversed(WIDTHS) for word, scheme in SCHEMES)
# The report, which is a page and no mail: on a screen and on a phone.
REPORT = tuple((width, word, scheme) for width in (1200, 320) for word, scheme in SCHEMES)
# What the mails are about, in the order of the page, by how their names begin.
CHAPTERS = (
    ("A limit", ("opened", "escalated", "repeated", "resolved", "silenced")),
    ("Active and waiting queries", ("active-queries", "waiting")),
    ("Grants", ("grant", "cutoff")),
    ("What cannot be seen", ("cannot-see", "seen-again", "listing", "policy")),
    ("All in one", ("several", "weekly", "report")),
)
# Of the whole folder, which every clone of the repository has.
MOST_BYTES = 7_500_000
# Enough for text with smooth borders; a picture of more is half as large again.
COLOURS = 64


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
    shot = directory / "shot.png"
    run_browser(program, profile, scheme, f"--window-size={max(width, 500)},{height}", f"--screenshot={shot}", frame.as_uri())
    with Image.open(shot) as whole:
        picture = whole.convert("RGB").crop((0, 0, width, height))
    few = fewer(picture.getcolors(picture.width * picture.height))
    picture.quantize(COLOURS, palette=few, dither=Image.Dither.NONE).convert("RGB").save(out, "WEBP", lossless=True, quality=100, method=6)


def fewer(counted):
    """A palette of the colours of which the fewest dots are far away, each as it is. The most frequent ones alone would be the greys at the
    borders of letters, and a thin line in a colour of its own would get another one; averages, which Pillow's own ways make, would tint what
    is plain."""
    counts, palette = {colour: count for count, colour in counted}, []
    # How far each colour is from the nearest that was chosen.
    far = dict.fromkeys(counts, 1 << 20)
    while len(palette) < COLOURS and far:
        chosen = max(far, key=lambda colour: (counts[colour] * far[colour], colour))
        del far[chosen]
        for colour, distance in far.items():
            far[colour] = min(distance, sum((a - b) ** 2 for a, b in zip(chosen, colour)))
        palette.append(chosen)
    image = Image.new("P", (1, 1))
    # Where there are fewer colours than places, the last one once more: Pillow would fill them with black.
    palette += palette[-1:] * (COLOURS - len(palette))
    image.putpalette(bytes(part for colour in palette for part in colour))
    return image


def row(cells):
    return "| " + " | ".join(cells) + " |"


def index(out, shots):
    """The page with all pictures, by what they are about."""
    lines = [
        "# Every mail, as it is read",
        "",
        "All that `watchdog preview --sample --all` makes, at the width of a phone and of a mail program, light and dark. Made by `make gallery`;",
        "the use is made up, the words and pictures are those of the real thing.",
        "",
    ]
    for chapter, beginnings in CHAPTERS:
        lines += [f"## {chapter}", ""]
        for name in (name for beginning in beginnings for name in shots if name.startswith(beginning)):
            pictures = shots[name]
            lines += [f"### {name.replace('-', ' ')}", ""]
            if name == "report":
                lines += ["The page of `watchdog report --sample --html report.html`.", ""]
            lines += [row(f"{width} {word}" for width, word, _ in pictures), "|" + "---|" * len(pictures)]
            lines += [row(f"![{name}, {width} wide, {word}]({name}-{width}-{word}.webp)" for width, word, _ in pictures), ""]
    (out / "README.md").write_text("\n".join(lines))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--watchdog", default=ROOT / "target/debug/watchdog", type=Path)
    parser.add_argument("--out", default=ROOT / "docs/gallery", type=Path)
    arguments = parser.parse_args()
    program = browser()
    if program is None:
        print(f"SKIPPED: the gallery needs one of {', '.join(BROWSERS)} on the path; nothing was changed")
        return
    with tempfile.TemporaryDirectory() as scratch:
        mails = Path(scratch) / "mails"
        subprocess.run(
            [arguments.watchdog, "preview", "--sample", "--all", "--at", AT, "--out", mails], check=True, capture_output=True
        )
        shots = {page.stem: ALL for page in sorted(mails.glob("*.html"))}
        subprocess.run([arguments.watchdog, "report", "--sample", "--html", mails / "report.html"], check=True, capture_output=True)
        shots["report"] = REPORT
        homeless = [name for name in shots if sum(name.startswith(one) for _, all in CHAPTERS for one in all) != 1]
        if homeless:
            raise SystemExit(f"in no chapter of the page, or in several: {', '.join(homeless)}")
        arguments.out.mkdir(parents=True, exist_ok=True)
        for old in arguments.out.glob("*.webp"):
            old.unlink()

        def make(name):
            # A folder of its own: the pictures of two mails are made at once.
            with tempfile.TemporaryDirectory() as own:
                for width, word, scheme in shots[name]:
                    shoot(program, Path(own), mails / f"{name}.html", width, scheme, arguments.out / f"{name}-{width}-{word}.webp")

        with ThreadPoolExecutor(2) as pool:
            list(pool.map(make, shots))
        index(arguments.out, shots)
    size = sum(path.stat().st_size for path in arguments.out.glob("*.webp"))
    print(f"{len(shots) - 1} mails and the report, {sum(map(len, shots.values()))} pictures, {size:,} bytes in {arguments.out}")
    if size > MOST_BYTES:
        raise SystemExit(f"that is more than {MOST_BYTES:,} bytes: fewer colours would be a remedy")


if __name__ == "__main__":
    main()
