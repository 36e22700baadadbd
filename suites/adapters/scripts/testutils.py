"""What cloudpickle's scripts import as `testutils`: their own, with the executor in its place."""

import cloudpickle_suite

_own = cloudpickle_suite.load_testutils()
cloudpickle_suite.adapt(_own)
globals().update({name: value for name, value in vars(_own).items() if not name.startswith("__")})
