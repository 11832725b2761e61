/**
 * What a call declares of itself, kept in the `info` of its record, so that the story of a type can be told from a job
 * that ran. Only what is there is written: most steps declare nothing, and pay nothing.
 */
import { type Duration, parseDuration } from '../core/duration.js'
import type { Declared } from '../engine/story/type-run.js'

interface Options {
  before?: unknown
  confirm?: unknown
  undo?: unknown
  retry?: unknown
  timeout?: Duration
  queue?: string
}

export function declaredIn({ before, confirm, undo, retry, timeout, queue }: Options): Declared | null {
  if (!(before || confirm || undo || retry) && timeout === undefined && queue === undefined) return null
  return {
    ...(before ? { before: true } : {}),
    ...(confirm ? { confirm: true } : {}),
    ...(undo ? { undo: true } : {}),
    ...(retry ? { retry: true } : {}),
    ...(timeout === undefined ? {} : { timeoutMs: parseDuration(timeout) }),
    ...(queue === undefined ? {} : { queue }),
  }
}

/** JSON text of the information for operators with the declaration in it; null when there is neither. */
export function infoText(info: unknown, declared: Declared | null): string | null {
  if (declared === null) return info === null ? null : JSON.stringify(info)
  return JSON.stringify({ ...(info as object | null), declared })
}
