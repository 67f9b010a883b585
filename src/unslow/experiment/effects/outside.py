"""What acts outside the process: on files, the network, other processes, or its own end."""

from __future__ import annotations

import enum
import inspect
import io
import logging
import mmap
import os
import queue
import sys
import tarfile
import zipfile
from collections.abc import Mapping
from types import BuiltinMethodType, ModuleType
from typing import Any

FILE = "writes or deletes files"
NETWORK = "uses the network"
DATABASE = "uses a database"
TRACKER = "reports to an experiment tracker"
PROCESS = "starts or signals processes"
END = "ends the process"
SETTING = "changes the process's environment"
USER = "waits for the user"
WINDOW = "opens a window"
HANDED_ON = "hands work to other threads"
UNREAD = "has no source that can be read"
UNKNOWN = "runs code that cannot be read"

PACKAGES: Mapping[str, str] = {
    **dict.fromkeys(
        (
            *("aiohttp", "azure", "boto3", "botocore", "ftplib", "google.cloud", "grpc"),
            *("http.client", "http.server", "httplib2", "httpx", "huggingface_hub", "imaplib"),
            *(
                "kafka",
                "paho",
                "paramiko",
                "pika",
                "poplib",
                "requests",
                "s3fs",
                "gcsfs",
                "smtplib",
            ),
            *(
                "socket",
                "socketserver",
                "ssl",
                "telnetlib",
                "tensorflow_datasets",
                "urllib.request",
            ),
            *("tensorflow_hub", "urllib3", "websocket", "websockets", "xmlrpc", "zmq", "minio"),
        ),
        NETWORK,
    ),
    **dict.fromkeys(
        (
            *("MySQLdb", "asyncpg", "dbm", "duckdb", "elasticsearch", "lmdb", "mysql", "peewee"),
            *("psycopg", "psycopg2", "pymongo", "pymysql", "redis", "shelve", "sqlalchemy"),
            "sqlite3",
        ),
        DATABASE,
    ),
    **dict.fromkeys(
        ("aim", "clearml", "comet_ml", "mlflow", "neptune", "tensorboardX", "wandb"), TRACKER
    ),
    **dict.fromkeys(
        (
            *("concurrent.futures.process", "multiprocessing", "pexpect", "pty", "signal"),
            *("subprocess", "psutil"),
        ),
        PROCESS,
    ),
    **dict.fromkeys(("os", "posix", "nt", "shutil", "tempfile", "mmap"), FILE),
    **dict.fromkeys(("resource", "atexit", "winreg"), SETTING),
    **dict.fromkeys(("pygame", "tkinter", "turtle", "webbrowser"), WINDOW),
    **dict.fromkeys(("ctypes", "cffi", "runpy"), UNKNOWN),
}
"""Packages and modules whose functions act outside, but for `HARMLESS`."""

_READING_OS = (
    *("PathLike", "access", "cpu_count", "environ", "error", "fsdecode", "fsencode", "fspath"),
    *("fstat", "fwalk", "get_terminal_size", "getcwd", "getcwdb", "getenv", "getenvb"),
    *("getlogin", "getpid", "getppid", "getuid", "isatty", "listdir", "lstat", "path", "readlink"),
    *("sched_getaffinity", "scandir", "stat", "strerror", "sysconf", "times", "uname", "urandom"),
    *("walk", "DirEntry", "stat_result", "terminal_size", "getloadavg", "process_cpu_count"),
)

HARMLESS = (
    *(f"os.{name}" for name in _READING_OS),
    *("shutil.which", "shutil.disk_usage", "shutil.get_terminal_size"),
    *("tempfile.gettempdir", "tempfile.gettempprefix"),
    *("multiprocessing.cpu_count", "multiprocessing.current_process", "socket.gethostname"),
    *("signal.getsignal", "resource.getrusage", "resource.getrlimit", "http.client.responses"),
)

