"""The measurements of ``tools/bench``, with nothing but the standard library.

::

    cli        what to measure, on which cloud; JSON lines, then a table
    cases      one function per measurement
    estate     a project of our own on the cloud, with quotas, a network and servers; removed afterwards
    load       many calls from a few threads, and their percentiles
    client     the cloud over HTTP: login, catalog, kept connections
    swift      the measurements of an object store; pair starts ours and another release to compare with,
               wire sends many requests from one thread
    processes  the daemons of a cloud on this host: CPU time and memory
"""
