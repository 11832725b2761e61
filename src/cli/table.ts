/**
 * Tables for terminals. Every column keeps its whole text when there is room; the flexible ones are cut next; when even
 * that does not cutTo, each row becomes a block of lines. A column marked whole (ids) is never cut in any form.
 */
import { cutTo, padTo, widthOf } from './text.js'

export interface Column {
  title: string
  /** May be cut down to this many columns. @default never cut */
  shrinkTo?: number
  align?: 'right'
  /** In the block form it stands first, on a line of its own. */
  key?: boolean
}

const GAP = 2

/**
 * @param rows cells without line breaks; colours are allowed in columns that do not shrink
 * @param width columns of the terminal; null = not a terminal, nothing is cut
 */
export function table(columns: readonly Column[], rows: readonly (readonly string[])[], width: number | null): string {
  const natural = columns.map((column, i) =>
    Math.max(widthOf(column.title), ...rows.map((row) => widthOf(row[i] ?? ''))),
  )
  const widths = [...natural]
  if (width !== null) {
    let over = natural.reduce((sum, w) => sum + w, GAP * (columns.length - 1)) - width
    for (let i = columns.length - 1; i >= 0 && over > 0; i--) {
      const least = columns[i]!.shrinkTo
      if (least === undefined) continue
      const taken = Math.min(over, Math.max(0, widths[i]! - Math.max(least, widthOf(columns[i]!.title))))
      widths[i]! -= taken
      over -= taken
    }
    if (over > 0) return blocks(columns, rows, width)
  }
  const line = (cells: readonly string[]) =>
    columns
      .map((column, i) => {
        const cell = column.shrinkTo === undefined ? (cells[i] ?? '') : cutTo(cells[i] ?? '', widths[i]!)
        if (column.align === 'right') return ' '.repeat(Math.max(0, widths[i]! - widthOf(cell))) + cell
        return i === columns.length - 1 ? cell : padTo(cell, widths[i]!)
      })
      .join(' '.repeat(GAP))
      .trimEnd()
  return [columns.map((column) => column.title), ...rows].map(line).join('\n')
}

function blocks(columns: readonly Column[], rows: readonly (readonly string[])[], width: number): string {
  const order = [...columns.keys()].sort((a, b) => Number(columns[b]!.key ?? false) - Number(columns[a]!.key ?? false))
  const titles = columns.filter((column) => !column.key).map((column) => column.title.length)
  const indent = Math.max(0, ...titles) + GAP
  return rows
    .map((row) =>
      order
        .filter((i) => row[i])
        .map((i) => {
          const column = columns[i]!
          if (column.key) return row[i]
          const room = width - indent - GAP
          const cell = column.shrinkTo === undefined ? row[i]! : cutTo(row[i]!, Math.max(8, room))
          return `  ${padTo(column.title.toLowerCase(), indent)}${cell}`
        })
        .join('\n'),
    )
    .join('\n\n')
}

/** `name  value` lines; empty values are left out, long ones are cut only when `width` is given. */
export function facts(pairs: readonly (readonly [string, string | null | undefined])[]): string {
  const shown = pairs.filter(
    (pair): pair is [string, string] => pair[1] !== null && pair[1] !== undefined && pair[1] !== '',
  )
  const indent = Math.max(0, ...shown.map(([name]) => name.length)) + GAP
  return shown
    .map(([name, value]) => `${padTo(name, indent)}${value.replaceAll('\n', `\n${' '.repeat(indent)}`)}`)
    .join('\n')
}