ACTS: Mapping[str, str] = {
    **dict.fromkeys(("builtins.input", "builtins.breakpoint", "pdb.set_trace"), USER),
    **dict.fromkeys(
        (
            *("builtins.exec", "builtins.eval", "builtins.compile", "builtins.__import__"),
            *("importlib.import_module", "importlib.reload"),
        ),
        UNKNOWN,
    ),
    **dict.fromkeys(
        ("builtins.exit", "builtins.quit", "sys.exit", "os._exit", "os.abort", "_thread.exit"), END
    ),
    **dict.fromkeys(
        (
            *("os.system", "os.popen", "os.fork", "os.forkpty", "os.kill", "os.killpg", "os.wait"),
            *("os.startfile", "os.posix_spawn", "os.posix_spawnp", "os.waitpid", "os.nice"),
            *(f"os.exec{end}" for end in ("l", "le", "lp", "lpe", "v", "ve", "vp", "vpe")),
            *(f"os.spawn{end}" for end in ("l", "le", "lp", "lpe", "v", "ve", "vp", "vpe")),
            *("asyncio.create_subprocess_exec", "asyncio.create_subprocess_shell"),
            "_thread.interrupt_main",
        ),
        PROCESS,
    ),
    **dict.fromkeys(
        ("os.chdir", "os.fchdir", "os.putenv", "os.unsetenv", "os.umask", "os.chroot"), SETTING
    ),
    **dict.fromkeys(
        (
            *("asyncio.open_connection", "asyncio.start_server", "urllib.request.urlopen"),
            "keras.utils.get_file",
            *(
                f"keras.datasets.{name}.load_data"
                for name in (
                    *("boston_housing", "california_housing", "cifar10", "cifar100", "imdb"),
                    *("fashion_mnist", "mnist", "reuters"),
                )
            ),
            *("tensorflow.distribute.Server", "tensorflow.config.experimental_connect_to_cluster"),
        ),
        NETWORK,
    ),
    **dict.fromkeys(
        (
            *("numpy.ndarray.tofile", "numpy.ndarray.dump", "numpy.DataSource"),
            *("pickle.Pickler", "zipfile.PyZipFile", "fileinput.input"),
            *("pathlib.Path.rename", "pathlib.Path.replace"),
            *("cv2.imwrite", "cv2.imwritemulti", "cv2.VideoWriter", "cv2.FileStorage"),
            *("imageio.imwrite", "imageio.imsave", "imageio.mimwrite", "imageio.mimsave"),
            *("imageio.volwrite", "imageio.get_writer", "imageio.v2.imwrite", "imageio.v3.imwrite"),
            *("skimage.io.imsave", "scipy.io.savemat", "scipy.io.wavfile.write"),
            *("scipy.sparse.save_npz", "soundfile.write", "torch.save", "joblib.Memory"),
            *("matplotlib.pyplot.savefig", "matplotlib.pyplot.imsave", "matplotlib.image.imsave"),
            *("tensorflow.io.write_file", "tensorflow.io.write_graph", "tensorflow.raw_ops.Save"),
            *("tensorflow.raw_ops.SaveV2", "tensorflow.raw_ops.WriteFile"),
            *("tensorflow.io.TFRecordWriter", "tensorflow.saved_model.save"),
            *("tensorflow.data.experimental.save", "tensorflow.data.experimental.snapshot"),
            *("tensorflow.data.experimental.TFRecordWriter", "tensorflow.profiler.experimental.*"),
            *("tensorflow.debugging.experimental.enable_dump_debug_info", "tensorflow.summary.*"),
            *("tensorflow.compat.v1.summary.FileWriter", "tensorflow.compat.v1.train.Saver"),
            *("tensorflow.train.Checkpoint", "tensorflow.train.CheckpointManager"),
            *(
                f"tensorflow.io.gfile.{name}"
                for name in ("copy", "makedirs", "mkdir", "remove", "rename", "rmtree")
            ),
            *("keras.utils.save_img", "keras.utils.plot_model", "keras.saving.save_model"),
            *("keras.models.save_model", "keras.saving.save_weights"),
            *(
                f"keras.callbacks.{name}"
                for name in ("BackupAndRestore", "CSVLogger", "ModelCheckpoint", "TensorBoard")
            ),
        ),
        FILE,
    ),
    "keras.callbacks.RemoteMonitor": NETWORK,
    **dict.fromkeys(
        (
            *("cv2.imshow", "cv2.namedWindow", "cv2.waitKey", "matplotlib.pyplot.show"),
            *("cv2.VideoCapture", "cv2.destroyAllWindows", "cv2.pollKey"),
        ),
        WINDOW,
    ),
}
"""Functions and classes that act outside. `*`: all public names of a module."""

