/**
 * The handler as a check runs it: the same settings and the same function, over a `job` that notes every call and marks
 * which part of the code runs inside a step. It changes nothing that the handler can see, unless the plan says so.
 */
import type { JobContext } from '../../define/context.js'
import type { JobHandler } from '../../define/define-job.js'
import { Transient } from '../../define/index.js'
import { Attempt, type Call, type Run } from './attempt.js'
import { jsonOf, lossIn, recorded } from './json.js'
import { type Place, placeOf } from './place.js'
import { within, type Zone, zone } from './zones.js'

type Fn = (...args: any[]) => any

/** Calls of `job` that record nothing under a name. Every other one is taken for a recorded call, new ones included. */
const PLAIN = new Set(['progress', 'warn', 'decision', 'open', 'file', 'read'])
/** Calls that wait for the outside: one that lost a race is left to itself. */
const WAITS = new Set(['sleep', 'waitFor', 'callback', 'answer', 'approve', 'call'])
/** Functions that run again in every attempt on purpose. */
const LOOKS = new Set(['before', 'confirm'])

/** @param handler its `run` is replaced; everything else is its own, except that one lost attempt is never too many */
export function watched(handler: JobHandler<any, any>, run: Run): JobHandler {
  const { settings } = handler
  return {
    ...handler,
    // Watched where it can be watched: in this process.
    settings: { ...settings, maxLost: Math.max(3, settings.maxLost), isolate: null },
    run(job: JobContext<any>) {
      run.jobId ??= job.id
      if (job.id !== run.jobId) return handler.run(job)
      const attempt = new Attempt(run, job.attempt)
      run.attempts.push(attempt)
      return within({ attempt, kind: 'handler', path: '', call: null }, async () => {
        const value = await handler.run(watchedJob(job, attempt))
        attempt.returned = { value: recorded(value) }
        leftBehind(attempt)
        return value
      })
    },
  }
}

function watchedJob(job: JobContext<any>, attempt: Attempt): JobContext<any> {
  const methods = new Map<string, Fn>()
  return new Proxy(job, {
    get(target, name) {
      // With the target as receiver, because its getters use private fields.
      const value = Reflect.get(target, name, target)
      attempt.last ??= placeOf()
      if (typeof value !== 'function' || typeof name !== 'string' || name === 'log') return value
      if (!methods.has(name)) methods.set(name, (...args) => ask(attempt, name, value as Fn, args))
      return methods.get(name)
    },
  })
}

/** What a handler starts and does not wait for may or may not be done when the job is. */
function leftBehind(attempt: Attempt): void {
  for (const { key, state, awaited, place, method, waits } of attempt.calls) {
    if (awaited && (waits || state !== 'waiting')) continue
    attempt.run.found({
      kind: 'floating-promise',
      place,
      step: key,
      what: `${method} "${key}" was started and nobody waited for it before the handler returned`,
      fix: 'The job can complete without it, and its error is lost. Await it, or put it into the Promise.all that you await.',
    })
  }
}

function ask(attempt: Attempt, method: string, original: Fn, args: unknown[]): unknown {
  const here: Zone = zone() ?? { attempt, kind: 'handler', path: '', call: null }
  const place = placeOf()
  attempt.last = place ?? attempt.last
  const ours: Zone = { ...here, kind: 'ours' }
  if (method === 'read') return read(attempt, here, original, args)
  if (method === 'file') storesFile(attempt, here, place)
  if (PLAIN.has(method)) return within(ours, () => original(...args))
  return recordedCall(attempt, here, method, original, args, place)
}

async function read(attempt: Attempt, here: Zone, original: Fn, args: unknown[]): Promise<unknown> {
  const key = attempt.numbered(`read ${here.path}/${args[0]}`)
  const inRead = args.map((arg) => (typeof arg === 'function' ? inside({ ...here, kind: 'read' }, arg as Fn) : arg))
  const value = await within({ ...here, kind: 'ours' }, () => original(...inRead))
  attempt.reads.set(key, jsonOf(value))
  return value
}

