"""Writes test/golden/images: small image files with Pillow's pixels, resampled images, and what transformers' processors make.

  pip install "pillow<13" numpy scikit-learn transformers && python scripts/golden/preprocess.py

files/        made-up images of a few hundred bytes: every colour type and size that matters, and damaged ones
golden.json   decode: for each file the SHA-256 of Image.open(…).convert("RGB"), its width and height; "error" where Pillow
              cannot read it or only in part; "oriented": the same after ImageOps.exif_transpose
              resize: for each file, size and filter the SHA-256 of Image.resize
              crop: for each size the SHA-256 of transformers' center_crop
              processors: for each case a preprocessor_config.json, and for each image the SHA-256 of the uint8 pixels [H, W, 3]
              (with do_rescale and do_normalize off), the shape, and mean and population std of the float32 tensor, its first values
              and its SHA-256 (channels first)
The photos of scikit-learn (BSD) are not copied here; tests that need them look for the installed package. With a folder of
github.com/EliSchwartz/imagenet-sample-images (1,000 photographs, ImageNet's terms: not copied either) as its argument, the script
also writes the SHA-256 over a hundred of them, resized to 256 and cropped to 224.
"""

import hashlib
import importlib.util
import io
import json
import pathlib
import struct
import sys
import zlib

import numpy
import PIL
import transformers
from PIL import Image, ImageOps
from transformers.image_transforms import center_crop
from transformers.models.bit.image_processing_pil_bit import BitImageProcessorPil
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
from transformers.models.convnext.image_processing_pil_convnext import ConvNextImageProcessorPil
from transformers.models.deit.image_processing_pil_deit import DeiTImageProcessorPil
from transformers.models.llava.image_processing_pil_llava import LlavaImageProcessorPil
from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil
from transformers.models.vit.image_processing_pil_vit import ViTImageProcessorPil

assert int(PIL.__version__.split(".")[0]) < 13, "Pillow 13 resizes tall images in another order"

OUT = pathlib.Path(__file__).parents[2] / "test/golden/images"
FILES = OUT / "files"
FILES.mkdir(parents=True, exist_ok=True)

sha = lambda data: hashlib.sha256(bytes(data)).hexdigest()


def picture(width, height, seed=0):
    """Smooth colours with some noise: what codecs are made for, and nothing that repeats."""
    y, x = numpy.mgrid[0:height, 0:width].astype(float)
    random = numpy.random.RandomState(seed)
    rgb = [128 + 100 * numpy.sin(x / (3 + c) + seed) * numpy.cos(y / (5 - c)) for c in range(3)]
    noise = random.randint(-25, 26, (height, width, 3))
    return Image.fromarray(numpy.clip(numpy.stack(rgb, -1) + noise, 0, 255).astype(numpy.uint8))


def encoded(image, format, **options):
    out = io.BytesIO()
    image.save(out, format, **options)
    return out.getvalue()


