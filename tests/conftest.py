"""Settings of all tests."""

import signal

from hypothesis import settings

settings.register_profile("untimed", deadline=None)  # a busy machine is no defect
settings.load_profile("untimed")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell starts what it puts into the background like this, and processes that tests start would inherit it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
