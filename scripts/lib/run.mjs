// Runs a child program for a script: its output streams through, and while it is quiet a heartbeat line says that it is
// still at work. Knows nothing about tests or builds; plain Node, no dependencies.
import { spawn } from 'node:child_process'

// A script that was started by another one speaks first, or both would.
const HEARTBEAT_MS = process.env.UNTILDONE_INNER ? 3500 : 4000
const TAIL_BYTES = 256 * 1024

/**
 * @param {string} label what the heartbeat calls it
 * @param {string} command
 * @param {string[]} args
 * @param {{ cwd?: string, env?: NodeJS.ProcessEnv, show?: boolean, after?: Promise<unknown> }} [options] `show: false`
 *   prints its output only when it fails; with `after` it starts at once, but its output waits for that promise, so that
 *   of two at the same time each is printed whole
 * @returns {Promise<{ code: number, output: string, seconds: number }>} never rejects; 127 when it cannot be started
 */
export function run(label, command, args, { cwd, env, show = true, after } = {}) {
  const began = Date.now()
  const seconds = () => (Date.now() - began) / 1000
  let held = after ? [] : null
  const itsTurn = Promise.resolve(after).then(() => {
    for (const [stream, chunk] of held ?? []) stream.write(chunk)
    held = null
  })
  return new Promise((resolve) => {
    const child = spawn(command, args, {
      cwd,
      env: { ...process.env, ...colour(), UNTILDONE_INNER: '1', ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    let output = ''
    let lastWord = Date.now()
    const heard = (stream) => (chunk) => {
      output = (output + chunk).slice(-TAIL_BYTES)
      if (!show) return
      lastWord = Date.now()
      if (held) held.push([stream, chunk])
      else stream.write(chunk)
    }
    child.stdout.setEncoding('utf8').on('data', heard(process.stdout))
    child.stderr.setEncoding('utf8').on('data', heard(process.stderr))
    const heart = setInterval(() => {
      if (held || Date.now() - lastWord < HEARTBEAT_MS) return
      lastWord = Date.now()
      console.log(`  … ${label}: still at work (${Math.round(seconds())} s)`)
    }, 250)
    const stopSignals = forward(child)
    let ended = false
    const end = async (code) => {
      if (ended) return
      ended = true
      clearInterval(heart)
      stopSignals()
      const took = seconds()
      await itsTurn
      if (code !== 0 && !show) process.stdout.write(output)
      resolve({ code, output, seconds: took })
    }
    child.on('error', (error) => {
      heard(process.stderr)(`${command}: ${error.message}\n`)
      end(127)
    })
    child.on('close', (code, signal) => end(code ?? (signal ? 128 : 1)))
  })
}

/** Pipes are no terminal, so a child would drop its colours though the person sees them. */
function colour() {
  return process.stdout.isTTY && !process.env.NO_COLOR && !process.env.CI ? { FORCE_COLOR: '1' } : {}
}

/** An interrupt of the script ends the child too, and then the script; a second one ends the script at once. */
function forward(child) {
  const handlers = ['SIGINT', 'SIGTERM', 'SIGHUP'].map((signal) => {
    const handler = () => {
      if (child.exitCode !== null || child.killed) process.exit(130)
      child.kill(signal)
      child.once('close', () => process.exit(130))
    }
    process.on(signal, handler)
    return () => process.off(signal, handler)
  })
  return () => {
    for (const off of handlers) off()
  }
}
