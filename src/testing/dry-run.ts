/**
 * dryRun: runs a handler with every function of a step, read, engine and child replaced by an example value, and records
 * what it calls, in order. Nothing outside is touched but by what the handler does between its calls.
 */
import { AsyncLocalStorage } from 'node:async_hooks'
import { parseDuration } from '../core/duration.js'
import { UntildoneError } from '../core/errors.js'
import type { Person } from '../core/job.js'
import type { Json } from '../core/json.js'
import type { JobHandler } from '../define/define-job.js'
import type { RecordedRun, RunApproval, RunStep } from '../engine/story/type-run.js'
import { span } from '../engine/story/words.js'
import { validatorOf } from '../engine/validate.js'
import { declaredIn } from '../worker/declared.js'
import { standIn } from './stand-in.js'

/** What a dry run goes by. Committed beside the job as `<type>.example.json`. */
export interface StoryExample {
  input: Json
  /**
   * Values by the key of what gives them: steps, reads, engines, waits, children; of a gate, members of its answer, and
   * under `<gate>#request` what a function asks there. `*` stands for any part of a key. An engine of `job.first` is
   * looked into if there is a value below it. What has none gets a stand-in.
   */
  values?: Record<string, Json>
  /** What else the handler finds on its job. @default none */
  job?: {
    groupId?: string
    operationKey?: string
    tags?: string[]
    metadata?: Record<string, string>
    permissions?: string[]
    onBehalfOf?: Person
  }
}

/** A handler that waits for something the recorder does not give would wait for ever. */
const LIMIT_MS = 10_000

interface Scope {
  path: string
  inStep: boolean
}

/**
 * @throws UntildoneError `input-invalid` when the example does not fit the input schema
 * @example
 * const run = await dryRun(greetHandler, { input: { name: 'Ada' }, values: { fetch: 'Hello' } })
 */
export async function dryRun(handler: JobHandler, example: StoryExample): Promise<RecordedRun> {
  const { name, input } = handler.definition
  const checked = await validatorOf(input)(example.input)
  if (!checked.ok) {
    const [first] = checked.errors
    throw new UntildoneError(
      'input-invalid',
      `The example input of "${name}" does not fit: ${first?.pointer || 'it'} ${first?.message}.`,
      {
        errors: checked.errors,
      },
    )
  }
  const recorder = new Recorder(handler, checked.value, example)
  return recorder.run()
}

class Recorder {
  private readonly steps: RunStep[] = []
  private readonly shown = new Map<string, string | null>()
  private readonly madeUp: string[] = []
  private readonly counters = new Map<string, number>()
  private readonly scopes = new AsyncLocalStorage<Scope>()
  private readonly values: Record<string, Json>
  private readonly patterns: [RegExp, Json][]

  constructor(
    private readonly handler: JobHandler,
    private readonly input: unknown,
    private readonly example: StoryExample,
  ) {
    this.values = example.values ?? {}
    const { values } = this
    this.patterns = Object.entries(values)
      .filter(([key]) => key.includes('*'))
      .map(([key, value]) => [new RegExp(`^${key.split('*').map(literal).join('.*')}$`), value])
  }

  async run(): Promise<RecordedRun> {
    let stoppedBy: string | null = null
    let timer: NodeJS.Timeout | undefined
    try {
      const late = new Promise<never>((_, reject) => {
        timer = setTimeout(() => reject(new Error(`it had not ended after ${LIMIT_MS / 1000} s`)), LIMIT_MS)
      })
      await Promise.race([
        this.scopes.run({ path: '', inStep: false }, async () => this.handler.run(this.context() as never)),
        late,
      ])
    } catch (error) {
      stoppedBy = error instanceof Error ? error.message : String(error)
    } finally {
      clearTimeout(timer)
    }
    const { steps, shown, madeUp } = this
    return { source: { kind: 'dry-run', madeUp: false }, steps, shown, stoppedBy, madeUp }
  }

  /** As the worker names what it records: path, name, and a number from the second on. */
  private key(name: string): string {
    const path = this.scopes.getStore()?.path ?? ''
    const full = path ? `${path}/${name}` : name
    const n = (this.counters.get(full) ?? 0) + 1
    this.counters.set(full, n)
    return n === 1 ? full : `${full}#${n}`
  }

  private push(name: string, kind: RunStep['kind'], more: Partial<RunStep> = {}): string {
    const key = kind === 'read' ? name : this.key(name)
    this.steps.push({ key, kind, effect: null, declared: {}, ...more })
    return key
  }

  private known(key: string): Json | undefined {
    if (Object.hasOwn(this.values, key)) return this.values[key]
    return this.patterns.find(([pattern]) => pattern.test(key))?.[1]
  }

  /** A copy, because handlers may change what they get. */
  private value(key: string): any {
    const known = this.known(key)
    if (known !== undefined) return structuredClone(known)
    this.madeUp.push(key)
    return standIn()
  }

  private within<T>(path: string, fn: () => T): T {
    return this.scopes.run({ path, inStep: false }, fn)
  }