def chunk(kind, body):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(width, height, depth, colour, rows, interlace=0, extra=b""):
    """A PNG by hand, for what Pillow does not write. `rows` is the filtered data of all passes."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlace)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + extra + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def interlaced(image, depth, colour):
    """Adam7, with a filter of its own for each row."""
    pixels = numpy.asarray(image)
    if pixels.ndim == 2:
        pixels = pixels[..., None]
    rows, number = b"", 0
    for x, y, dx, dy in [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]:
        part = pixels[y::dy, x::dx]
        if part.size == 0:
            continue
        above, back = None, max(1, depth * part.shape[2] // 8)
        for line in part:
            if depth == 8:
                raw = line.tobytes()
            else:
                bits = "".join(format(int(v), f"0{depth}b") for v in line.ravel())
                bits += "0" * (-len(bits) % 8)
                raw = bytes(int(bits[i : i + 8], 2) for i in range(0, len(bits), 8))
            rows += filtered(raw, above or bytes(len(raw)), back, number % 5)
            above, number = raw, number + 1
    return png(image.width, image.height, depth, colour, rows, interlace=1)


def filtered(raw, above, back, kind):
    out = bytes([kind])
    for i, value in enumerate(raw):
        a = raw[i - back] if i >= back else 0
        b, c = above[i], above[i - back] if i >= back else 0
        p = a + b - c
        nearest = min((abs(p - a), 0, a), (abs(p - b), 1, b), (abs(p - c), 2, c))[2]
        out += bytes([(value - [0, a, b, (a + b) // 2, nearest][kind]) & 255])
    return out


def exif(orientation, big=False):
    order = ">" if big else "<"
    head = (b"MM\0*" if big else b"II*\0") + struct.pack(order + "I", 8)
    return b"Exif\0\0" + head + struct.pack(order + "HHHIHHI", 1, 0x112, 3, 1, orientation, 0, 0)


def make_files():
    rgb, odd, tall = picture(32, 24), picture(17, 13, 1), picture(9, 40, 2)
    alpha = rgb.copy()
    alpha.putalpha(Image.fromarray((numpy.arange(32 * 24) % 256).astype(numpy.uint8).reshape(24, 32)))
    files = {}
    for name, sampling in {"444": 0, "422": 1, "420": 2}.items():
        files[f"jpeg-{name}.jpg"] = encoded(odd, "JPEG", quality=85, subsampling=sampling)
    files["jpeg-progressive.jpg"] = encoded(rgb, "JPEG", quality=70, progressive=True)
    files["jpeg-grey.jpg"] = encoded(odd.convert("L"), "JPEG", quality=80)
    files["jpeg-restart.jpg"] = encoded(rgb, "JPEG", quality=80, restart_marker_blocks=1)
    files["jpeg-tall.jpg"] = encoded(tall, "JPEG", quality=90, subsampling=0)
    files["jpeg-one.jpg"] = encoded(picture(1, 1), "JPEG")
    for orientation in range(1, 9):
        files[f"jpeg-exif-{orientation}.jpg"] = encoded(picture(7, 5), "JPEG", quality=60, exif=exif(orientation, orientation % 2 == 0))
    files["jpeg-cmyk.jpg"] = encoded(rgb.convert("CMYK"), "JPEG")
    whole = files["jpeg-progressive.jpg"]
    files["jpeg-truncated.jpg"] = encoded(rgb, "JPEG", quality=90)[:-80]
    files["jpeg-truncated-marker.jpg"] = files["jpeg-truncated.jpg"] + b"\xff\xd9"
    files["jpeg-no-end.jpg"] = encoded(rgb, "JPEG", quality=90)[:-2]
    files["jpeg-trailing.jpg"] = whole + b"more bytes after the end"
    files["jpeg-extraneous.jpg"] = whole[:-2] + b"\x00\x01\x02" + whole[-2:]
    files["png-rgb.png"] = encoded(odd, "PNG")
    files["png-rgba.png"] = encoded(alpha, "PNG")
    files["png-grey.png"] = encoded(odd.convert("L"), "PNG")
    files["png-grey-alpha.png"] = encoded(alpha.convert("LA"), "PNG")
    files["png-one-bit.png"] = encoded(odd.convert("1"), "PNG")
    for bits in (1, 2, 4, 8):
        files[f"png-palette-{bits}.png"] = encoded(odd.quantize(1 << min(bits, 6)), "PNG", bits=bits)
    files["png-palette-transparent.png"] = encoded(odd.quantize(16), "PNG", transparency=3)
    for bits in (2, 4):
        grey = Image.fromarray(numpy.asarray(odd.convert("L")) >> (8 - bits))
        files[f"png-grey-{bits}-interlaced.png"] = interlaced(grey, bits, 0)
    files["png-interlaced.png"] = interlaced(odd, 8, 2)
    files["png-exif.png"] = encoded(picture(7, 5), "PNG", exif=exif(6)[6:])
    files["png-16.png"] = encoded(Image.fromarray((numpy.arange(60, dtype=numpy.uint16) * 1000).reshape(6, 10)), "PNG")
    files["png-truncated.png"] = files["png-rgb.png"][:-40]
    files["png-animated.png"] = encoded(odd, "PNG", save_all=True, append_images=[odd.rotate(90)])
    files["webp-lossy.webp"] = encoded(odd, "WEBP", quality=70)
    files["webp-lossless.webp"] = encoded(odd, "WEBP", lossless=True)
    files["webp-alpha.webp"] = encoded(alpha, "WEBP", quality=70)
    files["webp-alpha-lossless.webp"] = encoded(alpha, "WEBP", lossless=True, exact=True)
    files["webp-exif.webp"] = encoded(picture(7, 5), "WEBP", exif=exif(8))
    files["webp-truncated.webp"] = files["webp-lossy.webp"][:-30]
    files["webp-animated.webp"] = encoded(odd, "WEBP", save_all=True, append_images=[odd.rotate(90)])
    files["gif.gif"] = encoded(odd, "GIF")
    for path in FILES.iterdir():
        path.unlink()
    for name, data in files.items():
        (FILES / name).write_bytes(data)
    return files


def decode(data):
    try:
        image = Image.open(io.BytesIO(data))
        rgb = image.convert("RGB")
    except Exception as error:
        return {"error": str(error).split(" (")[0]}
    turned = ImageOps.exif_transpose(image).convert("RGB")
    one = lambda i: {"width": i.width, "height": i.height, "sha256": sha(i.tobytes())}
    return {**one(rgb), "oriented": one(turned)}


FILTERS = {"nearest": 0, "lanczos": 1, "bilinear": 2, "bicubic": 3, "box": 4, "hamming": 5}


def resized(files):
    cases = []
    for name in ["png-rgb.png", "jpeg-tall.jpg", "jpeg-one.jpg"]:
        image = Image.open(io.BytesIO(files[name])).convert("RGB")
        for width, height in [(3, 2), (17, 5), (5, 13), (40, 40), (100, 7), (8, 200), (17, 13), (1, 1)]:
            for filter, number in FILTERS.items():
                cases.append([name, width, height, filter, sha(image.resize((width, height), number).tobytes())])
    return cases


def cropped(files):
    image = numpy.asarray(Image.open(io.BytesIO(files["png-rgb.png"])).convert("RGB"))
    return [
        [w, h, sha(numpy.ascontiguousarray(center_crop(image, (h, w), input_data_format="channels_last")).tobytes())]
        for w, h in [(17, 13), (4, 4), (5, 4), (16, 12), (20, 4), (4, 20), (20, 18), (21, 17), (17, 14)]
    ]


IMAGENET = {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}
# name: (class, preprocessor_config.json without the class's name, arguments of the class where the file is of an older form)
PROCESSORS = {
    "vit": (ViTImageProcessorPil, {"image_processor_type": "ViTImageProcessor"}, {}),
    "vit-old": (ViTImageProcessorPil, {"feature_extractor_type": "ViTFeatureExtractor", "size": 32, "resample": 2, **IMAGENET}, {"size": 32, "resample": 2, **IMAGENET}),
    "deit": (DeiTImageProcessorPil, {"image_processor_type": "DeiTImageProcessorFast"}, {}),
    "deit-file": (DeiTImageProcessorPil, {"feature_extractor_type": "DeiTFeatureExtractor", "size": 40, "crop_size": 33, **IMAGENET}, {"size": 40, "crop_size": 33, **IMAGENET}),
    "convnext-224": (ConvNextImageProcessorPil, {"image_processor_type": "ConvNextFeatureExtractor", "size": 224, "crop_pct": 0.875}, {"size": 224, "crop_pct": 0.875}),
    "convnext-384": (ConvNextImageProcessorPil, {"image_processor_type": "ConvNextImageProcessor"}, {}),
    "convnext-share": (ConvNextImageProcessorPil, {"image_processor_type": "ConvNextImageProcessor", "size": {"shortest_edge": 50}, "crop_pct": 0.95, **IMAGENET}, {"size": {"shortest_edge": 50}, "crop_pct": 0.95, **IMAGENET}),
    "dinov2": (BitImageProcessorPil, {"image_processor_type": "BitImageProcessor", "size": {"shortest_edge": 256}, "crop_size": {"height": 224, "width": 224}, "do_convert_rgb": True, **IMAGENET}, {"size": {"shortest_edge": 256}, **IMAGENET}),
    "clip": (CLIPImageProcessorPil, {"image_processor_type": "CLIPImageProcessorPil"}, {}),
    "clip-padded-crop": (CLIPImageProcessorPil, {"image_processor_type": "CLIPImageProcessor", "size": {"shortest_edge": 30}, "crop_size": {"height": 51, "width": 48}, "resample": 1}, {"size": {"shortest_edge": 30}, "crop_size": {"height": 51, "width": 48}, "resample": 1}),
    "siglip": (SiglipImageProcessorPil, {"image_processor_type": "SiglipImageProcessor", "resample": 3}, {}),
    "llava-336": (LlavaImageProcessorPil, {"image_processor_type": "LlavaImageProcessor", "size": {"shortest_edge": 336}, "crop_size": {"height": 336, "width": 336}}, {"size": {"shortest_edge": 336}, "crop_size": {"height": 336, "width": 336}}),
    "llava-pad": (LlavaImageProcessorPil, {"image_processor_type": "LlavaImageProcessor", "do_pad": True}, {"do_pad": True}),
    "no-normalising": (ViTImageProcessorPil, {"image_processor_type": "ViTImageProcessor", "do_normalize": False, "size": {"height": 20, "width": 30}}, {"do_normalize": False, "size": {"height": 20, "width": 30}}),
    "no-rescaling": (ViTImageProcessorPil, {"image_processor_type": "ViTImageProcessor", "do_rescale": False, "size": {"height": 20, "width": 30}}, {"do_rescale": False, "size": {"height": 20, "width": 30}}),
    "rescale-factor": (ViTImageProcessorPil, {"image_processor_type": "ViTImageProcessor", "rescale_factor": 0.00784313725490196, "size": [20, 30], **IMAGENET}, {"rescale_factor": 0.00784313725490196, "size": [20, 30], **IMAGENET}),
    "no-resizing": (CLIPImageProcessorPil, {"image_processor_type": "CLIPImageProcessor", "do_resize": False, "crop_size": 20}, {"do_resize": False, "crop_size": 20}),
}


def processed(files):
    photos = pathlib.Path(importlib.util.find_spec("sklearn").origin).parent / "datasets/images"
    images = {name: Image.open(photos / name).convert("RGB") for name in ["china.jpg", "flower.jpg"]}
    images |= {name: Image.open(io.BytesIO(files[name])).convert("RGB") for name in ["jpeg-420.jpg", "jpeg-tall.jpg"]}
    cases = {}
    for case, (cls, config, arguments) in PROCESSORS.items():
        results = {}
        for name, image in images.items():
            made = numpy.asarray(cls(**arguments)(image, return_tensors="np")["pixel_values"][0])
            off = {**arguments, "do_rescale": False, "do_normalize": False}
            pixels = numpy.asarray(cls(**off)(image, return_tensors="np")["pixel_values"][0])
            assert pixels.dtype == numpy.uint8 and made.dtype in (numpy.float32, numpy.uint8), (case, pixels.dtype, made.dtype)
            made = numpy.ascontiguousarray(made.astype(numpy.float32))
            results[name] = {
                "shape": list(made.shape),
                "pixels": sha(numpy.ascontiguousarray(pixels.transpose(1, 2, 0)).tobytes()),
                "tensor": sha(made.tobytes()),
                "mean": round(float(made.mean(dtype=numpy.float64)), 6),
                "std": round(float(made.std(dtype=numpy.float64)), 6),
            }
        cases[case] = {"config": config, "images": results}
    return cases


def photographs(folder):
    """Every tenth, from the fourth on."""
    names = sorted(path for path in pathlib.Path(folder).iterdir() if path.suffix == ".JPEG")[3::10]
    total = hashlib.sha256()
    for name in names:
        image = Image.open(name).convert("RGB")
        short = min(image.size)
        image = numpy.asarray(image.resize([int(256 * side / short) for side in image.size], 3))
        total.update(numpy.ascontiguousarray(center_crop(image, (224, 224), input_data_format="channels_last")).tobytes())
    return {"images": len(names), "sha256": total.hexdigest()}


def main():
    files = make_files()
    golden = {
        "made with": {"pillow": PIL.__version__, "transformers": transformers.__version__, "numpy": numpy.__version__},
        "decode": {name: decode(data) for name, data in sorted(files.items())},
        "resize": resized(files),
        "crop": cropped(files),
        "processors": processed(files),
    }
    if len(sys.argv) > 1:
        golden["imagenet"] = photographs(sys.argv[1])
    (OUT / "golden.json").write_text(json.dumps(golden, indent=1) + "\n")
    print(sum(map(len, files.values())), "bytes of images,", (OUT / "golden.json").stat().st_size, "of values")


if __name__ == "__main__":
    main()
