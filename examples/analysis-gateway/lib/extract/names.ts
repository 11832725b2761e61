// Organisations by their legal form and people by their title. Names without either are not guessed.
import type { Entity, Rule } from './entity.js'

const NAME_WORD = String.raw`\p{Lu}[\p{L}\p{N}'’&-]{0,40}`
const FORMS = String.raw`GmbH|mbH|AG|KG|OHG|Limited|LLC|LLP|[Pp]lc|PLC|Corporation|(?:Ltd|Inc|Corp)\.?|B\.V\.|N\.V\.|S\.A\.|S\.p\.A\.|S\.r\.l\.|SARL|Oy|ApS`

const ORGANISATION = new RegExp(
  String.raw`(?<![\p{L}\p{N}])(${NAME_WORD}(?:[ ](?:&[ ]|and[ ])?${NAME_WORD}){0,4}),?[ ](${FORMS})(?![\p{L}\p{N}])`,
  'gu',
)
const PERSON =
  /(?<![\p{L}\p{N}])(?:Mr|Mrs|Ms|Miss|Dr|Prof|Herr|Frau|Sir|Dame|Madame|Monsieur|Señor|Señora)\.?[ ](?:Dr\.?[ ])?(\p{Lu}[\p{L}'’-]{1,40}(?:[ ](?:\p{Lu}\.|\p{Lu}[\p{L}'’-]{1,40})){0,2})(?![\p{L}\p{N}])/gu

/** Words that begin a sentence, not a name. */
const FIRST_WORDS =
  /^(?:The|A|An|And|Between|Both|By|Dear|For|From|If|In|Our|That|This|To|We|When|With|Your|Die|Der|Das)[ ]/

export const organisations: Rule = (text) =>
  Array.from(text.matchAll(ORGANISATION), ({ 0: found, index }): Entity | null => {
    let name = found
    while (FIRST_WORDS.test(name)) name = name.replace(FIRST_WORDS, '')
    // Nothing was left of the name but its form.
    if (!name.trim().includes(' ')) return null
    return {
      kind: 'organisation',
      text: name,
      at: index + found.length - name.length,
      value: name.replace(/\s+/g, ' '),
    }
  }).filter((one) => one !== null)

export const people: Rule = (text) =>
  Array.from(text.matchAll(PERSON), ({ 0: found, 1: name, index }) => ({
    ...{ kind: 'person', text: found, at: index },
    value: name!,
  }))
