/**
 * Which addresses a webhook may be sent to. Judges a URL as it is written and the addresses that its name turned out to
 * have; a delivery needs both. Must never look a name up itself, and never judge a text in another form than the one
 * that is connected to.
 */
import { BlockList, isIP } from 'node:net'

export interface AddressOptions {
  /**
   * What may be called although it is not public: a host (`hooks.internal`, `10.0.0.5`), a host at one port
   * (`10.0.0.5:8080`, `[::1]:8080`), or a range (`10.1.0.0/16`). What a host in here is resolved to may be private or
   * loopback; link-local addresses, where clouds keep credentials, only by naming the address itself. @default []
   */
  allow?: readonly string[]
  /** Plain http to everybody; otherwise only to hosts that `allow` names. @default false */
  allowHttp?: boolean
}

/** Options that were read; made by `addressRules`. */
export interface AddressRules {
  named: { host: string; port: number | null }[]
  ranges: { 4: BlockList; 6: BlockList }
  allowHttp: boolean
}

export type AddressProblem =
  | 'not-a-url'
  | 'scheme'
  | 'credentials'
  | 'fragment'
  | 'name'
  | 'address'
  | 'port'
  | 'https-required'

export interface Refusal {
  ok: false
  reason: AddressProblem
  /** Names no address that was looked up: whoever enters a URL must not learn what internal names are resolved to. */
  message: string
  fix: string
  /** The address, for the operator's log; null when the URL itself is refused. */
  address: string | null
}

export interface Target {
  ok: true
  url: URL
  /** Name without the final full stop, or address without brackets; lower case. */
  host: string
  port: number
  /** 4 or 6 when the host is an address, 0 when it must be looked up. */
  family: 0 | 4 | 6
  secure: boolean
}

/** Options, read once. @throws TypeError for an entry of `allow` that is none of the three forms */
export function addressRules(options: AddressOptions = {}): AddressRules {
  const rules: AddressRules = {
    named: [],
    ranges: { 4: new BlockList(), 6: new BlockList() },
    allowHttp: options.allowHttp ?? false,
  }
  for (const entry of options.allow ?? []) {
    const range = /^([^/]+)\/(\d{1,3})$/.exec(entry)
    const named = range ? null : readHost(entry)
    if (named) rules.named.push(named)
    else if (!range || !addRange(rules.ranges, range[1]!, Number(range[2])))
      throw new TypeError(
        `allow: "${entry}" is neither a host ('hooks.internal'), nor a host with a port ('10.0.0.5:8080'), nor a range ('10.1.0.0/16').`,
      )
  }
  return rules
}

/**
 * Whether this URL may be called, as far as can be said without looking its name up. The host is judged as WHATWG URL
 * reads it (`0x7f.1`, `2130706433` and `①②⑦.0.0.1` are all 127.0.0.1), and that reading is what is connected to.
 */
export function checkUrl(text: string, rules: AddressRules): Target | Refusal {
  const url = readUrl(text)
  if (!(url instanceof URL)) return url
  const target = targetOf(url)
  const refusal =
    (target.family === 0 ? checkName(target, rules) : checkAddresses(target, [target.host], rules)) ??
    checkPort(target, rules) ??
    (target.secure || rules.allowHttp || isNamed(target.host, target.port, rules)
      ? null
      : refuse('https-required', 'A webhook is sent over https.', 'Give an address that begins with https://'))
  return refusal ?? target
}

/**
 * The refusal if any of the addresses must not be called; null when all may be. One that is not public among others
 * that are is what an attacker's name server answers, so the good ones do not count then.
 */
