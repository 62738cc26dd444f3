"""What the helper has taken on this host, written down before it is taken.

    <directory>/networks/<id>/intent.json    the network's last wanted state, and ports not yet gone
               /networks/<id>/...            dnsmasq's files
               /routers/<id>/intent.json     the router's last wanted state
               /sysctls.json                 values from before the first change

An entry is there before anything is made on the host and goes after everything is gone, so after a kill
at any moment what exists is among what is recorded.  Files are replaced by renaming; they need not survive
a power cut, which takes the links and rules with it too.
"""

import contextlib
import json
import os
import shutil
from collections.abc import Callable
from typing import Any

_SYSCTL = '/proc/sys/'


def _read(path: str) -> dict[str, Any]:
    """A JSON object, or {} if the file is missing or torn."""
    try:
        with open(path, encoding='utf-8') as file:
            found = json.load(file)
    except (FileNotFoundError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def write(path: str, text: str, mode: int = 0o644) -> bool:
    """Replace a file whole; False if it said the same already."""
    with contextlib.suppress(FileNotFoundError), open(path, encoding='utf-8') as file:
        if file.read() == text:
            return False
    temporary = f'{path}.new'
    with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), 'w', encoding='utf-8') as file:
        file.write(text)
    os.replace(temporary, path)
    return True


class Record:
    """The helper's directory."""

    def __init__(self, directory: str) -> None:
        self.directory = directory
        for name in ('networks', 'routers'):
            os.makedirs(f'{directory}/{name}', 0o755, exist_ok=True)

    def home(self, kind: str, id: str) -> str:
        """The directory of one network or router; made if it is not there."""
        path = f'{self.directory}/{kind}/{id}'
        os.makedirs(path, 0o755, exist_ok=True)
        return path

    def ids(self, kind: str) -> list[str]:
        return sorted(os.listdir(f'{self.directory}/{kind}'))

    def knows(self, kind: str, id: str) -> bool:
        return os.path.isdir(f'{self.directory}/{kind}/{id}')

    def intent(self, kind: str, id: str) -> dict[str, Any]:
        """What was written last; {} if nothing, or if the writer was killed before."""
        return _read(f'{self.directory}/{kind}/{id}/intent.json')

    def intend(self, kind: str, id: str, intent: dict[str, Any]) -> None:
        write(f'{self.home(kind, id)}/intent.json', json.dumps(intent, sort_keys=True))

    def forget(self, kind: str, id: str) -> None:
        shutil.rmtree(f'{self.directory}/{kind}/{id}', ignore_errors=True)

    # ---- sysctls of the host

    def set_sysctl(self, name: str, value: str, along: Callable[[], list[str]] = list) -> None:
        """Set ``net/ipv4/ip_forward``, say; first its value and those that change ``along`` are kept."""
        if sysctl(name) == value:
            return
        path = f'{self.directory}/sysctls.json'
        saved = _read(path)
        for one in (name, *along()):
            saved.setdefault(one, sysctl(one))
        write(path, json.dumps(saved))
        set_sysctl(name, value)

    def restore_sysctls(self) -> None:
        """Give the first values back, in the order they were saved: a cause before what it changed along."""
        path = f'{self.directory}/sysctls.json'
        for name, value in _read(path).items():
            with contextlib.suppress(FileNotFoundError):        # the interface is gone
                if sysctl(name) != value:
                    set_sysctl(name, value)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)


def sysctl(name: str) -> str:
    """A sysctl of the thread's namespace; ``FileNotFoundError`` if there is none of that name."""
    with open(_SYSCTL + name, encoding='ascii') as file:
        return file.read().strip()


def set_sysctl(name: str, value: str) -> None:
    with open(_SYSCTL + name, 'w', encoding='ascii') as file:
        file.write(value)


def ensure_sysctls(values: dict[str, str]) -> None:
    """Values for the thread's namespace; those the kernel was built without are passed over."""
    for name, value in values.items():
        with contextlib.suppress(FileNotFoundError):
            if sysctl(name) != value:
                set_sysctl(name, value)
