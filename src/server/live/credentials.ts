/**
 * Connections that stay open outlive the question who opened them, so it is asked again: a key that was revoked or has
 * expired ends what was opened with it. Trouble in the store ends nothing.
 */
import type { Clock, Timer } from '../../core/index.js'

/** What has become of the right to watch. */
export type Standing = 'valid' | 'void' | 'forbidden'

/** How to ask again. */
export interface Credential {
  /** Those of the same name are asked about once. */
  name: string
  ask(): Promise<Standing>
}

type End = (standing: Exclude<Standing, 'valid'>) => void

interface Guarded {
  credential: Credential
  ends: Set<End>
  isAsked: boolean
}

export class Credentials {
  readonly #clock: Clock
  readonly #everyMs: number
  readonly #guarded = new Map<string, Guarded>()
  #timer: Timer | null = null

  constructor(clock: Clock, everyMs: number) {
    this.#clock = clock
    this.#everyMs = everyMs
  }

  /** Calls `end` soon after the credential has become void, until the returned function is called. */
  guard(credential: Credential, end: End): () => void {
    const { name } = credential
    let guarded = this.#guarded.get(name)
    if (!guarded) this.#guarded.set(name, (guarded = { credential, ends: new Set(), isAsked: false }))
    const { ends } = guarded
    const one: End = (standing) => end(standing)
    ends.add(one)
    this.#arm()
    return () => {
      if (!ends.delete(one) || ends.size > 0) return
      this.#guarded.delete(name)
      if (this.#guarded.size > 0) return
      this.#timer?.cancel()
      this.#timer = null
    }
  }

  #arm(): void {
    this.#timer ??= this.#clock.after(this.#everyMs, () => {
      this.#timer = null
      for (const guarded of this.#guarded.values()) void this.#ask(guarded)
      if (this.#guarded.size > 0) this.#arm()
    })
  }

  async #ask(guarded: Guarded): Promise<void> {
    if (guarded.isAsked) return
    guarded.isAsked = true
    // Whoever cannot be asked now is asked the next time.
    const standing = await guarded.credential.ask().catch((): Standing => 'valid')
    guarded.isAsked = false
    if (standing !== 'valid') for (const end of [...guarded.ends]) end(standing)
  }
}
