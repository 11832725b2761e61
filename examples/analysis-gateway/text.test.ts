// Counts that can be done by hand, languages of sentences that nobody has learned from, and kinds of documents that were
// held out of the corpus.
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { corpus, documentClassifier, KINDS, learnFrom } from './lib/classify/documents.js'
import { LANGUAGES, languageOf } from './lib/text/language.js'
import { statisticsOf } from './lib/text/statistics.js'
import { partsOf, sentencesOf, wordsOf } from './lib/text/words.js'

describe('counts', () => {
  const TEXT = 'The cat sat on the mat. The cat was fat.\n\nDr. Smith saw the cat at 10 a.m. on Friday.'

  test('are those that one gets with a pencil', async () => {
    expect(sentencesOf(TEXT)).toHaveLength(3)
    const found = await statisticsOf(TEXT, 'en', 3)
    expect(found).toMatchObject({ characters: 85, words: 20, differentWords: 14, sentences: 3, paragraphs: 2 })
    expect(found.terms).toEqual([
      { text: 'cat', count: 3 },
      { text: 'dr', count: 1 },
      { text: 'fat', count: 1 },
    ])
    expect(found.pairs).toEqual([])
    expect((await statisticsOf('Long queue, long wait. A long queue.', 'en', 5)).pairs).toEqual([
      { text: 'long queue', count: 2 },
    ])
  })

  test('readability: a child’s sentence is easy, an official’s is hard', async () => {
    const ease = async (text: string) => (await statisticsOf(text, 'en', 1)).readability.readingEase!
    expect(await ease('The sun is up. The dog runs. We play with the red ball.')).toBeGreaterThan(90)
    const official =
      'Notwithstanding the aforementioned administrative considerations, implementation necessitates interdepartmental coordination.'
    expect(await ease(official)).toBeLessThan(0)
  })

  test('without ends of sentences nothing is said of readability; the longest sentence of a book has some', async () => {
    const words = (n: number) => 'the red sun is up and we play '.repeat(n / 8).trim()
    const none = { readingEase: null, schoolYears: null, lix: null }
    expect(await statisticsOf(words(16_000), 'en', 1)).toMatchObject({ words: 16_000, readability: none })
    expect(await statisticsOf(`${words(104)}.`, 'en', 1)).toMatchObject({ wordsPerSentence: 104, readability: none })
    const { schoolYears, lix } = (await statisticsOf(`${words(96)}.`, 'en', 1)).readability
    expect([schoolYears, lix]).toEqual([expect.any(Number), expect.any(Number)])
  })

  test('are finite for any text, and languages without spaces have words', async () => {
    expect(wordsOf('今日は天気がいいです').length).toBeGreaterThan(2)
    await fc.assert(
      fc.asyncProperty(
        fc.string({ unit: 'grapheme', maxLength: 300 }),
        fc.constantFrom(...LANGUAGES, null),
        async (text, language) => {
          const { readability, terms, pairs, triples, ...numbers } = await statisticsOf(text, language, 5)
          for (const value of Object.values(numbers)) expect(value).toBeGreaterThanOrEqual(0)
          for (const value of Object.values(readability)) expect(value === null || Number.isFinite(value)).toBe(true)
          expect([...terms, ...pairs, ...triples].every(({ count }) => count > 0)).toBe(true)
        },
      ),
    )
  })

  test('parts of a text are the text, and none is larger than asked', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 400 }), fc.integer({ min: 2, max: 60 }), (text, size) => {
        const parts = partsOf(text, size)
        expect(parts.join('')).toBe(text)
        expect(Math.max(...parts.map((part) => part.length))).toBeLessThanOrEqual(size)
      }),
    )
  })

  test('a text without an end of a sentence takes no more than its length', { timeout: 30_000 }, async () => {
    for (const piece of ['a@', 'A ', '1 ', 'a. A. ']) {
      const from = process.cpuUsage().user
      await statisticsOf(piece.repeat(500_000 / piece.length), 'en', 5)
      expect((process.cpuUsage().user - from) / 1000, piece).toBeLessThan(8000)
    }
  })
})

describe('languages', () => {
  test.each<[string | null, string]>([
    ['en', 'Please let me know whether the delivery will arrive before the end of next week.'],
    ['de', 'Bitte teilen Sie mir mit, ob die Lieferung noch vor Ende der nächsten Woche eintrifft.'],
    ['fr', 'Merci de me dire si la livraison arrivera avant la fin de la semaine prochaine.'],
    ['es', 'Por favor, dígame si el pedido llegará antes de que termine la próxima semana.'],
    ['it', 'Vi prego di farmi sapere se la consegna arriverà prima della fine della prossima settimana.'],
    ['nl', 'Laat mij alstublieft weten of de levering voor het einde van volgende week aankomt.'],
    ['pt', 'Por favor, diga-me se a entrega vai chegar antes do fim da próxima semana.'],
    ['ja', '来週の終わりまでに届くかどうか教えてください。'],
    ['zh', '请告诉我货物是否会在下周末之前到达。'],
    ['ko', '다음 주말 전에 배송이 도착하는지 알려 주세요.'],
    ['el', 'Παρακαλώ πείτε μου αν η παράδοση θα φτάσει πριν από το τέλος της εβδομάδας.'],
    // Cyrillic is written in many languages; none is guessed.
    [null, 'Сообщите, пожалуйста, придёт ли посылка до конца недели.'],
    [null, '12.50 + 3 = 15.50'],
    [null, 'zxq wvv krrt plg bnm qqw xzz'],
  ])('%s: %s', (code, text) => {
    expect(languageOf(text).code).toBe(code)
  })
})

describe('kinds of documents', () => {
  test('nearly all of those that were held out are known for what they are', () => {
    const { classify } = documentClassifier()
    const held = corpus('held-out/')
    expect(held).toHaveLength(20)
    const right = held.filter(({ kind, text }) => classify(text).label === kind)
    expect(right.length).toBeGreaterThanOrEqual(18)
    for (const kind of KINDS) expect(right.filter((one) => one.kind === kind).length, kind).toBeGreaterThanOrEqual(3)
  })

  test('each document of the corpus, by a classifier that has never seen it', () => {
    const all = corpus()
    expect(all.length).toBeGreaterThanOrEqual(50)
    const right = all.filter(
      ({ kind, text }, i) => learnFrom(all.filter((_, j) => j !== i)).classify(text).label === kind,
    )
    expect(right.length / all.length).toBeGreaterThan(0.85)
    // What it does not know by anything but chance would be a fifth.
    const shuffled = all.map((one, i) => ({ ...one, kind: KINDS[(i * 7 + 3) % KINDS.length]! }))
    const chance = corpus('held-out/').filter(({ kind, text }) => learnFrom(shuffled).classify(text).label === kind)
    expect(chance.length).toBeLessThan(12)
  })

  test('an answer says what it rests on, and none is given for a text of other things', () => {
    const { classify, version } = documentClassifier()
    const invoice = classify('Total due 120.00, VAT included. Please pay this invoice within ten days.')
    expect(invoice.label).toBe('invoice')
    expect(invoice.because).toContain('invoice')
    const scores = [invoice, ...invoice.alternatives].map(({ score }) => score)
    expect(scores).toEqual([...scores].sort((a, b) => b - a))
    expect(scores.reduce((a, b) => a + b)).toBeCloseTo(1, 2)
    expect(classify('Zygote quark plinth.')).toEqual({
      ...{ label: null, score: 0, alternatives: [], because: [], classifier: version },
    })
    expect(version).toBe(learnFrom(corpus()).version)
    expect(version).not.toBe(learnFrom(corpus().slice(1)).version)
  })
})
