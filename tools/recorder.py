"""What the deployed functions call: a gateway before the local AWS that passes everything on and writes down a line for each call.

The functions are led here, and those who ask them for grants, which must have the same endpoint. What functions call is then known by what goes over
the wire, whether or not the local AWS knows the call and whether or not it lets them; their own reports are not asked.
"""

import http.client
import http.server
import json
import re
import threading
import urllib.parse

# Another address of this machine than the local AWS has, so that the port may be the same: a function answers CloudFormation only at the port that its
# endpoint has.
HOST = "127.0.0.2"
# The SDK's name for an application: calls that bear it are not written down. No function bears a name.
NO_FUNCTION = "no-function"
# Longer than any call of a function may take.
SECONDS = 60
# What IAM calls a service, where a signature says otherwise.
NAMES = {"monitoring": "cloudwatch", "email": "ses"}
# A transaction is no action for IAM; its parts are.
PARTS = {"Put": "PutItem", "Update": "UpdateItem", "Delete": "DeleteItem", "ConditionCheck": "ConditionCheckItem"}
# Of one connection only, and not to be passed on.
HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length"}


def actions(path, headers, body):
    """The access key that signed a request, and what IAM calls it: `service:Operation`, or several of a transaction; `(None, [])` of an unsigned one."""
    path, _, query = path.partition("?")
    query = urllib.parse.parse_qs(query)
    credential = re.search(r"Credential=([^,\s]+)", headers.get("Authorization") or "")
    credential = credential.group(1) if credential else query.get("X-Amz-Credential", [""])[0]
    key, _, scope = credential.partition("/")
    if not scope:
        return None, []
    service = scope.split("/")[2]
    service = NAMES.get(service, service)
    operation = (headers.get("X-Amz-Target") or "").rpartition(".")[2] or path.partition("/operation/")[2]
    if not operation:
        form = {**query, **urllib.parse.parse_qs(body.decode("utf-8", "replace"))}
        operation = form.get("Action", [f"an operation at {path}"])[0]
    if operation == "TransactWriteItems":
        return key, [f"{service}:{PARTS[kind]}" for item in json.loads(body)["TransactItems"] for kind in item]
    return key, [f"{service}:{operation}"]


class Recorder:
    """Listens on `HOST` at the local AWS's own port until closed; every call is a line of JSON at the end of `file`."""

    def __init__(self, port, file):
        self.file = file
        self._lock = threading.Lock()
        file.write_text("")
        recorder = self

        class Passing(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            # A head and a body are two writes: with Nagle's algorithm the second would wait for the other side.
            disable_nagle_algorithm = True

            def _pass(self):
                recorder._pass(self, port)

            do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = _pass

            def log_message(self, *_):
                """Nothing to standard error."""

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_):
                """A function that is ended leaves its connections as they are."""

        self._server = Server((HOST, port), Passing)
        self.endpoint = f"http://{HOST}:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self):
        self._server.shutdown()
        self._server.server_close()

    def _pass(self, request, port):
        body = request.rfile.read(int(request.headers.get("Content-Length") or 0))
        onward = http.client.HTTPConnection("127.0.0.1", port, timeout=SECONDS)
        try:
            onward.putrequest(request.command, request.path, skip_host=True, skip_accept_encoding=True)
            for name, value in request.headers.items():
                if name.lower() not in HOP_BY_HOP:
                    onward.putheader(name, value)
            onward.putheader("Content-Length", str(len(body)))
            onward.endheaders(body)
            reply = onward.getresponse()
            said = reply.read()
            self._note(request, body, reply.status, said)
            request.send_response_only(reply.status, reply.reason)
            for name, value in reply.getheaders():
                if name.lower() not in HOP_BY_HOP:
                    request.send_header(name, value)
        except OSError as error:
            # The local AWS is gone, or about to be.
            said = f"{type(error).__name__}: {error}".encode()
            request.send_response_only(502)
        finally:
            onward.close()
        request.send_header("Content-Length", str(len(said)))
        request.end_headers()
        if request.command != "HEAD":
            request.wfile.write(said)

    def _note(self, request, body, status, said):
        agents = f"{request.headers.get('User-Agent')} {request.headers.get('X-Amz-User-Agent')}"
        if f"app/{NO_FUNCTION}" in agents:
            return
        key, found = actions(request.path, request.headers, body)
        is_refused = status >= 400 and b"AccessDenied" in said
        lines = [json.dumps({"action": action, "key": key, "status": status, "refused": is_refused}) for action in found]
        with self._lock, open(self.file, "a") as file:
            file.writelines(f"{line}\n" for line in lines)
