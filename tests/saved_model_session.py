"""A SavedModel as TensorFlow Serving sees it: loaded and run by TensorFlow's C++ loader, without Python.

Scope: the C API in the libraries of the TensorFlow wheel, `TF_LoadSessionFromSavedModel` above all, which
calls the loader that TensorFlow Serving calls. `tf.saved_model.load` is no substitute: it reads folders that
the C++ loader refuses.
"""

import ctypes
import functools
import importlib.util
import sys
from ctypes import POINTER, c_char_p, c_int, c_int64, c_size_t, c_void_p
from pathlib import Path

import numpy as np
from tensorflow.core.protobuf.meta_graph_pb2 import MetaGraphDef

CODES = (
    *("OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND"),
    *(
        "ALREADY_EXISTS",
        "PERMISSION_DENIED",
        "RESOURCE_EXHAUSTED",
        "FAILED_PRECONDITION",
        "ABORTED",
    ),
    *("OUT_OF_RANGE", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED"),
)
STRING, STRING_BYTES = 7, 24  # in types.proto; sizeof(TF_TString)
NUMBERS = {1: "float32", 2: "float64", 3: "int32", 4: "uint8", 9: "int64", 10: "bool"}
NUMBER_OF = {name: number for number, name in NUMBERS.items()}


class Buffer(ctypes.Structure):
    _fields_ = (("data", c_void_p), ("length", c_size_t), ("deallocator", c_void_p))


class Output(ctypes.Structure):
    _fields_ = (("operation", c_void_p), ("index", c_int))


# Result and arguments. A pointer without a declared type would be cut to 32 bits.
FUNCTIONS = {
    "TF_NewStatus": (c_void_p,),
    "TF_DeleteStatus": (None, c_void_p),
    "TF_GetCode": (c_int, c_void_p),
    "TF_Message": (c_char_p, c_void_p),
    "TF_NewGraph": (c_void_p,),
    "TF_DeleteGraph": (None, c_void_p),
    "TF_NewBuffer": (POINTER(Buffer),),
    "TF_DeleteBuffer": (None, POINTER(Buffer)),
    "TF_NewSessionOptions": (c_void_p,),
    "TF_DeleteSessionOptions": (None, c_void_p),
    "TF_LoadSessionFromSavedModel": (
        *(c_void_p, c_void_p, c_void_p, c_char_p, POINTER(c_char_p), c_int),
        *(c_void_p, POINTER(Buffer), c_void_p),
    ),
    "TF_CloseSession": (None, c_void_p, c_void_p),
    "TF_DeleteSession": (None, c_void_p, c_void_p),
    "TF_GraphOperationByName": (c_void_p, c_void_p, c_char_p),
    "TF_SessionRun": (
        *(None, c_void_p, c_void_p, POINTER(Output), POINTER(c_void_p), c_int, POINTER(Output)),
        *(POINTER(c_void_p), c_int, c_void_p, c_int, c_void_p, c_void_p),
    ),
    "TF_AllocateTensor": (c_void_p, c_int, POINTER(c_int64), c_int, c_size_t),
    "TF_DeleteTensor": (None, c_void_p),
    "TF_TensorData": (c_void_p, c_void_p),
    "TF_TensorByteSize": (c_size_t, c_void_p),
    "TF_TensorType": (c_int, c_void_p),
    "TF_NumDims": (c_int, c_void_p),
    "TF_Dim": (c_int64, c_void_p, c_int),
    "TF_StringInit": (None, c_void_p),
    "TF_StringCopy": (None, c_void_p, c_char_p, c_size_t),
    "TF_StringDealloc": (None, c_void_p),
    "TF_StringGetDataPointer": (c_void_p, c_void_p),
    "TF_StringGetSize": (c_size_t, c_void_p),
}


class SessionError(Exception):
    """TensorFlow refused to load or to run.

    Attributes:
        code: gRPC's name of it, such as "INVALID_ARGUMENT".
        message: TensorFlow's own words.
    """

    def __init__(self, code, message):
        super().__init__(f"{code}: {message}")
        self.code, self.message = code, message


class SavedModelSession:
    """An exported folder, loaded.

    Args:
        folder: With `saved_model.pb`.
        tags: Of the graph to load.

    Attributes:
        signatures: `SignatureDef` by name.

    Raises:
        SessionError: it can't be loaded.

    Example:
        with SavedModelSession("serving/tinygan/1") as session:
            images = session.run("serving_default", {"z": latents, "label": labels})["image"]
    """

    def __init__(self, folder, tags=("serve",)):
        self._library = library = c_library()
        self._graph = library.TF_NewGraph()
        self._session = None
        meta_graph, options = library.TF_NewBuffer(), library.TF_NewSessionOptions()
        names = (c_char_p * len(tags))(*(tag.encode() for tag in tags))
        try:
            self._session = self._checked(
                library.TF_LoadSessionFromSavedModel,
                *(options, None, str(folder).encode(), names, len(tags), self._graph, meta_graph),
            )
            content = ctypes.string_at(meta_graph.contents.data, meta_graph.contents.length)
        except SessionError:
            self.close()
            raise
        finally:
            library.TF_DeleteSessionOptions(options)
            library.TF_DeleteBuffer(meta_graph)
        self.signatures = dict(MetaGraphDef.FromString(content).signature_def)

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()

    def __del__(self):
        if getattr(self, "_graph", None):
            self.close()

    def close(self):
        """Frees the model; nothing can be run afterwards."""
        if self._session:
            self._checked(self._library.TF_CloseSession, self._session)
            self._checked(self._library.TF_DeleteSession, self._session)
        if self._graph:
            self._library.TF_DeleteGraph(self._graph)
        self._session = self._graph = None

    def run(self, signature: str, inputs: dict) -> dict:
        """Runs a signature; several threads may.

        Args:
            signature: Its name.
            inputs: NumPy arrays by name, handed over as they are; strings as objects (bytes or str).

        Returns:
            NumPy arrays by name; strings as objects (bytes).

        Raises:
            SessionError: TensorFlow refused.
            KeyError: no such signature, or no such input.
        """
        definition = self.signatures[signature]
        outputs = dict(definition.outputs)
        feeds = self._places(definition.inputs[name].name for name in inputs)
        fetches = self._places(info.name for info in outputs.values())
        given = (c_void_p * len(inputs))()
        results = (c_void_p * len(outputs))()
        try:
            for place, value in enumerate(inputs.values()):
                given[place] = self._tensor(np.asarray(value))
            self._checked(
                self._library.TF_SessionRun,
                *(self._session, None, feeds, given, len(given), fetches, results, len(results)),
                *(None, 0, None),
            )
            return dict(zip(outputs, map(self._array, results), strict=True))
        finally:
            for tensor in given:
                self._delete(tensor, ours=True)
            for tensor in results:
                self._delete(tensor)

    def _checked(self, function, *arguments):
        """Calls a function whose last argument is a status."""
        status = self._library.TF_NewStatus()
        try:
            result = function(*arguments, status)
            if code := self._library.TF_GetCode(status):
                message = self._library.TF_Message(status).decode(errors="replace")
                raise SessionError(CODES[code], message)
            return result
        finally:
            self._library.TF_DeleteStatus(status)

    def _places(self, names):
        places = []
        for name in names:
            operation, _, index = name.partition(":")
            found = self._library.TF_GraphOperationByName(self._graph, operation.encode())
            places.append(Output(found, int(index)))
        return (Output * len(places))(*places)

    def _tensor(self, array):
        is_string = array.dtype.kind in "OSU"
        number = STRING if is_string else NUMBER_OF[array.dtype.name]
        length = STRING_BYTES * array.size if is_string else array.nbytes
        shape = (c_int64 * array.ndim)(*array.shape)
        tensor = self._library.TF_AllocateTensor(number, shape, array.ndim, length)
        data = self._library.TF_TensorData(tensor)
        if not is_string:
            ctypes.memmove(data, np.ascontiguousarray(array).ctypes.data, length)
            return tensor
        for place, value in enumerate(array.ravel()):
            value = value.encode() if isinstance(value, str) else bytes(value)
            self._library.TF_StringInit(data + STRING_BYTES * place)
            self._library.TF_StringCopy(data + STRING_BYTES * place, value, len(value))
        return tensor

    def _array(self, tensor):
        library = self._library
        shape = [library.TF_Dim(tensor, axis) for axis in range(library.TF_NumDims(tensor))]
        data, number = library.TF_TensorData(tensor), library.TF_TensorType(tensor)
        if number != STRING:
            content = ctypes.string_at(data, library.TF_TensorByteSize(tensor))
            return np.frombuffer(content, NUMBERS[number]).reshape(shape)
        array = np.empty(shape, object)
        array.ravel()[:] = [
            self._string(data + STRING_BYTES * place) for place in range(array.size)
        ]
        return array

    def _string(self, place):
        data = self._library.TF_StringGetDataPointer(place)
        return ctypes.string_at(data, self._library.TF_StringGetSize(place))

    def _delete(self, tensor, ours=False):
        if not tensor:
            return
        # TensorFlow frees the strings of its own tensors, and of ours their memory only.
        if ours and self._library.TF_TensorType(tensor) == STRING:
            data = self._library.TF_TensorData(tensor)
            for start in range(0, self._library.TF_TensorByteSize(tensor), STRING_BYTES):
                self._library.TF_StringDealloc(data + start)
        self._library.TF_DeleteTensor(tensor)


@functools.cache
def c_library():
    """The functions of TensorFlow's C API by name."""
    folder = Path(importlib.util.find_spec("tensorflow").origin).parent
    end = ".2.dylib" if sys.platform == "darwin" else ".so.2"
    names = [
        f"libtensorflow_{part}{end}" for part in ("framework", "cc")
    ]  # the second needs the first
    libraries = [ctypes.CDLL(str(folder / name), ctypes.RTLD_GLOBAL) for name in names]
    functions = {}
    for name, (result, *arguments) in FUNCTIONS.items():
        library = next(library for library in libraries if hasattr(library, name))
        functions[name] = function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return type("CLibrary", (), {name: staticmethod(f) for name, f in functions.items()})
