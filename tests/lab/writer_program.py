"""Write numbers to PostgreSQL and Redis, 200 a second each, and print each once it is acknowledged; runs in the lab's own image.

STORES names those to write to; by default, both.

A number whose fate is not known (the connection broke before the answer) is never written again: the next one is. So none
can be there twice, and only those that were acknowledged are claimed.
"""

import os
import threading
import time

import psycopg
import redis

PERIOD_S = 0.005
WAIT_S = 0.2
ONE_LINE = threading.Lock()


def connect_postgres():
    """Return a function that writes one number."""
    connection = psycopg.connect(
        host="postgres", dbname="shop", user="orders_app", password=os.environ["ORDERS_DB_PASSWORD"], connect_timeout=2, autocommit=True,
        tcp_user_timeout=2000,
    )  # fmt: skip
    return lambda number: connection.execute("INSERT INTO ticks (number) VALUES (%s)", (number,))


def connect_redis():
    """Return a function that writes one number."""
    client = redis.Redis(
        host="redis",
        password=os.environ["ORDERS_REDIS_PASSWORD"],
        socket_timeout=2,
        socket_connect_timeout=2,
        retry=None,
        retry_on_error=None,
    )
    return lambda number: client.rpush("orders:ticks", number)


def write(name, connect):
    """Write for ever."""
    number, store, due = 0, None, time.monotonic()
    while True:
        number += 1
        try:
            store = store or connect()
            store(number)
            with ONE_LINE:
                print(name, number, flush=True)
        except (psycopg.Error, redis.RedisError, OSError):
            store = None
            time.sleep(WAIT_S)
        due = max(due + PERIOD_S, time.monotonic() - 1)
        time.sleep(max(0.0, due - time.monotonic()))


STORES = {"postgres": connect_postgres, "redis": connect_redis}
for one in os.environ.get("STORES", "postgres redis").split():
    threading.Thread(target=write, args=(one, STORES[one]), daemon=True).start()
time.sleep(3600)
