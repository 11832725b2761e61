/**
 * Everything the CLI touches of its process, behind one object, so that tests run commands without a process.
 * Results go to `out`, narration to `err`; nothing else in this folder may write anywhere.
 */
import { createInterface } from 'node:readline'

export interface Io {
  out(text: string): void
  /** Bytes of a result on stdout; resolves when the reader is ready for more. */
  outBytes(chunk: Uint8Array): Promise<void>
  err(text: string): void
  /** All of standard input as text. */
  readInput(): Promise<string>
  /** Single keys while a terminal is attached; gives the function that ends it. */
  onKey(listener: (key: string) => void): () => void
  /** Ctrl-C, TERM and a closed terminal; gives the function that ends it. Without a listener the process ends at once. */
  onInterrupt(listener: () => void): () => void
  /** Errors that nobody caught; gives the function that ends it. Without a listener Node ends the process with a stack. */
  onStray(listener: (error: unknown) => void): () => void
  readonly env: Record<string, string | undefined>
  readonly cwd: string
  readonly outIsTerminal: boolean
  readonly errIsTerminal: boolean
  readonly inIsTerminal: boolean
  /** Width of the terminal now; null when there is none. */
  columns(): number | null
  readonly fetch: typeof fetch
}

export function processIo(): Io {
  const { stdout, stderr, stdin, env } = process
  // A reader that closes early (`| head`) is no reason for a stack trace.
  for (const stream of [stdout, stderr]) {
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EPIPE') process.exit(0)
      throw error
    })
  }
  return {
    env,
    cwd: process.cwd(),
    outIsTerminal: Boolean(stdout.isTTY),
    errIsTerminal: Boolean(stderr.isTTY),
    inIsTerminal: Boolean(stdin.isTTY),
    columns: () => (stderr.isTTY ? stderr.columns : stdout.isTTY ? stdout.columns : null) || null,
    out: (text) => void stdout.write(text),
    outBytes: (chunk) =>
      new Promise((resolve, reject) => stdout.write(chunk, (error) => (error ? reject(error) : resolve()))),
    err: (text) => void stderr.write(text),
    fetch: (input, init) => globalThis.fetch(input, init),
    async readInput() {
      let text = ''
      for await (const line of createInterface({ input: stdin })) text += `${line}\n`
      return text
    },
    onKey(listener) {
      if (!stdin.isTTY) return () => {}
      const onData = (data: Buffer) => {
        for (const key of data.toString('utf8')) listener(key)
      }
      stdin.setRawMode(true)
      stdin.resume()
      stdin.on('data', onData)
      return () => {
        stdin.off('data', onData)
        stdin.setRawMode(false)
        stdin.pause()
      }
    },
    onInterrupt(listener) {
      const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const
      for (const signal of signals) process.on(signal, listener)
      return () => {
        for (const signal of signals) process.off(signal, listener)
      }
    },
    onStray(listener) {
      const events = ['unhandledRejection', 'uncaughtException'] as const
      for (const event of events) process.on(event, listener)
      return () => {
        for (const event of events) process.off(event, listener)
      }
    },
  }
}
