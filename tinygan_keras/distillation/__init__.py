from ..keras_settings import check_keras_settings

check_keras_settings()


from . import losses  # noqa: E402, F401 (after the check, as it imports Keras)
