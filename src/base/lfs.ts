/** Whether bytes are what Git has in a large file's place before `git lfs pull`. */
export const isLfsPointer = (bytes: Uint8Array): boolean =>
  new TextDecoder('latin1').decode(bytes.subarray(0, 24)).startsWith('version https://git-lfs.');
