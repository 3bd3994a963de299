"""What all tests begin with."""

import signal

# A shell that starts them in the background makes them, and what they start, ignore Ctrl-C.
signal.signal(signal.SIGINT, signal.default_int_handler)