function storesFile(attempt: Attempt, here: Zone, place: Place | null): void {
  if (here.kind !== 'handler' && here.kind !== 'read') return
  attempt.run.found({
    kind: here.kind === 'handler' ? 'effect-outside-step' : 'write-in-read',
    place: place ?? attempt.last,
    what: `job.file() stored a file ${here.kind === 'handler' ? 'outside a step' : 'in a job.read'}`,
    fix: "Every attempt stores another one, with another id. Wrap it in job.step('…', () => job.file(…)).",
  })
}

function recordedCall(attempt: Attempt, here: Zone, method: string, original: Fn, args: any[], place: Place | null) {
  const call = callOf(attempt, here, method, nameOf(args), place)
  // What a child is asked is recorded with the first try.
  if (method === 'call') call.made = jsonOf(args[1])
  if (here.kind === 'step' || here.kind === 'read') nested(attempt, here, call)
  attempt.add(call)
  let answer: unknown
  const { fail } = attempt.run.plan
  if (fail?.attempt === attempt.number && fail.nth === attempt.calls.length) {
    call.failed = true
    answer = Promise.reject(new Transient(`assertReplaySafe made ${call.method} "${call.key}" fail.`))
  } else {
    const inner: Zone = { ...here, call }
    answer = within({ ...inner, kind: 'ours' }, () => original(...wrapped(attempt, inner, method, args)))
  }
  if (typeof (answer as { then?: unknown } | undefined)?.then !== 'function') {
    call.awaited = true
    attempt.settle(call, 'resolved', answer)
    return answer
  }
  const given =
    method === 'callback' ? (answer as Promise<any>).then((made) => callback(attempt, here, made, call)) : answer
  return Asked.of(given as Promise<unknown>, attempt, call)
}

function callOf(attempt: Attempt, here: Zone, method: string, name: string, place: Place | null): Call {
  return {
    key: attempt.numbered(here.path === '' ? name : `${here.path}/${name}`),
    method: `job.${method}`,
    scope: here.path,
    place: place ?? attempt.last,
    waits: WAITS.has(method),
    state: 'waiting',
    ran: false,
    made: null,
    value: undefined,
    json: null,
    awaited: false,
    failed: false,
  }
}

/** As it is recorded: a child under the name of its type, unless it has one of its own. */
function nameOf([first, , options]: any[]): string {
  return typeof first === 'string' ? first : (options?.name ?? String(first?.name))
}

/** The wait for its answer is a call of its own, made wherever it is waited for. */
function callback(attempt: Attempt, here: Zone, made: { result: Fn }, { key, place }: Call) {
  const name = `answer to ${key.slice(here.path === '' ? 0 : here.path.length + 1)}`
  const result = () => recordedCall(attempt, zone() ?? here, 'answer', made.result, [name], placeOf() ?? place)
  return { ...made, result }
}

function nested(attempt: Attempt, here: Zone, call: Call): void {
  attempt.run.found({
    kind: 'nested-step',
    place: call.place,
    step: call.key,
    what: `${call.method} "${call.key}" was asked for inside ${here.kind === 'read' ? 'a function that only looks' : `the function of "${here.call?.key}"`}`,
    fix: 'Nothing is recorded in there, and nothing can wait. Take it out, and do one after the other.',
  })
}

/** The arguments, with their functions marked as what they are. */
function wrapped(attempt: Attempt, here: Zone, method: string, args: unknown[]): unknown[] {
  if (method === 'answer') return []
  if (method === 'map') return items(attempt, here, args as Parameters<JobContext<any>['map']>)
  return args.map((arg) => {
    if (typeof arg === 'function') {
      // A request is made again in every attempt, from the world as it then is.
      if (method === 'approve') return inside({ ...here, kind: 'read' }, arg as Fn)
      if (method === 'stage') return branch(attempt, here, here.call!.key, 'handler', arg as Fn)
      return theStep(attempt, { ...here, kind: 'step' }, arg as Fn)
    }
    if (typeof arg !== 'object' || arg === null || Array.isArray(arg)) return arg
    const entries = Object.entries(arg)
    if (!entries.some(([, value]) => typeof value === 'function')) return arg
    const marked = entries.map(([name, value]): [string, unknown] => {
      if (typeof value !== 'function') return [name, value]
      if (method === 'first') return [name, branch(attempt, here, `${here.call!.key}/${name}`, 'branch', value as Fn)]
      if (name === 'parse') return [name, theStep(attempt, { ...here, kind: 'step' }, value as Fn)]
      return [name, inside({ ...here, kind: LOOKS.has(name) ? 'read' : 'step' }, value as Fn)]
    })
    return Object.fromEntries(marked)
  })
}

