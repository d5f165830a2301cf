from wallet_guard.net.limits import READ_BYTES, ServerLimits, WebSocketLimits


def test_what_is_queued_may_exceed_what_pauses_reading() -> None:
    limits = WebSocketLimits()
    assert limits.pause_reading_bytes < limits.max_queued_bytes
    assert limits.messages.max_message_bytes < limits.max_queued_bytes


def test_one_address_cannot_take_all_connections() -> None:
    limits = ServerLimits()
    assert limits.max_connections_per_address < limits.max_connections


def test_reads_stay_below_the_size_that_malloc_maps() -> None:
    # glibc: M_MMAP_THRESHOLD is 128 KiB to begin with
    assert READ_BYTES < 128 * 1024
