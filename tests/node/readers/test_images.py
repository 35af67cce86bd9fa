"""Images of every kind -> arrays as the signature asks for them."""

from __future__ import annotations

import logging
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from batchtwin_node.readers import read
from batchtwin_node.readers.bad_file import BadFileError
from batchtwin_node.readers.signature import Column, Signature, Tensor

Array = np.ndarray[Any, Any]
Save = Callable[..., str]
GREY = np.arange(12, dtype=np.uint8).reshape(3, 4) * 20
COLOUR = np.stack([GREY, GREY + 1, GREY + 2], axis=-1)


@pytest.fixture
def save(tmp_path: Path) -> Save:
    """Save an image, or raw bytes, under a name and return its path."""

    def to_disk(image: Image.Image | Array | bytes, name: str = "a.png", **options: Any) -> str:
        path = tmp_path / name
        if isinstance(image, bytes):
            path.write_bytes(image)
        else:
            (Image.fromarray(image) if isinstance(image, np.ndarray) else image).save(path, **options)
        return str(path)

    return to_disk


def tensor(*shape: int, dtype: str = "uint8") -> Signature:
    return Signature(tensors=(Tensor(shape, dtype),))


def array(path: str, signature: Signature | None = None) -> Array:
    pixels = read(path, signature)
    assert isinstance(pixels, np.ndarray)
    assert pixels.flags.writeable, "models may work in place"
    return pixels


def bad(path: str, signature: Signature | None = None) -> str:
    with pytest.raises(BadFileError) as caught:
        read(path, signature)
    start = f"ERROR:azureml:Error processing input file: '{path}'. Exception: "
    assert str(caught.value).startswith(start)
    return str(caught.value)[len(start) :]


@pytest.mark.parametrize("name", ["a.png", "a.PNG", "a.tiff", "a.bmp", "a.gif", "a.jpg", "a.jpeg", "A.JpEg"])
def test_every_ending(save: Save, name: str, caplog: pytest.LogCaptureFixture) -> None:
    pixels = array(save(np.full((3, 4), 100, dtype=np.uint8), name))
    assert (pixels.dtype, pixels.shape[:2]) == (np.uint8, (3, 4))
    assert (pixels == 100).all()
    assert caplog.messages == []


@pytest.mark.parametrize(
    ("mode", "shape"),
    [
        ("L", (3, 4)),
        ("LA", (3, 4, 2)),
        ("RGB", (3, 4, 3)),
        ("RGBA", (3, 4, 4)),
        ("P", (3, 4, 3)),
        ("1", (3, 4)),
        ("I;16", (3, 4)),
    ],
)
def test_without_signature(save: Save, mode: str, shape: tuple[int, ...]) -> None:
    pixels = array(save(Image.new(mode, (4, 3), 1)))
    assert (pixels.dtype, pixels.shape) == (np.uint8, shape)


@pytest.mark.parametrize(("mode", "name"), [("CMYK", "a.jpg"), ("CMYK", "a.tiff"), ("YCbCr", "a.tiff")])
def test_other_colours_become_rgb(save: Save, mode: str, name: str) -> None:
    pixels = array(save(Image.fromarray(np.full((3, 4, 3), 200, np.uint8)).convert(mode), name))
    assert pixels.shape == (3, 4, 3)
    assert (abs(pixels.astype(int) - 200) < 5).all()


def test_palette_with_alpha_keeps_it() -> None:
    from batchtwin_node.readers.images import _own_mode

    assert _own_mode(Image.new("PA", (1, 1))) == "RGBA"


def test_palette_with_transparency_becomes_rgb(save: Save) -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([255, 0, 0, 0, 0, 255])
    image.putdata([0, 1])
    path = save(image, transparency=b"\x00\xff")
    assert array(path).tolist() == [[[255, 0, 0], [0, 0, 255]]]
    assert array(path, tensor(-1, 1, 2, 4)).tolist() == [[[[255, 0, 0, 0], [0, 0, 255, 255]]]]


def test_black_and_white_is_0_and_255(save: Save) -> None:
    assert array(save(np.array([[True, False]]))).tolist() == [[255, 0]]


