/** Whether the bytes are a Git LFS pointer, which stands in for a large file until `git lfs pull`. */
export const isLfsPointer = (bytes: Uint8Array): boolean =>
  new TextDecoder('latin1').decode(bytes.subarray(0, 24)).startsWith('version https://git-lfs.');
