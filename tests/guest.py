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


if __name__ == '__main__':
    {'listen': listen, 'talk': talk, 'send': send, 'frame': frame, 'sniff': sniff,
     'advertise': advertise}[sys.argv[1]](*sys.argv[2:])
