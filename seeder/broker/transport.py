"""kombu's Redis transport, which survives malformed messages and a full Redis, and makes no notes of messages
whose runs are in the record.

In kombu 5.7 an error about a message that can't be read reaches Celery's event loop and ends the worker
process, or is taken for a lost connection, since KeyError counts as one. The message has left its list by
then, so here it is set aside (seeder/broker/dead_letters.py). Only workers consume, and only Celery's entry
point (seeder/celery.py) installs this transport.
"""

from contextlib import suppress
from queue import Empty
from typing import Any

import structlog
from amqp.exceptions import RecoverableConnectionError
from kombu.transport import TRANSPORT_ALIASES, redis, virtual
from redis.exceptions import OutOfMemoryError, RedisError

from seeder.broker.dead_letters import LONGEST_BYTES, is_redis_own, set_aside, told

log = structlog.get_logger(__name__)


def install(unnoted_task: str | None = None) -> None:
    """From here on ``redis://`` and ``rediss://`` mean this transport.

    ``unnoted_task`` is one whose runs are recorded before their messages are sent, so that a message which a
    dying worker takes with it is missed.
    """
    QoS.unnoted_task = unnoted_task
    TRANSPORT_ALIASES.update(dict.fromkeys(("redis", "rediss"), f"{__name__}:Transport"))


class Message(virtual.Message):
    def __init__(self, payload: Any, channel: Any = None, **kwargs: Any) -> None:
        # kombu would unpack it here. A few kB can become gigabytes, and seeder compresses none.
        if (payload.get("headers") or {}).get("compression"):
            raise ValueError("it is compressed")
        super().__init__(payload, channel, **kwargs)


class QoS(redis.QoS):
    """The notes in Redis of messages that a worker has taken and not acknowledged. A full Redis accepts none.

    None are made of a message whose run is in the record: they would be removed within a millisecond, when
    its task starts, and cost two round trips and a fifth of a worker's time for a small refresh. If the
    process dies in that millisecond, the sweep finds the run.
    """

    #: The task whose messages are such; see `install`.
    unnoted_task: str | None = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        #: Tag → exchange and routing key of a message that only this process knows to be out of its list.
        self._unnoted: dict[str, tuple[str, str]] = {}

    def append(self, message: Any, delivery_tag: str) -> None:
        headers = message.headers
        if isinstance(headers, dict) and self.unnoted_task and headers.get("task") == self.unnoted_task:
            self._append_unnoted(message, delivery_tag)
            return
        try:
            super().append(message, delivery_tag)
        except OutOfMemoryError:
            # Consuming messages is what makes room.
            self._append_unnoted(message, delivery_tag)

    def _append_unnoted(self, message: Any, delivery_tag: str) -> None:
        place = message.delivery_info
        self._unnoted[delivery_tag] = place["exchange"], place["routing_key"]
        virtual.QoS.append(self, message, delivery_tag)

    def ack(self, delivery_tag: str) -> None:
        # In one step: a pool's thread acknowledges while another puts back what hasn't begun.
        if self._unnoted.pop(delivery_tag, None):
            virtual.QoS.ack(self, delivery_tag)
            return
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
        """Put the unacknowledged messages of dead workers back into their lists."""
        try:
            super().restore_visible(*args, **kwargs)
        except OutOfMemoryError:
            log.warning("messages of dead workers stay where they are: Redis is full")

    def restore_by_tag(self, tag: Any, client: Any = None, leftmost: bool = False) -> None:
        """Put a message back into its list. Without this an entry that isn't one of kombu's notes would keep
        every worker from starting."""
        if place := self._unnoted.pop(tag, None):
            with self.channel.conn_or_acquire(client) as client:
                self.channel._do_restore_message(self.get(tag)._raw, *place, client, leftmost)
            return
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
        if self.connection is None:
            # Closed with its connection. Where a queue's declaration has had to connect anew, kombu publishes
            # by the channel of before (5.7, messaging.py, _publish), and would fail by an AttributeError;
            # this has it try again with the new one.
            raise RecoverableConnectionError("channel disconnected")
        client = super()._create_client(asynchronous)
        if asynchronous:
            client.set_response_callback("BRPOP", self._take)
        return client

    def _size(self, queue: str) -> int:
        """Called while a queue is declared, that is when a worker starts. A full Redis refuses its MULTI."""
        try:
            return int(super()._size(queue))
        except OutOfMemoryError:
            return 0

    def _queue_bind(self, exchange: str, routing_key: str, pattern: str, queue: str) -> None:
        """A worker consumes from its lists without the binding."""
        try:
            super()._queue_bind(exchange, routing_key, pattern, queue)
        except OutOfMemoryError:
            log.warning("the queue is used without its binding: Redis is full", queue=queue)

    def maybe_refresh_binding_expiry(self) -> None:
        """Called each second, and would log each failure. Problems with Redis are reported elsewhere."""
        with suppress(RedisError):
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