OPENERS: Mapping[str, tuple[int, str]] = {
    "builtins.open": (1, "r"),
    "io.FileIO": (1, "r"),
    "codecs.open": (1, "r"),
    "gzip.open": (1, "rb"),
    "gzip.GzipFile": (1, "rb"),
    "bz2.open": (1, "rb"),
    "bz2.BZ2File": (1, "r"),
    "lzma.open": (1, "rb"),
    "lzma.LZMAFile": (1, "r"),
    "zipfile.ZipFile": (1, "r"),
    "tarfile.open": (1, "r"),
    "tarfile.TarFile": (1, "r"),
    "wave.open": (1, ""),
    "pathlib.Path.open": (0, "r"),
    "h5py.File": (1, "r"),
    "numpy.memmap": (2, "r+"),
    "numpy.lib.format.open_memmap": (1, "r+"),
    "tensorflow.io.gfile.GFile": (1, "r"),
    "tensorflow.compat.v1.gfile.FastGFile": (1, "r"),
    "imageio.v3.imopen": (1, ""),
}
"""What opens a file, with the position of its mode and the mode it has by default."""

SAVERS: Mapping[str, int] = {
    "numpy.save": 0,
    "numpy.savez": 0,
    "numpy.savez_compressed": 0,
    "numpy.savetxt": 0,
    "pickle.dump": 1,
    "json.dump": 1,
    "marshal.dump": 1,
    "yaml.dump": 1,
    "joblib.dump": 1,
    "csv.writer": 0,
}
"""What writes to the file, or the buffer in memory, that is the argument at this position."""

METHODS: Mapping[str, str] = {
    **dict.fromkeys(
        (
            *("write", "writelines", "writerow", "writerows", "writeheader", "write_text"),
            *("write_bytes", "write_graph", "save", "save_weights", "save_model", "imsave"),
            *("save_pretrained", "savefig", "imwrite", "export", "to_csv", "to_excel", "to_hdf"),
            *("to_parquet", "to_pickle", "to_feather", "to_stata", "tofile", "dump", "unlink"),
            *("mkdir", "makedirs", "rmdir", "rmtree", "touch", "symlink_to", "hardlink_to"),
            *("chmod", "lchmod", "snapshot", "extractall", "create_dataset", "create_group"),
            *("writestr", "to_zarr", "to_netcdf"),
        ),
        FILE,
    ),
    **dict.fromkeys(
        (
            *(
                "send",
                "sendall",
                "sendto",
                "sendmail",
                "send_message",
                "post",
                "urlopen",
                "publish",
            ),
            *("connect", "upload", "upload_file", "upload_fileobj", "put_object", "download_file"),
            *("upload_from_filename", "upload_from_string", "from_pretrained", "recv"),
        ),
        NETWORK,
    ),
    **dict.fromkeys(
        (
            *("commit", "execute", "executemany", "executescript", "insert_one", "insert_many"),
            *("update_one", "update_many", "delete_one", "delete_many", "bulk_write", "to_sql"),
        ),
        DATABASE,
    ),
    **dict.fromkeys(("log_metric", "log_metrics", "log_artifact", "log_param", "log"), TRACKER),
    **dict.fromkeys(("terminate", "kill", "communicate"), PROCESS),
}
"""Methods that act outside, whatever it is that has them."""

ONLY_TARGET: Mapping[str, str] = {"rename": "target", "replace": "target", "cache": "filename"}
"""Methods that act on files where a path is all they are given, with what its keyword is."""

