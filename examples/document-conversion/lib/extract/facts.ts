// What is looked for in a document, in which form each value is written, and where it was found. A value that is not of its
// form must never leave a chunk.
import { z } from 'zod'
import { isIban } from './iban.js'

/** Of the document as a whole: at most one value. The others may have many. */
export const SINGLE = ['number', 'issueDate', 'dueDate', 'total', 'seller', 'buyer'] as const
export const MANY = ['date', 'amount', 'iban', 'party'] as const
export const FIELDS = [...SINGLE, ...MANY] as const
export type Field = (typeof FIELDS)[number]

const text = z.string().trim().min(1).max(200)
const date = z.string().refine(isDate, 'is no date of the form 2026-11-25')
const amount = z.string().regex(/^[A-Z]{3} -?\d{1,15}\.\d{2}$/, 'is no amount of the form EUR 1234.50')
const iban = z.string().refine(isIban, 'is no IBAN whose check digits are right')
const number = text.regex(/\d/, 'has no digit')

export const VALUES: Record<Field, z.ZodType<string>> = {
  ...{ number, issueDate: date, dueDate: date, total: amount, seller: text, buyer: text },
  ...{ date, amount, iban, party: text },
}

export const found = z
  .object({
    field: z.enum(FIELDS),
    value: z.string(),
    /** Where the quote begins in the chunk, in UTF-16 units. */
    at: z.int().min(0),
    quote: z.string().min(1).max(500),
    /** A label said what it is; else it was known by its form alone. */
    labelled: z.boolean(),
  })
  .superRefine(({ field, value }, context) => {
    const checked = VALUES[field].safeParse(value)
    if (!checked.success)
      context.addIssue({ code: 'custom', message: `${field} "${value}" ${checked.error.issues[0]?.message}` })
  })
export type Found = z.infer<typeof found>

/** What is said of one chunk. */
export const chunkFacts = z.object({
  found: z.array(found).max(2000),
  /** What looked like a value and is none, for a person to look at. */
  doubts: z.array(z.object({ code: z.string(), quote: z.string(), why: z.string() })).max(2000),
})
export type ChunkFacts = z.infer<typeof chunkFacts>

export function isDate(value: string): boolean {
  const [, year, month, day] = /^(\d{4})-(\d{2})-(\d{2})$/.exec(value)?.map(Number) ?? []
  if (year === undefined || year < 1000) return false
  const at = new Date(Date.UTC(year, month! - 1, day))
  return at.getUTCMonth() === month! - 1 && at.getUTCDate() === day
}
