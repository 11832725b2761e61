import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type AddressOptions, addressRules, checkAddresses, checkUrl, type Target } from './address.js'
import { CORPUS } from './fixtures/addresses.js'

/** Both looks at a URL: as it is written, and at what its name is resolved to. */
function judge(url: string, answers: string[] = [], options: AddressOptions = {}) {
  const rules = addressRules(options)
  const target = checkUrl(url, rules)
  return target.ok ? (checkAddresses(target, target.family ? [target.host] : answers, rules) ?? target) : target
}
const verdict = (...args: Parameters<typeof judge>) => {
  const judged = judge(...args)
  return judged.ok ? 'ok' : judged.reason
}

describe('the corpus', () => {
  const rows = Object.values(CORPUS).flat()

  it('is large, and has every verdict', () => {
    expect(rows.length).toBeGreaterThan(150)
    expect(new Set(rows.map(([expected]) => expected)).size).toBe(9)
  })

  describe.each(Object.entries(CORPUS))('%s', (_, rows) => {
    it.each(rows)('%s: %j %j', (expected, url, answers) => {
      const judged = judge(url, answers)
      expect(judged.ok ? 'ok' : judged.reason).toBe(expected)
      if (judged.ok) return
      expect(judged.message).toMatch(/^[^\n]{8,400}\.$/)
      expect(judged.fix).toMatch(/^[A-Z]/)
    })
  })

  it('no message names an address that was looked up', () => {
    const refused = judge('https://hooks.example.com/', ['10.1.2.3'])
    expect(refused).toMatchObject({ ok: false, address: '10.1.2.3' })
    expect(JSON.stringify({ ...refused, address: null })).not.toContain('10.1.2.3')
    expect(judge('https://10.1.2.3/')).toMatchObject({ message: '10.1.2.3 is not public: it is private (RFC 1918).' })
  })

  it.each([undefined, null, 7, {}, ['https://hooks.example.com/']])('%j is no URL', (url) => {
    expect(verdict(url as string)).toBe('not-a-url')
  })
})

describe('the target', () => {
  it.each([
    ['https://Hooks.Example.com./x', { host: 'hooks.example.com', port: 443, family: 0, secure: true }],
    ['http://hooks.example.com/', { host: 'hooks.example.com', port: 80, family: 0, secure: false }],
    ['https://0x01010101:8443/', { host: '1.1.1.1', port: 8443, family: 4 }],
    ['https://[2606:4700:0::6810:84E5]/', { host: '2606:4700::6810:84e5', port: 443, family: 6 }],
  ])('%s', (url, expected) => {
    expect(checkUrl(url, addressRules({ allowHttp: true }))).toMatchObject(expected)
  })
})

