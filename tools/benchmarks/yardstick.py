"""nginx with sendfile: how fast this host hands out a file, for object stores to be held against."""

import os
import shutil
import subprocess
import time
import urllib.request
from pathlib import Path

from benchmarks import pair
from benchmarks.client import Trouble

CONF = """daemon off;
worker_processes 1;
{user}pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 64; }}
http {{
    sendfile on; tcp_nopush on; access_log off;
    client_body_temp_path {folder}/1; proxy_temp_path {folder}/2; fastcgi_temp_path {folder}/3;
    uwsgi_temp_path {folder}/4; scgi_temp_path {folder}/5;
    server {{ listen 127.0.0.1:{port}; root {folder}/files; }}
}}
"""


def is_there() -> bool:
    """Whether nginx is installed."""
    return _binary() is not None


def _binary() -> str | None:
    return shutil.which('nginx', path=f'{os.environ.get("PATH", "")}:/usr/sbin')


class Nginx:
    """An nginx that serves one file, ``/large``, as long as the block."""

    def __init__(self, folder: Path, megabytes: int) -> None:
        self.folder, self.megabytes = folder, megabytes
        self.port = pair.free_port()
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> 'Nginx':
        binary = _binary()
        if binary is None:
            raise Trouble('nginx is not installed')
        (self.folder / 'files').mkdir(parents=True)
        with (self.folder / 'files' / 'large').open('wb') as file:
            for _ in range(self.megabytes):
                file.write(bytes(1 << 20))
        conf = self.folder / 'nginx.conf'
        conf.write_text(CONF.format(folder=self.folder, port=self.port, user='user root;\n' if not os.getuid() else ''))
        self._process = subprocess.Popen([binary, '-p', str(self.folder), '-c', str(conf)],
                                         stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self._wait()
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(10)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _wait(self) -> None:
        deadline = time.monotonic() + 10
        while True:
            try:
                urllib.request.urlopen(urllib.request.Request(
                    f'http://127.0.0.1:{self.port}/large', method='HEAD'), timeout=5).close()
                return
            except OSError as error:
                if time.monotonic() > deadline:
                    self.__exit__()
                    raise Trouble(f'nginx did not start: {error}') from error
                time.sleep(0.05)

    def forget(self) -> None:
        """Drop the file from the page cache."""
        fd = os.open(self.folder / 'files' / 'large', os.O_RDONLY)
        os.fsync(fd)
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(fd)

    def pids(self) -> dict[str, int]:
        """Its processes."""
        assert self._process is not None
        return {'nginx': self._process.pid,
                **{f'nginx.{number}': pid for number, pid in enumerate(pair.children(self._process.pid))}}
