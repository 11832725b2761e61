/**
 * Why a Redis server is of no use now, and what to do about it. `params.reason` is the same word for as long as the same
 * thing is wrong, whatever the single attempts say.
 */
import { connect as connectPlain, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { UntildoneError } from '../../core/errors.js'

const ASK_MS = 1000
/** A server that turns strangers away says so unasked; whoever writes meanwhile may not get to read it. */
const UNASKED_MS = 150

export interface Place {
  host: string
  port: number
}

const NO_DATABASE = /(DB index is out of range|invalid DB index|SELECT is not allowed in cluster mode)/i

/** What a server that answers has against us, or what of its certificate is wrong: in the words of Redis and of Node. */
const KNOWN: readonly [RegExp, reason: string, text: string, fix: string][] = [
  [
    /WRONGPASS|NOAUTH|NOPERM|invalid (username-)?password/i,
    'refused',
    'refuses the user or password',
    'Correct them in the address: redis://user:password@host:6379 (rediss:// with TLS).',
  ],
  [
    NO_DATABASE,
    'database',
    'has no database of this number',
    'End the address with one that it has: /0 is always there, `databases` in redis.conf says how many there are.',
  ],
  [
    /ENOTFOUND|EAI_AGAIN/,
    'unknown-host',
    'cannot be reached: its host is not known here',
    'Correct the name of the host in the address, or the DNS of this machine.',
  ],
  [
    /self-signed certificate|unable to (verify the first|get( local)? issuer) certificate/i,
    'certificate',
    'cannot be reached: its certificate is not trusted here',
    'Start this process with the certificate of the CA that signed it: NODE_EXTRA_CA_CERTS=/path/ca.crt (PEM).',
  ],
  [
    /does not match certificate's altnames/i,
    'certificate-name',
    'cannot be reached: its certificate is not for this name',
    'Use a name that the certificate has in the address, or give the server a certificate for this one.',
  ],
  [
    /certificate (has expired|is not yet valid)/i,
    'certificate-date',
    'cannot be reached: its certificate is not valid today',
    'Renew the certificate of the server; or set the clock of this machine.',
  ],
  [
    /certificate required/i,
    'client-certificate',
    'asks for a certificate of the client',
    'Set `tls-auth-clients no` on the server: an address carries user and password, and no certificate.',
  ],
  [
    /DENIED/,
    'protected',
    'is in protected mode: it talks to its own host only',
    'Give it a password (`requirepass` in redis.conf) and put that in the address: redis://:password@host:6379.',
  ],
]

export const isNoDatabase = (error: Error): boolean => NO_DATABASE.test(error.message)

/** @param error what the last attempt ended with; null when the other side has just hung up */
export function troubleOf(error: Error | null, location: string): UntildoneError {
  const said = error?.message.trim() ?? 'the connection was closed'
  const known = KNOWN.find(([words]) => words.test(said))
  if (!known) return trouble('unreachable', `Redis at ${location} cannot be reached (${said}).`, undefined, error)
  const [, reason, text, fix] = known
  return trouble(reason, `Redis at ${location} ${text}${reason === 'refused' ? '' : ` (${said})`}.`, fix, error)
}

/** What a server says that answers and takes nothing. */
const REFUSALS: readonly [RegExp, reason: string, text: string, fix: string][] = [
  [
    /\bOOM\b/,
    'full',
    'is full',
    'Give it more memory (`maxmemory`), or delete other keys: `redis-cli --bigkeys` names the largest. What waits here takes little.',
  ],
  [
    /\bREADONLY\b/,
    'replica',
    'is a replica, which takes no writes',
    'Give the address of the primary; after a failover that is the name or address that follows it.',
  ],
  [
    /\bMISCONF\b/,
    'not-saved',
    'cannot save to its disk and takes no writes',
    'See its log and the space on its disk; or set `stop-writes-on-bgsave-error no`: nothing here needs to be saved.',
  ],
]

/** There is a connection, and what was sent on it has failed. */
export function notTaken(error: Error, location: string): UntildoneError {
  const said = error.message.trim()
  const [, reason = 'unreachable', text = 'does not take what is sent', fix] =
    REFUSALS.find(([words]) => words.test(said)) ?? []
  return trouble(reason, `Redis at ${location} ${text} (${said}).`, fix, error)
}

function trouble(reason: string, text: string, fix?: string, cause?: unknown): UntildoneError {
  return new UntildoneError('transport-away', text, {
    params: { reason },
    ...(fix === undefined ? {} : { fix }),
    ...(cause ? { cause } : {}),
  })
}

/**
 * Why there is no conversation although somebody listens, found by asking without user and password; null when that is
 * no wiser. Where one side speaks TLS and the other does not, both only wait, or hang up without a word.
 */
export async function mismatchOf(place: Place, tls: boolean): Promise<UntildoneError | null> {
  const at = `Redis at ${place.host}:${place.port}`
  const plain = await heard(connectPlain(place), 'connect')
  if (tls && /^[+-](?!DENIED)/.test(plain.said))
    return trouble(
      'no-tls',
      `${at} cannot be reached: this port does not speak TLS, and the address begins with rediss://.`,
      'Give the port that does (`tls-port` in redis.conf); or begin the address with redis:// where the network between is trusted.',
    )
  // Whoever that is: nothing is told to it.
  const safe =
    plain.said === '' ? await heard(connectTls({ ...place, rejectUnauthorized: false }), 'secureConnect') : plain
  if (!tls && plain.said === '' && safe.connected)
    return trouble(
      'tls',
      `${at} cannot be reached: this port speaks TLS, and the address begins with redis://.`,
      'Begin the address with rediss://.',
    )
  const [denied] = /DENIED[^.]*/.exec(safe.said) ?? []
  const error = denied === undefined ? safe.error : new Error(denied)
  const found = troubleOf(error, `${place.host}:${place.port}`)
  return found.params.reason === 'unreachable' ? null : found
}

/** What comes of connecting, and of a PING when nothing is said unasked. */
function heard(socket: Socket, event: 'connect' | 'secureConnect') {
  return new Promise<{ connected: boolean; said: string; error: Error | null }>((resolve) => {
    let connected = false
    let said = ''
    let met: Error | null = null
    let ask: NodeJS.Timeout | undefined
    const giveUp = setTimeout(() => socket.destroy(), ASK_MS)
    socket.on(event, () => {
      connected = true
      ask = setTimeout(() => socket.write('PING\r\n'), UNASKED_MS)
    })
    socket.on('data', (chunk) => {
      said += chunk.toString('latin1')
      socket.destroy()
    })
    socket.on('error', (error) => {
      met ??= error
    })
    socket.on('close', () => {
      clearTimeout(ask)
      clearTimeout(giveUp)
      resolve({ connected, said, error: met })
    })
  })
}
