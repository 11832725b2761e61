/**
 * The envelope check of a submit, written by hand because every submit passes here: it must agree with the schema in
 * schemas/requests.ts (a property test compares them). It does not look into `input`; the engine does.
 */
import { EVENT_TYPES, type FieldError, type Json, UntildoneError, utf8Length } from '../core/index.js'
import { ON_DUPLICATE, type SubmitBody } from '../engine/api.js'
import { tooLarge } from './body.js'
import { checkKey } from './headers.js'
import { instantMs } from './query.js'
import type { ServerContext } from './route.js'

type Members = Record<string, unknown>
/** What is wrong with a value, as [code, message], or null. */
type Check = (value: unknown, pointer: string, errors: FieldError[]) => void

const TYPE = /^[A-Za-z0-9._-]{1,128}$/

const CHECKS: Record<string, Check> = {
  type: (value, pointer, errors) => {
    if (typeof value !== 'string') add(errors, pointer, 'type', 'must be text')
    else if (!TYPE.test(value)) add(errors, pointer, 'pattern', 'must be 1 to 128 letters, digits, ".", "_" or "-"')
  },
  input: () => {},
  groupId: shortText,
  operationKey: shortText,
  priority: (value, pointer, errors) => {
    if (!Number.isSafeInteger(value)) add(errors, pointer, 'type', 'must be a whole number')
    else if ((value as number) < -100 || (value as number) > 100)
      add(errors, pointer, 'range', 'must be from -100 to 100')
  },
  runAt: instant,
  deadlineAt: instant,
  tags: (value, pointer, errors) => {
    if (!Array.isArray(value)) return add(errors, pointer, 'type', 'must be a list of texts')
    if (value.length > 16) add(errors, pointer, 'too-many', 'must have at most 16 tags')
    value.forEach((tag, i) => {
      if (typeof tag !== 'string') add(errors, `${pointer}/${i}`, 'type', 'must be text')
      else if (tag.length < 1 || tag.length > 64)
        add(errors, `${pointer}/${i}`, 'range', 'must have 1 to 64 characters')
    })
  },
  onBehalfOf: (value, pointer, errors) => {
    if (value === null) return
    if (!isObject(value))
      return add(errors, pointer, 'type', 'must be an object like {"id":"u-1","name":"Ada"} or null')
    unknownMembers(value, ['id', 'name'], pointer, errors)
    if (typeof value.id !== 'string' || value.id.length < 1 || value.id.length > 200)
      add(errors, `${pointer}/id`, 'range', 'must be text of 1 to 200 characters')
    if (value.name !== undefined && (typeof value.name !== 'string' || value.name.length > 200))
      add(errors, `${pointer}/name`, 'range', 'must be text of at most 200 characters')
  },
  permissions: (value, pointer, errors) => {
    if (!Array.isArray(value)) return add(errors, pointer, 'type', 'must be a list of texts')
    if (value.length > 100) add(errors, pointer, 'too-many', 'must have at most 100 permissions')
    value.forEach((permission, i) => {
      if (typeof permission !== 'string' || permission.length < 1 || permission.length > 200)
        add(errors, `${pointer}/${i}`, 'range', 'must be text of 1 to 200 characters')
    })
  },
  onDuplicate: (value, pointer, errors) => {
    if (value !== null && !ON_DUPLICATE.includes(value as never))
      add(errors, pointer, 'value', `must be one of ${ON_DUPLICATE.join(', ')}, or null`)
  },
  typeVersion: (value, pointer, errors) => {
    if (value !== null && (typeof value !== 'string' || value.length < 1 || value.length > 64))
      add(errors, pointer, 'range', 'must be text of 1 to 64 characters, or null')
  },
  metadata: (value, pointer, errors) => {
    if (!isObject(value)) return add(errors, pointer, 'type', 'must be an object of texts')
    const names = Object.keys(value)
    if (names.length > 16) add(errors, pointer, 'too-many', 'must have at most 16 pairs')
    for (const name of names) {
      const at = `${pointer}/${escapePointer(name)}`
      const text = value[name]
      if (name.length < 1 || name.length > 64) add(errors, at, 'range', 'its name must have 1 to 64 characters')
      if (typeof text !== 'string') add(errors, at, 'type', 'must be text')
      else if (text.length > 512) add(errors, at, 'range', 'must have at most 512 characters')
    }
  },
  notify: (value, pointer, errors) => {
    if (!Array.isArray(value)) return add(errors, pointer, 'type', 'must be a list like [{"webhookId":"wh_1"}]')
    if (value.length > 5) add(errors, pointer, 'too-many', 'must name at most 5')
    for (const [i, target] of value.entries()) notifyTarget(target, `${pointer}/${i}`, errors)
  },
}
const MEMBERS = Object.keys(CHECKS)

/** What is wrong with a submit, `input` left aside. */
export function submitErrors(value: unknown): FieldError[] {
  const errors: FieldError[] = []
  check(value, '', errors, false)
  return errors
}

/** The submit in a parsed body. @throws UntildoneError validation-failed, payload-too-large */
export function readSubmit(value: unknown, server: ServerContext, bytes: number): SubmitBody {
  const errors = submitErrors(value)
  if (errors.length > 0) throw invalid(errors)
  const body = value as unknown as SubmitBody
  // The whole text bounds the input from above: only long bodies are measured.
  if (bytes > server.settings.limits.inputBytes) measureInput(body.input, server, '')
  return body
}

export interface Batch {
  items: { body: SubmitBody; key: string | null }[]
}

