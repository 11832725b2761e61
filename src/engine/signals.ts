/**
 * What the world tells a job: signals by name, and answers to callback URLs. Payloads are judged here; the store delivers
 * each once.
 */
import { UntildoneError } from '../core/errors.js'
import { canonicalJson, type Json } from '../core/json.js'
import { isTombstone } from '../stores/store.js'
import type { Caller } from './api.js'
import type { CallbackBody, SignalRequest } from './operator-api.js'
import { type EngineParts, notFound } from './parts.js'
import { demand, holds, mayUseType } from './rights.js'

/** Signals that nobody has taken yet (http-contract 2.7). */
const UNREAD_MAX = 100
const FULL_RETRY_MS = 30_000
const TOKEN_MAX = 200

export class Signals {
  constructor(private readonly parts: EngineParts) {}

  async signal(
    caller: Caller,
    id: string,
    name: string,
    { payload, signalId, key }: SignalRequest,
  ): Promise<{ delivered: boolean }> {
    const { store, registry, entropy } = this.parts
    if (!holds(caller, 'jobs:operate')) demand(caller, 'jobs:signal')
    const stored = await store.find(id, 0)
    // Whoever may only signal reads nothing, but must be able to reach the jobs of its types.
    if (
      !stored ||
      isTombstone(stored) ||
      stored.record.tenant !== caller.tenant ||
      !mayUseType(caller, stored.record.type)
    )
      throw notFound(id)
    const type = registry.get(stored.record.type)
    const known = Object.keys(type?.handler.definition.signals ?? {})
    const judge = type && Object.hasOwn(type.signals, name) ? type.signals[name] : undefined
    if (!judge) {
      const what = known.length > 0 ? `It takes: ${known.join(', ')}.` : 'It takes none.'
      throw new UntildoneError(
        'unknown-signal',
        `Jobs of type "${stored.record.type}" take no signal "${name}". ${what}`,
        {
          params: { signal: name, known },
        },
      )
    }
    const checked = await judge(payload)
    if (!checked.ok)
      throw new UntildoneError(
        'payload-invalid',
        `The payload of "${name}" was refused: ${checked.errors
          .map((e) => `${e.pointer || 'it'} ${e.message}`)
          .slice(0, 3)
          .join('; ')}. Nothing was delivered.`,
        { errors: checked.errors.map((error) => ({ ...error, pointer: `/payload${error.pointer}` })) },
      )
    const answer = await store.signal({
      ...{ jobId: id, tenant: caller.tenant, name, actor: caller.actor, limit: UNREAD_MAX },
      // Ids of callers are apart from our own.
      signalId: `id:${signalId ?? key ?? entropy.token(18)}`,
      payload: JSON.stringify(checked.value ?? null),
    })
    switch (answer.outcome) {
      case 'delivered':
      case 'buffered':
        return { delivered: answer.outcome === 'delivered' }
      case 'repeated':
        return { delivered: answer.delivered }
      case 'conflict':
        throw new UntildoneError(
          'idempotency-key-reused',
          `Another signal had the id "${signalId ?? key}". Nothing was delivered.`,
        )
      case 'full':
        throw new UntildoneError('quota-exceeded', `The job has ${UNREAD_MAX} signals that it has not read yet.`, {
          params: { unread: UNREAD_MAX },
          retryAfterMs: FULL_RETRY_MS,
          fix: 'Wait until the job has read some of them; see what it is doing: GET /v1/jobs/{id}',
        })
      case 'finished':
        throw new UntildoneError('job-already-done', `The job is already ${answer.status}; it takes no more signals.`, {
          params: { status: answer.status, next: 'leave it: nobody waits for the signal any more' },
        })
      default:
        throw notFound(id)
    }
  }

  /** The token is the right. Unknown ones cost the same look-up as known ones, and say nothing of what there is. */
  async answerCallback(token: string, body: CallbackBody): Promise<void> {
    const { sha256 } = this.parts.entropy
    const value: Json =
      body.outcome === 'completed'
        ? { outcome: 'completed', payload: body.payload ?? null }
        : { outcome: 'failed', error: { code: body.error.code, message: body.error.message } }
    const payload = canonicalJson(value)
    const answer = await this.parts.store.answerCallback({
      hash: sha256(token.slice(0, TOKEN_MAX)),
      answerHash: sha256(payload),
      payload,
    })
    if (answer === 'answered' || answer === 'repeated') return
    if (answer === 'used') throw new UntildoneError('callback-already-used')
    if (answer === 'not-found') throw new UntildoneError('callback-not-found')
    throw new UntildoneError(
      'callback-expired',
      answer === 'expired' ? undefined : 'The job that waited for it has ended.',
    )
  }
}