WITH_TARGET: Mapping[str, str] = {
    "to_html": "buf",
    "to_json": "path_or_buf",
    "to_latex": "buf",
    "to_markdown": "buf",
    "to_string": "buf",
    "to_xml": "path_or_buffer",
}
"""Methods that write to what they are given first, or by this keyword, and else return text."""

MEMMAP_METHODS = frozenset({"byteswap", "fill", "flush", "itemset", "partition", "put", "sort"})
"""Methods of an array that change it in place."""

CHANGING_FIRST = tuple(
    f"numpy.{name}"
    for name in ("copyto", "fill_diagonal", "place", "put", "put_along_axis", "putmask")
)
"""Functions that change the array that is their first argument."""

IN_MEMORY = (io.StringIO, io.BytesIO)

MOST_BASES = 10
"""Views of views of an array that are looked through."""

_PLAIN = (str, bytes, bytearray, list, tuple, dict, set, frozenset)


class Names:
    """The names of the things above by identity, for the modules loaded by now."""

    def __init__(self) -> None:
        self._acts: dict[int, str] = {}
        self._openers: dict[int, tuple[int, str]] = {}
        self._savers: dict[int, int] = {}
        self._harmless: set[int] = set()
        self._changing = {id(thing) for name in CHANGING_FIRST for thing in _things(name)}
        for name, kind in ACTS.items():
            for thing in _things(name):
                self._acts[id(thing)] = kind
        for name, mode in OPENERS.items():
            self._openers.update({id(thing): mode for thing in _things(name)})
        for name, position in SAVERS.items():
            self._savers.update({id(thing): position for thing in _things(name)})
        for name in HARMLESS:
            self._harmless.update(id(thing) for thing in _things(name))

    def opener(self, thing: Any) -> tuple[int, str] | None:
        """Position and default of the mode, where `thing` opens files."""
        return self._openers.get(id(_plain(thing)))

    def saver(self, thing: Any) -> int | None:
        """The position of the target, where `thing` writes to one."""
        return self._savers.get(id(_plain(thing)))

    def changes_first(self, thing: Any) -> bool:
        """Whether `thing` changes the array that is its first argument."""
        return id(_plain(thing)) in self._changing

    def is_harmless(self, thing: Any) -> bool:
        """Whether `thing` is one of those that do nothing where their likes do."""
        return id(_plain(thing)) in self._harmless

    def act(self, thing: Any) -> str | None:
        """What `thing`, a library's function, class or object, does outside; `None`: nothing."""
        thing = _plain(thing)
        if id(thing) in self._harmless or isinstance(thing, (ModuleType, enum.Enum)):
            return None
        if id(thing) in self._acts:
            return self._acts[id(thing)]
        if id(thing) in self._openers or id(thing) in self._savers:
            return FILE
        if isinstance(thing, logging.Logger) or getattr(thing, "__module__", "") == "logging":
            return _logged(thing)
        if isinstance(thing, BuiltinMethodType) and not isinstance(
            thing.__self__, (ModuleType, type, *_PLAIN, type(None))
        ):
            return self._bound(thing)
        held = self._held(thing)
        if held is not None:
            return held
        called = callable(thing) and hasattr(thing, "__name__")
        holder = getattr(thing, "__objclass__", thing) if called else type(thing)
        module = getattr(holder, "__module__", None)
        if not isinstance(module, str) or (inspect.isclass(thing) and _is_error(thing)):
            return None
        kind = package(module)
        if called:
            return _by_name(thing, module) if kind is None else kind
        return None if kind == FILE else kind

    def _bound(self, method: BuiltinMethodType) -> str | None:
        """What a method of an object does outside that is written in C: `open(path, "w").write`."""
        owner = method.__self__
        if is_output(owner):
            return None
        if method.__name__ in MEMMAP_METHODS and keeps_changes(owner):
            return FILE
        module = type(owner).__module__
        return self._held(owner) or package(module) or _by_name(method, module)

    def _held(self, thing: Any) -> str | None:
        """What somebody may do who has an object that a library made: an open file, a callback."""
        if isinstance(thing, (queue.Queue, queue.SimpleQueue)):
            return HANDED_ON
        if _is_open_to_write(thing):
            return FILE
        if isinstance(thing, type):
            return None
        kinds = (self._acts.get(id(kind)) for kind in type(thing).__mro__)
        return next((kind for kind in kinds if kind is not None), None)


