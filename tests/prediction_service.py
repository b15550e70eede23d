"""A stand-in for TensorFlow Serving: the genuine gRPC stubs and a REST front over models in this process.

TensorFlow Serving is in no package index, so tests can't start it. This answers like it, in its words and
codes, as far as our client can see: unknown models, versions, labels and signatures, inputs that don't
fit, status, metadata, JSON in rows and columns, versions that can't be loaded. What a signature does is up to
the backend, which has

- `signatures`: a `SignatureDef` by name;
- `run(signature, inputs)`: NumPy arrays by name to NumPy arrays by name; what it raises has a `code`, such as
  "INVALID_ARGUMENT", and a `message`.

It can be asked to fail: see `ModelServer.fail`. As a program it serves an exported folder until its standard
input ends: `python tests/prediction_service.py FOLDER`, where FOLDER holds the versions.
"""

import collections
import json
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

DEFAULT_SIGNATURE = "serving_default"


class Refusal(Exception):
    """What a server answers instead of a result."""

    def __init__(self, code, message):
        super().__init__(code, message)
        self.code, self.message = code, message


class Dropped(Exception):
    """The connection is closed without an answer."""


class Broken:
    """In place of a backend: a version that can't be loaded, which the server tries `retries` more times.

    Until then it is LOADING without a word, and nobody knows what is wrong. It counts as one of the newest.
    """

    def __init__(self, message, retries=0):
        self.message, self.retries = message, retries

    def status(self):
        """State and error; every question for it takes as long as a try."""
        self.retries -= 1
        return ("LOADING", "") if self.retries >= 0 else ("END", self.message)


class ModelServer:
    """Serves models on free ports of this machine, from `with` to its end.

    Args:
        models: By name, and by version: a backend, or `Broken`.
        labels: By name of the model, and by label: a version.
        num_versions: How many of the newest versions are served, as in models.config.
        grpc: Whether to listen for gRPC too, which needs the package tensorflow-serving-api.
        most_requests: How many gRPC requests may be under way; more are RESOURCE_EXHAUSTED. None: any number.

    Attributes:
        rest_address, grpc_address: For `ServingClient`.
        requests: What was asked to predict, answered or not: model, signature, and the shapes of the inputs.
        grpc_port: May be set before; otherwise any.
        delay: Seconds before every answer.
    """

    def __init__(self, models, labels=None, grpc=False, most_requests=None, num_versions=None):
        self.models, self.labels, self.num_versions = models, labels or {}, num_versions
        self.requests, self.delay = [], 0.0
        self._lock, self._failures = threading.Lock(), []
        self._grpc, self._most_requests = grpc, most_requests
        self.grpc_port = 0

    def __enter__(self):
        from rest_front import RestFront

        self._rest = RestFront(self)
        self.rest_address = f"http://127.0.0.1:{self._rest.port}"
        if self._grpc:
            self._service, port = _grpc_service(self, self._most_requests, self.grpc_port)
            self.grpc_address = f"grpc://127.0.0.1:{port}"
        return self

    def __exit__(self, *exception):
        self._rest.close()
        if self._grpc:
            self._service.stop(None).wait()

    def fail(self, code, times=1, message="asked to fail"):
        """The next requests are answered with a code, or with "DROP" by closing the connection (REST)."""
        self._failures += [(code, message)] * times

    def predict(self, spec, signature, read_inputs):
        """Runs a signature.

        Args:
            spec: Name, version or None, label or None.
            signature: Its name; empty for the default.
            read_inputs: Function of the `SignatureDef` that returns NumPy arrays by name.

        Returns:
            Version, `SignatureDef`, and NumPy arrays by name.

        Raises:
            Refusal: as TensorFlow Serving refuses.
        """
        self._pass_or_fail()
        version, backend = self.find(spec)
        signature = signature or DEFAULT_SIGNATURE
        if signature not in backend.signatures:
            raise Refusal("FAILED_PRECONDITION", f'Serving signature key "{signature}" not found.')
        definition = backend.signatures[signature]
        inputs = read_inputs(definition)
        sizes = {name: array.shape for name, array in inputs.items()}
        with self._lock:
            self.requests.append((spec[0], signature, sizes))
        _check_inputs(definition, inputs)
        try:
            return version, definition, backend.run(signature, inputs)
        except Exception as error:
            if not hasattr(error, "code"):
                raise
            raise Refusal(error.code, error.message) from error

    def find(self, spec):
        """Returns version and backend; spec as in `predict`."""
        name, version, label = spec
        versions = {v: b for v, b in self._newest(name).items() if not isinstance(b, Broken)}
        if label:
            version = self.labels.get(name, {}).get(label)
            if version is None:
                raise Refusal("INVALID_ARGUMENT", f"Unrecognized servable version label: {label}")
        if not versions or (version is not None and version not in versions):
            wanted = f"Latest({name})" if version is None else f"Specific({name}, {version})"
            raise Refusal("NOT_FOUND", f"Servable not found for request: {wanted}")
        version = max(versions) if version is None else version
        return version, versions[version]

    def versions(self, spec) -> list:
        """Returns version, state and error of the versions that a question for the status means."""
        self._pass_or_fail()
        name, version, label = spec
        if name not in self.models:
            raise Refusal("NOT_FOUND", f"Could not find any versions of model {name}")
        versions = self._newest(name)
        if version is not None or label:
            number, backend = self.find(spec)
            versions = {number: backend}
        return [
            (number, *(backend.status() if isinstance(backend, Broken) else ("AVAILABLE", "")))
            for number, backend in versions.items()
        ]

    def metadata(self, spec):
        """Returns the version and its signatures."""
        self._pass_or_fail()
        version, backend = self.find(spec)
        return version, backend.signatures

    def _newest(self, name) -> dict:
        """The versions that the server keeps, newest first, whether they can be loaded or not."""
        versions = sorted(self.models.get(name, {}).items(), reverse=True)
        return dict(versions[: self.num_versions])

    def _pass_or_fail(self):
        time.sleep(self.delay)
        with self._lock:
            code, message = self._failures.pop(0) if self._failures else (None, "")
        if code == "DROP":
            raise Dropped
        if code:
            raise Refusal(code, message)


