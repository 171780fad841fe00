"""The names in other packages that seeder builds on though their documentation doesn't promise them.

Only the files of ``broker/`` touch any of it, and those of ``web/serving/`` what is uvicorn's. A test finds
each name with its signature in the version that is installed, finds that the code touches no other, and that
each behaviour (seeder.broker.insides.behaviour) has a test of its own (tests/broker/test_insides.py). So an
upgrade that takes something away fails there, by name: ``make lock LOCK_ARGS=--upgrade``, then that test
(CONTRIBUTING.md).
"""

from dataclasses import dataclass

#: The version in which each package was read, and all of this was seen.
SEEN = {"celery": "5.7.0", "kombu": "5.7.0", "redis": "8.1.0", "uvicorn": "0.54.0"}


@dataclass(frozen=True)
class Inside:
    """A name as ``module:Class.name``."""

    name: str
    #: What seeder does with it.
    purpose: str
    #: Without annotations; what comes behind … may be anything. Empty for what isn't called.
    signature: str = ""


INSIDES = (
    # beat
    Inside("celery.beat:PersistentScheduler", "beat keeps its entries in a file"),
    Inside(
        "celery.beat:PersistentScheduler.apply_async",
        "overridden: Redis that takes no message is one line",
        "(self, entry, producer=None, advance=True, **kwargs)",
    ),
    Inside("celery.beat:SchedulingError", "what it raises; its context is what Redis said"),
    # An operator's celeryconfig.py
    Inside("celery.app.utils:Settings.value_set_for", "whether an operator has set it", "(self, key)"),
    Inside("celery.app.utils:Settings.defaults", "Celery's own default, the last of them"),
    Inside("celery.app.utils:detect_settings", "raises for old and new names side by side", "(conf, …"),
    Inside(
        "celery.loaders.app:AppLoader.config_from_object",
        "overridden: says why a celeryconfig.py can't be used",
        "(self, obj, silent=False)",
    ),
    Inside("celery.loaders.base:BaseLoader.conf", "what was read from it"),
    Inside("celery.utils.imports:cwd_in_path", "where Celery looks for it", "()"),
    # The worker
    Inside("celery.worker:WorkController.pool_cls", "the pool that was asked for"),
    Inside("celery.worker:WorkController.time_limit", "told as without effect, but in prefork"),
    Inside("celery.worker:WorkController.soft_time_limit", "the same"),
    Inside("celery.worker:WorkController.max_tasks_per_child", "the same"),
    Inside("celery.worker:WorkController.max_memory_per_child", "the same"),
    Inside(
        "celery.worker.components:Pool.max_concurrency",
        "attribute of the worker: how many messages it takes; set by the remote control's autoscale, which "
        "Celery forgets, and to -1 by a cold shutdown",
    ),
    Inside(
        "celery.worker.autoscale:WorkerComponent.autoscaler", "attribute of the worker: whether it scales"
    ),
    Inside("celery.worker.autoscale:Autoscaler.max_concurrency", "its present range"),
    Inside("celery.worker.autoscale:Autoscaler.min_concurrency", "the same"),
    Inside("celery.worker.state:maybe_shutdown", "raises what ends a worker that is told to stop", "()"),
    Inside("celery.worker.control:control_command", "registers in the place of Celery's own", "(**kwargs)"),
    Inside("celery.worker.control:nok", "a command's refusal", "(value)"),
    Inside("celery.worker.control:pool_grow", "called once its argument is one", "(state, n=1, **kwargs)"),
    Inside("celery.worker.control:pool_shrink", "the same", "(state, n=1, **kwargs)"),
    Inside("celery.worker.control:autoscale", "the same", "(state, max=None, min=None)"),
    # Its consumer
    Inside("celery.worker.consumer:Consumer.app", "its tasks, to know a message for none of them"),
    Inside("celery.worker.consumer:Consumer.controller", "the worker, told by the signal worker_ready"),
    Inside("celery.worker.consumer:Consumer.pool", "what grows and shrinks"),
    Inside(
        "celery.worker.consumer:Consumer.create_task_handler",
        "overridden: a message is judged before Celery's handler sees it",
        "(self, promise=vine.promises.promise)",
    ),
    Inside(
        "celery.worker.consumer:Consumer.ensure_connected",
        "overridden: waits until Redis takes what is written",
        "(self, conn)",
    ),
    Inside(
        "celery.worker.consumer:Consumer.on_connection_error_after_connected",
        "overridden: says what Redis replied",
        "(self, exc)",
    ),
    Inside(
        "celery.worker.consumer:Consumer.on_decode_error", "overridden: set aside", "(self, message, exc)"
    ),
    Inside(
        "celery.worker.consumer:Consumer.on_invalid_task",
        "overridden: set aside",
        "(self, body, message, exc)",
    ),
    # Its requests
    Inside(
        "celery.worker.request:Request.on_accepted",
        "overridden: begun in the middle of a cold shutdown",
        "(self, pid, time_accepted)",
    ),
    Inside(
        "celery.worker.request:Request.on_timeout", "overridden: the soft one too", "(self, soft, timeout)"
    ),
    Inside(
        "celery.worker.request:Request.cancel",
        "overridden: what a cold shutdown calls for each that runs",
        "(self, pool, signal=None, emit_retry=True)",
    ),
    Inside("celery.worker.request:Request._already_cancelled", "set, or its process' death is a revoke"),
    Inside("celery.worker.request:Request._app", "to queue the run again"),
    Inside("celery.worker.request:Request._context", "the request as signals know it"),
    Inside("celery.worker.request:Request.worker_pid", "the pool process that runs it"),
    # Its pools
    Inside("celery.concurrency:ALIASES", "-P threads means seeder's pool"),
    Inside("celery.concurrency.prefork:TaskPool", "told apart: it knows time limits, and gets grow() late"),
    Inside("celery.concurrency.base:BasePool.is_green", "refused: the driver waits in C"),
    Inside("celery.concurrency.base:BasePool.num_processes", "at least one is left"),
    Inside(
        "celery.concurrency.base:BasePool.terminate_job",
        "overridden: else a revoke ends before its signal",
        "(self, pid, signal=None)",
    ),
    Inside(
        "celery.concurrency.base:apply_target", "runs a task", "(target, args=(), kwargs=None, callback=…"
    ),
    Inside("celery.concurrency.thread:TaskPool.executor", "the threads"),
    Inside("celery.concurrency.thread:TaskPool.limit", "set: how many work at a time"),
    Inside(
        "celery.concurrency.thread:TaskPool.on_apply",
        "overridden: wakes the event loop when a task has ended",
        "(self, target, args=None, kwargs=None, callback=None, accept_callback=None, **_)",
    ),
    Inside("celery.concurrency.thread:TaskPool.on_stop", "overridden: nothing more begins", "(self)"),
    Inside("kombu.asynchronous:get_event_loop", "the loop to wake, None without a worker", "()"),
    Inside("kombu.asynchronous:Hub.call_soon", "wakes it", "(self, callback, *args)"),
    # Messages
    Inside(
        "celery.app.amqp:AMQP.as_task_v2",
        "a run's message made ready, to wait in Redis",
        "(self, task_id, name, args=None, kwargs=None, …",
    ),
    Inside("celery.app.amqp:AMQP.router", "the queue a run's message belongs into"),
    Inside("kombu.transport.virtual:Message._raw", "a message as it lay in Redis, set aside or put back"),
    Inside(
        "kombu.transport.virtual:Channel.prepare_message",
        "the same message as kombu would write it",
        "(self, body, priority=None, content_type=None, content_encoding=None, headers=None, …",
    ),
    Inside(
        "kombu.transport.virtual:Channel._inplace_augment_message",
        "its delivery tag and place",
        "(self, message, exchange, routing_key)",
    ),
    # The transport
    Inside("kombu.transport.redis:Transport.Channel", "set: seeder's"),
    Inside("kombu.transport.redis:Channel.QoS", "set: seeder's"),
    Inside("kombu.transport.redis:Channel.Message", "set: seeder's"),
    Inside("kombu.transport.redis:Channel.client", "the Redis client"),
    Inside("kombu.transport.redis:Channel.conn_or_acquire", "lends one", "(self, client=None)"),
    Inside("kombu.transport.redis:Channel.global_keyprefix", "a deployment's prefix of all keys"),
    Inside("kombu.transport.redis:Channel.sep", "between a list's name and its priority"),
    Inside(
        "kombu.transport.redis:Channel._q_for_pri", "the list of a queue's priority", "(self, queue, pri)"
    ),
    Inside("amqp.exceptions:RecoverableConnectionError", "what has kombu connect anew and send again"),
    Inside("kombu.transport.redis:Channel.connection", "attribute: None once the channel is closed"),
    Inside(
        "kombu.transport.redis:Channel._create_client",
        "overridden: keeps BRPOP's last reply",
        "(self, asynchronous=False)",
    ),
    Inside(
        "kombu.transport.redis:Channel._brpop_read",
        "overridden: sets aside what it raises for",
        "(self, **options)",
    ),
    Inside(
        "kombu.transport.redis:Channel._receive_one",
        "overridden: drops broadcasts that are none",
        "(self, c)",
    ),
    Inside(
        "kombu.transport.redis:Channel._size", "overridden: 0 where a full Redis refuses", "(self, queue)"
    ),
    Inside(
        "kombu.transport.redis:Channel._queue_bind",
        "overridden: goes on where a full Redis refuses",
        "(self, exchange, routing_key, pattern, queue)",
    ),
    Inside(
        "kombu.transport.redis:Channel.maybe_refresh_binding_expiry",
        "overridden: no line each second while Redis refuses",
        "(self)",
    ),
    Inside(
        "kombu.transport.redis:Channel._do_restore_message",
        "puts back what isn't noted",
        "(self, payload, exchange, routing_key, pipe, leftmost=False)",
    ),
    Inside("kombu.transport.virtual:QoS.append", "called past Redis' notes", "(self, message, delivery_tag)"),
    Inside("kombu.transport.virtual:QoS.ack", "the same", "(self, delivery_tag)"),
    Inside("kombu.transport.virtual:QoS.get", "a message by its tag", "(self, delivery_tag)"),
    Inside("kombu.transport.virtual:QoS.channel", "its channel"),
    Inside(
        "kombu.transport.redis:QoS.append",
        "overridden: notes no run's message",
        "(self, message, delivery_tag)",
    ),
    Inside("kombu.transport.redis:QoS.ack", "overridden: the same", "(self, delivery_tag)"),
    Inside("kombu.transport.redis:QoS.reject", "overridden: the same", "(self, delivery_tag, requeue=False)"),
    Inside(
        "kombu.transport.redis:QoS.restore_visible",
        "overridden: goes on where a full Redis refuses",
        "(self, start=0, num=10, interval=10)",
    ),
    Inside(
        "kombu.transport.redis:QoS.restore_by_tag",
        "overridden: sets aside what can't be put back",
        "(self, tag, client=None, leftmost=False)",
    ),
    Inside("kombu.transport.redis:QoS.unacked_key", "kombu's notes"),
    Inside("kombu.transport.redis:QoS.unacked_index_key", "the same"),
    Inside(
        "kombu.transport.redis:QoS._remove_from_indices", "tears one up", "(self, delivery_tag, pipe=None)"
    ),
    # uvicorn, for web/serving/
    Inside("uvicorn:Server.config", "the app that it serves"),
    Inside("uvicorn:Server.capture_signals", "overridden: a clean end is exit code 0", "(self)"),
    Inside("uvicorn:Server.handle_exit", "overridden: ends the event streams", "(self, sig, frame)"),
    *(
        Inside(f"uvicorn.protocols.http.httptools_impl:HttpToolsProtocol.{name}", purpose, signature)
        for name, purpose, signature in (
            ("connection_made", "overridden: counts those of an address", "(self, transport)"),
            ("connection_lost", "overridden: the same", "(self, exc)"),
            ("data_received", "overridden: a request has begun", "(self, data)"),
            ("on_headers_complete", "overridden: its headers are there in time", "(self)"),
            ("on_message_complete", "overridden: its body is there in time", "(self)"),
            ("cycle", "the request under way", ""),
            ("loop", "for timers", ""),
            ("transport", "set for a connection that is refused, closed for one that is late", ""),
        )
    ),
    Inside("uvicorn.protocols.http.httptools_impl:RequestResponseCycle.response_complete", "it is answered"),
)