export function checkAddresses(target: Target, addresses: readonly string[], rules: AddressRules): Refusal | null {
  const trusted = target.family === 0 && isNamed(target.host, target.port, rules)
  for (const address of addresses) {
    const canonical = canonicalOf(address)
    const special = canonical === null ? NONSENSE : specialOf(canonical)
    if (!special || (trusted && (special.kind === 'private' || special.kind === 'loopback'))) continue
    if (canonical !== null && isAllowed(canonical, target.port, rules)) continue
    const who = target.family === 0 ? `${target.host} has an address that` : target.host
    return {
      ...refuse('address', `${who} is not public: ${special.what}.`, PUBLIC_FIX),
      address: target.family === 0 ? address : null,
    }
  }
  return null
}

// ── the URL ──

const MOST_CHARACTERS = 2048
const URL_FIX = 'Give a whole address, for example https://hooks.example.com/jobs'
const PUBLIC_FIX =
  'Give an address on the public internet, or have the operator put this one on the list of allowed ones.'

function refuse(reason: AddressProblem, message: string, fix: string): Refusal {
  return { ok: false, reason, message, fix, address: null }
}

/** White space and backslashes are refused, not repaired as URL does: two readers must not see two hosts. */
function readUrl(text: string): URL | Refusal {
  if (
    typeof text !== 'string' ||
    text === '' ||
    text.length > MOST_CHARACTERS ||
    /[\s\\\u0000-\u001f\u007f]/.test(text)
  )
    return refuse(
      'not-a-url',
      `A webhook needs a URL of at most ${MOST_CHARACTERS} characters without spaces.`,
      URL_FIX,
    )
  const [, scheme, slashes, authority] = /^([a-z][a-z0-9+.-]*):(\/\/)?([^/?#]*)/i.exec(text) ?? []
  if (scheme && !/^https?$/i.test(scheme) && (slashes || !/^\d/.test(authority!)))
    return refuse('scheme', 'A webhook is sent over https, not over another scheme.', URL_FIX)
  if (!slashes || authority === '' || !URL.canParse(text)) return refuse('not-a-url', 'This is not a URL.', URL_FIX)
  const url = new URL(text)
  if (url.username || url.password || authority!.includes('@'))
    return refuse(
      'credentials',
      'A URL with a name or a password in it is stored and shown with them.',
      'Leave out what is before the @. Deliveries are signed: verify the signature instead.',
    )
  if (text.includes('#')) return refuse('fragment', 'What follows a # is never sent.', 'Leave the # and the rest out.')
  return url
}

function targetOf(url: URL): Target {
  const host = url.hostname.replace(/^\[|\]$/g, '').replace(/\.$/, '')
  const secure = url.protocol === 'https:'
  const port = url.port === '' ? (secure ? 443 : 80) : Number(url.port)
  return { ok: true, url, host, port, family: isIP(host) as 0 | 4 | 6, secure }
}

/**
 * Names that are never public: RFC 6761 (localhost), 6762 (local, and its appendix G), 8375 (home.arpa), 7686 (onion),
 * and ICANN's reservation of internal. A first line only; what counts are the addresses.
 */
const PRIVATE_NAME = /(^|\.)(localhost|localdomain|local|internal|intranet|private|corp|home|lan|arpa|onion)$/
const METADATA_NAMES = new Set(['metadata.goog', 'metadata.tencentyun.com'])
const NAME = /^(?=.{1,253}$)([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?\.)*[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?$/

function checkName({ host, port }: Target, rules: AddressRules): Refusal | null {
  if (!NAME.test(host)) return refuse('name', 'The host is not a name that can be looked up.', URL_FIX)
  if (isNamed(host, port, rules)) return null
  // A name without a full stop is completed from the search list of this machine, so it means a neighbour.
  if (!host.includes('.') || PRIVATE_NAME.test(host) || METADATA_NAMES.has(host))
    return refuse('name', `${host} is a name of this machine or its network.`, PUBLIC_FIX)
  return null
}

/** The ports that browsers refuse, because what listens there may take a request for commands (Fetch, "bad port"). */
const BAD_PORTS = new Set([
  ...[0, 1, 7, 9, 11, 13, 15, 17, 19, 20, 21, 22, 23, 25, 37, 42, 43, 53, 69, 77, 79, 87, 95, 101, 102, 103, 104, 109],
  ...[
    110, 111, 113, 115, 117, 119, 123, 135, 137, 139, 143, 161, 179, 389, 427, 465, 512, 513, 514, 515, 526, 530, 531,
  ],
  ...[532, 540, 548, 554, 556, 563, 587, 601, 636, 989, 990, 993, 995, 1719, 1720, 1723, 2049, 3659, 4045, 4190, 5060],
  ...[5061, 6000, 6566, 6665, 6666, 6667, 6668, 6669, 6679, 6697, 10080],
])

function checkPort({ host, port }: Target, rules: AddressRules): Refusal | null {
  if (!BAD_PORTS.has(port) || rules.named.some((one) => one.host === host && one.port === port)) return null
  return refuse('port', `Port ${port} belongs to another protocol.`, 'Use another port, best 443.')
}

// ── what is allowed ──

function readHost(entry: string): AddressRules['named'][number] | null {
  const text = isIP(entry) === 6 ? `[${entry}]` : entry
  const [, host, port] = /^(\[[0-9a-f:.]+\]|[^\s:/?#@\\[\]]+)(?::(\d{1,5}))?$/i.exec(text) ?? []
  if (!host || Number(port ?? 0) > 65_535 || !URL.canParse(`http://${host}`)) return null
  const target = targetOf(new URL(`http://${host}`))
  if (target.family === 0 && !NAME.test(target.host)) return null
  return { host: target.host, port: port === undefined ? null : Number(port) }
}

function addRange(ranges: AddressRules['ranges'], base: string, prefix: number): boolean {
  const family = base.includes('%') ? 0 : isIP(base)
  if (family === 0 || prefix > (family === 4 ? 32 : 128)) return false
  ranges[family as 4 | 6].addSubnet(base, prefix, `ipv${family as 4 | 6}`)
  return true
}

const isNamed = (host: string, port: number, { named }: AddressRules): boolean =>
  named.some((one) => one.host === host && (one.port === null || one.port === port))

function isAllowed(address: string, port: number, rules: AddressRules): boolean {
  return isNamed(address, port, rules) || isIn(rules.ranges, address)
}

// A list holds ranges of one family only: a BlockList with both would judge ::ffff:a.b.c.d by its IPv4 ranges.
function isIn(ranges: AddressRules['ranges'], address: string): boolean {
  const family = isIP(address) as 4 | 6
  return ranges[family].check(address, `ipv${family}`)
}

// ── addresses ──

interface Special {
  kind: 'private' | 'loopback' | 'other' | 'translated'
  what: string
}

/**
 * What is not globally reachable in IANA's special-purpose registries (iana.org/assignments/iana-ipv4-special-registry
 * and iana-ipv6-special-registry, RFC 6890), multicast, and addresses at which clouds keep their metadata. The first
 * range that fits counts.
 */
const SPECIAL: [range: string, kind: Special['kind'], what: string][] = [
  ['168.63.129.16/32', 'other', 'it is the metadata service of a cloud'],
  ['100.100.100.200/32', 'other', 'it is the metadata service of a cloud'],
  ['0.0.0.0/8', 'other', 'it is this network (RFC 791)'],
  ['10.0.0.0/8', 'private', 'it is private (RFC 1918)'],
  ['100.64.0.0/10', 'private', 'it is shared behind carriers (RFC 6598)'],
  ['127.0.0.0/8', 'loopback', 'it is loopback (RFC 1122)'],
  ['169.254.0.0/16', 'other', 'it is link-local (RFC 3927)'],
  ['172.16.0.0/12', 'private', 'it is private (RFC 1918)'],
  ['192.0.0.0/24', 'other', 'it is for protocols (RFC 6890)'],
  ['192.0.2.0/24', 'other', 'it is for documentation (RFC 5737)'],
  ['192.88.99.0/24', 'other', 'it was the relay of 6to4 (RFC 7526)'],
  ['192.168.0.0/16', 'private', 'it is private (RFC 1918)'],
  ['198.18.0.0/15', 'other', 'it is for benchmarks (RFC 2544)'],
  ['198.51.100.0/24', 'other', 'it is for documentation (RFC 5737)'],
  ['203.0.113.0/24', 'other', 'it is for documentation (RFC 5737)'],
  ['224.0.0.0/4', 'other', 'it is multicast (RFC 1112)'],
  ['240.0.0.0/4', 'other', 'it is reserved or broadcast (RFC 1112, RFC 919)'],
  ['fd00:ec2::/32', 'other', 'it is the metadata service of a cloud'],
  ['fd20:ce::/32', 'other', 'it is the metadata service of a cloud'],
  ['::/128', 'other', 'it is unspecified (RFC 4291)'],
  ['::1/128', 'loopback', 'it is loopback (RFC 4291)'],
  ['::ffff:0:0/96', 'other', 'it is an IPv4 address written as IPv6 (RFC 4291)'],
  ['::/96', 'other', 'it is an IPv4 address written as IPv6 (RFC 4291)'],
  ['64:ff9b::/96', 'translated', 'it leads to an IPv4 address that is not (RFC 6052)'],
  ['64:ff9b:1::/48', 'other', 'it leads through a local translator (RFC 8215)'],
  ['100::/64', 'other', 'it is discarded (RFC 6666)'],
  ['2001::/23', 'other', 'it is for protocols, Teredo among them (RFC 2928, RFC 4380)'],
  ['2001:db8::/32', 'other', 'it is for documentation (RFC 3849)'],
  ['2002::/16', 'other', 'it is an IPv4 address written as 6to4 (RFC 3056)'],
  ['3fff::/20', 'other', 'it is for documentation (RFC 9637)'],
  ['fc00::/7', 'private', 'it is private (RFC 4193)'],
  ['fe80::/10', 'other', 'it is link-local (RFC 4291)'],
  ['fec0::/10', 'other', 'it was site-local (RFC 3879)'],
  ['ff00::/8', 'other', 'it is multicast (RFC 4291)'],
]
const RANGES = SPECIAL.map(([range, kind, what]) => ({ kind, what, ...listOf(range) }))
const GLOBAL = listOf('2000::/3')
const NONSENSE: Special = { kind: 'other', what: 'it is no address' }
const UNASSIGNED: Special = { kind: 'other', what: 'nothing public is there (RFC 4291)' }

function listOf(range: string): { family: number; list: BlockList } {
  const [base, prefix] = range.split('/')
  const family = isIP(base!)
  const ranges = { 4: new BlockList(), 6: new BlockList() }
  addRange(ranges, base!, Number(prefix))
  return { family, list: ranges[family as 4 | 6] }
}

/** Why an address is not public; null when it is. */
function specialOf(address: string): Special | null {
  const family = isIP(address) as 4 | 6
  const found = RANGES.find((range) => range.family === family && range.list.check(address, `ipv${family}`))
  // Networks without IPv4 reach all of it this way (DNS64), so the address inside decides.
  if (found?.kind === 'translated') return specialOf(lastFourOf(address)) && { kind: 'other', what: found.what }
  if (found) return found
  return family === 4 || GLOBAL.list.check(address, 'ipv6') ? null : UNASSIGNED
}

/** The last 32 bits of an IPv6 address in canonical form, as IPv4. */
function lastFourOf(address: string): string {
  const groups = address.replace('::', ':0:0:').split(':').slice(-2)
  const [high, low] = groups.map((group) => Number.parseInt(group || '0', 16)) as [number, number]
  return [high >> 8, high & 255, low >> 8, low & 255].join('.')
}

/** The one way to write an address; null for what is none, and for one with a zone (`fe80::1%eth0`). */
function canonicalOf(address: string): string | null {
  const family = isIP(address)
  if (family === 4) return address
  if (family === 0 || address.includes('%')) return null
  return new URL(`http://[${address}]`).hostname.slice(1, -1)
}
