/**
 * What one waiter was told, held against itself and against the job as it can be read. Pure.
 *
 * T1 whoever waits is told the end, T2 once, V2 versions never go back for one waiter, V3 nothing is told that reading the
 * job right afterwards does not say as well.
 */
export class Told {
  #name
  #found
  #jobs = new Map()

  /** @param name of the waiter @param ids jobs whose end it waits for @param found takes each violation */
  constructor(name, ids, found) {
    this.#name = name
    this.#found = (invariant, job, text) => found({ invariant, job, text: `${name}: ${text}` })
    for (const id of ids) this.#jobs.set(id, { version: 0, end: null })
  }

  get name() {
    return this.#name
  }

  /** Jobs whose end it was not told. */
  get missing() {
    return [...this.#jobs].filter(([, { end }]) => end === null).map(([id]) => id)
  }

  /** It is told of a job; `version` is null where only the end is said. True for its end, the first time. */
  hear({ id, version, status, done }) {
    const known = this.#jobs.get(id)
    if (!known) {
      this.#found('T1', id, `was told of a job that it did not ask for`)
      return false
    }
    if (version !== null && version < known.version)
      this.#found('V2', id, `was told version ${version} after version ${known.version}`)
    known.version = Math.max(known.version, version ?? 0)
    if (known.end !== null) {
      this.#found('T2', id, `was told ${status} at version ${version} as news after the end, ${known.end.status}`)
      return false
    }
    if (done) known.end = { status, version }
    return done
  }

  /** The job as it was read right after its end was told. */
  compare({ id, status, version, done }) {
    const { end } = this.#jobs.get(id)
    if (!done) this.#found('V3', id, `was told ${end.status}; read right afterwards it is ${status}`)
    else if (status !== end.status || (end.version !== null && version !== end.version))
      this.#found(
        'V3',
        id,
        `was told ${end.status} at ${end.version}; read right afterwards it is ${status} at ${version}`,
      )
  }

  /** At rest everybody has been told. */
  close() {
    for (const id of this.missing) this.#found('T1', id, 'was never told the end')
  }
}
