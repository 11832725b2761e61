// XLIFF files of the kinds that tools really write: they survive unchanged, a refinement changes what it should and nothing
// else, and whatever else is changed is found.
import { readdirSync, readFileSync } from 'node:fs'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { readText } from './lib/xliff/bytes.js'
import { textFaults } from './lib/xliff/check.js'
import { applyEdits, editsFor, escapeMarks, numbersFor, readMarked, toMarked } from './lib/xliff/content.js'
import { readXliff, type Unit } from './lib/xliff/document.js'
import { answerFor, ruleRefiner } from './lib/xliff/engine.js'
import { leftAlone, openXliff, refined } from './lib/xliff/refine.js'
import type { Term } from './lib/xliff/rules.js'
import { verifyXliff } from './lib/xliff/verify.js'

const folder = new URL('translations/', import.meta.url)
const names = readdirSync(folder).sort()
const bytesOf = (name: string) => readFileSync(new URL(name, folder))
const xmlOf = (name: string) => readText(bytesOf(name)).text

/** The file with each unit said anew by `say`. */
function rewritten(name: string, say: (marked: string, unit: Unit) => string): string {
  const { document } = openXliff(bytesOf(name))
  const targets = document.units.flatMap((unit): [string, string][] => {
    if (leftAlone(unit) !== null) return []
    return [[unit.key, say(toMarked(unit.target!, numbersFor(unit.source, unit.target!)), unit)]]
  })
  return refined(document, new Map(targets))
}