describe('the allow list', () => {
  it.each<[verdict: string, allow: string[], url: string, answers?: string[]]>([
    // A host by name: private and loopback addresses, http, any port but those of other protocols.
    ['ok', ['hooks.internal'], 'https://hooks.internal/', ['10.0.0.5']],
    ['ok', ['Hooks.Internal.'], 'http://hooks.internal:8080/', ['10.0.0.5', 'fd12::1']],
    ['ok', ['localhost'], 'http://localhost:3000/hooks', ['127.0.0.1', '::1']],
    ['ok', ['redis'], 'https://redis/', ['172.18.0.2']],
    ['name', ['hooks.internal'], 'https://other.internal/', ['10.0.0.5']],
    ['name', ['hooks.internal'], 'https://a.hooks.internal/', ['10.0.0.5']],
    ['name', ['internal'], 'https://hooks.internal/', ['10.0.0.5']],
    ['port', ['hooks.internal'], 'https://hooks.internal:25/', ['10.0.0.5']],
    // Never what a cloud keeps its credentials at, nor what is no address of a host.
    ['address', ['hooks.internal'], 'https://hooks.internal/', ['169.254.169.254']],
    ['address', ['hooks.internal'], 'https://hooks.internal/', ['10.0.0.5', '169.254.169.254']],
    ['address', ['hooks.internal'], 'https://hooks.internal/', ['100.100.100.200']],
    ['address', ['hooks.internal'], 'https://hooks.internal/', ['fd00:ec2::254']],
    ['address', ['hooks.internal'], 'https://hooks.internal/', ['0.0.0.0']],
    ['address', ['hooks.internal'], 'https://hooks.internal/', ['::ffff:10.0.0.5']],
    ['address', ['hooks.internal'], 'https://hooks.internal/', ['nonsense']],
    // A host at one port, also one of another protocol.
    ['ok', ['hooks.internal:8080'], 'http://hooks.internal:8080/', ['10.0.0.5']],
    ['name', ['hooks.internal:8080'], 'http://hooks.internal:8081/', ['10.0.0.5']],
    ['ok', ['hooks.internal:6000'], 'http://hooks.internal:6000/', ['10.0.0.5']],
    ['ok', ['hooks.internal:443'], 'https://hooks.internal/', ['10.0.0.5']],
    ['name', ['hooks.internal:80'], 'https://hooks.internal/', ['10.0.0.5']],
    // An address: written in the URL, or found behind a name.
    ['ok', ['10.0.0.5'], 'http://10.0.0.5:8080/'],
    ['ok', ['10.0.0.5'], 'http://167772165/'],
    ['ok', ['10.0.0.5'], 'https://hooks.example.com/', ['10.0.0.5']],
    ['https-required', ['10.0.0.5'], 'http://hooks.example.com/', ['10.0.0.5']],
    ['address', ['10.0.0.5'], 'https://10.0.0.6/'],
    ['address', ['10.0.0.5'], 'https://hooks.example.com/', ['10.0.0.5', '10.0.0.6']],
    ['address', ['10.0.0.5'], 'https://[::ffff:10.0.0.5]/'],
    ['ok', ['10.0.0.5:8080'], 'http://10.0.0.5:8080/'],
    ['address', ['10.0.0.5:8080'], 'http://10.0.0.5/'],
    ['address', ['10.0.0.5:8080'], 'https://hooks.example.com/', ['10.0.0.5']],
    ['ok', ['169.254.169.254'], 'http://169.254.169.254/'],
    ['ok', ['::1'], 'http://[0:0::1]:3000/'],
    ['ok', ['[::1]'], 'http://[::1]/'],
    ['ok', ['[::1]:3000'], 'http://[::1]:3000/'],
    ['address', ['[::1]:3000'], 'http://[::1]:3001/'],
    ['ok', ['FD12:0::1'], 'https://hooks.example.com/', ['fd12::1']],
    // A range.
    ['ok', ['10.1.0.0/16'], 'https://10.1.255.255/'],
    ['ok', ['10.1.0.0/16'], 'https://hooks.example.com/', ['10.1.2.3']],
    ['address', ['10.1.0.0/16'], 'https://10.2.0.0/'],
    ['name', ['10.1.0.0/16'], 'https://hooks.internal/', ['10.1.2.3']],
    ['https-required', ['10.1.0.0/16'], 'http://10.1.2.3/'],
    ['address', ['10.0.0.0/8'], 'https://[::ffff:10.0.0.5]/'],
    ['ok', ['fd12::/16'], 'https://[fd12::1]/'],
    ['address', ['fd12::/16'], 'https://[fd13::1]/'],
    ['ok', ['10.0.0.5/32'], 'https://10.0.0.5/'],
    ['ok', ['0.0.0.0/0'], 'https://127.0.0.1/'],
    ['address', ['0.0.0.0/0'], 'https://[::1]/'],
    ['ok', ['::/0'], 'https://[::1]/'],
    // What is public needs no entry, and an entry forbids nothing.
    ['ok', ['10.0.0.5'], 'https://hooks.example.com/', ['1.1.1.1']],
    ['credentials', ['10.0.0.5'], 'http://a:b@10.0.0.5/'],
    ['scheme', ['10.0.0.5'], 'ftp://10.0.0.5/'],
  ])('%s: %j %s %j', (expected, allow, url, answers) => {
    expect(verdict(url, answers, { allow })).toBe(expected)
  })

  it.each([
    ...['', ' ', '*', '*.internal', 'http://hooks.internal', 'hooks.internal/', 'hooks.internal:', 'hooks.internal:x'],
    ...['hooks.internal:70000', 'a@b', '10.0.0.0/33', '10.0.0.0/', '/8', 'fd00::/129', 'fe80::1%eth0', '10.0.0/8'],
    ...['hooks.internal/8', '256.1.1.1', '[::1', 'a..b', 'fe80::%1/10', '1.2.3.4/-1'],
  ])('refuses the entry %j, and says which', (entry) => {
    expect(() => addressRules({ allow: ['10.0.0.5', entry] })).toThrow(`"${entry}" is neither`)
  })

  it('http is allowed to everybody on request, and nothing else with it', () => {
    expect(verdict('http://hooks.example.com/', ['1.1.1.1'], { allowHttp: true })).toBe('ok')
    expect(verdict('http://10.0.0.5/', [], { allowHttp: true })).toBe('address')
  })
})

