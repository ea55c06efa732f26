"""The GPU of this machine, asked of its driver: boards have neither torch nor nvidia-smi."""

import ctypes
from dataclasses import dataclass

COMPUTE_CAPABILITY_MAJOR = 75
COMPUTE_CAPABILITY_MINOR = 76
"""CUdevice_attribute of CUDA's driver API."""
NAME_BYTES = 256


class GpuError(Exception):
    """The machine has no usable GPU."""


@dataclass(frozen=True)
class Gpu:
    """What an engine is tied to."""

    name: str
    compute_capability: str
    """E.g. `8.7` for an Orin."""
    cuda_version: str
    """Newest CUDA that the driver serves."""


def describe_gpu(index: int = 0) -> Gpu:
    """Name and capability of one GPU; GpuError where there is none or its driver does not answer."""
    cuda = driver()
    device = open_device(cuda, index)
    name = ctypes.create_string_buffer(NAME_BYTES)
    check("cuDeviceGetName", cuda.cuDeviceGetName(name, NAME_BYTES, device))
    major = attribute(cuda, COMPUTE_CAPABILITY_MAJOR, device)
    minor = attribute(cuda, COMPUTE_CAPABILITY_MINOR, device)
    return Gpu(name.value.decode(), f"{major}.{minor}", served_cuda(cuda))


def bus_id(index: int = 0) -> str:
    """Place of a GPU on the PCI bus, e.g. `0000:3B:00.0`; GpuError where there is none."""
    cuda = driver()
    place = ctypes.create_string_buffer(NAME_BYTES)
    check("cuDeviceGetPCIBusId", cuda.cuDeviceGetPCIBusId(place, NAME_BYTES, open_device(cuda, index)))
    return place.value.decode()


def driver() -> ctypes.CDLL:
    """The driver's library; GpuError where none is installed."""
    try:
        return ctypes.CDLL("libcuda.so.1")
    except OSError as error:
        raise GpuError(f"no NVIDIA driver: {error}") from error


def open_device(cuda: ctypes.CDLL, index: int) -> ctypes.c_int:
    """A GPU's handle."""
    device = ctypes.c_int()
    check("cuInit", cuda.cuInit(0))
    check("cuDeviceGet", cuda.cuDeviceGet(ctypes.byref(device), index))
    return device


def served_cuda(cuda: ctypes.CDLL) -> str:
    """Newest CUDA that the driver serves; asks without opening a GPU."""
    version = ctypes.c_int()
    check("cuDriverGetVersion", cuda.cuDriverGetVersion(ctypes.byref(version)))
    # The driver writes 12060 for 12.6.
    return f"{version.value // 1000}.{version.value % 1000 // 10}"


def attribute(cuda: ctypes.CDLL, number: int, device: ctypes.c_int) -> int:
    """One whole-number property of a device."""
    value = ctypes.c_int()
    check("cuDeviceGetAttribute", cuda.cuDeviceGetAttribute(ctypes.byref(value), number, device))
    return value.value


def check(call: str, status: int) -> None:
    """GpuError unless the driver answered CUDA_SUCCESS."""
    if status != 0:
        raise GpuError(f"the NVIDIA driver's {call} failed with CUDA error {status}")
