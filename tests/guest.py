"""What a guest does in the network tests: a small program run inside the guest's namespace.

It imports nothing of the project and prints one line per event, at once.
"""

import select
import socket
import struct
import sys


def say(*words):
    print(*words, flush=True)


def listen(port):
    """Echo whatever comes over TCP, to many at a time."""
    server = socket.socket()
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    server.bind(('', int(port)))
    server.listen()
    say('ready')
    socks = [server]
    while True:
        for sock in select.select(socks, [], [])[0]:
            if sock is server:
                socks.append(server.accept()[0])
                continue
            data = sock.recv(4096)
            if data:
                sock.sendall(data)
            else:
                socks.remove(sock)
                sock.close()


def talk(host, port, patience='1'):
    """Connect, then send each line of standard input and say what comes back."""
    sock = socket.socket()
    sock.settimeout(float(patience))
    try:
        sock.connect((host, int(port)))
    except TimeoutError:
        say('silent')
        return
    except OSError as error:
        say('refused', error)
        return
    say('connected', sock.getsockname()[0])
    for line in sys.stdin:
        sock.sendall(line.encode())
        try:
            say('heard', sock.recv(4096).decode().strip())
        except TimeoutError:
            say('silent')


def send(source_port, host, port):
    """One UDP datagram."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b'eth0')
    sock.bind(('', int(source_port)))
    sock.sendto(b'hello', (host, int(port)))
    say('sent')


def frame(text):
    """One raw Ethernet frame, given in hexadecimal."""
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    sock.bind(('eth0', 0))
    sock.send(bytes.fromhex(text))
    say('sent')


def sniff(patience='1.5'):
    """Every frame that comes in, in hexadecimal, until it has been quiet for a while."""
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
    sock.bind(('eth0', 0))
    say('ready')
    while select.select([sock], [], [], float(patience))[0]:
        data, where = sock.recvfrom(65536)
        if where[2] != 4:       # outgoing
            say(data.hex())


def advertise():
    """One router advertisement."""
    sock = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 255)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b'eth0')
    sock.sendto(struct.pack('>BBHBBHII', 134, 0, 0, 64, 0, 1800, 0, 0), ('ff02::1', 0))
    say('sent')


def solicit(times):
    """As many router solicitations."""
    sock = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 255)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b'eth0')
    for _ in range(int(times)):
        sock.sendto(struct.pack('>BBHI', 133, 0, 0, 0), ('ff02::2', 0))
    say('sent')


def dhcp6(kind):
    """Ask DHCPv6 for an ``address``, or for ``settings`` alone; what was given, a line each."""
    with open('/sys/class/net/eth0/address') as file:
        own = option(1, struct.pack('>HH', 3, 1) + bytes.fromhex(file.read().strip().replace(':', '')))
    wish = own + option(8, b'\0\0') + option(6, struct.pack('>H', 23))
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b'eth0')
        sock.bind(('', 546))
        if kind == 'settings':
            given = ask(sock, 11, wish)
        else:
            lease = option(3, struct.pack('>III', 1, 0, 0))
            offer = ask(sock, 1, wish + lease)
            given = offer and 3 in offer and ask(sock, 3, wish + option(2, offer[2]) + option(3, offer[3]))
    if not given:
        say('silent')
        return
    if 5 in (held := options(given.get(3, b'')[12:])):
        say('address', socket.inet_ntop(socket.AF_INET6, held[5][:16]))
    if 23 in given:
        say('dns', socket.inet_ntop(socket.AF_INET6, given[23][:16]))


def option(code, content):
    return struct.pack('>HH', code, len(content)) + content


def options(text):
    """DHCPv6 options by their code."""
    found = {}
    while text:
        code, length = struct.unpack_from('>HH', text)
        found[code], text = text[4:4 + length], text[4 + length:]
    return found


def ask(sock, kind, content, patience=1.0, tries=4):
    """The options of the answer to a DHCPv6 message, or None."""
    for _ in range(tries):
        sock.sendto(struct.pack('>B3s', kind, b'abc') + content, ('ff02::1:2', 547))
        if select.select([sock], [], [], patience)[0]:
            return options(sock.recv(4096)[4:])
    return None


if __name__ == '__main__':
    {'listen': listen, 'talk': talk, 'send': send, 'frame': frame, 'sniff': sniff, 'dhcp6': dhcp6,
     'advertise': advertise, 'solicit': solicit}[sys.argv[1]](*sys.argv[2:])
