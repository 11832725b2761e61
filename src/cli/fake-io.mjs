/**
 * An Io for tests: keeps what was written, sends keys and interrupts on order. Plain JavaScript so that the build
 * leaves it out.
 */

/** @param {{ columns?: number | null, terminal?: boolean, env?: Record<string, string | undefined>, cwd?: string, input?: string }} options */
export function fakeIo({ columns = null, terminal = columns !== null, env = {}, cwd = '/nowhere', input = '' } = {}) {
  /** @type {Set<() => void>} */ const interrupts = new Set()
  /** @type {Set<(error: unknown) => void>} */ const strays = new Set()
  /** @type {Set<(key: string) => void>} */ const keys = new Set()
  /** @type {Set<() => void>} */ const waiters = new Set()
  const io = {
    stdout: '',
    stderr: '',
    out: (/** @type {string} */ text) => {
      io.stdout += text
      for (const check of [...waiters]) check()
    },
    outBytes: async (/** @type {Uint8Array} */ chunk) => {
      io.stdout += Buffer.from(chunk).toString()
    },
    err: (/** @type {string} */ text) => {
      io.stderr += text
      for (const check of [...waiters]) check()
    },
    readInput: async () => input,
    onKey: (/** @type {(key: string) => void} */ listener) => {
      keys.add(listener)
      return () => keys.delete(listener)
    },
    onInterrupt: (/** @type {() => void} */ listener) => {
      interrupts.add(listener)
      return () => interrupts.delete(listener)
    },
    onStray: (/** @type {(error: unknown) => void} */ listener) => {
      strays.add(listener)
      return () => strays.delete(listener)
    },
    env,
    cwd,
    outIsTerminal: terminal,
    errIsTerminal: terminal,
    inIsTerminal: terminal,
    columns: () => columns,
    fetch: /** @type {typeof fetch} */ ((url, init) => fetch(url, init)),

    press: (/** @type {string} */ key) => {
      for (const listener of [...keys]) listener(key)
    },
    interrupt: () => {
      for (const listener of [...interrupts]) listener()
    },
    listeners: () => interrupts.size + strays.size + keys.size,
    /** Resolves with the match as soon as what was written (both streams) matches. @param {RegExp} pattern */
    saw: (pattern) =>
      new Promise((resolve) => {
        const check = () => {
          const match = pattern.exec(io.stdout + io.stderr)
          if (!match) return
          waiters.delete(check)
          resolve(match)
        }
        waiters.add(check)
        check()
      }),
  }
  return io
}

/** A terminal picture from what was written: knows cursor up, erase down, carriage return and nothing else. @param {string} text */
export function screen(text) {
  /** @type {string[]} */ const lines = ['']
  let row = 0
  for (const [token] of text.matchAll(/\u001b\[[0-9;?]*[A-Za-z]|\n|\r|[^\u001b\n\r]+/g)) {
    const up = /^\u001b\[(\d+)A$/.exec(token)
    if (up) row = Math.max(0, row - Number(up[1]))
    else if (token === '\u001b[0J') {
      lines.length = row + 1
      lines[row] = ''
    } else if (token === '\n') {
      row++
      lines[row] ??= ''
    } else if (token === '\r' || token.startsWith('\u001b')) continue
    else lines[row] += token
  }
  return lines.join('\n')
}
