"""Property tests here have no deadline for one example: the machine may be busy with a training run."""

from hypothesis import settings

settings.register_profile("no_deadline", deadline=None)
settings.load_profile("no_deadline")
