"""An image file -> an array, shaped and typed as the model's signature says."""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from batchtwin_node.readers import ending
from batchtwin_node.readers.bad_file import BadFileError, kind_of, listed, summarize, unreadable
from batchtwin_node.readers.file_kind import IMAGE
from batchtwin_node.readers.signature import Signature, Tensor

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image
    from typing_extensions import TypeAlias

    Pixels: TypeAlias = np.ndarray[Any, Any]

log = logging.getLogger(__name__)
# Pillow's name of a format -> its endings. A camera's JPEG may turn out to be MPO.
FORMATS: dict[str, tuple[str, ...]] = {
    "PNG": (".png",),
    "JPEG": (".jpg", ".jpeg"),
    "MPO": (".jpg", ".jpeg"),
    "TIFF": (".tiff",),
    "BMP": (".bmp",),
    "DIB": (".bmp",),
    "GIF": (".gif",),
    "WEBP": (),
}
# No format is tried that runs other programs.
TRIED = tuple(name for name in FORMATS if name != "MPO")
MODES = {1: "L", 3: "RGB", 4: "RGBA"}
AS_IT_IS = frozenset({"L", "LA", "RGB", "RGBA"})
DEEP = frozenset({"I;16", "I;16B", "I;16L", "I;16N"})
WIDE = frozenset({"I", "F"})


def read(path: str, signature: Signature | None) -> Pixels:
    """Read an image: the first frame, as `uint8` of shape (height, width) or (height, width, channels).

    With a TensorSpec it has the channels, the shape (leading -1: a batch of one) and the dtype of the spec.

    Raises:
        BadFileError: the file is no readable image, or does not fit the shape.
    """
    import numpy as np

    tensor = _tensor(path, signature)
    image = _loaded(path)
    if tensor is None:
        return _pixels(path, image, None, np.dtype(np.uint8))
    dtype = np.dtype(tensor.dtype)
    channels = _channels(tensor.shape, (image.height, image.width))
    return _shaped(path, _pixels(path, image, channels, dtype), tensor).astype(dtype)


def _tensor(path: str, signature: Signature | None) -> Tensor | None:
    if signature is None:
        return None
    if len(signature.tensors) == 1:
        return signature.tensors[0]
    if signature.tensors:
        names = ", ".join(f"'{tensor.name}'" for tensor in signature.tensors)
        raise BadFileError(path, f"the model's signature asks for {len(signature.tensors)} inputs ({names}), not one")
    names = listed([column.name for column in signature.columns])
    raise BadFileError(path, f"the model's signature asks for a table with the columns {names}; this is an image")


def _loaded(path: str) -> Image.Image:
    from PIL import Image, UnidentifiedImageError

    try:
        stream = open(path, "rb")
    except OSError as error:
        raise unreadable(path, error) from None
    with stream:
        try:
            image = Image.open(stream, formats=TRIED)
            _warn(path, image)
            image.load()
        except UnidentifiedImageError:
            kind = kind_of(path, IMAGE)
            raise BadFileError(path, f"not an image, whatever its ending says{f': {kind}' if kind else ''}") from None
        except MemoryError:
            raise
        except Exception as error:  # broken files make Pillow's decoders raise anything
            raise BadFileError(path, f"not a readable image: {summarize(error)}") from None
    return image


def _warn(path: str, image: Image.Image) -> None:
    name = os.path.basename(path)
    if ending(path) not in FORMATS.get(image.format or "", ()):
        log.warning("%s: read as %s, whatever its ending says", name, image.format)
    frames = getattr(image, "n_frames", 1)
    # The second picture of an MPO file is a preview of the first.
    if frames > 1 and image.format != "MPO":
        log.warning("%s: only the first of its %d frames is scored", name, frames)


def _channels(shape: Sequence[int], size: tuple[int, int]) -> int | None:
    """Return the channels that a shape requires; None if it leaves them to the image."""
    inner = _inner(shape)
    if len(inner) >= 3:
        return next((inner[at] for at in (-1, -3) if inner[at] in MODES), None)
    if len(inner) == 2:
        return 1
    count = inner[0] // math.prod(size) if inner and inner[0] > 0 else None
    return count if count in MODES else None


def _inner(shape: Sequence[int]) -> tuple[int, ...]:
    return tuple(shape[1:] if shape[:1] == (-1,) else shape)


def _pixels(path: str, image: Image.Image, channels: int | None, dtype: np.dtype[Any]) -> Pixels:
    """Return (height, width) or (height, width, channels); one channel is as deep as the dtype can hold."""
    import numpy as np
    from PIL import Image

    if channels == 1 and dtype.itemsize > 1 and image.mode in DEEP | WIDE:
        return np.array(image)
    is_deep = image.mode in DEEP or (image.mode == "I" and image.format == "PNG")  # Pillow below 11 says so
    if image.mode in WIDE and not is_deep:
        raise BadFileError(path, f"its pixels have 32 bits (mode {image.mode}), which do not fit the 8 bits asked for")
    if is_deep:
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    elif image.mode == "1":
        image = image.convert("L")
    mode = MODES[channels] if channels else _own_mode(image)
    if image.mode == "P" and mode == "RGB":
        image = image.convert("RGBA")  # it alone knows the meaning of transparent entries of the palette
    try:
        return np.array(image.convert(mode))
    except ValueError as error:
        raise BadFileError(path, f"no {mode} can be made of it: {summarize(error)}") from None


def _own_mode(image: Image.Image) -> str:
    return image.mode if image.mode in AS_IT_IS else "RGBA" if image.mode == "PA" else "RGB"


def _shaped(path: str, pixels: Pixels, tensor: Tensor) -> Pixels:
    """Reshape pixels to a TensorSpec. Channels come first if they do there."""
    import numpy as np

    inner = _inner(tensor.shape)
    if len(inner) >= 3 and pixels.ndim == 2:
        pixels = pixels[:, :, np.newaxis]
    if len(inner) >= 3 and inner[-1] not in MODES and inner[-3] in MODES:
        pixels = np.moveaxis(pixels, -1, 0)
    if len(inner) == pixels.ndim:
        inner = tuple(have if size == -1 else size for size, have in zip(inner, pixels.shape))
    batch = (1,) if tensor.shape[:1] == (-1,) else ()
    try:
        shaped = pixels.reshape(batch + inner)
    except ValueError:
        problem = f"an image of shape {pixels.shape} cannot be reshaped to the {tensor.shape} of the model's signature"
        raise BadFileError(path, problem) from None
    if len(inner) == pixels.ndim and inner != pixels.shape:
        name = os.path.basename(path)
        log.warning("%s: reshaping %s to %s mixes up its pixels; resize it", name, pixels.shape, shaped.shape)
    return shaped
