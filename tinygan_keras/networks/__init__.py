from ..keras_settings import check_keras_settings

check_keras_settings()
