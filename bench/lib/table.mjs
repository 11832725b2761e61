// From measured rows to the table at the end: reached, what it stands beside, ratio, aim, met or not.
import { median, spread } from './sample.mjs'

/**
 * @typedef {object} Row
 * @property {string} figure letter of the figure
 * @property {string} name
 * @property {string} unit rates end in `/s`
 * @property {number[]} values one per run
 * @property {[string, number[]]} [beside] name and values, one per run, of what it is compared with
 * @property {{ ratio?: number, ratioBelow?: number, atLeast?: number, below?: number }} [aim]
 */

/** @param {Row} row @returns {{ figure: string, name: string, reached: string, beside: string, ratio: string, aim: string, met: boolean | null }} */
export function judge({ figure, name, unit, values, beside, aim }) {
  const value = median(values)
  // Run by run: what was measured next to each other is compared.
  const ratio = beside ? median(values.map((one, i) => one / beside[1][i])) : null
  const checks = []
  const words = []
  const add = (text, holds) => {
    words.push(text)
    checks.push(holds)
  }
  if (aim?.ratio !== undefined) add(`ratio ≥ ${aim.ratio}`, ratio >= aim.ratio)
  if (aim?.ratioBelow !== undefined) add(`ratio ≤ ${aim.ratioBelow}`, ratio <= aim.ratioBelow)
  if (aim?.atLeast !== undefined) add(`≥ ${amount(aim.atLeast)} ${unit}`, value >= aim.atLeast)
  if (aim?.below !== undefined) add(`< ${aim.below} ${unit}`, value < aim.below)
  const around = values.length > 1 ? ` ±${spread(values)} %` : ''
  return {
    figure,
    name,
    reached: `${amount(value)} ${unit}${around}`,
    beside: beside ? `${amount(median(beside[1]))} (${beside[0]})` : '',
    ratio: ratio === null ? '' : ratio.toFixed(2),
    aim: words.join(', '),
    met: checks.length === 0 ? null : checks.every(Boolean),
  }
}

/** 12345 → `12.3 k`, 0.4321 → `0.43`. */
export function amount(value) {
  if (value >= 999_500) return `${(value / 1_000_000).toFixed(2)} M`
  if (value >= 10_000) return `${(value / 1000).toFixed(1)} k`
  if (value >= 100) return String(Math.round(value))
  return value >= 10 ? value.toFixed(1) : value.toFixed(2)
}

const HEAD = ['', 'Figure', 'Reached', 'Beside', 'Ratio', 'Aim', 'Met']
const cells = (row) => [row.figure, row.name, row.reached, row.beside, row.ratio, row.aim, metWord(row.met)]
const metWord = (met) => (met === null ? '–' : met ? 'yes' : 'NO')

export function textTable(judged) {
  const lines = [HEAD, ...judged.map(cells)]
  const widths = HEAD.map((_, i) => Math.max(...lines.map((line) => line[i].length)))
  const print = (line) =>
    line
      .map((cell, i) => cell.padEnd(widths[i]))
      .join('  ')
      .trimEnd()
  return [print(HEAD), widths.map((width) => '─'.repeat(width)).join('  '), ...lines.slice(1).map(print)].join('\n')
}

export function markdownTable(judged) {
  const line = (row) => `| ${row.join(' | ')} |`
  return [line(HEAD), line(HEAD.map(() => '---')), ...judged.map((row) => line(cells(row)))].join('\n')
}
