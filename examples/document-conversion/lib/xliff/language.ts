// What is known of languages: their script, their most common small words, their quotation marks and numbers. It must never
// decide on little: a text of two words has no language.

const SCRIPTS: Record<string, string[]> = {
  ...{
    ar: ['Arabic'],
    fa: ['Arabic'],
    ur: ['Arabic'],
    he: ['Hebrew'],
    yi: ['Hebrew'],
    el: ['Greek'],
    hi: ['Devanagari'],
  },
  ...{ ru: ['Cyrillic'], uk: ['Cyrillic'], bg: ['Cyrillic'], mk: ['Cyrillic'], be: ['Cyrillic'], th: ['Thai'] },
  ...{ ka: ['Georgian'], hy: ['Armenian'], ko: ['Hangul', 'Han'], zh: ['Han'], ja: ['Han', 'Hiragana', 'Katakana'] },
  ...{ bn: ['Bengali'], ta: ['Tamil'], te: ['Telugu'] },
}
const LATIN =
  'en de fr es it pt nl sv da nb no fi pl cs sk hu ro tr hr sl et lv lt is ga ca eu gl sq vi id ms af sw'.split(' ')
/** Languages that are written in more than one script: nothing can be said by it. */
const scriptsOf = (language: string): string[] | null => {
  const base = baseOf(language)
  if (/-(Latn|Cyrl|Arab|Hans|Hant)\b/i.test(language) && !/-(Hans|Hant)\b/i.test(language)) return null
  return SCRIPTS[base] ?? (LATIN.includes(base) ? ['Latin'] : null)
}

const WORDS: Record<string, string> = {
  en: 'the of and to in is that for it with as was on are be this have from or by not you your which can will when has',
  de: 'der die das und ist nicht ein eine zu den mit von sich auf für dem es im wird sind werden oder auch sie ihr kann wenn bei nach',
  fr: 'le la les des et est une un du dans pour que qui par sur pas vous avec ce sont votre au aux il cette être ne plus',
  es: 'el la los las de que y en un una es por con para del se no su al lo como más pero sus le este está son',
  it: 'il di che la e un una per non è del della con si da sono le al nel gli dei lo questo anche più alla essere',
  pt: 'o de que e do da em um uma para com não os as no na por mais dos das seu sua ao se é são você este',
  nl: 'de het een van en in is dat op te zijn voor met niet aan er om ook als bij deze door naar wordt worden uw kan',
  sv: 'och att det som en på är av för med till den har inte om ett de kan från vid när eller du din',
  da: 'og at det som en på er af for med til den har ikke om et de kan fra ved når eller du din der',
  pl: 'i w nie na się z do to że jest o jak po za przez od dla są lub może być oraz tego która który',
  cs: 'a se na je že v to s z do o jako pro za by jsou nebo jeho který která není při být bude',
  tr: 've bir bu için ile de da olarak daha çok olan gibi değil en var her ne kadar veya sonra olduğu ise',
  fi: 'ja on ei että se oli ovat tai kun mutta kuin hän voi tämä joka jos myös sen niin',
  hu: 'a az és hogy nem is egy van ez volt meg csak már vagy de ha mint azt el kell ki',
  ro: 'și în de la cu nu este pe o un să care din mai pentru sunt al sau dar ca',
}
const SETS = Object.entries(WORDS).map(([language, words]) => [language, new Set(words.split(' '))] as const)

export const baseOf = (language: string): string => language.toLowerCase().split(/[-_]/)[0]!

/**
 * Whether a text is clearly in another language than the one named: by its script, or by its small words. Null: nothing
 * speaks against it, or there is too little of it.
 */
export function foreign(text: string, language: string): string | null {
  const letters = text.match(/\p{L}/gu) ?? []
  const scripts = scriptsOf(language)
  if (scripts && letters.length >= 4) {
    const own = new RegExp(`[${scripts.map((script) => `\\p{Script=${script}}`).join('')}]`, 'u')
    const share = letters.filter((letter) => own.test(letter)).length / letters.length
    // Names and product words in Latin letters are common in every language.
    if (share < (scripts[0] === 'Latin' ? 0.5 : 0.1)) return `its letters are not those of ${language}`
  }
  if (!scripts || scripts[0] !== 'Latin') return null
  const words = text.toLowerCase().match(/\p{L}+/gu) ?? []
  if (words.length < 4) return null
  const scores = SETS.map(([name, set]) => [name, words.filter((word) => set.has(word)).length] as const)
  const mine = scores.find(([name]) => name === baseOf(language))
  if (!mine) return null
  const best = scores.reduce((a, b) => (b[1] > a[1] ? b : a))
  return best[1] >= 2 && best[1] >= mine[1] * 2 + 1 && mine[1] / words.length < 0.15 ? `it reads like ${best[0]}` : null
}

export interface QuoteStyle {
  open: string
  close: string
}
const NBSP = '\u00A0'
/** CLDR's first quotation marks. */
const QUOTES: Record<string, [string, string]> = {
  ...{ en: ['“', '”'], nl: ['“', '”'], pt: ['“', '”'], tr: ['“', '”'], ko: ['“', '”'], zh: ['“', '”'], ca: ['«', '»'] },
  ...{ de: ['„', '“'], cs: ['„', '“'], sk: ['„', '“'], sl: ['„', '“'], bg: ['„', '“'], is: ['„', '“'] },
  ...{ pl: ['„', '”'], ro: ['„', '”'], hu: ['„', '”'], hr: ['„', '”'] },
  ...{ es: ['«', '»'], it: ['«', '»'], ru: ['«', '»'], uk: ['«', '»'], el: ['«', '»'], nb: ['«', '»'], no: ['«', '»'] },
  ...{ sv: ['”', '”'], fi: ['”', '”'], da: ['”', '”'], ja: ['「', '」'], fr: [`«${NBSP}`, `${NBSP}»`] },
}
const QUOTES_BY_REGION: Record<string, [string, string]> = {
  ...{ 'de-ch': ['«', '»'], 'de-li': ['«', '»'], 'fr-ch': ['«', '»'], 'it-ch': ['«', '»'], 'es-mx': ['“', '”'] },
  ...{
    'es-us': ['“', '”'],
    'zh-tw': ['「', '」'],
    'zh-hk': ['「', '」'],
    'zh-hant': ['「', '」'],
    'pt-pt': ['«', '»'],
  },
}

export function quotesOf(language: string): QuoteStyle | null {
  const [open, close] = QUOTES_BY_REGION[language.toLowerCase()] ?? QUOTES[baseOf(language)] ?? []
  return open && close ? { open, close } : null
}

/** How a language writes numbers, as the platform knows it. */
export function numberFormat(language: string): { group: string; decimal: string } | null {
  try {
    const parts = new Intl.NumberFormat(language, { numberingSystem: 'latn' }).formatToParts(1_234_567.8)
    const of = (type: string) => parts.find((part) => part.type === type)?.value
    return { group: of('group') ?? '', decimal: of('decimal') ?? '.' }
  } catch {
    return null
  }
}