  /** The `job` object; calls that it does not know yet are recorded by nobody, so a handler that makes one stops there. */
  private context() {
    const log = Object.assign(() => {}, { debug() {}, warn() {}, error() {} })
    return {
      ...{ id: '00000000-0000-7000-8000-000000000000', type: this.handler.definition.name, tenant: 'default' },
      ...{ input: this.input, attempt: 1, groupId: null, operationKey: null, onBehalfOf: null },
      ...{ permissions: [], tags: [], metadata: {}, ...this.example.job },
      ...{ signal: new AbortController().signal, draining: false, log },

      step: async (name: string, _fn: unknown, options: any = {}) => {
        const approved = options.approvedBy ? ({ approved: true } as const) : {}
        const declared = { ...declaredIn(options), ...approved }
        const more = { effect: options.effect ?? 'idempotent', declared }
        return this.value(this.push(name, 'step', more))
      },
      read: async (name: string) => this.value(this.push(name, 'read')),
      process: async (name: string, { timeout = '10m' }: any = {}) =>
        this.value(this.push(name, 'process', { effect: 'idempotent', declared: declaredIn({ timeout }) ?? {} })),
      first: (name: string, engines: Record<string, any>) => this.first(name, engines),
      stage: (name: string, ...rest: any[]) => this.stage(name, rest.length > 1 ? rest[0] : {}, rest.at(-1)),
      map: (name: string, items: any, _fn: unknown, options: any = {}) => this.map(name, items, options),
      sleep: async (name: string, duration: any) =>
        void this.push(name, 'timer', { bounded: true, declared: declaredIn({ timeout: duration }) ?? {} }),
      waitFor: async (signal: string, { timeout }: any = {}) => {
        const key = this.push(signal, 'signal', {
          bounded: timeout !== undefined,
          declared: declaredIn({ timeout }) ?? {},
        })
        return { timedOut: false, payload: this.value(key), by: null }
      },
      callback: async (name: string, { timeout = '7d' }: any = {}) => {
        const key = this.push(name, 'callback', { bounded: true, declared: declaredIn({ timeout }) ?? {} })
        return {
          url: 'https://callback.example/',
          result: async () => ({ outcome: 'completed', payload: this.value(key) }),
        }
      },
      call: async (child: any, _input: unknown, { name = child.name, timeout = '7d', onFailure }: any = {}) => {
        const key = this.push(name, 'child', { bounded: true, of: child.name, declared: declaredIn({ timeout }) ?? {} })
        const result = this.value(key)
        return onFailure === 'return' ? { status: 'completed', id: key, result, error: null } : result
      },
      approve: async (gate: string, request: any) => {
        const key = this.key(gate)
        // A request that is made when it is asked may read the world; only the example may stand for it.
        const given = typeof request === 'function' ? this.known(`${key}#request`) : request
        const approval = given === undefined ? undefined : approvalOf(given)
        const bounded = given === undefined ? null : (given as any).due !== undefined
        this.steps.push({
          key,
          kind: 'approval',
          effect: null,
          declared: {},
          of: gate,
          bounded,
          ...(approval ? { approval } : {}),
        })
        const none = { edited: false, feedback: null, decisions: [], reason: null, by: [] }
        const answer = this.known(key) as Record<string, Json> | undefined
        return { id: key, outcome: 'approved', data: (given as any)?.data ?? null, ...none, ...answer }
      },
      decision: (entry: any) => void this.push('decision', 'decision', { of: String(entry?.model ?? '') }),
      progress: (stage: string | null, update: any = {}) => {
        if (stage && !this.shown.has(stage)) this.shown.set(stage, update.message ?? null)
      },
      warn() {},
      open: async (id: string) => ({
        ...{
          id,
          path: '/dev/null',
          bytes: 0,
          sha256: '0'.repeat(64),
          contentType: 'application/octet-stream',
          name: null,
        },
        stream: () => new ReadableStream<Uint8Array>({ start: (controller) => controller.close() }),
      }),
      file: async () => `file_${'0'.repeat(22)}`,
    }
  }

  private async first(name: string, engines: Record<string, any>) {
    const names = Object.keys(engines)
    const key = this.push(name, 'first', { engines: names })
    const inner = new Map<string, unknown>()
    for (const engine of names) {
      const path = `${key}/${engine}`
      // An engine may act by itself; only one that the example knows to be made of calls is looked into.
      if (this.describes(path)) inner.set(engine, await this.within(path, () => engines[engine]()))
    }
    const known = this.known(key)
    if (known !== undefined) return structuredClone(known)
    const [engine = ''] = names
    return { engine, value: inner.has(engine) ? inner.get(engine) : this.value(`${key}/${engine}`) }
  }

  /** Whether the example has a value for something called inside of this path. */
  private describes(path: string): boolean {
    const depth = path.split('/').length
    const matches = (key: string) => {
      const parts = key.split('/')
      if (parts.length <= depth) return false
      return new RegExp(`^${parts.slice(0, depth).join('/').split('*').map(literal).join('.*')}$`).test(path)
    }
    return Object.keys(this.values).some(matches)
  }

  private async stage(name: string, options: any, fn: () => unknown) {
    const { queue = this.handler.settings.queue } = options
    const key = this.push(name, 'stage', { declared: declaredIn({ ...options, queue }) ?? {} })
    if (!this.shown.has(name)) this.shown.set(name, null)
    return this.within(key, fn)
  }

  private async map(name: string, items: unknown, { key: keyOf }: any) {
    const path = this.key(name)
    const one = (item: string) => {
      const key = `${path}/${item}`
      this.steps.push({ key, kind: 'step', effect: 'idempotent', declared: {} })
      return this.value(key)
    }
    if (!Array.isArray(items)) return one('*')
    return items.map((item, i) => one(keyOf ? keyOf(item, i) : String(i)))
  }
}

function approvalOf({ risk, due, onExpire, onReject, writes }: any): RunApproval {
  const text = (value: unknown) => (value === undefined ? null : String(value))
  return {
    ...{ risk: text(risk), due: due === undefined ? null : span(parseDuration(due)), onExpire: text(onExpire) },
    onReject: text(onReject),
    writes: Array.isArray(writes) ? writes.map((write) => String(write?.target ?? '')) : [],
  }
}

function literal(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')
}