/** Each item of a map is a call of its own, which is asked for only until it is recorded. */
function items(attempt: Attempt, here: Zone, args: Parameters<JobContext<any>['map']>): unknown[] {
  const [name, list, fn, options] = args
  const key = options?.key
  const each = async (item: unknown, context: { index: number }) => {
    const own = key ? key(item, context.index) : String(context.index)
    const call = callOf(attempt, { ...here, path: here.call!.key }, 'map', own, here.call!.place)
    attempt.items.push(call)
    const zone: Zone = { ...here, kind: 'step', path: here.call!.key, call }
    const value = await theStep(attempt, zone, fn as Fn)(item, context)
    call.state = 'resolved'
    return value
  }
  return [name, list, each, options]
}

function inside(zone: Zone, fn: Fn): Fn {
  return (...args) => within(zone, () => fn(...args))
}

/** A part that may hold steps of its own. */
function branch(attempt: Attempt, here: Zone, path: string, kind: 'handler' | 'branch', fn: Fn): Fn {
  const run = theStep(attempt, { ...here, kind, path }, fn)
  return (...args) => {
    attempt.entered.add(path)
    return run(...args)
  }
}

/** The function whose value is recorded. */
function theStep(attempt: Attempt, here: Zone, fn: Fn): Fn {
  return async (...args) => {
    const call = here.call!
    call.ran = true
    const before = here.kind === 'step' && attempt.run.plain ? snapshot(attempt) : []
    const value = await within(here, () => fn(...args))
    call.made = jsonOf(value)
    for (const [other, json] of before)
      if (jsonOf(other.value) !== json) attempt.mutations.push({ changed: other.key, by: call })
    const loss = lossIn(value)
    if (loss)
      attempt.run.found({
        kind: 'not-json',
        place: call.place,
        step: call.key,
        what: `the value of ${call.method} "${call.key}" is not what its record gives back: at ${loss.path || 'the top'} it has ${loss.what}`,
        fix: 'Return plain data: text, numbers, true or false, null, arrays and objects of these.',
      })
    return value
  }
}

/** What the handler has got so far. Only the first run looks for changes in it, because that is slow. */
function snapshot(attempt: Attempt): [Call, string | null][] {
  const objects = attempt.calls.filter(({ value }) => typeof value === 'object' && value !== null)
  return objects.map((call) => [call, jsonOf(call.value)])
}

/**
 * The promise of a call, which notes whether anybody waits for it. `await` asks a subclass for its `then`; of a plain
 * promise it would not.
 */
class Asked<T> extends Promise<T> {
  private call: Call | undefined

  static override get [Symbol.species]() {
    return Promise
  }

  static of<T>(answer: Promise<T>, attempt: Attempt, call: Call): Asked<T> {
    const asked = new Asked<T>((resolve, reject) => {
      answer.then(
        (value) => {
          attempt.settle(call, 'resolved', value)
          resolve(value)
        },
        (error) => {
          attempt.settle(call, 'rejected')
          reject(error)
        },
      )
    })
    // Nobody waits for a floating promise, and its error must not end the test's process.
    Promise.prototype.then.call(asked, undefined, () => undefined)
    asked.call = call
    return asked
  }

  // biome-ignore lint/suspicious/noThenProperty: this is a promise.
  override then<A = T, B = never>(
    ...args: [((value: T) => A | PromiseLike<A>)?, ((reason: any) => B | PromiseLike<B>)?]
  ): Promise<A | B> {
    if (this.call) this.call.awaited = true
    return super.then(...args)
  }
}