def test_sixteen_bits(save: Save) -> None:
    path = save(np.array([[0, 257, 65535]], dtype=np.uint16))
    assert array(path).tolist() == [[0, 1, 255]]
    assert array(path, tensor(-1, 1, 3, 1)).ravel().tolist() == [0, 1, 255]
    assert array(path, tensor(-1, 1, 3, 3))[0, 0].tolist() == [[0] * 3, [1] * 3, [255] * 3]
    for dtype in ("uint16", "float32"):
        pixels = array(path, tensor(-1, 1, 3, 1, dtype=dtype))
        assert (str(pixels.dtype), pixels.ravel().tolist()) == (dtype, [0, 257, 65535])


def test_thirty_two_bits(save: Save) -> None:
    path = save(np.array([[0.5, 2.5]], dtype=np.float32), "a.tiff")
    assert array(path, tensor(-1, 1, 2, 1, dtype="float32")).ravel().tolist() == [0.5, 2.5]
    assert bad(path) == "its pixels have 32 bits (mode F), which do not fit the 8 bits asked for"
    assert "32 bits" in bad(path, tensor(-1, 1, 2, 3, dtype="float32"))


def test_mode_that_cannot_be_converted(save: Save) -> None:
    text = bad(save(Image.new("LAB", (2, 2)), "a.tiff"), tensor(-1, 2, 2, 1))
    assert text.startswith("no L can be made of it: ")


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((-1, 3, 4, 1), (1, 3, 4, 1)),
        ((-1, 3, 4, 3), (1, 3, 4, 3)),
        ((-1, 3, 4, 4), (1, 3, 4, 4)),
        ((-1, -1, -1, 3), (1, 3, 4, 3)),
        ((-1, -1, -1, -1), (1, 3, 4, 3)),
        ((-1, 3, 4), (1, 3, 4)),
        ((-1, -1, -1), (1, 3, 4)),
        ((-1, 12), (1, 12)),
        ((-1, 36), (1, 36)),
        ((-1, 48), (1, 48)),
        ((-1, -1), (1, 36)),
        ((3, 4, 3), (3, 4, 3)),
        ((1, 3, 4, 1), (1, 3, 4, 1)),
        ((3, 4), (3, 4)),
        ((-1, 3, -1, 3), (1, 3, 4, 3)),
    ],
)
def test_shapes(save: Save, shape: tuple[int, ...], expected: tuple[int, ...]) -> None:
    assert array(save(COLOUR), tensor(*shape)).shape == expected


def test_pixels_stay_where_they_are(save: Save) -> None:
    grey, colour = save(GREY, "grey.png"), save(COLOUR, "colour.png")
    assert np.array_equal(array(grey, tensor(-1, 3, 4, 1))[0, :, :, 0], GREY)
    assert np.array_equal(array(grey, tensor(-1, 3, 4, 3))[0], np.stack([GREY] * 3, axis=-1))
    assert np.array_equal(array(colour, tensor(-1, 3, 4, 3))[0], COLOUR)
    assert np.array_equal(array(colour, tensor(-1, 3, 4, 4))[0, :, :, 3], np.full((3, 4), 255))
    assert np.array_equal(array(colour, tensor(-1, 36))[0], COLOUR.ravel())
    assert np.array_equal(array(colour), COLOUR)


@pytest.mark.parametrize("shape", [(-1, 3, 5, 6), (-1, 3, -1, -1), (1, 3, 5, 6)])
def test_channels_that_come_first(save: Save, shape: tuple[int, ...]) -> None:
    colour = np.arange(90, dtype=np.uint8).reshape(5, 6, 3)
    assert np.array_equal(array(save(colour), tensor(*shape))[0], colour.transpose(2, 0, 1))
    assert array(save(colour), tensor(-1, 1, 5, 6)).shape == (1, 1, 5, 6)


@pytest.mark.parametrize("dtype", ["uint8", "float32", "float64", "int64"])
def test_dtypes(save: Save, dtype: str) -> None:
    pixels = array(save(GREY), tensor(-1, 3, 4, 1, dtype=dtype))
    assert str(pixels.dtype) == dtype
    assert pixels.max() == 220


@pytest.mark.parametrize(
    ("shape", "own"), [((-1, 28, 28, 1), (3, 4, 1)), ((-1, 784), (3, 4, 3)), ((-1, 13), (3, 4)), ((-1,), (3, 4, 3))]
)
def test_shape_that_cannot_be_reached(save: Save, shape: tuple[int, ...], own: tuple[int, ...]) -> None:
    text = f"an image of shape {own} cannot be reshaped to the {shape} of the model's signature"
    assert bad(save(COLOUR), tensor(*shape)) == text


