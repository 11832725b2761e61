// An XLIFF file, 1.2 or 2.x: its units with the places of source and target. Reading checks what the standard demands, so
// that a broken file is refused before any work is done on it. It must never take a version for one that it knows.
import { Permanent } from 'untildone'
import { type Content, readContent } from './content.js'
import { attribute, below, type Element, elements, inherited, readTree } from './tree.js'
import { XmlError } from './xml.js'

export interface Unit {
  /** File, unit and segment; there is no second one in the document. */
  key: string
  sourceLanguage: string
  targetLanguage: string | null
  source: Content
  /** Null as long as nobody has translated it. */
  target: Content | null
  /** False: it says that it is not to be translated. */
  translate: boolean
  /** Signed off; a refinement leaves it alone. */
  final: boolean
  /** White space means something in it. */
  preserve: boolean
  /** The group of plural forms that it belongs to, in files made from gettext. */
  plural: string | null
  /** Most characters that it may have. */
  maxLength: number | null
}

export interface Xliff {
  xml: string
  version: '1.2' | '2.0' | '2.1'
  newline: '\n' | '\r\n'
  units: Unit[]
}

const V12 = 'urn:oasis:names:tc:xliff:document:1.2'
const V2 = 'urn:oasis:names:tc:xliff:document:2.0'
const LANGUAGE = /^[A-Za-z]{2,8}([-_][A-Za-z0-9]{1,8})*$/

/** @throws Permanent `xliff-not-well-formed`, `not-xliff`, `xliff-version`, `xliff-invalid` */
export function readXliff(xml: string): Xliff {
  const root = treeOf(xml)
  const version = attribute(root, 'version')
  if (root.local !== 'xliff' || !(root.space === V12 || root.space === V2 || (root.space === '' && version === '1.2')))
    throw refuse('not-xliff', `The root element is <${root.open.name}> and not that of XLIFF 1.2 or 2.x.`)
  const known = root.space === V2 ? ['2.0', '2.1'] : ['1.2']
  if (version === null || !known.includes(version))
    throw refuse('xliff-version', `This is XLIFF ${version ?? 'without a version'}; taken are 1.2, 2.0 and 2.1.`)
  const files = elements(root).filter(({ local, space }) => local === 'file' && space === root.space)
  if (files.length === 0) throw invalid('it has no <file>')
  const units = files.flatMap((file, index) =>
    root.space === V2 ? units2(xml, root, file) : units12(xml, file, index),
  )
  checkKeys(units)
  return { xml, version: version as Xliff['version'], newline: xml.includes('\r\n') ? '\r\n' : '\n', units }
}

function treeOf(xml: string): Element {
  try {
    return readTree(xml)
  } catch (error) {
    if (!(error instanceof XmlError)) throw error
    const before = xml.slice(0, error.at)
    const line = before.split('\n').length
    throw refuse(
      'xliff-not-well-formed',
      `Line ${line}, column ${error.at - before.lastIndexOf('\n')}: ${error.message}.`,
    )
  }
}

function units12(xml: string, file: Element, index: number): Unit[] {
  const sourceLanguage = languageOf(file, 'source-language')
  if (!sourceLanguage) throw invalid('a <file> has no source-language')
  const name = attribute(file, 'original') ?? String(index)
  const targetLanguage = languageOf(file, 'target-language')
  const found = [...below(file, ({ local }) => local !== 'trans-unit' && local !== 'alt-trans')].filter(
    (element) => element.local === 'trans-unit' && element.space === file.space,
  )
  return found.map((unit) => {
    const id = attribute(unit, 'id')
    if (!id) throw invalid('a <trans-unit> has no id')
    const [source, target] = pairOf(xml, unit, `trans-unit ${id}`)
    const group = nearestGroup(unit)
    const state = target ? attribute(target.element, 'state') : null
    const chars = (inherited(unit, 'size-unit') ?? 'pixel') === 'char' ? Number(attribute(unit, 'maxwidth') ?? '') : 0
    return {
      key: `${index + 1}:${name}/${id}`,
      sourceLanguage,
      targetLanguage: (target && languageOf(target.element, 'xml:lang')) ?? targetLanguage,
      source,
      target,
      translate: inherited(unit, 'translate') !== 'no',
      final: attribute(unit, 'approved') === 'yes' || state === 'final' || state === 'signed-off',
      preserve: inherited(unit, 'xml:space') === 'preserve',
      plural: group,
      maxLength: chars > 0 ? chars : null,
    }
  })
}

function nearestGroup(unit: Element): string | null {
  const { parent } = unit
  const isPlural = parent?.local === 'group' && attribute(parent, 'restype') === 'x-gettext-plurals'
  return isPlural ? (attribute(parent, 'id') ?? String(parent.open.start)) : null
}

function units2(xml: string, root: Element, file: Element): Unit[] {
  const sourceLanguage = languageOf(root, 'srcLang')
  if (!sourceLanguage) throw invalid('<xliff> has no srcLang')
  const targetLanguage = languageOf(root, 'trgLang')
  const name = attribute(file, 'id')
  if (!name) throw invalid('a <file> has no id')
  const found = [...below(file, ({ local }) => local !== 'unit')].filter(
    (element) => element.local === 'unit' && element.space === root.space,
  )
  return found.flatMap((unit) => {
    const id = attribute(unit, 'id')
    if (!id) throw invalid('a <unit> has no id')
    const parts = elements(unit).filter(
      ({ local, space }) => space === root.space && (local === 'segment' || local === 'ignorable'),
    )
    if (!parts.some(({ local }) => local === 'segment')) throw invalid(`unit ${id} has no <segment>`)
    return parts.map((part, index) => {
      const [source, target] = pairOf(xml, part, `unit ${id}`)
      if (target && !targetLanguage) throw invalid('there are targets but <xliff> has no trgLang')
      const preserve = inherited(target?.element ?? source.element, 'xml:space') === 'preserve'
      return {
        key: `${name}/${id}/${attribute(part, 'id') ?? `#${index + 1}`}`,
        sourceLanguage,
        targetLanguage,
        source,
        target: part.local === 'segment' ? target : null,
        translate: inherited(unit, 'translate') !== 'no' && part.local === 'segment',
        final: attribute(part, 'state') === 'final',
        preserve,
        plural: null,
        maxLength: null,
      }
    })
  })
}

function pairOf(xml: string, parent: Element, where: string): [Content, Content | null] {
  const own = elements(parent).filter(({ space }) => space === parent.space)
  const sources = own.filter(({ local }) => local === 'source')
  const targets = own.filter(({ local }) => local === 'target')
  if (sources.length !== 1) throw invalid(`${where} has ${sources.length} sources`)
  if (targets.length > 1) throw invalid(`${where} has ${targets.length} targets`)
  const [source] = sources
  const [target] = targets
  if (target && target.open.start < source!.open.start) throw invalid(`${where} has its target before its source`)
  return [readContent(xml, source!), target ? readContent(xml, target) : null]
}

function languageOf(element: Element, name: string): string | null {
  const value = attribute(element, name)
  if (value !== null && !LANGUAGE.test(value)) throw invalid(`${name}="${value}" is no language`)
  return value?.replaceAll('_', '-') ?? null
}

function checkKeys(units: Unit[]): void {
  const keys = new Set<string>()
  for (const { key } of units) {
    if (keys.has(key)) throw invalid(`there are two units ${key}`)
    keys.add(key)
  }
}

const refuse = (code: string, message: string) => new Permanent(message, { code })
const invalid = (what: string) => refuse('xliff-invalid', `Not valid XLIFF: ${what}.`)
