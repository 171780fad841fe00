"""kombu's Redis transport, mended where a message or a full Redis would end the worker (kombu 5.7).

Whatever kombu can't read in a queue escapes into Celery's event loop and ends the worker process; or it
passes for a lost connection, since KeyError counts as one. The message is out of its list by then, so here it
is set aside (seeder/poison.py). Only a worker consumes, and only Celery's entry point (seeder/celery.py) puts
this in place.
"""

from contextlib import suppress
from queue import Empty
from typing import Any

import structlog
from kombu.transport import TRANSPORT_ALIASES, redis, virtual
from redis.exceptions import OutOfMemoryError

from seeder.poison import LONGEST_BYTES, is_redis_own, set_aside, told

log = structlog.get_logger(__name__)


def install() -> None:
    """From here on ``redis://`` and ``rediss://`` mean this transport."""
    TRANSPORT_ALIASES.update(dict.fromkeys(("redis", "rediss"), f"{__name__}:Transport"))


class Message(virtual.Message):
    def __init__(self, payload: Any, channel: Any = None, **kwargs: Any) -> None:
        # kombu would unpack it here. A few kB can become gigabytes, and seeder compresses none.
        if (payload.get("headers") or {}).get("compression"):
            raise ValueError("it is compressed")
        super().__init__(payload, channel, **kwargs)


class QoS(redis.QoS):
    """Redis' notes of what a worker has taken and not acknowledged. A full Redis takes none."""

    def append(self, message: Any, delivery_tag: str) -> None:
        """Without a note only this process knows that the message is out of its list; what is taken is what
        makes Redis less full. If the process dies in this moment, the sweep finds the run."""
        try:
            super().append(message, delivery_tag)
        except OutOfMemoryError:
            virtual.QoS.append(self, message, delivery_tag)

    def ack(self, delivery_tag: str) -> None:
        try:
            super().ack(delivery_tag)
        except OutOfMemoryError:
            # It refuses whatever is part of a MULTI.
            with self.channel.conn_or_acquire() as client:
                client.zrem(self.unacked_index_key, delivery_tag)
                client.hdel(self.unacked_key, delivery_tag)
            virtual.QoS.ack(self, delivery_tag)

    def reject(self, delivery_tag: str, requeue: bool = False) -> None:
        if requeue:
            super().reject(delivery_tag, requeue)
        else:
            self.ack(delivery_tag)

    def restore_visible(self, *args: Any, **kwargs: Any) -> None:
        """Put what a dead worker had back into its list."""
        try:
            super().restore_visible(*args, **kwargs)
        except OutOfMemoryError:
            log.warning("messages of dead workers stay where they are: Redis is full")

    def restore_by_tag(self, tag: Any, client: Any = None, leftmost: bool = False) -> None:
        """What isn't one of kombu's notes would keep every worker from starting."""
        try:
            super().restore_by_tag(tag, client, leftmost)
        except Exception as error:
            if is_redis_own(error):
                raise
            with self.channel.conn_or_acquire(client) as client:
                set_aside(client, client.hget(self.unacked_key, tag) or b"", self.unacked_key, told(error))
                self._remove_from_indices(tag).execute()


class Channel(redis.Channel):
    QoS = QoS
    Message = Message

    #: BRPOP's last reply: a list's key and a message.
    _reply: tuple[bytes, bytes] | None = None

    def _create_client(self, asynchronous: bool = False) -> Any:
        client = super()._create_client(asynchronous)
        if asynchronous:
            client.set_response_callback("BRPOP", self._take)
        return client

    def _size(self, queue: str) -> int:
        """Asked while a queue is declared, that is when a worker starts; and refused in a MULTI."""
        try:
            return int(super()._size(queue))
        except OutOfMemoryError:
            return 0

    def _queue_bind(self, exchange: str, routing_key: str, pattern: str, queue: str) -> None:
        """A worker takes from its lists without it."""
        try:
            super()._queue_bind(exchange, routing_key, pattern, queue)
        except OutOfMemoryError:
            log.warning("the queue is used without its binding: Redis is full", queue=queue)

    def maybe_refresh_binding_expiry(self) -> None:
        """Tried each second, and told each second."""
        with suppress(OutOfMemoryError):
            super().maybe_refresh_binding_expiry()

    def _take(self, reply: list[bytes] | None, **_: Any) -> tuple[bytes, bytes] | None:
        if not reply:
            return None
        self._reply = reply[0], reply[1]
        if len(reply[1]) > LONGEST_BYTES:
            self._set_aside(f"longer than {LONGEST_BYTES} bytes")
        return self._reply

    def _brpop_read(self, **options: Any) -> Any:
        try:
            return super()._brpop_read(**options)
        except Exception as error:
            if isinstance(error, Empty) or is_redis_own(error):
                raise
            self._set_aside(told(error))
        return True

    def _set_aside(self, why: str) -> None:
        # Not kept any longer: it may be big.
        reply, self._reply = self._reply, None
        if reply is not None:
            key, text = reply
            with self.conn_or_acquire() as client:
                set_aside(client, text, key.decode().split(self.sep)[0], why)

    def _receive_one(self, subclient: Any) -> Any:
        """A broadcast for remote control, or an event."""
        try:
            return super()._receive_one(subclient)
        except Empty:
            # From here it would leave what came after it unread until more comes.
            return False
        except Exception as error:
            if is_redis_own(error):
                raise
            log.error("broadcast that can't be read is dropped", why=told(error)[:300])
            return False


class Transport(redis.Transport):
    Channel = Channel