describe('ranges, held against arithmetic', () => {
  const rules = addressRules()
  const target = checkUrl('https://hooks.example.com/', rules) as Target
  const isPublic = (address: string) => checkAddresses(target, [address], rules) === null
  const dotted = (n: number) => [n >>> 24, (n >>> 16) & 255, (n >>> 8) & 255, n & 255].join('.')
  const IPV4: [string, number][] = [
    ...([
      ['0.0.0.0', 8],
      ['10.0.0.0', 8],
      ['100.64.0.0', 10],
      ['127.0.0.0', 8],
      ['169.254.0.0', 16],
    ] as [string, number][]),
    ...([
      ['172.16.0.0', 12],
      ['192.0.0.0', 24],
      ['192.0.2.0', 24],
      ['192.88.99.0', 24],
    ] as [string, number][]),
    ...([
      ['192.168.0.0', 16],
      ['198.18.0.0', 15],
      ['198.51.100.0', 24],
      ['203.0.113.0', 24],
    ] as [string, number][]),
    ...([
      ['224.0.0.0', 4],
      ['240.0.0.0', 4],
      ['168.63.129.16', 32],
    ] as [string, number][]),
  ]
  const numberOf = (address: string) => address.split('.').reduce((sum, part) => sum * 256 + Number(part), 0)
  const bounds = IPV4.map(([base, prefix]) => [numberOf(base), numberOf(base) + 2 ** (32 - prefix) - 1] as const)
  const special = (n: number) => bounds.some(([first, last]) => n >= first && n <= last)

  it('IPv4: first and last of each range, and their neighbours', () => {
    for (const edge of bounds.flatMap(([first, last]) => [first - 1, first, last, last + 1]))
      if (edge >= 0 && edge < 2 ** 32) expect(isPublic(dotted(edge)), dotted(edge)).toBe(!special(edge))
  })

  it('IPv4: any address', () => {
    fc.assert(
      fc.property(fc.nat({ max: 0xffffffff }), (n) => {
        expect(isPublic(dotted(n)), dotted(n)).toBe(!special(n))
      }),
      { numRuns: 2000 },
    )
  })

  it('IPv4 in a URL: the same whether decimal, octal, hexadecimal or dotted', () => {
    fc.assert(
      fc.property(fc.nat({ max: 0xffffffff }), (n) => {
        const forms = [dotted(n), `${n}`, `0x${n.toString(16)}`, `0${n.toString(8)}`]
        for (const form of forms) expect(verdict(`https://${form}/`), form).toBe(special(n) ? 'address' : 'ok')
      }),
    )
  })

  it('IPv6: public is 2000::/3 without its special ranges, and translated public IPv4', () => {
    const inRange = (n: bigint, base: bigint, prefix: bigint) => n >> (128n - prefix) === base >> (128n - prefix)
    const at = (head: bigint, bits: bigint) => head << (128n - bits)
    const expected = (n: bigint) => {
      if (inRange(n, at(0x0064_ff9bn, 32n), 96n)) return !special(Number(n & 0xffffffffn))
      if (!inRange(n, at(1n, 3n), 3n)) return false
      return ![
        [at(0x2001n, 16n), 23n],
        [at(0x2001_0db8n, 32n), 32n],
        [at(0x2002n, 16n), 16n],
        [at(0x3fffn, 16n), 20n],
      ].some(([base, prefix]) => inRange(n, base!, prefix!))
    }
    const heads = [0n, 0x0064_ff9bn << 96n, 0x2000n << 112n, 0x2001n << 112n, 0x2001_0db8n << 96n, 0x2002n << 112n]
    const tails = fc.bigInt({ min: 0n, max: (1n << 112n) - 1n })
    const near = fc.tuple(fc.constantFrom(...heads, 0x3fffn << 112n, 0xfc00n << 112n), tails).map(([a, b]) => a | b)
    const translated = fc.nat({ max: 0xffffffff }).map((n) => (0x0064_ff9bn << 96n) | BigInt(n))
    const any = fc.bigInt({ min: 0n, max: (1n << 128n) - 1n })
    fc.assert(
      fc.property(fc.oneof(near, translated, any), (n) => {
        const hex = n.toString(16).padStart(32, '0')
        const address = hex.match(/.{4}/g)!.join(':')
        expect(isPublic(address), address).toBe(expected(n))
      }),
      { numRuns: 2000 },
    )
  })
})
