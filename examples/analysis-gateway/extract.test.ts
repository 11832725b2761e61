// What the rules find and what they leave alone; as properties, that whatever is put into any text is found where it stands,
// and that no text takes them longer than its length.
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { EntityKind } from './lib/extract/entity.js'
import { extract } from './lib/extract/extract.js'

const values = async (text: string) => (await extract(text)).entities.map(({ kind, value }) => `${kind} ${value}`)

describe('what is found', () => {
  test.each<[string, string[]]>([
    ['Due 12 March 2026, at the latest March 31st, 2026.', ['date 2026-03-12', 'date 2026-03-31']],
    [
      'am 3. März 2026, le 1er juillet 2025, 4 de mayo de 2024',
      ['date 2026-03-03', 'date 2025-07-01', 'date 2024-05-04'],
    ],
    [
      '2026-02-28, 2026-02-30, 31.12.2025, 29/02/2024, 29.02.2023',
      ['date 2026-02-28', 'date 2025-12-31', 'date 2024-02-29'],
    ],
    // Which is the month?
    ['03/04/2026 and 05/05/2026 and 13/04/2026', ['date null', 'date 2026-05-05', 'date 2026-04-13']],
    ['€1,234.50 or 1.234,50 EUR or CHF 1’234.50', ['amount 1234.50 EUR', 'amount 1234.50 EUR', 'amount 1234.50 CHF']],
    ['$1.2 million, 3,5 Mio. EUR, USD 12', ['amount 1200000 USD', 'amount 3500000 EUR', 'amount 12 USD']],
    ['12 euros, £5, US$ 0.10', ['amount 12 EUR', 'amount 5 GBP', 'amount 0.10 USD']],
    ['19 % VAT, 2,5% or three per cent, 4 per cent', ['percentage 19 %', 'percentage 2.5 %', 'percentage 4 %']],
    ['a.b+c@Mail.Example.org, not a..b@x.org nor @b.org', ['email a.b+c@mail.example.org']],
    [
      'See https://a.example/x?y=(1). (Or www.b.example/2!)',
      ['url https://a.example/x?y=(1)', 'url http://www.b.example/2'],
    ],
    ['DE89 3704 0044 0532 0130 00 is right, DE88 3704 0044 0532 0130 00 is not', ['iban DE89370400440532013000']],
    [
      'The Harbour Lights GmbH and Müller & Sons Ltd. met Dr. Anna Berg and Mrs O’Neill.',
      ['organisation Harbour Lights GmbH', 'organisation Müller & Sons Ltd.', 'person Anna Berg', 'person O’Neill'],
    ],
    // A date in an address is a part of the address, and a number is not money.
    ['https://a.example/2026-03-12/5 and 1,234.50 and 17', ['url https://a.example/2026-03-12/5']],
    ['Nothing is here.', []],
  ])('%s', async (text, found) => {
    expect(await values(text)).toEqual(found)
  })
})

// What is written in one way and must come out in one form.
const two = (n: number) => String(n).padStart(2, '0')
const date = fc.date({ min: new Date('1900-01-01'), max: new Date('2199-12-31'), noInvalidDate: true }).chain((at) => {
  const [y, m, d] = [at.getUTCFullYear(), at.getUTCMonth() + 1, at.getUTCDate()]
  const name = at.toLocaleDateString('en', { month: 'long', timeZone: 'UTC' })
  const forms = [`${y}-${two(m)}-${two(d)}`, `${d} ${name} ${y}`, `${name} ${d}, ${y}`, `${two(d)}.${two(m)}.${y}`]
  return fc.constantFrom(...forms).map((text) => ({ kind: 'date', text, value: `${y}-${two(m)}-${two(d)}` }))
})
const amount = fc
  .tuple(fc.integer({ min: 0, max: 999_999_999 }), fc.integer({ min: 0, max: 99 }))
  .chain(([whole, cents]) => {
    const value = `${whole}.${two(cents)} EUR`
    const grouped = (by: string) => String(whole).replace(/\B(?=(\d{3})+$)/g, by)
    const forms = [`€${grouped(',')}.${two(cents)}`, `${grouped('.')},${two(cents)} EUR`, `EUR ${whole}.${two(cents)}`]
    return fc.constantFrom(...forms).map((text) => ({ kind: 'amount', text, value }))
  })
const word = fc.stringMatching(/^[a-z][a-z0-9]{0,9}$/)
const email = fc
  .tuple(fc.array(word, { minLength: 1, maxLength: 3 }), word, fc.constantFrom('org', 'example', 'museum'))
  .map(([local, host, top]) => `${local.join('.')}@${host}.${top}`)
  .map((text) => ({ kind: 'email', text, value: text }))
const url = fc
  .tuple(word, fc.array(word, { maxLength: 3 }))
  .map(([host, path]) => `https://${host}.example/${path.join('/')}`)
  .map((text) => ({ kind: 'url', text, value: text }))
const written = fc.oneof(date, amount, email, url) as fc.Arbitrary<{ kind: EntityKind; text: string; value: string }>
const filler = fc.constantFrom(' and ', ' – ', ', then ', ' (see) ', '\n\n', ' é ü 漢字 ', '; ')

describe('for whatever text', () => {
  test('each thing that was put into it is found, where it stands and in one form', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.tuple(filler, written), { maxLength: 12 }), async (pieces) => {
        let text = 'Begin'
        const put = pieces.map(([before, one]) => {
          text += before
          const at = text.length
          text += one.text
          return { ...one, at }
        })
        expect((await extract(`${text} end.`)).entities).toEqual(put)
      }),
      { numRuns: 300 },
    )
  })

  test('what is found stands there, in order, and no letter belongs to two', async () => {
    const piece = fc.oneof(
      fc.string({ unit: 'grapheme', maxLength: 12 }),
      fc.constantFrom('@', 'a@b.', 'https://', '12.', '€', 'DE89', ' GmbH', 'Dr. ', '2026-', '%', ',', '1,000', 'Mr '),
      written.map((one) => one.text),
    )
    await fc.assert(
      fc.asyncProperty(fc.array(piece, { maxLength: 30 }), async (pieces) => {
        const text = pieces.join('')
        let end = 0
        for (const entity of (await extract(text)).entities) {
          expect(text.slice(entity.at, entity.at + entity.text.length)).toBe(entity.text)
          expect(entity.at).toBeGreaterThanOrEqual(end)
          end = entity.at + entity.text.length
        }
      }),
      { numRuns: 500 },
    )
  })

  test.each([
    'a@',
    'A ',
    '1.',
    '1 ',
    'www.',
    '(',
    'DE89 ',
    'Aa',
    'a.',
    '1',
    '1,111 ',
    'March ',
    'Mr A',
    '12.',
    'https://a.b/(',
  ])('"%s" again and again takes no more than its length', { timeout: 20_000 }, async (piece) => {
    const time = async (length: number) => {
      const text = piece.repeat(Math.ceil(length / piece.length))
      const from = process.cpuUsage().user
      await extract(text)
      return (process.cpuUsage().user - from) / 1000
    }
    await time(20_000)
    // With the square of the length it would take minutes.
    expect(await time(1_000_000)).toBeLessThan(4000)
  })
})
