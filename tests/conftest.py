"""For all tests: hypothesis neither times an example nor how long it takes to draw one, which a busy machine decides."""

from hypothesis import HealthCheck, settings

settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")
