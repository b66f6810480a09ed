// The WebAssembly decoders of the @jsquash packages. These load their modules by fetch, which Node does not do for files, so
// the modules are compiled here. An instance that failed is thrown away: its memory is in an unknown state. So is one that
// has grown large, for a WebAssembly memory never shrinks.

import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { InternalError } from '../base/index.js';
import { invalidImage } from './errors.js';

/** The compiler's library for Node has no types for it. */
declare const WebAssembly: {
  compile(bytes: Uint8Array): Promise<object>;
  readonly Instance: new (module: object, imports: object) => { readonly exports: object };
};

export type Codec = 'jpeg' | 'webp';

export type Decoded = {
  readonly rgba: Uint8ClampedArray;
  readonly width: number;
  readonly height: number;
  /** What the decoder wrote to its error stream. */
  readonly said: readonly string[];
};

type Instance = {
  readonly HEAPU8?: Uint8Array;
  decode(
    bytes: Uint8Array,
    preserveOrientation?: boolean,
  ): { readonly data: Uint8ClampedArray; readonly width: number; readonly height: number } | null;
};

type Factory = (options: {
  readonly noInitialRun: boolean;
  readonly print: (line: string) => void;
  readonly printErr: (line: string) => void;
  readonly instantiateWasm: (imports: object, done: (instance: object) => void) => object;
}) => Promise<Instance>;

const FILES: Readonly<Record<Codec, { readonly wasm: string; load(): Promise<{ readonly default: unknown }> }>> = {
  jpeg: {
    wasm: '@jsquash/jpeg/codec/dec/mozjpeg_dec.wasm',
    load: () => import('@jsquash/jpeg/codec/dec/mozjpeg_dec.js'),
  },
  webp: { wasm: '@jsquash/webp/codec/dec/webp_dec.wasm', load: () => import('@jsquash/webp/codec/dec/webp_dec.js') },
};

const LARGE_BYTES = 128 << 20;

type Loaded = { readonly module: object; readonly factory: Factory };

const loaded = new Map<Codec, Promise<Loaded>>();
const instances = new Map<Codec, { readonly instance: Instance; said: string[] }>();

async function load(codec: Codec): Promise<Loaded> {
  const { wasm, load: loadFactory } = FILES[codec];
  const [bytes, factory] = await Promise.all([readFile(createRequire(import.meta.url).resolve(wasm)), loadFactory()]);
  return { module: await WebAssembly.compile(bytes), factory: factory.default as Factory };
}

async function instantiate(codec: Codec): Promise<{ readonly instance: Instance; said: string[] }> {
  let loading = loaded.get(codec);
  if (!loading) {
    loading = load(codec);
    loaded.set(codec, loading);
  }
  const { module, factory } = await loading;
  const state: { said: string[] } = { said: [] };
  const say = (line: string): void => {
    if (state.said.length < 100) state.said.push(line);
  };
  const instance = await factory({
    noInitialRun: true,
    print: say,
    printErr: say,
    instantiateWasm: (imports, done) => {
      const one = new WebAssembly.Instance(module, imports);
      done(one);
      return one.exports;
    },
  });
  return Object.assign(state, { instance });
}

/** Decodes into RGBA. Only the call into the module is trusted to fail. @throws CheckpointError E_IMAGE_INVALID; InternalError */
export async function decodeRgba(codec: Codec, bytes: Uint8Array, name: string): Promise<Decoded> {
  let state = instances.get(codec);
  if (!state) {
    try {
      state = await instantiate(codec);
    } catch (cause) {
      throw new InternalError(
        'E_INTERNAL_CODEC',
        `The ${codec} decoder does not start. Please report it.`,
        {},
        { cause },
      );
    }
  }
  instances.delete(codec);
  state.said = [];
  let result: ReturnType<Instance['decode']>;
  try {
    // The second argument leaves EXIF's orientation alone; libwebp's wrapper counts its arguments.
    result = codec === 'jpeg' ? state.instance.decode(bytes, false) : state.instance.decode(bytes);
  } catch (cause) {
    const [line] = state.said;
    throw invalidImage(name, line ? `the ${codec} decoder says “${line}”` : `the ${codec} decoder fails on it`, cause);
  }
  if (result === null) throw invalidImage(name, `the ${codec} decoder cannot read it`);
  if ((state.instance.HEAPU8?.length ?? 0) <= LARGE_BYTES) instances.set(codec, state);
  const { data: rgba, width, height } = result;
  if (rgba.length !== width * height * 4) throw invalidImage(name, `the ${codec} decoder gives ${rgba.length} bytes`);
  return { rgba, width, height, said: state.said };
}
