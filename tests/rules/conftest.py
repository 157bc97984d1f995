"""What the runs inside these tests import stands here: each of them would import it anew, and forget it at its end."""

import hypothesis  # noqa: F401 pytest imports it for every run

import phases.session.own_checks  # noqa: F401 of the runbooks that the tests write
