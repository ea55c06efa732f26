"""The shipped network in torch: the reference that every other runtime is compared with."""

from collections.abc import Callable
from typing import Self

import numpy as np
import torch

from export.deployed import Deployed
from export.runtimes.protocol import TensorSpec, check_input
from pipeline.errors import NetworkError
from stages.nets.catalogue import NetSpec


class TorchRuntime:
    """Runs `Deployed` in fp32; on a GPU without TF32.

    `threads` (CPU threads within an operator; None leaves torch's choice) is a setting of the whole process:
    it holds until `close`. `compiled_batch`: compile for that many images before anything is predicted, by torch's
    own compiler, which needs a C++ compiler on the machine; None runs eagerly.
    """

    def __init__(
        self,
        module: Deployed,
        spec: NetSpec,
        size_px: tuple[int, int],
        device: str = "cpu",
        threads: int | None = None,
        compiled_batch: int | None = None,
    ) -> None:
        self._threads_before = torch.get_num_threads()
        torch.set_num_threads(threads or self._threads_before)
        torch.backends.cudnn.allow_tf32 = False
        torch.backends.cuda.matmul.allow_tf32 = False
        self._module: Callable[[torch.Tensor], torch.Tensor] | None = module.to(device).eval()
        self._device = device
        self.name = f"torch {torch.__version__} {device}{' compiled' if compiled_batch else ''}"
        self.input = TensorSpec("images", "uint8", ("batch", *size_px, 3))
        self.output = (
            TensorSpec("labels", "uint8", ("batch", *size_px))
            if module.output == "labels"
            else TensorSpec("logits", "float32", ("batch", spec.classes, *size_px))
        )
        if compiled_batch is not None:
            self._module = torch.compile(self._module, dynamic=False)
            self._compile(np.zeros((compiled_batch, *size_px, 3), dtype=np.uint8))

    @torch.inference_mode()
    def predict(self, images_NHWC: np.ndarray) -> np.ndarray:
        """As `Runtime.predict`; any batch."""
        assert self._module is not None, "a closed runtime cannot predict"
        check_input(images_NHWC, self.input, "the torch student")
        result = self._module(torch.from_numpy(np.ascontiguousarray(images_NHWC)).to(self._device))
        array: np.ndarray = result.cpu().numpy()
        return array

    def _compile(self, images_NHWC: np.ndarray) -> None:
        """The first call compiles; NetworkError where that is impossible."""
        try:
            self.predict(images_NHWC)
        except Exception as error:
            # What may go wrong spans torch's tracer, its code generator and the C++ compiler: no common base.
            self.close()
            raise NetworkError(f"torch cannot compile this network here: {' '.join(str(error).split())}") from error

    def close(self) -> None:
        """Forget the network and give torch its threads back."""
        if self._module is not None:
            self._module = None
            torch.set_num_threads(self._threads_before)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()
