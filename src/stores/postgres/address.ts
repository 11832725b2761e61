/**
 * Addresses of PostgreSQL, read as `pg` reads them, which need not be installed for that. The password of one is in no
 * message and on no command line, also where it was written so that it cannot be told from the rest.
 */

export const ADDRESS_FIX =
  'Write postgres://user:password@host:5432/name, with one host and a port up to 65535. In a user and a password / # ? @ % : are written %2F %23 %3F %40 %25 %3A.'

export interface Address {
  /** Without its password. */
  shown: string
  password: string | null
  /** Host and name, without user and password. */
  place: string
}

/** For one without a host, which no URL of another kind than `socket:` is. */
const NO_HOST = '___none___'

/** @throws TypeError where it cannot be read, or can only be read as something that nobody means */
export function readAddress(url: string): Address {
  // Nothing, which leaves all to the environment, or the folder of a socket.
  if (!url || url.startsWith('/')) return { shown: url ?? '', password: null, place: url || 'where PGHOST says' }
  try {
    return reading(url)
  } catch {
    // What was thrown may quote it.
    throw new TypeError(`postgres: the address of the database cannot be read. ${ADDRESS_FIX}`)
  }
}

function reading(url: string): Address {
  // Whatever is no escape stands for itself.
  const text = / |%[^a-f0-9]|%[a-f0-9][^a-f0-9]/i.test(url) ? encodeURI(url).replace(/%25(\d\d)/g, '%$1') : url
  const hosted = URL.canParse(text, 'postgres://base')
  const parsed = new URL(hosted ? text : text.replace('@/', `@${NO_HOST}/`), 'postgres://base')
  const { searchParams, username, hostname, pathname } = parsed
  if (misread(parsed)) throw new Error('A part of a password would be taken for something else.')
  for (const part of [username, hostname, pathname]) decodeURIComponent(part)
  const port = searchParams.get('port') || parsed.port
  if (port && !(/^\d+$/.test(port) && Number(port) > 0 && Number(port) < 65_536)) throw new Error('No port.')
  const password = searchParams.get('password') || decodeURIComponent(parsed.password)
  parsed.password = ''
  if (searchParams.has('password')) searchParams.delete('password')
  const host = (hosted && decodeURIComponent(parsed.host)) || searchParams.get('host') || 'local'
  return {
    shown: hosted ? parsed.href : parsed.href.replace(`@${NO_HOST}/`, '@/'),
    password: password || null,
    place: `${host}${pathname}`,
  }
}

/** `postgres://me:12/34@host/name` is a host `me` with a port: the password is not seen as one, and would be shown. */
function misread({ username, pathname, search, searchParams, hash }: URL): boolean {
  if (`${pathname}${hash}`.includes('@')) return true
  const named = username !== '' || searchParams.has('user') || searchParams.has('password')
  return [...searchParams.keys()].some((key) => key.includes('@')) || (!named && search.includes('@'))
}

/** Without user and password. */
export const locationOf = (url: string, schema: string): string => `${readAddress(url).place} (schema ${schema})`
