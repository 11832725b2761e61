import { expect, it } from 'vitest'
import { locationOf, readAddress } from './address.js'
import { postgres } from './index.js'

const SECRETS = [
  's3/cret',
  's3#cret',
  's3?cret',
  '12/cret',
  '12#cret',
  '12?cret',
  '12?cret=1',
  's3@12/cret',
  's3%E0%A4cret',
]

it.each([
  ...SECRETS.map((password) => `postgres://me:${password}@127.0.0.1:5432/jobs`),
  'postgres://me:s3cret@127.0.0.1:99999/jobs',
  'postgres://me:s3cret@127.0.0.1:0/jobs',
  'postgres://me:s3cret@127.0.0.1/jobs?port=many',
  'postgres://me:s3cret@one:5432,two:5432/jobs',
])('%s is refused when it is given, with what to write instead, and without its password', (url) => {
  const error = (() => {
    try {
      return postgres(url) as unknown
    } catch (thrown) {
      return thrown as TypeError
    }
  })() as TypeError
  expect(error).toBeInstanceOf(TypeError)
  expect(error.message).toContain('/ # ? @ % : are written %2F %23 %3F %40 %25 %3A')
  expect(`${error.message} ${error.stack} ${error.cause}`).not.toContain('cret')
})

it.each([
  'postgres://me:s3%2Fcret@127.0.0.1:5432/jobs',
  'postgres://me:s3@cret:a%b@127.0.0.1:5432/jobs',
  'postgres://me:s3 cret@127.0.0.1/jobs',
  'postgresql://me:s3cret@[::1]:5432/jobs?sslmode=verify-full',
  'postgres://127.0.0.1/jobs?user=me@server&password=a@b',
  'postgres://me:s3cret@/jobs?host=/var/run/postgresql',
  'postgres:///jobs?host=/var/run/postgresql',
  'postgres://me@%2Fvar%2Frun%2Fpostgresql/jobs',
  'socket:/var/run/postgresql?db=jobs',
  '/var/run/postgresql jobs',
  'postgres://',
  '',
])('%s is taken, as pg takes it', (url) => {
  expect(() => postgres(url)).not.toThrow()
})

it('the password is told apart from what may be seen', () => {
  const seen = (url: string) => {
    const { shown, password } = readAddress(url)
    return [shown, password]
  }
  expect(seen('postgres://me:s3%2Fcret@h:5432/jobs')).toEqual(['postgres://me@h:5432/jobs', 's3/cret'])
  expect(seen('postgres://me:a%b c@h/jobs')).toEqual(['postgres://me@h/jobs', 'a%b c'])
  expect(seen('postgres://me:x@/jobs?host=/tmp')).toEqual(['postgres://me@/jobs?host=/tmp', 'x'])
  expect(seen('postgres://h/jobs?user=me&password=a%20b&sslmode=verify-full')).toEqual([
    'postgres://h/jobs?user=me&sslmode=verify-full',
    'a b',
  ])
  expect(seen('postgres://me@h/jobs')).toEqual(['postgres://me@h/jobs', null])
})

it.each([
  ['postgres://me:s3cret@db:5432/jobs?sslmode=verify-full', 'db:5432/jobs (schema s)'],
  ['postgres://me:s3cret@/jobs?host=/tmp', '/tmp/jobs (schema s)'],
  ['postgres:///jobs?host=/tmp', '/tmp/jobs (schema s)'],
  ['postgres://me@%2Ftmp/jobs', '/tmp/jobs (schema s)'],
  ['postgres:///jobs', 'local/jobs (schema s)'],
  ['/tmp jobs', '/tmp jobs (schema s)'],
])('where %s leads is told without user and password', (url, place) => {
  expect(locationOf(url, 's')).toBe(place)
})
