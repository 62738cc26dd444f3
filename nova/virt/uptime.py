"""The host's up-time and load, in the form of uptime(1), as the hypervisor API shows it."""

import os
import time


def uptime() -> str:
    """`` 12:00:00 up 3 days,  4:05,  0 users,  load average: 0.10, 0.20, 0.30``"""
    with open('/proc/uptime') as file:
        minutes = int(float(file.read().split()[0])) // 60
    load = ', '.join(f'{value:.2f}' for value in os.getloadavg())
    days, hours, minutes = minutes // 1440, minutes // 60 % 24, minutes % 60
    now = time.strftime('%H:%M:%S')
    return f' {now} up {days} days, {hours:2d}:{minutes:02d},  0 users,  load average: {load}'