/** The submits of a batch. @throws UntildoneError validation-failed, idempotency-key-invalid, payload-too-large */
export function readBatch(value: unknown, server: ServerContext): Batch {
  const { batchItems } = server.settings.limits
  const errors: FieldError[] = []
  const items = isObject(value) ? value.items : undefined
  if (!isObject(value)) add(errors, '', 'type', 'must be an object')
  else {
    unknownMembers(value, ['items'], '', errors)
    if (items === undefined) add(errors, '/items', 'required', 'is required')
    else if (!Array.isArray(items)) add(errors, '/items', 'type', 'must be a list')
    else if (items.length < 1) add(errors, '/items', 'range', 'must have at least one submit')
    else if (items.length > batchItems) add(errors, '/items', 'too-many', `must have at most ${batchItems} submits`)
  }
  if (errors.length > 0) throw invalid(errors)
  const list = items as Members[]
  for (const [i, item] of list.entries()) check(item, `/items/${i}`, errors, true)
  if (errors.length > 0) throw invalid(errors)
  return {
    items: list.map((item, i) => {
      const { idempotencyKey, ...body } = item
      if (idempotencyKey !== undefined) checkKey(idempotencyKey as string, `/items/${i}/idempotencyKey`)
      measureInput(body.input as Json, server, `/items/${i}`)
      return { body: body as unknown as SubmitBody, key: (idempotencyKey as string | undefined) ?? null }
    }),
  }
}

function check(value: unknown, at: string, errors: FieldError[], inBatch: boolean): void {
  if (!isObject(value)) {
    add(errors, at, 'type', 'must be an object')
    return
  }
  for (const name in value) {
    const member = CHECKS[name]
    if (member && Object.hasOwn(CHECKS, name)) member(value[name], `${at}/${name}`, errors)
    else if (!(inBatch && name === 'idempotencyKey')) addUnknown(errors, at, name, MEMBERS)
    else if (typeof value[name] !== 'string') add(errors, `${at}/${name}`, 'type', 'must be text')
  }
  if (value.type === undefined) add(errors, `${at}/type`, 'required', 'is required')
}

function shortText(value: unknown, pointer: string, errors: FieldError[]): void {
  if (value === null) return
  if (typeof value !== 'string') add(errors, pointer, 'type', 'must be text or null')
  else if (value.length < 1 || value.length > 200) add(errors, pointer, 'range', 'must have 1 to 200 characters')
}

/** Only its form: whether the webhook is there and the address may be called is the engine's to say. */
function notifyTarget(target: unknown, pointer: string, errors: FieldError[]): void {
  if (!isObject(target)) {
    add(errors, pointer, 'type', 'must be an object with a webhookId or a url')
    return
  }
  unknownMembers(target, ['webhookId', 'url', 'events'], pointer, errors)
  const { webhookId, url, events } = target
  if ((webhookId === undefined) === (url === undefined))
    add(errors, pointer, 'required', 'must name either a webhookId or a url')
  if (webhookId !== undefined) sized(webhookId, 100, `${pointer}/webhookId`, errors)
  if (url !== undefined) sized(url, 2048, `${pointer}/url`, errors)
  if (events === undefined) return
  if (!Array.isArray(events)) {
    add(errors, `${pointer}/events`, 'type', 'must be a list of events')
    return
  }
  if (events.length < 1 || events.length > EVENT_TYPES.length)
    add(errors, `${pointer}/events`, 'range', `must name 1 to ${EVENT_TYPES.length} events`)
  events.forEach((event, i) => {
    if (!EVENT_TYPES.includes(event as never))
      add(errors, `${pointer}/events/${i}`, 'enum', `must be one of ${EVENT_TYPES.join(', ')}`)
  })
}

function sized(value: unknown, most: number, pointer: string, errors: FieldError[]): void {
  if (typeof value !== 'string' || value.length < 1 || value.length > most)
    add(errors, pointer, 'range', `must be text of 1 to ${most} characters`)
}

function instant(value: unknown, pointer: string, errors: FieldError[]): void {
  if (value === null) return
  if (typeof value !== 'string') add(errors, pointer, 'type', 'must be text or null')
  else if (instantMs(value) === null)
    add(errors, pointer, 'format', 'must be an RFC 3339 instant like 2026-11-22T09:00:00Z')
}

function measureInput(input: Json | undefined, server: ServerContext, at: string): void {
  const { inputBytes } = server.settings.limits
  if (input === undefined) return
  const text = JSON.stringify(input)
  // A UTF-16 unit is 1 to 3 bytes, so most texts need no count.
  if (text.length * 3 <= inputBytes || utf8Length(text) <= inputBytes) return
  throw tooLarge(inputBytes, `The input${at === '' ? '' : ` at ${at}`}`)
}

export function unknownMembers(value: object, known: readonly string[], at: string, errors: FieldError[]): void {
  for (const name of Object.keys(value)) if (!known.includes(name)) addUnknown(errors, at, name, known)
}

function addUnknown(errors: FieldError[], at: string, name: string, known: readonly string[]): void {
  add(errors, `${at}/${escapePointer(name)}`, 'unknown', `is not known here; known are ${known.join(', ')}`)
}

/** At most 100: a hostile body must not make a large answer. */
function add(errors: FieldError[], pointer: string, code: string, message: string): void {
  if (errors.length < 100) errors.push({ pointer: pointer.slice(0, 300), code, message })
}

export function invalid(errors: FieldError[]): UntildoneError {
  const first = errors[0]!
  const more = errors.length > 1 ? ` (and ${errors.length - 1} more)` : ''
  const where = first.pointer === '' ? 'The body' : first.pointer
  return new UntildoneError('validation-failed', `${where} ${first.message}${more}. Nothing was stored.`, { errors })
}

export function escapePointer(name: string): string {
  return name.replace(/~/g, '~0').replace(/\//g, '~1')
}

function isObject(value: unknown): value is Members {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