def test_reshaping_that_mixes_up_pixels_is_warned_of(save: Save, caplog: pytest.LogCaptureFixture) -> None:
    assert array(save(GREY), tensor(-1, 4, 3, 1)).shape == (1, 4, 3, 1)
    assert caplog.messages == ["a.png: reshaping (3, 4, 1) to (1, 4, 3, 1) mixes up its pixels; resize it"]


def frames(*values: int) -> list[Image.Image]:
    return [Image.new("L", (4, 3), value) for value in values]


@pytest.mark.parametrize("name", ["a.gif", "a.png", "a.tiff"])
def test_first_frame_of_several(save: Save, name: str, caplog: pytest.LogCaptureFixture) -> None:
    first, *rest = frames(10, 20, 30)
    pixels = array(save(first, name, save_all=True, append_images=rest))
    assert (pixels == 10).all()
    assert caplog.record_tuples == [
        ("batchtwin_node.readers.images", logging.WARNING, f"{name}: only the first of its 3 frames is scored")
    ]


def test_preview_of_a_camera_is_no_frame(save: Save, caplog: pytest.LogCaptureFixture) -> None:
    first, *rest = (Image.new("RGB", (4, 3), (value,) * 3) for value in (10, 200))
    path = Path(save(first, "a.mpo", save_all=True, append_images=rest))
    pixels = array(str(path.rename(path.with_suffix(".jpg"))))
    assert pixels.max() < 20
    assert caplog.messages == []


@pytest.mark.parametrize("content", ["jpeg", "webp", "gif"])
def test_content_counts_not_the_ending(
    save: Save, tmp_path: Path, content: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = save(np.full((3, 4, 3), 100, np.uint8), f"a.{content}")
    pixels = array(str(Path(path).rename(tmp_path / "b.png")))
    assert pixels.shape == (3, 4, 3)
    assert caplog.messages == [f"b.png: read as {content.upper()}, whatever its ending says"]


def test_text_is_no_image(save: Save) -> None:
    assert bad(save(b"a,b\n1,2\n", "a.png")) == "not an image, whatever its ending says"
    postscript = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n"
    assert bad(save(postscript, "a.png")) == "not an image, whatever its ending says"


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.bmp", "a.gif", "a.tiff"])
@pytest.mark.parametrize("keep", [0.1, 0.5, 0.9])
def test_truncated_files(save: Save, name: str, keep: float) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    path = Path(save(noise, name))
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * keep)])
    assert bad(str(path)).startswith(("not a readable image: ", "not an image, "))


def test_garbled_files_are_bad_files_or_images(save: Save) -> None:
    random = np.random.default_rng(1)
    for name in ("a.png", "a.jpg", "a.gif", "a.tiff", "a.bmp"):
        path = Path(save(random.integers(0, 256, (20, 20, 3), dtype=np.uint8), name))
        content = np.frombuffer(path.read_bytes(), np.uint8)
        for _ in range(40):
            garbled = content.copy()
            garbled[random.integers(0, len(content), 8)] = random.integers(0, 256, 8)
            path.write_bytes(garbled.tobytes())
            try:
                read(str(path), None)
            except BadFileError as error:
                assert "image" in str(error)


def test_decompression_bomb(save: Save) -> None:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 50_000, 50_000, 8, 0, 0, 0, 0))
    bomb = b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(50_001))) + chunk(b"IEND", b"")
    assert "decompression bomb" in bad(save(bomb))


def test_file_deleted_in_between(tmp_path: Path) -> None:
    assert bad(str(tmp_path / "gone.png")) == "cannot be read: No such file or directory"


def test_models_of_tables(save: Save) -> None:
    text = bad(save(GREY), Signature((Column("age", "long"), Column("sex", "long"))))
    assert text == "the model's signature asks for a table with the columns 'age', 'sex'; this is an image"


def test_models_of_several_inputs(save: Save) -> None:
    two = Signature(tensors=(Tensor((-1, 3, 4, 1), "uint8", "image"), Tensor((-1, 1), "uint8", "age")))
    assert bad(save(GREY), two) == "the model's signature asks for 2 inputs ('image', 'age'), not one"
    signature = Signature(tensors=(Tensor((-1, 3, 4, 1), "uint8", "image"),))
    assert array(save(GREY), signature).shape == (1, 3, 4, 1)
