"""A mail server that keeps what it is given: the far end of the local SES.

The local AWS tells of a mail its subject and bodies only, and the addresses of the To header. What a person would
have received (the raw message with its own headers, and the true recipients) it relays by SMTP; this is where to.
"""

import base64
import email
import email.policy
import re
import socketserver
import threading
from pathlib import Path

# SES's own limit.
LARGEST_MAIL = 10_000_000
LONGEST_LINE = 2_000


class Mail:
    """One mail as it was delivered."""

    def __init__(self, number, recipients, raw):
        self.number = number
        self.recipients = recipients
        self.raw = raw
        self.message = email.message_from_bytes(raw, policy=email.policy.default)
        self.paths = []

    @property
    def subject(self):
        return str(self.message.get("Subject", "(no subject)"))

    def part(self, kind):
        """The text of the part `plain` or `html`, or None."""
        body = self.message.get_body(preferencelist=(kind,))
        return body.get_content() if body is not None else None

    def write(self, directory):
        """Writes the mail as `.eml`, and its HTML as `.html`; `paths` tells where."""
        directory.mkdir(parents=True, exist_ok=True)
        words = re.sub(r"[^a-z0-9]+", "-", f"{self.recipients[0]} {self.subject}".lower()).strip("-")[:80]
        eml = directory / f"{self.number:02}-{words}.eml"
        eml.write_bytes(self.raw)
        self.paths = [eml]
        html = self.part("html")
        if html is not None:
            self.paths.append(eml.with_suffix(".html"))
            self.paths[-1].write_text(self._with_pictures(html))

    def _with_pictures(self, html):
        """The HTML with its pictures inside: a browser knows of no mail that they are parts of."""
        for part in self.message.walk():
            cid = str(part.get("Content-ID", "")).strip("<> ")
            if cid and part.get_content_maintype() == "image":
                data = base64.b64encode(part.get_content()).decode("ascii")
                html = html.replace(f"cid:{cid}", f"data:{part.get_content_type()};base64,{data}")
        return html


class Mailbox:
    """Listens on a free port of this machine until closed; every mail is written to `directory` as it arrives."""

    def __init__(self, directory):
        self.directory = Path(directory)
        self.mails = []
        self._lock = threading.Lock()
        mailbox = self

        class Session(socketserver.StreamRequestHandler):
            timeout = 30

            def handle(self):
                mailbox._serve(self)

        socketserver.ThreadingTCPServer.daemon_threads = True
        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Session)
        self.address = "127.0.0.1:{}".format(self._server.server_address[1])
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self):
        self._server.shutdown()
        self._server.server_close()

    def since(self, count):
        """The mails after the first `count`."""
        with self._lock:
            return self.mails[count:]

    def _serve(self, session):
        """The part of RFC 5321 that a relay speaks."""

        def answer(line):
            session.wfile.write(line.encode() + b"\r\n")

        recipients = []
        answer("220 mailbox")
        while True:
            line = session.rfile.readline(LONGEST_LINE)
            if not line:
                return
            command = line.decode("ascii", "replace").strip()
            word = command[:4].upper()
            if word in ("EHLO", "HELO"):
                answer("250 mailbox")
            elif word == "MAIL":
                recipients = []
                answer("250 ok")
            elif word == "RCPT":
                recipients.append(re.sub(r"^.*<(.*)>.*$", r"\1", command))
                answer("250 ok")
            elif word == "DATA":
                answer("354 go on")
                raw = self._data(session)
                if raw is None:
                    return
                with self._lock:
                    mail = Mail(len(self.mails) + 1, recipients, raw)
                    mail.write(self.directory)
                    self.mails.append(mail)
                answer("250 kept")
            elif word == "QUIT":
                answer("221 bye")
                return
            elif word in ("RSET", "NOOP"):
                answer("250 ok")
            else:
                answer("502 not here")

    @staticmethod
    def _data(session):
        """The message up to the line with a single dot; None when it breaks off or is too large."""
        lines, size = [], 0
        while True:
            line = session.rfile.readline(LARGEST_MAIL)
            size += len(line)
            if not line or size > LARGEST_MAIL:
                return None
            if line.rstrip(b"\r\n") == b".":
                return b"".join(lines)
            lines.append(line[1:] if line.startswith(b".") else line)
