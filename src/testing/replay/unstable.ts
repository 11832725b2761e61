/**
 * Clock and chance as a handler sees them during a check. A later attempt runs more than a day later and draws other
 * numbers, the same ones in every check, so that code outside steps that depends on them shows it. What is used is noted.
 */
import crypto from 'node:crypto'
import type { Attempt } from './attempt.js'
import type { Patches } from './patches.js'
import { placeOf, textOf } from './place.js'
import { zone } from './zones.js'

/** How much later each further attempt is: a day, an hour, a minute, a second and a millisecond. */
const LATER_MS = 90_061_001
/** More uses than this in one attempt are neither noted nor held: looking up their places would take too long. */
const MANY = 500

export function watchClockAndChance(patches: Patches): void {
  watchClock(patches)
  patches.replace(Math, 'random', (original) => () => {
    const attempt = outsideStep()
    return attempt ? use(attempt, 'Math.random()', () => spread(attempt)) : original()
  })
  for (const owner of [crypto, globalThis.crypto])
    patches.replace(owner, 'randomUUID', (original) => (...args) => {
      const attempt = outsideStep()
      const make = () => Reflect.apply(original, owner, args)
      return attempt ? use(attempt, 'crypto.randomUUID()', make) : make()
    })
  patches.replace(crypto, 'randomBytes', (original) => (size, callback) => {
    const attempt = callback ? null : outsideStep()
    if (!attempt) return original(size, callback)
    return Buffer.from(
      use(attempt, 'crypto.randomBytes()', () => original(size).toString('hex')),
      'hex',
    )
  })
  patches.replace(crypto, 'randomInt', (original) => (...args) => {
    const attempt = typeof args.at(-1) === 'function' ? null : outsideStep()
    if (!attempt) return original(...args)
    const [min, max] = args.length > 1 ? args : [0, args[0]]
    return use(attempt, 'crypto.randomInt()', () => min + Math.floor(spread(attempt) * (max - min)))
  })
  // Also what node:crypto's own getRandomValues calls.
  patches.replace(globalThis.crypto, 'getRandomValues', (original) => (array: Uint8Array) => {
    Reflect.apply(original, globalThis.crypto, [array])
    const attempt = outsideStep()
    if (!attempt) return array
    const bytes = Buffer.from(array.buffer, array.byteOffset, array.byteLength)
    bytes.set(
      Buffer.from(
        use(attempt, 'crypto.getRandomValues()', () => bytes.toString('hex')),
        'hex',
      ),
    )
    return array
  })
}

function watchClock(patches: Patches): void {
  const Real = globalThis.Date
  const now = (source: string): number => {
    const here = zone()
    if (!here || here.kind === 'ours') return Real.now()
    const { attempt } = here
    const later = () => Real.now() + (attempt.number - 1) * LATER_MS
    return outsideStep() ? use(attempt, source, later) : later()
  }
  const nowOf = () => now('Date.now()')
  const Watched: DateConstructor = new Proxy(Real, {
    construct: (target, args, newTarget) =>
      Reflect.construct(
        target,
        args.length > 0 ? args : [now('new Date()')],
        newTarget === Watched ? target : newTarget,
      ),
    apply: () => new Real(now('Date()')).toString(),
    get: (target, name) => (name === 'now' ? nowOf : Reflect.get(target, name)),
  })
  patches.set(globalThis, 'Date', Watched)
  patches.set(Real.prototype, 'constructor', Watched)
}

/** The attempt whose code outside of steps is running. */
function outsideStep(): Attempt | null {
  const here = zone()
  return here?.kind === 'handler' || here?.kind === 'branch' ? here.attempt : null
}

/** The value for this use: a new one, or that of the plain run if the plan holds it. */
function use<T extends string | number>(attempt: Attempt, source: string, make: () => T): T {
  const { run, uses } = attempt
  if (uses.length === MANY) return make()
  const place = placeOf() ?? attempt.last
  const id = attempt.numbered(`${source} ${textOf(place)}`)
  const { hold } = run.plan
  // Made even when it is not needed, so that the draws that follow are the same.
  const made = make()
  const value = (hold?.at(place) ? (hold.tape.get(id) as T | undefined) : undefined) ?? made
  run.tape.set(id, value)
  const isDate = typeof value === 'number' && source.includes('Date')
  uses.push({ source, place, texts: isDate ? [String(value), new Date(value).toISOString()] : [String(value)] })
  return value
}

/** Evenly spread numbers; every second attempt gets those opposite to the first, so that a coin falls on its other side. */
function spread(attempt: Attempt): number {
  const number = (++attempt.draws * 0.618_033_988_749_894_8) % 1
  return attempt.number % 2 === 1 ? number : 1 - number
}