def _is_open_to_write(thing: Any) -> bool:
    if isinstance(thing, (tarfile.TarFile, zipfile.ZipFile)):
        return thing.mode != "r"
    if not isinstance(thing, io.IOBase) or is_output(thing):
        return False
    return not thing.closed and thing.writable()


def is_output(thing: Any) -> bool:
    """Whether something written to goes nowhere outside: to memory, the program's own output."""
    if isinstance(thing, IN_MEMORY):
        return True
    streams = [each for each in (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__) if each]
    if any(thing is each or thing is getattr(each, "buffer", each) for each in streams):
        return True
    return isinstance(thing, io.IOBase) and getattr(thing, "name", None) == os.devnull


def keeps_changes(thing: Any) -> bool:
    """Whether what is stored in an object goes to a file."""
    numpy = sys.modules.get("numpy")
    for _ in range(MOST_BASES):
        if isinstance(thing, mmap.mmap):
            return True
        if type(thing).__module__.partition(".")[0] in ("h5py", "zarr", "netCDF4", "tables"):
            return True
        if numpy is None or not isinstance(thing, numpy.ndarray):
            return False
        if isinstance(thing, numpy.memmap):
            # "c": what is stored stays in memory; "r": it cannot be.
            return thing.mode not in ("c", "r")
        thing = thing.base
    return False


def package(module: str) -> str | None:
    """What the functions of a module do outside, by its name; `None`: nothing."""
    parts = module.lstrip("_").split(".")
    for end in range(len(parts), 0, -1):
        kind = PACKAGES.get(".".join(parts[:end]))
        if kind is not None:
            return kind
    return None


def _by_name(thing: Any, module: str) -> str | None:
    name = thing.__name__
    owner = getattr(thing, "__qualname__", name).rpartition(".")[0].rpartition(".")[2]
    if not owner or owner in ("TensorArray", "StringIO", "BytesIO") or name in ("log", "send"):
        return None
    if module.startswith(("logging", "absl")):
        return None
    return METHODS.get(name)


def _logged(thing: Any) -> str | None:
    """Logging is printing, unless it was told to go elsewhere."""
    if inspect.isclass(thing) and issubclass(thing, logging.Handler):
        return FILE if thing not in (logging.Handler, logging.StreamHandler) else None
    if getattr(thing, "__name__", "") in ("basicConfig", "shutdown", "addHandler"):
        return SETTING
    loggers = [logging.root, *logging.root.manager.loggerDict.values()]
    handlers = [handler for each in loggers for handler in getattr(each, "handlers", ())]
    return FILE if any(_keeps(each) for each in handlers) else None


def _keeps(handler: logging.Handler) -> bool:
    return isinstance(handler, logging.FileHandler) and handler.baseFilename != os.devnull


def _is_error(kind: type) -> bool:
    return issubclass(kind, BaseException)


def _plain(thing: Any) -> Any:
    """A function behind its binding, where that makes no difference to what it is."""
    return thing.__func__ if inspect.ismethod(thing) else thing


def _things(name: str) -> list[Any]:
    """What has this dotted name, as far as its modules are loaded. `*`: all that is public."""
    parts = name.split(".")
    for end in range(len(parts) - 1, 0, -1):
        thing: Any = sys.modules.get(".".join(parts[:end]))
        if thing is not None:
            rest = parts[end:]
            break
    else:
        return []
    for part in rest:
        if part == "*":
            every = [getattr(thing, public) for public in dir(thing) if public[0] != "_"]
            return [each for each in every if callable(each)]
        try:
            thing = getattr(thing, part)
        except AttributeError:
            return []
    return [_plain(thing)]
