"""Makes an object store: nats_store.py PORT NAME. Litestream wants it to be there."""

import asyncio
import sys

import nats

port, name = sys.argv[1:]


async def make():
    connection = await nats.connect(f"nats://127.0.0.1:{port}")
    await connection.jetstream().create_object_store(name)
    await connection.close()


asyncio.run(make())
