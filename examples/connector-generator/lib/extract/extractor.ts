// What reads documentation: one function for all chunks. The deterministic one is always there; a language model, where
// one is configured, adds what it finds (see chat.ts).
import type { Chunk } from '../docs/chunks.js'
import type { Facts } from './facts.js'
import { factsOfOpenApi } from './openapi.js'
import { factsOfProse } from './prose.js'

export interface Extractor {
  /** `deterministic`, or the model's name; kept with the result. */
  readonly name: string
  extract(chunk: Chunk, signal: AbortSignal): Promise<Facts>
}

export const deterministic: Extractor = {
  name: 'deterministic',
  extract: async (chunk) => factsOf(chunk),
}

export function factsOf(chunk: Chunk): Facts {
  return chunk.kind === 'openapi' ? factsOfOpenApi(chunk) : factsOfProse(chunk.blocks)
}
