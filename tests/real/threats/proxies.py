"""nginx and HAProxy in front of a server, as oracles: each says what it passed on."""

import socket
import subprocess
import threading

from scoria_server import wait_until

NGINX = """
daemon off;
master_process off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{}}
http {{
    log_format passed '$upstream_addr $request';
    access_log {folder}/passed.log passed;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    client_header_timeout 2s;
    client_body_timeout 2s;
    merge_slashes off;
    upstream server {{
        server {host}:{port};
        keepalive 4;
    }}
    server {{
        listen 127.0.0.1:{listen};
        location / {{
            proxy_pass http://server;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host $http_host;
            # Bytes are passed on as they come, which leaves the most room for two readings.
            proxy_request_buffering off;
            proxy_buffering off;
        }}
    }}
}}
"""

HAPROXY = """
global
    tune.http.logurilen 65535
    log stdout len 65535 format raw local0
defaults
    mode http
    log global
    option http-keep-alive
    option http-buffer-request
    http-reuse always
    timeout connect 2s
    timeout client 2s
    timeout server 2s
    timeout http-request 2s
    log-format "%b/%s %r"
frontend front
    bind 127.0.0.1:{listen}
    default_backend back
backend back
    server server {host}:{port}
"""


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


class Proxy:
    """A reverse proxy in front of `server`, for as long as its `with` block."""

    configuration = ""

    def __init__(self, folder, server):
        host, port = server
        self.host_and_port = ("127.0.0.1", free_port())
        self._folder = folder
        self._file = folder / "proxy.conf"
        self._file.write_text(
            self.configuration.format(folder=folder, host=host, port=port, listen=self.host_and_port[1])
        )
        self._lines = []

    def __enter__(self):
        self._process = subprocess.Popen(
            [*self.command, self._file], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        wait_until(self._accepts, what=f"{self.command[0]}'s port")
        return self

    def __exit__(self, *_):
        self._process.terminate()
        self._process.wait(10)
        self._reader.join()

    def _read(self):
        self._lines.extend(self._process.stdout)

    def _accepts(self):
        assert self._process.poll() is None, "".join(self._lines)
        try:
            socket.create_connection(self.host_and_port, timeout=5).close()
        except ConnectionRefusedError:
            return False
        return True

    def passed(self):
        """The log lines of requests that were passed on to the server, whatever it said to them."""
        return [line for line in self.log_lines() if line.startswith(self.server_mark)]


class Nginx(Proxy):
    configuration = NGINX
    command = ("nginx", "-e", "stderr", "-c")
    # The server's address; "-" stands for none.
    server_mark = "127."

    def log_lines(self):
        with open(self._folder / "passed.log") as file:
            return file.readlines()

    # The server's address; "-" stands for none.
    server_mark = "127."


class HAProxy(Proxy):
    configuration = HAPROXY
    command = ("haproxy", "-db", "-f")
    server_mark = "back/server"

    def log_lines(self):
        return list(self._lines)
