// A store in a bucket of S3, or of a service that speaks its protocol, by the official client, an optional peer that finds
// credentials and region by its own chain (environment, profile, instance). AWS_ENDPOINT_URL_S3 names another service. An object
// is written with If-None-Match: *, so of two writers the first wins.

import { createReadStream, createWriteStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { S3Client } from '@aws-sdk/client-s3';
import { fileError, LayerwiseError, messageOf, OptionError, RemoteError } from '../base/index.js';
import { loadPeer } from './peer.js';
import { checkKey, type Store } from './store.js';

const PLACE = /^s3:\/\/([a-z0-9][a-z0-9.-]{1,62})(?:\/([A-Za-z0-9][A-Za-z0-9/_.=-]*?))?\/?$/;
/** The most bytes of one request. */
const MOST_BYTES = 5 * 1024 ** 3;

/** Opens the store under `s3://bucket/prefix`. @throws OptionError E_OPTION_STORE; ResourceError E_RESOURCE_PACKAGE */
export async function openS3Store(place: string): Promise<Store> {
  const [, Bucket, prefix] = PLACE.exec(place) ?? [];
  if (!Bucket) {
    throw new OptionError('E_OPTION_STORE', `--store: expected s3://bucket or s3://bucket/prefix, got ${place}.`, {
      option: 'store',
      got: place,
    });
  }
  const { S3Client, DeleteObjectCommand, GetObjectCommand, HeadObjectCommand, PutObjectCommand } = await loadPeer(
    '@aws-sdk/client-s3',
    () => import('@aws-sdk/client-s3'),
  );
  const client: S3Client = new S3Client({ forcePathStyle: process.env.AWS_ENDPOINT_URL_S3 !== undefined });
  const at = (key: string) => ({ Bucket, Key: prefix ? `${prefix}/${checkKey(key)}` : checkKey(key) });
  const fail = (error: unknown, key: string): unknown =>
    error instanceof LayerwiseError
      ? error
      : new RemoteError(
          'E_REMOTE_STORE',
          `${place}/${key}: the store refused (${nameOf(error)}: ${messageOf(error)}). Check the bucket, the credentials and the network.`,
          { store: place, status: statusOf(error) },
        );
  const read = async (key: string): Promise<Readable | undefined> => {
    try {
      const { Body } = await client.send(new GetObjectCommand(at(key)));
      return Body as Readable;
    } catch (error) {
      if (statusOf(error) === 404) return undefined;
      throw fail(error, key);
    }
  };
  const write = async (key: string, ContentLength: number, Body: Uint8Array | Readable): Promise<'put' | 'there'> => {
    try {
      await client.send(new PutObjectCommand({ ...at(key), Body, ContentLength, IfNoneMatch: '*' }));
      return 'put';
    } catch (error) {
      // 409: another writer is at it; whoever wins writes the same.
      if (statusOf(error) === 412 || statusOf(error) === 409) return 'there';
      throw fail(error, key);
    }
  };
  return {
    name: place,
    get: async (key) => {
      const stream = await read(key);
      if (!stream) return undefined;
      const parts: Uint8Array[] = [];
      try {
        for await (const part of stream) parts.push(part as Uint8Array);
      } catch (error) {
        throw fail(error, key);
      }
      return Buffer.concat(parts);
    },
    putOnce: (key, bytes) => write(key, bytes.byteLength, bytes),
    putFileOnce: async (key, path) => {
      const { size } = await stat(path).catch((error) => {
        throw fileError(error, path);
      });
      if (size > MOST_BYTES) {
        throw new OptionError(
          'E_OPTION_STORE',
          `--store: ${path} has ${size} bytes, and a store on S3 takes files of at most ${MOST_BYTES}. Save the checkpoint in smaller shards, or use a directory.`,
          { option: 'store', path, size },
        );
      }
      const there = await client.send(new HeadObjectCommand(at(key))).then(
        () => true,
        () => false,
      );
      return there ? 'there' : await write(key, size, createReadStream(path));
    },
    fetchFile: async (key, path) => {
      const stream = await read(key);
      if (!stream) throw fail(new Error('no such object'), key);
      await pipeline(stream, createWriteStream(path, { flags: 'wx' })).catch((error) => {
        throw isOfFile(error) ? fileError(error, path) : fail(error, key);
      });
    },
    remove: async (key) => {
      await client.send(new DeleteObjectCommand(at(key))).catch((error) => {
        throw fail(error, key);
      });
    },
    close: async () => client.destroy(),
  };
}

/** Whether the file could not be written, and not the object read. */
const isOfFile = ({ syscall }: NodeJS.ErrnoException): boolean =>
  syscall !== undefined && ['open', 'write', 'close'].includes(syscall);

const nameOf = (error: unknown): string => (error instanceof Error ? error.name : 'error');

const statusOf = (error: unknown): number | undefined =>
  (error as { readonly $metadata?: { readonly httpStatusCode?: number } }).$metadata?.httpStatusCode;
