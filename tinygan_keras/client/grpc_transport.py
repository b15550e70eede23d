"""The gRPC transport, on the stubs of the package tensorflow-serving-api.

Scope: one request, one answer. The stubs import TensorFlow; who wants none of it takes REST.
"""

from ..errors import MissingPackageError

try:
    import grpc
    from google.protobuf import json_format, message
    from tensorflow_serving.apis import (
        get_model_metadata_pb2,
        get_model_status_pb2,
        model_service_pb2_grpc,
        predict_pb2,
        prediction_service_pb2_grpc,
    )
except ImportError as error:
    raise MissingPackageError(
        f"gRPC can't be imported: {error}. Expected the package tensorflow-serving-api, which is an optional "
        'part: pip install "tinygan-keras[serving]". Without it, give the address of the REST port, such as '
        "'http://127.0.0.1:8501'."
    ) from error

import tensorflow as tf

from .errors import MALFORMED, ServingError, malformed

_OPTIONS = (
    ("grpc.max_receive_message_length", -1),  # 4 MB otherwise
    # A lost connection is tried again as often as the client asks, not once in two minutes.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
    ("grpc.enable_http_proxy", 0),  # as over REST
)
_SHOWN = 200


class GrpcTransport:
    """Speaks with the gRPC port of TensorFlow Serving; the same methods as `RestTransport`.

    Args:
        target: A `Target` with the scheme "grpc".
    """

    def __init__(self, target):
        self.target = target
        self._channel = grpc.insecure_channel(target.address.removeprefix("grpc://"), _OPTIONS)
        self._predictions = prediction_service_pb2_grpc.PredictionServiceStub(self._channel)
        self._models = model_service_pb2_grpc.ModelServiceStub(self._channel)

    def predict(self, signature: str, inputs: dict, timeout: float) -> dict:
        """Runs one signature; see `RestTransport.predict`."""
        request = predict_pb2.PredictRequest()
        self._address(request.model_spec)
        request.model_spec.signature_name = signature
        for name, array in inputs.items():
            request.inputs[name].CopyFrom(tf.make_tensor_proto(array))
        return self._ask(self._predictions.Predict, request, timeout, _outputs)

    def status(self, timeout: float) -> list:
        """Returns what the server knows of every version; see `RestTransport.status`."""
        request = get_model_status_pb2.GetModelStatusRequest()
        self._address(request.model_spec)
        answer = self._ask(self._models.GetModelStatus, request, timeout, _as_dict)
        return answer.get("model_version_status", [])

    def signatures(self, timeout: float) -> dict:
        """Returns the model's signatures by name; see `RestTransport.signatures`."""
        request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
        self._address(request.model_spec)
        return self._ask(self._predictions.GetModelMetadata, request, timeout, _signatures)

    def close(self):
        """Closes the connection; requests under way are cancelled."""
        self._channel.close()

    def _address(self, spec):
        spec.name = self.target.model
        if self.target.version is not None:
            spec.version.value = self.target.version
        elif self.target.label is not None:
            spec.version_label = self.target.label

    def _ask(self, method, request, timeout, read):
        """Returns what the function `read` makes of the answer."""
        try:
            response = method(request, timeout=timeout)
        except grpc.RpcError as error:
            reason = error.details() or ""
            raise ServingError(error.code().name, reason, self.target) from error
        try:
            return read(response)
        except (*MALFORMED, message.DecodeError) as error:
            raise malformed(f"{error} in {str(response)[:_SHOWN]!r}", self.target) from error


def _outputs(response) -> dict:
    return {name: _decoded(name, tensor) for name, tensor in response.outputs.items()}


def _signatures(response) -> dict:
    signatures = get_model_metadata_pb2.SignatureDefMap()
    response.metadata["signature_def"].Unpack(signatures)
    return _as_dict(signatures).get("signature_def", {})


def _decoded(name, tensor) -> list:
    values = tf.make_ndarray(tensor).tolist()
    if not isinstance(values, list):
        raise TypeError(f"{name} has no rows")
    if tensor.dtype == tf.string.as_datatype_enum and not name.endswith("_bytes"):
        return [value.decode(errors="replace") for value in values]
    return values


def _as_dict(response) -> dict:
    return json_format.MessageToDict(response, preserving_proto_field_name=True)
