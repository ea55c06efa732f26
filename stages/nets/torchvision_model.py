"""`torchvision:NAME`: the networks of torchvision.models.segmentation."""

from typing import Any

from stages.nets.wrapped import Wrapped, check_args, construct

FIXED = {
    "num_classes": "the data decides it",
    "weights": "name them in `weights`, e.g. torchvision:DeepLabV3_ResNet50_Weights.COCO_WITH_VOC_LABELS_V1",
    "weights_backbone": "name them in `weights`, e.g. torchvision:ResNet50_Weights.IMAGENET1K_V1",
    "progress": "nothing is downloaded here",
}


def torchvision_model(classes: int, reference: str, /, **args: Any) -> Wrapped:
    """The network `reference`, initialised at random; `aux_loss = true` gives it torchvision's auxiliary classifier.

    torchvision itself would download ImageNet weights for the backbone: here nothing is downloaded unasked.
    """
    from torchvision.models import get_model_builder

    name = f"torchvision:{reference}"
    builder = get_model_builder(reference)
    check_args(name, builder, args, FIXED)
    settings = {"weights": None, "weights_backbone": None, "num_classes": classes, **args}
    return Wrapped(name, construct(name, builder, settings), classes)