def type_name(info) -> str:
    """The name of a tensor's type, as in "int64", from its `TensorInfo` or `TensorProto`."""
    from tensorflow.core.framework.types_pb2 import DataType

    return DataType.Name(info.dtype).removeprefix("DT_").lower()


_TYPE_NAMES = {"f4": "float", "f8": "double", "b1": "bool", "O": "string"}


def _check_inputs(definition, inputs):
    """What TensorFlow Serving checks before it runs a signature, and the runtime before a function."""
    wanted, got = set(definition.inputs), set(inputs)
    if len(wanted) != len(got):
        raise Refusal(
            "INVALID_ARGUMENT",
            f"input size does not match signature: {len(got)}!={len(wanted)} len({{{_listed(got)}}}) != "
            f"len({{{_listed(wanted)}}}). Sent extra: {{{_listed(got - wanted)}}}. Missing but required: "
            f"{{{_listed(wanted - got)}}}.",
        )
    if wanted != got:
        raise Refusal(
            "INVALID_ARGUMENT",
            f"input tensor alias not found in signature: {_listed(got - wanted)}. Inputs expected to be in "
            f"the set {{{_listed(wanted)}}}.",
        )
    for place, name in enumerate(sorted(inputs)):
        found = _TYPE_NAMES.get(inputs[name].dtype.str[1:], inputs[name].dtype.name)
        if found != type_name(definition.inputs[name]):
            expected = type_name(definition.inputs[name])
            raise Refusal(
                "INVALID_ARGUMENT",
                f"Expects arg[{place}] to be {expected} but {found} is provided",
            )


def _listed(names) -> str:
    return ",".join(sorted(names))


def _grpc_service(server, most_requests, port):
    """Returns a running gRPC server, and its port."""
    import grpc
    import tensorflow as tf
    from tensorflow_serving.apis import (
        get_model_metadata_pb2,
        get_model_status_pb2,
        model_service_pb2_grpc,
        predict_pb2,
        prediction_service_pb2_grpc,
    )

    def spec_of(request):
        spec = request.model_spec
        version = spec.version.value if spec.HasField("version") else None
        return spec.name, version, spec.version_label

    def refusing(method):
        def answer(self, request, context):
            try:
                return method(self, request)
            except Refusal as refusal:
                context.abort(grpc.StatusCode[refusal.code], refusal.message)

        return answer

    class PredictionService(prediction_service_pb2_grpc.PredictionServiceServicer):
        @refusing
        def Predict(self, request):
            def read_inputs(definition):
                return {name: tf.make_ndarray(tensor) for name, tensor in request.inputs.items()}

            signature = request.model_spec.signature_name
            version, definition, outputs = server.predict(spec_of(request), signature, read_inputs)
            response = predict_pb2.PredictResponse()
            response.model_spec.name = request.model_spec.name
            response.model_spec.version.value = version
            response.model_spec.signature_name = signature or DEFAULT_SIGNATURE
            for name, info in definition.outputs.items():
                tensor = tf.make_tensor_proto(outputs[name], tf.as_dtype(info.dtype))
                response.outputs[name].CopyFrom(tensor)
            return response

        @refusing
        def GetModelMetadata(self, request):
            version, signatures = server.metadata(spec_of(request))
            response = get_model_metadata_pb2.GetModelMetadataResponse()
            response.model_spec.name = request.model_spec.name
            response.model_spec.version.value = version
            every = get_model_metadata_pb2.SignatureDefMap(signature_def=dict(signatures))
            response.metadata["signature_def"].Pack(every)
            return response

    class ModelService(model_service_pb2_grpc.ModelServiceServicer):
        @refusing
        def GetModelStatus(self, request):
            response = get_model_status_pb2.GetModelStatusResponse()
            for version, state, error in server.versions(spec_of(request)):
                state = get_model_status_pb2.ModelVersionStatus.State.Value(state)
                status = {"error_message": error}
                response.model_version_status.add(version=version, state=state, status=status)
            return response

    pool = ThreadPoolExecutor(8, "grpc-front")
    service = grpc.server(
        pool,
        options=[("grpc.max_send_message_length", -1), ("grpc.so_reuseport", 0)],
        maximum_concurrent_rpcs=most_requests,
    )
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(
        PredictionService(), service
    )
    model_service_pb2_grpc.add_ModelServiceServicer_to_server(ModelService(), service)
    port = service.add_insecure_port(f"127.0.0.1:{port}")
    service.start()
    return service, port


def main(folder, *arguments):
    """Serves the versions in a folder under the name "tinygan"; prints the addresses as JSON."""
    from saved_model_session import SavedModelSession

    versions = {
        int(path.name): SavedModelSession(path)
        for path in Path(folder).iterdir()
        if path.name.isdecimal()
    }
    labels = {"tinygan": {"stable": max(versions)}}
    most = int(arguments[0]) if arguments else None
    with ModelServer({"tinygan": versions}, labels, grpc=True, most_requests=most) as server:
        server.requests = collections.deque(maxlen=0)  # nobody looks, and it may run for long
        print(json.dumps([server.rest_address, server.grpc_address]), flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    import prediction_service  # this file as the module that the REST front imports

    prediction_service.main(*sys.argv[1:])
