"""tinygan page: writes a student as one HTML file that generates in the browser, with no server or network.

    tinygan page --model=tinygan_v2_fashion_32 --out=page.html
    tinygan page --model=runs/mine --serve

The page mixes classes, shows variations of a picture, and walks from one to the next. The same class, seed
and truncation give the same picture as everywhere else. It shows the teacher's pictures beside, if the
teacher is on this machine, and the figures of the run's evaluation. It opens from a disk, on a phone too. A
student is a run folder, a .keras file, an embedded name or hf://OWNER/NAME, of at most 20 MiB in float16.
"""

import contextlib
import http.server
import webbrowser
from pathlib import Path

from ..errors import InputError
from .flags import file_to_write

FLAGS = ("model", "teacher", "out", "serve")
REQUIRED = ("model",)


def run(flags):
    out = Path(flags.out)
    if out.suffix != ".html":
        raise InputError(f"Got --out={out}. Expected a file that ends in .html. Name one.")
    file_to_write(out)

    from ..web.student_page import write_page

    page = write_page(flags.model, out, teacher=None if flags.teacher == "none" else flags.teacher)
    print(f"{page.stat().st_size / 1000:,.0f} kB: {page}")
    if flags.serve:
        serve(page)


def serve(page: Path):
    """Serves the page, and nothing else, to this machine alone, and opens it; until Ctrl-C."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            if self.path != "/":
                self.send_error(404)
                return
            data = page.read_bytes()
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *arguments):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        address = f"http://127.0.0.1:{server.server_port}/"
        print(f"{address} (Ctrl-C ends it)", flush=True)
        webbrowser.open(address)
        with contextlib.suppress(KeyboardInterrupt):
            server.serve_forever()
