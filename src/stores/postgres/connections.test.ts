import { expect, it } from 'vitest'
import { UntildoneError } from '../../core/errors.js'
import { causeOf, explain, isLost, isRace, isStale, takenOf } from './connections.js'

it('a transaction that is over without a known reason is done again, on another connection', () => {
  const over = Object.assign(new Error('current transaction is aborted'), { code: '25P02' })
  expect(isRace(over)).toBe(true)
  expect(isStale(over)).toBe(true)
})

const coded = (code: string, text = 'It failed.') => Object.assign(new Error(text), { code })
const reasonOf = (error: Error) => ((error as UntildoneError).params as { reason?: string } | undefined)?.reason

it('of two errors of one transaction the one that says why counts', () => {
  const [over, slow, refused] = [coded('25P02'), coded('55P03'), coded('23514')]
  expect(causeOf(null, slow)).toBe(slow)
  expect(causeOf(over, slow)).toBe(slow)
  expect(causeOf(slow, over)).toBe(slow)
  expect(causeOf(refused, slow)).toBe(refused)
  expect(causeOf(over, over)).toBe(over)
})

it('a line that breaks in TLS, and a transaction that took too long for the server, are lost ones', () => {
  for (const code of ['EPROTO', 'ERR_SSL_WRONG_VERSION_NUMBER', 'ERR_STREAM_DESTROYED', '25P03', '25P04'])
    expect(isLost(coded(code)), code).toBe(true)
  expect(isLost(coded('23514'))).toBe(false)
})

it('no free connection, a server that is not there and a store that is closed are told apart', () => {
  const late = new Error('timeout exceeded when trying to connect')
  const busy = explain(takenOf(late)) as UntildoneError
  expect(isLost(takenOf(late))).toBe(true)
  expect(reasonOf(busy)).toBe('busy')
  expect(busy.fix).toContain('`connections`')
  expect(reasonOf(explain(late))).toBe('unreachable')
  const closed = explain(new Error('Cannot use a pool after calling end on the pool'))
  expect(closed).toBeInstanceOf(UntildoneError)
  expect(closed).toMatchObject({ code: 'store-unavailable', message: 'The store is closed.' })
})

it.each([
  ['database "nowhere" does not exist', 'createdb nowhere'],
  ['Datenbank »no where« existiert nicht', 'createdb "no where"'],
  ['la base de données « nowhere » n’existe pas', 'createdb nowhere'],
  ['Datenbank „nowhere“ existiert nicht', 'createdb nowhere'],
  ['it is not there', 'createdb NAME'],
])('%s: the name is found in any language', (text, words) => {
  expect((explain(coded('3D000', text)) as UntildoneError).fix).toContain(`\`${words}\``)
})

it('a certificate that the server asks for is no wrong password', () => {
  const error = explain(coded('28000', 'connection requires a valid client certificate')) as UntildoneError
  expect(reasonOf(error)).toBe('refused')
  expect(error.fix).toContain('`sslcert`')
  expect((explain(coded('28P01')) as UntildoneError).fix).toContain('PGPASSWORD')
})
