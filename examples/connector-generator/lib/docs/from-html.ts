// An HTML page as blocks: what stands in its main part, without menus, scripts and styles. Also its title and links.
import * as cheerio from 'cheerio'
import { type Block, BlockWriter } from './blocks.js'

type AnyNode = Exclude<Parameters<typeof cheerio.load>[0], string | Buffer | readonly unknown[]>
type Element = Extract<AnyNode, { attribs: unknown }>

const NOISE = 'script, style, noscript, template, svg, iframe, nav, header, footer, aside, form, [role=navigation]'

export interface HtmlPage {
  title: string
  blocks: Block[]
  /** Absolute, of http and https only, each once. */
  links: { url: string; text: string }[]
}

export function fromHtml(html: string, url: string): HtmlPage {
  const $ = cheerio.load(html)
  const title = $('title').first().text().trim() || $('h1').first().text().trim() || url
  const links = linksOf($, url)
  $(NOISE).remove()
  const main = $('main, [role=main], article').first()
  const writer = new BlockWriter()
  walk($, (main.length > 0 ? main : $('body')).contents().toArray(), writer)
  return { title, blocks: writer.blocks, links }
}

function linksOf($: cheerio.CheerioAPI, url: string): HtmlPage['links'] {
  const base = new URL($('base[href]').attr('href') ?? url, url).href
  const links = new Map<string, string>()
  for (const anchor of $('a[href], link[rel=alternate][href]').toArray()) {
    const href = $(anchor).attr('href') ?? ''
    if (!URL.canParse(href, base)) continue
    const target = new URL(href, base)
    target.hash = ''
    if (!/^https?:$/.test(target.protocol) || links.has(target.href)) continue
    links.set(target.href, ($(anchor).text() || ($(anchor).attr('title') ?? '')).replace(/\s+/g, ' ').trim())
  }
  return [...links].map(([url, text]) => ({ url, text }))
}

function walk($: cheerio.CheerioAPI, nodes: AnyNode[], writer: BlockWriter): void {
  // Text that stands between blocks without a paragraph of its own.
  let loose = ''
  const flush = () => {
    writer.text(loose)
    loose = ''
  }
  for (const node of nodes) {
    if (node.type === 'text') loose += node.data
    if (node.type !== 'tag') continue
    if (!isBlock($, node)) {
      loose += inline($, node)
      continue
    }
    flush()
    writeBlock($, node, writer)
  }
  flush()
}

function writeBlock($: cheerio.CheerioAPI, node: Element, writer: BlockWriter): void {
  const level = /^h([1-6])$/.exec(node.name)?.[1]
  if (level) writer.heading(Number(level), $(node).text())
  else if (node.name === 'pre') writer.code($(node).text())
  else if (node.name === 'p') writer.text(inline($, node))
  else if (node.name === 'table') writer.table(rowsOf($, node))
  else if (node.name === 'dl') definitions($, node, writer)
  else if (node.name === 'li') writer.text(inline($, node), 'item')
  else walk($, node.children, writer)
}

const BLOCKS =
  'address article blockquote details dd div dl dt fieldset figure h1 h2 h3 h4 h5 h6 hr li main ol p pre section summary table ul'
const BLOCK_NAMES = new Set(BLOCKS.split(' '))

function isBlock($: cheerio.CheerioAPI, node: Element): boolean {
  return BLOCK_NAMES.has(node.name) || $(node).find('p, pre, table, ul, ol, dl').length > 0
}

function rowsOf($: cheerio.CheerioAPI, table: Element): string[][] {
  return $(table)
    .find('tr')
    .toArray()
    .map((row) =>
      $(row)
        .children('th, td')
        .toArray()
        .map((cell) => inline($, cell)),
    )
}

/** `<dt>name<dd>what it is` reads like a list item. */
function definitions($: cheerio.CheerioAPI, list: Element, writer: BlockWriter): void {
  let term = ''
  for (const part of $(list).find('dt, dd').toArray()) {
    if (part.name === 'dt') term = inline($, part)
    else writer.text(`${term} — ${inline($, part)}`, 'item')
  }
}

function inline($: cheerio.CheerioAPI, node: Element): string {
  let out = ''
  for (const child of node.children) {
    if (child.type === 'text') out += child.data
    if (child.type !== 'tag') continue
    if (child.name === 'br') out += ' '
    else if (child.name === 'code' || child.name === 'kbd' || child.name === 'samp')
      out += `\`${$(child).text().trim()}\``
    else out += BLOCK_NAMES.has(child.name) ? ` ${inline($, child)} ` : inline($, child)
  }
  return out
}