async function byRules(name: string, terms: Term[] = []) {
  const { document } = openXliff(bytesOf(name))
  const signal = new AbortController().signal
  const said = new Map<string, string>()
  const rules = new Map<string, string[]>()
  for (const unit of document.units.filter((unit) => leftAlone(unit) === null)) {
    const answer = await answerFor(ruleRefiner, unit, terms, signal)
    said.set(unit.key, answer.target)
    rules.set(unit.key.replace(/^.*?\//, ''), answer.rules)
  }
  return { xml: refined(document, said), rules }
}

describe.each(names)('%s', (name) => {
  test('is read and written byte for byte', () => {
    const bytes = bytesOf(name)
    const { document, write } = openXliff(bytes)
    expect(document.units.length).toBeGreaterThan(0)
    expect(write(document.xml).equals(bytes)).toBe(true)
    expect(write(rewritten(name, (marked) => marked)).equals(bytes)).toBe(true)
  })

  test('a word put into each unit stands there, and the rest of the file is the same', () => {
    const before = xmlOf(name)
    const made = rewritten(name, (marked) => marked.replace(/\p{L}(?=[^<>{}%]*$)/u, '$&\u{1F642}'))
    expect(made).not.toBe(before)
    expect(made.replaceAll('\u{1F642}', '')).toBe(before)
  })

  test('refined by rules it is still whole, and a second time nothing changes', async () => {
    const before = xmlOf(name)
    const { xml } = await byRules(name)
    expect(verifyXliff(before, xml)).toEqual([])
    for (const unit of readXliff(xml).units.filter((unit) => leftAlone(unit) === null)) {
      expect((await answerFor(ruleRefiner, unit, [], new AbortController().signal)).rules, unit.key).toEqual([])
    }
  })
})

test('the units of the files, and which of them are refined', () => {
  const told = (name: string) =>
    readXliff(xmlOf(name)).units.map((unit) => `${unit.key} ${unit.targetLanguage} ${leftAlone(unit) ?? 'refined'}`)
  expect(told('android-1.2.xlf').slice(4)).toEqual([
    '1:res/values/strings.xml/brand de-DE locked',
    '1:res/values/strings.xml/signed de-DE locked',
    '1:res/values/strings.xml/open de-DE untranslated',
    '1:res/values/strings.xml/empty de-DE untranslated',
    '1:res/values/strings.xml/short de-DE refined',
    '2:res/values/more.xml/welcome de-DE refined',
  ])
  expect(told('app-2.0.xlf').slice(0, 5)).toEqual([
    'f1/u1/s1 de refined',
    'f1/u1/#2 de locked',
    'f1/u1/s2 de refined',
    'f1/u1/#4 de locked',
    'f1/u2/#1 de locked',
  ])
})

describe('the rules', () => {
  const lines = (xml: string) => xml.split('\n').map((line) => line.trim())

  test('German: quotes, spaces, numbers and terms, between tags and placeholders', async () => {
    const terms = [{ source: 'cart', target: 'Warenkorb', instead: ['Einkaufswagen'] }]
    const { xml, rules } = await byRules('android-1.2.xlf', terms)
    expect(lines(xml)).toEqual(
      expect.arrayContaining([
        '<target state="translated">Willkommen bei „Files“!</target>',
        '<target>Sie haben 1.250,50 GB von %1$d GB verwendet.</target></trans-unit>',
        '<target>Tippen Sie auf <g id="1" ctype="bold">Speichern</g>, um <x id="2" equiv-text="{{count}}"/> Dateien zu behalten.</target>',
        '<target>Untildone  "Files"</target>',
        '<target>"Enter"  drücken</target>',
      ]),
    )
    expect(rules.get('values/strings.xml/quota')).toEqual(['numbers', 'spaces'])
    const app = await byRules('app-2.0.xlf', terms)
    expect(app.xml).toContain('dataRefEnd="d2">Warenkorb</pc> enthält <ph id="2" dataRef="d3"/>.</target>')
    expect(app.xml).toContain('one {# Artikel in „{name}“} other {# Artikel in „{name}“}}')
    expect(app.xml).toContain('unter https://example.com/a?b=c, bitte...')
  })

  test('French: fixed spaces, guillemets and apostrophes, also inside of CDATA and plural forms', async () => {
    const { xml } = await byRules('angular-1.2.xlf')
    expect(xml).toContain('equiv-text="{{ user.name }}"/>\u202F? C’est «\u00A0définitif\u00A0».</target>')
    expect(xml).toContain('=0 {à l’instant} =1 {il y a une minute} other {il y a <x id=')
    expect(xml).toContain('<![CDATA[Utilisez le <b>gras</b> & les «\u00A0guillemets\u00A0» ici\u00A0: {{ example }}]]>')
    expect(xml).toContain('<target>Moitié <![CDATA[<i>et</i>]]> moitié&#x2026; 100&#37;</target>')
  })

  test('others: Polish, Spanish segments, Japanese in UTF-16, a sign that latin1 has not, Arabic marks', async () => {
    expect((await byRules('gettext-1.2.xlf')).xml).toContain('plików do „%s”.</target>')
    expect((await byRules('segments-1.2.xlf')).xml).toContain('El «primero».</x:mrk>')
    const utf16 = openXliff(bytesOf('utf-16-2.0.xlf')).write((await byRules('utf-16-2.0.xlf')).xml)
    expect([utf16.subarray(0, 2).toString('hex'), utf16.toString('utf16le')]).toEqual([
      'fffe',
      expect.stringContaining('「OK」を押'),
    ])
    const latin1 = openXliff(bytesOf('latin1-1.2.xlf')).write((await byRules('latin1-1.2.xlf')).xml)
    expect(latin1.toString('latin1')).toContain('<target>&#8222;Ja&#8220; f\u00FCr alle...</target>')
    expect((await byRules('right-to-left-2.1.xlf')).xml).toContain('\u2066+1 (555) 010-9999\u2069 .')
  })
})

describe('a corruption is found', () => {
  const cases: [what: string, code: string, name: string, from: string | RegExp, to: string][] = [
    [
      'an inline element is dropped',
      'tag-lost',
      'android-1.2.xlf',
      '<g id="1" ctype="bold">Speichern</g>',
      'Speichern',
    ],
    [
      'a code of another name takes its place',
      'tag-changed',
      'app-2.0.xlf',
      /<ph id="2" dataRef="d3"\/> \./,
      '<ph id="2" dataRef="d1"/> .',
    ],
    [
      'an inline element stands there twice',
      'tag-added',
      'android-1.2.xlf',
      'Dateien zu behalten',
      '<x id="2" equiv-text="{{count}}"/> Dateien zu behalten',
    ],
    [
      'the inside of a code is another one',
      'tag-changed',
      'android-1.2.xlf',
      'oder <ph id="2" x="esc">{0}',
      'oder <ph id="2" x="esc">{1}',
    ],
    [
      'inline elements change places',
      'tag-order',
      'app-2.0.xlf',
      /Ihr (<pc.*<\/pc>) {2}enthält (<ph.*?\/>)/,
      'Ihr $2 enthält $1',
    ],
    [
      'the end of a code stands before its start',
      'tag-nesting',
      'app-2.0.xlf',
      '<sc id="3" type="fmt"/>voll<ec startRef="3"/>',
      '<ec startRef="3"/>voll<sc id="3" type="fmt"/>',
    ],
    [
      'the same in 1.2',
      'tag-nesting',
      'android-1.2.xlf',
      /Sie (<bpt.*?<\/bpt>)|Drücken Sie (<bpt.*?<\/bpt>)Enter(<ept.*?<\/ept>) oder/,
      'Drücken Sie $3Enter$2 oder',
    ],
    ['elements overlap', 'xliff-not-well-formed', 'segments-1.2.xlf', 'primero".</x:mrk>', 'primero".'],
    ['an inline comment is lost', 'tag-lost', 'segments-1.2.xlf', /(<x:target>A)<!--.*?-->/, '$1'],
    [
      'placeholders are swapped',
      'placeholder-order',
      'gettext-1.2.xlf',
      'Zamówienie "%1$s" z dnia %2$s',
      'Zamówienie "%2$s" z dnia %1$s',
    ],
    ['a placeholder is another one', 'placeholder-lost', 'gettext-1.2.xlf', 'pliki do "%s"', 'pliki do "%d"'],
    ['a placeholder is translated', 'placeholder-lost', 'right-to-left-2.1.xlf', 'من {author}', 'من {مؤلف}'],
    ['a placeholder comes into it', 'placeholder-changed', 'right-to-left-2.1.xlf', 'الآن على', 'الآن {n} على'],
    ['a form of a plural is lost', 'plural-form-lost', 'right-to-left-2.1.xlf', 'two {يومان} ', ''],
    ['`other` is lost', 'plural-form-lost', 'app-2.0.xlf', / other \{# {2}Artikel in "\{name\}"\}/, ''],
    ['a form gets another name', 'plural-form-lost', 'angular-1.2.xlf', '=1 {il y a', '=2 {il y a'],
    [
      'a bracket of a plural is lost',
      'plural-form-lost',
      'app-2.0.xlf',
      '{# Rechnungen}} bezahlt .}',
      '{# Rechnungen} bezahlt .}',
    ],
    [
      'a unit of a plural group is lost',
      'plural-form-lost',
      'gettext-1.2.xlf',
      /<trans-unit id="7\[2\]">.*?<\/trans-unit>\n/,
      '',
    ],
    ['a plural form has no text', 'plural-form-lost', 'gettext-1.2.xlf', 'Skopiowano %d pliki do "%s".', ''],
    ['the source is another one', 'source-changed', 'android-1.2.xlf', '<source>Bye.', '<source>Bye!'],
    [
      'the source is spelled in another way',
      'source-changed',
      'angular-1.2.xlf',
      'half&#x2026; 100&#37;</source>',
      'half… 100%</source>',
    ],
    ['the target language is another one', 'language-changed', 'app-2.0.xlf', 'trgLang="de"', 'trgLang="fr"'],
    [
      'a target is another language by its script',
      'wrong-language',
      'right-to-left-2.1.xlf',
      /لم يتم العثور على\u200F الملف/,
      'Nie znaleziono\u200F pliku',
    ],
    [
      'a target is another language by its words',
      'wrong-language',
      'app-2.0.xlf',
      'Öffnen Sie <mrk',
      'Please open the file that is in <mrk',
    ],
    ['a target is the source again', 'wrong-language', 'android-1.2.xlf', '>Abbrechen<', '>Cancel<'],
    ['a target is empty', 'target-empty', 'android-1.2.xlf', 'Tschüss.', ''],
    ['a target is gone', 'target-lost', 'android-1.2.xlf', '<target>Tschüss.</target>', ''],
    [
      'there is a target where none was',
      'target-added',
      'android-1.2.xlf',
      'translated yet</source>',
      'translated yet</source><target>Neu</target>',
    ],
    ['a control character as such', 'xliff-not-well-formed', 'android-1.2.xlf', 'Tschüss', 'Tsch\u0007ss'],
    ['a control character as a reference', 'xliff-not-well-formed', 'android-1.2.xlf', 'Tschüss', 'Tsch&#7;ss'],
    ['a control character that XML allows', 'control-character', 'android-1.2.xlf', 'Tschüss', 'Tschüss\u009D'],
    ['a letter that could not be read', 'control-character', 'android-1.2.xlf', 'Tschüss', 'Tsch\uFFFDss'],
    ['a mark of direction is lost', 'bidi-mark-lost', 'right-to-left-2.1.xlf', '\u2069 .', ' .'],
    [
      'a mark of direction that was a reference is lost',
      'bidi-mark-lost',
      'right-to-left-2.1.xlf',
      'الإصدار &#x200E;',
      'الإصدار ',
    ],
    ['a mark of direction is another one', 'bidi-mark-lost', 'bom-crlf-1.2.xlf', '\u2068%@', '\u2066%@'],
    ['a number is another one', 'number-changed', 'android-1.2.xlf', 'Sie haben 1,250.50', 'Sie haben 1,520.50'],
    ['it is longer than it may be', 'too-long', 'android-1.2.xlf', '>Abbrechen<', '>Vorgang abbrechen<'],
    [
      'a unit that is signed off is touched',
      'locked-unit-changed',
      'android-1.2.xlf',
      'Nutzungs-  bedingungen',
      'Nutzungsbedingungen',
    ],
    [
      'a unit that is not to be translated is touched',
      'locked-unit-changed',
      'app-2.0.xlf',
      '<target>SKU "42"',
      '<target>SKU „42“',
    ],
    [
      'white space that means something is touched',
      'space-changed',
      'gettext-1.2.xlf',
      '  Wiersz drugi\tz',
      '  Wiersz drugi z',
    ],
    ['a unit is lost', 'unit-lost', 'angular-1.2.xlf', /<trans-unit id="771"[\s\S]*?<\/trans-unit>/, ''],
    [
      'a unit is there that was not',
      'unit-added',
      'app-2.0.xlf',
      '<unit id="u2"',
      '<unit id="u9"><segment><source>x</source></segment></unit><unit id="u2"',
    ],
    ['a note is another one', 'frame-changed', 'android-1.2.xlf', 'Headline', 'Head line'],
    [
      'a translation of the memory is touched',
      'frame-changed',
      'android-1.2.xlf',
      '"Enter"  drücken',
      '"Enter" drücken',
    ],
    ['a state is another one', 'frame-changed', 'app-2.0.xlf', 'state="translated"', 'state="final"'],
    ['the tail of the file is missing', 'xliff-not-well-formed', 'app-2.0.xlf', /<unit id="u4">[\s\S]*$/, ''],
    ['the version is another one', 'xliff-version', 'app-2.0.xlf', 'version="2.0"', 'version="2.9"'],
  ]
  test.each(cases)('%s: %s', (_what, code, name, from, to) => {
    const before = xmlOf(name)
    const after = before.replace(from, to)
    expect(after).not.toBe(before)
    expect([...new Set(verifyXliff(before, after).map((finding) => finding.code))]).toEqual([code])
  })
})

describe('what is refused before any work', () => {
  const unit = '<trans-unit id="1"><source>a</source></trans-unit>'
  const file = (inside: string, more = '') =>
    `<xliff version="1.2"><file original="f" source-language="en" target-language="de" datatype="x"${more}><body>${inside}</body></file></xliff>`
  const cases: [what: string, code: string, xml: string | Uint8Array][] = [
    ['a page of HTML', 'not-xliff', '<html><body/></html>'],
    ['another namespace', 'not-xliff', '<xliff xmlns="urn:x" version="2.0"/>'],
    ['no XML at all', 'xliff-not-well-formed', 'Dear Sir'],
    ['an old version', 'xliff-version', '<xliff version="1.2" xmlns="urn:oasis:names:tc:xliff:document:2.0"/>'],
    ['entities of its own', 'xliff-not-well-formed', `<!DOCTYPE x [<!ENTITY a "aaaa">]>${file(unit)}`],
    ['an entity nobody knows', 'xliff-not-well-formed', file(unit.replace('>a<', '>&a;<'))],
    ['an attribute twice', 'xliff-not-well-formed', file(unit, ' original="g"')],
    ['two units of one id', 'xliff-invalid', file(unit + unit)],
    ['a unit without a source', 'xliff-invalid', file('<trans-unit id="1"/>')],
    ['two targets', 'xliff-invalid', file(unit.replace('</source>', '</source><target/><target/>'))],
    ['a target before its source', 'xliff-invalid', file(unit.replace('<source', '<target/><source'))],
    ['elements that lie too deep', 'xliff-not-well-formed', '<a>'.repeat(300)],
    ['bytes that are no UTF-8', 'xliff-encoding', Buffer.from([0x3c, 0x61, 0xff, 0x2f, 0x3e])],
    ['an encoding that we do not have', 'xliff-encoding', '<?xml version="1.0" encoding="Shift_JIS"?><xliff/>'],
  ]
  test.each(cases)('%s: %s', (_what, code, xml) => {
    expect(() => openXliff(Buffer.from(xml as string))).toThrow(expect.objectContaining({ code }))
  })

  test('a file that is too large', () => {
    expect(() => openXliff(Buffer.alloc((64 << 20) + 1))).toThrow(expect.objectContaining({ code: 'xliff-too-large' }))
  })
})

test('a long text in a file of many units is read and written in time', () => {
  const words = 'Wort &amp; Wort '.repeat(40_000)
  const unit = (id: number, target: string) =>
    `<trans-unit id="${id}"><source>a</source><target>${target}</target></trans-unit>`
  const body = [unit(0, words), ...Array.from({ length: 10_000 }, (_, i) => unit(i + 1, 'eins  zwei'))].join('\n')
  const xml = `<xliff version="1.2"><file original="f" source-language="en" datatype="x"><body>${body}</body></file></xliff>`
  const { document, unit: find } = openXliff(Buffer.from(xml))
  const targets = new Map(document.units.map(({ key, target }) => [key, `${toMarked(target!, new Map())}!`]))
  expect(find('1:f/0').target!.text).toHaveLength(40_000 * 12)
  expect(refined(document, targets).replaceAll('!</target>', '</target>')).toBe(xml)
})

describe('any text', () => {
  const text = fc.string({
    unit: fc.constantFrom(...'ab "\'&<>]{}%s…é\u{1F600}\u200F\n'.match(/./gsu)!),
    maxLength: 20,
  })
  const file = (newline: string, inside: string) =>
    `<xliff version="1.2"><file original="f" source-language="en" datatype="x"><body>${newline}<trans-unit id="1"><source>a</source><target>${inside}</target></trans-unit></body></file></xliff>`
  const written = (raw: string, cdata: boolean) => {
    if (cdata) return `<![CDATA[${raw.replaceAll(']]>', '')}]]>`
    return raw.replace(/&/g, '&#38;').replace(/</g, '&lt;').replace(/>/g, '&gt;').replaceAll('\u{1F600}', '&#x1F600;')
  }
  const target = (xml: string) => readXliff(xml).units[0]!.target!

  test('put in the place of any other, in one edit of what differs', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(text, fc.boolean()), { maxLength: 4 }),
        text,
        fc.boolean(),
        (parts, wanted, crlf) => {
          const newline = crlf ? '\r\n' : '\n'
          const xml = file(newline, parts.map(([raw, cdata]) => written(raw.replaceAll('\n', newline), cdata)).join(''))
          const numbers = new Map<string, number>()
          const edits = editsFor(target(xml), escapeMarks(wanted), numbers, newline)!
          const made = applyEdits(xml, edits)
          expect(target(made).text).toBe(wanted)
          expect(edits.length).toBe(target(xml).text === wanted ? 0 : 1)
          expect(made.replace(/\r\n/g, '').includes('\n')).toBe(!crlf)
        },
      ),
    )
  })

  test('masked and unmasked it is the same, and rules on it change no code and no digit', async () => {
    const words = fc.array(
      fc.constantFrom(
        'der',
        'Datei',
        '{0}',
        '%s',
        '"',
        ' ',
        '  ',
        ' .',
        '<b>',
        '…',
        '12',
        "l'a",
        ':',
        '«',
        '»',
        '\uE000',
      ),
      { maxLength: 14 },
    )
    await fc.assert(
      fc.asyncProperty(words, fc.constantFrom('de', 'fr', 'en', 'ja', 'fr-CA'), async (parts, language) => {
        const target = escapeMarks(parts.join(''))
        const unit = {
          key: 'k',
          source: target,
          target,
          sourceLanguage: 'en',
          targetLanguage: language,
          preserve: false,
          maxLength: null,
          terms: [],
        }
        const signal = new AbortController().signal
        const once = await ruleRefiner.refine(unit, signal)
        const twice = await ruleRefiner.refine({ ...unit, target: once.target }, signal)
        expect(twice.target).toBe(once.target)
        const plain = (marked: string) => readMarked(marked)!.texts.join('')
        const codes = textFaults({
          source: plain(target),
          before: plain(target),
          after: plain(once.target),
          targetLanguage: language,
          preserve: false,
          maxLength: null,
        })
        expect(codes).toEqual([])
      }),
    )
  })
})
