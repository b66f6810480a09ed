import { crc32, deflateSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { decodeImage } from '../../src/images/index.js';
import { runs } from '../scale.js';
import { codeOf, golden, imageBytes, imageNames, sha256 } from './golden.js';

/** What Pillow reads, or half reads, and we do not. */
const REFUSED: Readonly<Record<string, readonly [code: string, says: RegExp]>> = {
  'gif.gif': ['E_UNSUPPORTED_IMAGE', /gif\.gif.*a GIF/],
  'jpeg-cmyk.jpg': ['E_UNSUPPORTED_IMAGE', /CMYK/],
  'jpeg-no-end.jpg': ['E_IMAGE_INVALID', /ends early/],
  'jpeg-truncated.jpg': ['E_IMAGE_INVALID', /ends early/],
  'jpeg-truncated-marker.jpg': ['E_IMAGE_INVALID', /premature end/],
  'png-16.png': ['E_UNSUPPORTED_IMAGE', /16 bits/],
  'png-animated.png': ['E_UNSUPPORTED_IMAGE', /an animated PNG/],
  'png-truncated.png': ['E_IMAGE_INVALID', /ends early/],
  'webp-animated.webp': ['E_UNSUPPORTED_IMAGE', /an animated WebP/],
  'webp-truncated.webp': ['E_IMAGE_INVALID', /should have/],
};

const read = imageNames.filter((name) => REFUSED[name] === undefined);

describe('decoding gives Pillow’s pixels', () => {
  test.each(read)('%s', async (name) => {
    const expected = golden.decode[name]!;
    if ('error' in expected) throw new Error(`Pillow cannot read ${name}`);
    const { oriented, ...stored } = expected;
    const image = await decodeImage(imageBytes(name), name);
    expect({ width: image.width, height: image.height, sha256: sha256(image.pixels) }).toEqual(stored);
    const turned = await decodeImage(imageBytes(name), name, { orientation: 'apply' });
    expect({ width: turned.width, height: turned.height, sha256: sha256(turned.pixels) }).toEqual(oriented);
  });

  test('EXIF’s orientation is reported', async () => {
    for (let orientation = 1; orientation <= 8; orientation++) {
      const name = `jpeg-exif-${orientation}.jpg`;
      expect((await decodeImage(imageBytes(name), name)).orientation).toBe(orientation);
    }
    expect((await decodeImage(imageBytes('png-exif.png'), 'x')).orientation).toBe(6);
    expect((await decodeImage(imageBytes('webp-exif.webp'), 'x')).orientation).toBe(8);
  });

  test('where Pillow fails, so does this', () => {
    const failed = Object.entries(golden.decode).filter(([, result]) => 'error' in result);
    expect(failed.length).toBeGreaterThan(3);
    for (const [name] of failed) expect(Object.keys(REFUSED)).toContain(name);
  });
});

test.each(Object.entries(REFUSED))('%s is refused by name', async (name, [code, says]) => {
  const error = await decodeImage(imageBytes(name), name).catch((cause: unknown) => cause);
  expect(error).toMatchObject({ code });
  expect((error as Error).message).toMatch(says);
  expect((error as Error).message).toContain(name);
});

test('a refused image leaves the decoder as it was', async () => {
  const before = sha256((await decodeImage(imageBytes('jpeg-420.jpg'), 'x')).pixels);
  for (const name of ['jpeg-truncated-marker.jpg', 'webp-truncated.webp']) {
    await codeOf(decodeImage(imageBytes(name), name));
    expect(sha256((await decodeImage(imageBytes('jpeg-420.jpg'), 'x')).pixels)).toBe(before);
  }
});

describe('bombs', () => {
  const chunk = (kind: string, body: Uint8Array): Buffer => {
    const inner = Buffer.concat([Buffer.from(kind, 'latin1'), body]);
    const [length, check] = [Buffer.alloc(4), Buffer.alloc(4)];
    length.writeUInt32BE(body.length);
    check.writeUInt32BE(crc32(inner));
    return Buffer.concat([length, inner, check]);
  };
  const png = (width: number, height: number, data: Uint8Array): Buffer => {
    const header = Buffer.alloc(13);
    header.writeUInt32BE(width, 0);
    header.writeUInt32BE(height, 4);
    header.set([8, 2], 8);
    const signature = Buffer.from('\x89PNG\r\n\x1a\n', 'latin1');
    return Buffer.concat([signature, chunk('IHDR', header), chunk('IDAT', data), chunk('IEND', Buffer.alloc(0))]);
  };
  const jpeg = (width: number, height: number): Buffer => {
    const bytes = Buffer.from(imageBytes('jpeg-444.jpg'));
    const frame = bytes.indexOf(Buffer.from([0xff, 0xc0]));
    bytes.writeUInt16BE(height, frame + 5);
    bytes.writeUInt16BE(width, frame + 7);
    return bytes;
  };
  const webp = (width: number, height: number): Buffer => {
    const bytes = Buffer.from(imageBytes('webp-lossy.webp'));
    const frame = bytes.indexOf('VP8 ');
    bytes.writeUInt16LE(width, frame + 14);
    bytes.writeUInt16LE(height, frame + 16);
    return bytes;
  };
  const refusedQuickly = async (bytes: Uint8Array, code: string): Promise<void> => {
    const start = performance.now();
    expect(await codeOf(decodeImage(bytes, 'bomb'))).toBe(code);
    expect(performance.now() - start).toBeLessThan(1000);
  };

  test('more than 64 Mi pixels are refused from the header', async () => {
    await refusedQuickly(png(100_000, 100_000, deflateSync(Buffer.alloc(1000))), 'E_RESOURCE_IMAGE');
    await refusedQuickly(jpeg(65_535, 65_535), 'E_RESOURCE_IMAGE');
    await refusedQuickly(webp(16_383, 16_383), 'E_RESOURCE_IMAGE');
  });

  test('and fewer that the file cannot hold, too', async () => {
    await refusedQuickly(png(8000, 8000, deflateSync(Buffer.alloc(1000))), 'E_IMAGE_INVALID');
    await refusedQuickly(jpeg(8000, 8000), 'E_IMAGE_INVALID');
    await refusedQuickly(webp(8000, 8000), 'E_IMAGE_INVALID');
  });

  test('pixels beyond those of the header are not unpacked', async () => {
    await refusedQuickly(png(10, 10, deflateSync(Buffer.alloc(1 << 26))), 'E_IMAGE_INVALID');
  });

  test('a JPEG of many scans is not decoded', async () => {
    const bytes = Buffer.from(imageBytes('jpeg-progressive.jpg'));
    const [scan, end] = [bytes.lastIndexOf(Buffer.from([0xff, 0xda])), bytes.length - 2];
    const scans = Array.from({ length: 120 }, () => bytes.subarray(scan, end));
    const many = Buffer.concat([bytes.subarray(0, end), ...scans, bytes.subarray(end)]);
    await refusedQuickly(many, 'E_UNSUPPORTED_IMAGE');
  });

  test('no pixels at all', async () => {
    expect(await codeOf(decodeImage(png(0, 10, deflateSync(Buffer.alloc(10))), 'x'))).toBe('E_IMAGE_INVALID');
    expect(await codeOf(decodeImage(jpeg(10, 0), 'x'))).toBe('E_IMAGE_INVALID');
    expect(await codeOf(decodeImage(new Uint8Array(0), 'x'))).toBe('E_IMAGE_INVALID');
  });
});

describe('whatever comes is an image or a typed error', () => {
  const whole = async (bytes: Uint8Array): Promise<void> => {
    try {
      const { width, height, pixels } = await decodeImage(bytes, 'x');
      expect(pixels.length).toBe(width * height * 3);
    } catch (error) {
      expect((error as { code?: string }).code, String(error)).toMatch(
        /^E_(IMAGE_INVALID|UNSUPPORTED_IMAGE|RESOURCE_IMAGE)$/,
      );
    }
  };
  const starts = [...new Set(imageNames.map((name) => Buffer.from(imageBytes(name).subarray(0, 16)).toString('hex')))];

  test('random bytes, also behind a signature', async () => {
    const start = fc.constantFrom('', ...starts).map((hex) => Buffer.from(hex, 'hex'));
    await fc.assert(
      fc.asyncProperty(start, fc.uint8Array({ maxLength: 300 }), (head, rest) => whole(Buffer.concat([head, rest]))),
      { numRuns: runs(500) },
    );
  });

  test('files cut short are refused', async () => {
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...read), fc.double({ min: 0, max: 1, noNaN: true }), async (name, share) => {
        const bytes = imageBytes(name);
        if (name === 'jpeg-trailing.jpg') return;
        const code = await codeOf(decodeImage(bytes.subarray(0, Math.floor(bytes.length * share * 0.999)), name));
        expect(code).toBe('E_IMAGE_INVALID');
      }),
      { numRuns: runs(300) },
    );
  });

  test('flipped bits', async () => {
    const flips = fc.array(fc.tuple(fc.nat(), fc.integer({ min: 0, max: 7 })), { minLength: 1, maxLength: 4 });
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...imageNames), flips, async (name, places) => {
        const bytes = Uint8Array.from(imageBytes(name));
        for (const [at, bit] of places) bytes[at % bytes.length]! ^= 1 << bit;
        await whole(bytes);
      }),
      { numRuns: runs(1000) },
    );
  });

  test('spans written over', async () => {
    const span = fc.tuple(fc.constantFrom(...imageNames), fc.nat(), fc.uint8Array({ minLength: 1, maxLength: 40 }));
    await fc.assert(
      fc.asyncProperty(span, async ([name, at, patch]) => {
        const bytes = Uint8Array.from(imageBytes(name));
        bytes.set(patch.subarray(0, bytes.length - (at % bytes.length)), at % bytes.length);
        await whole(bytes);
      }),
      { numRuns: runs(500) },
    );
  });
});
