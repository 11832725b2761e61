// What extraction finds: a piece of the text, where it stands, and what it means in one form.

export const ENTITY_KINDS = ['url', 'email', 'iban', 'date', 'amount', 'percentage', 'organisation', 'person'] as const
export type EntityKind = (typeof ENTITY_KINDS)[number]

export interface Entity {
  kind: EntityKind
  /** As it stands in the text. */
  text: string
  /** Where it begins, counted in UTF-16 units as JavaScript and Java do. */
  at: number
  /** In one form: `2026-03-12`, `1234.50 EUR`, `19 %`. Null when the text can be read in two ways. */
  value: string | null
}

/** One rule: everything of one kind in a text, in its order. Must take time in proportion to the text, whatever it is. */
export type Rule = (text: string) => Entity[]
