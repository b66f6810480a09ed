// A model's language on this machine: the text files of a checkpoint's folder, and a tokenizer whose tokens can be cached.

import { fileError, type OnProgress, readDocument, silent } from '../base/index.js';
import { createTokenizer, type HashedCodec } from '../text/index.js';
import { type Language, type ModelFiles, readLanguage } from './language.js';

/** The text files of a checkpoint's folder. */
export const folderTexts = (path: string): ModelFiles => ({
  path,
  readText: async (name) => {
    try {
      return await readDocument(`${path}/${name}`);
    } catch (error) {
      if ((error as { code?: unknown }).code === 'E_RESOURCE_NOT_FOUND') return undefined;
      throw fileError(error, `${path}/${name}`);
    }
  },
});

/**
 * A model's language; where its files disagree, a note says so.
 * @throws CheckpointError E_TEXT_TOKENIZER, E_TEXT_CHAT_TEMPLATE, E_CHECKPOINT_CONFIG; ResourceError E_RESOURCE_…
 */
export async function loadLanguage(
  source: ModelFiles,
  onProgress: OnProgress = silent,
): Promise<Language & { readonly tokenizer: HashedCodec }> {
  const language = await readLanguage(source, createTokenizer);
  for (const note of language.tokenizer.notes) onProgress({ kind: 'note', text: `${source.path}: ${note}` });
  return language;
}
