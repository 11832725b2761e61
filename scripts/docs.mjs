// Fills the generated parts of the written pages: tables made from the code, and snippets taken from examples/. Writes the
// stories of the examples' job types.
//   node scripts/docs.mjs           writes them
//   node scripts/docs.mjs --check   writes nothing; fails when a page differs, a link leads nowhere or a word is not ours
//
// A generated part stands between `<!-- generated: <what> -->` and `<!-- end -->`. A snippet is a fence that follows
// `<!-- from: <file> -->` or `<!-- from: <file>#<region> -->`.
import { execFileSync } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, relative, resolve } from 'node:path'
import { ensureReady, root } from './lib/ensure.mjs'

const PAGES = ['README.md', 'ARCHITECTURE.md', 'CONTRIBUTING.md', 'SECURITY.md', 'CHANGELOG.md', ...pagesIn('docs')]
const check = process.argv.includes('--check')
const code = (text) => `\`${text}\``
const plain = (text) => text.replace(/\s+/g, ' ').trim()

await ensureReady()
const built = (file) => import(join(root, 'dist', file))
const [{ PROBLEMS }, lifecycle, { STATUSES }, openapi, { routes }, { DEFAULT_LIMITS }, { COMMANDS }] =
  await Promise.all([
    built('core/problems.js'),
    built('core/lifecycle.js'),
    built('core/job.js'),
    built('server/openapi.js'),
    built('server/routes/index.js'),
    built('server/options.js'),
    built('cli/commands/index.js'),
  ])
const ts = (await import('typescript')).default

const PARTS = {
  problems: () => problemTable(({ status }, title) => status !== 500 || title === 'The server made a mistake.'),
  'inside problems': () =>
    problemTable(({ status }, title) => status === 500 && title !== 'The server made a mistake.'),
  diagram: () => diagram(),
  transitions: () => transitions(),
  statuses: () => statuses(),
  endpoints: () => endpoints(),
  'endpoint details': () => endpointDetails(),
  limits: () => limits(),
  commands: () => commands(),
  options: (file, name) => options(file, name),
}

/** In the registry for a later version: nothing answers with them yet, so no page promises them. */
const RESERVED = new Set([
  ...['not-acceptable', 'idempotency-key-in-use', 'result-expired'],
  ...['rate-limited', 'overloaded'],
])

const problems = raisedThoughReserved()
for (const page of PAGES.filter((page) => existsSync(join(root, page)))) {
  const before = readFileSync(join(root, page), 'utf8')
  const after = fill(page, before)
  if (after !== before) {
    if (check) problems.push(`${page} is not what scripts/docs.mjs makes of it; run: node scripts/docs.mjs`)
    else writeFileSync(join(root, page), after)
  }
  problems.push(...brokenLinks(page, after), ...missingPaths(page, after), ...unknownCommands(page, after))
  problems.push(...foreignWords(page, withoutGenerated(after)))
}
for (const folder of storyFolders()) {
  const page = join(folder, 'STORY.md')
  const story = storiesOf(folder)
  if (!existsSync(join(root, page)) || readFileSync(join(root, page), 'utf8') !== story) {
    if (check) problems.push(`${page} is not what its job types are now; run: node scripts/docs.mjs`)
    else writeFileSync(join(root, page), story)
  }
  problems.push(...brokenLinks(page, story), ...foreignWords(page, story))
}
for (const line of problems) console.log(line)
console.log(`${PAGES.length} pages, ${problems.length} problems`)
process.exitCode = problems.length > 0 ? 1 : 0

function pagesIn(folder) {
  if (!existsSync(join(root, folder))) return []
  return readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .map((file) => join(folder, file))
    .filter((file) => file.endsWith('.md'))
    .sort()
}

// ── stories of the examples ──

/** Examples that say by what their handlers are to be run dry: `jobs/<type>.example.json`. */
function storyFolders() {
  return readdirSync(join(root, 'examples'))
    .map((name) => join('examples', name))
    .filter((folder) => existsSync(join(root, folder, 'jobs')))
    .filter((folder) => readdirSync(join(root, folder, 'jobs')).some((file) => file.endsWith('.example.json')))
    .sort()
}

/** What `untildone types story` prints, over settings that are the same on every machine. */
function storiesOf(folder) {
  const data = mkdtempSync(join(tmpdir(), 'untildone-story-'))
  try {
    const env = {
      ...process.env,
      CONNECTOR_DATA: data,
      CONNECTOR_HOSTS: 'docs.example',
      CONNECTOR_SEEDS: '',
      OPENAI_MODEL: '',
      OCR_ENGINES: 'fast,robust',
    }
    const args = [join(root, 'bin/untildone.js'), 'types', 'story', '--jobs', join(folder, 'jobs')]
    return execFileSync(process.execPath, args, { cwd: root, env, encoding: 'utf8' })
  } finally {
    rmSync(data, { recursive: true, force: true })
  }
}

// ── filling ──

function fill(page, text) {
  return text
    .replace(/(<!-- generated: (.+?) -->\n)[\s\S]*?(<!-- end -->)/g, (_, open, what, close) => {
      const [kind, ...more] = what.split(': ').flatMap((part, i) => (i === 0 ? [part] : part.split('#')))
      if (!PARTS[kind]) throw new Error(`${page}: nothing is generated under the name "${kind}"`)
      return `${open}\n${PARTS[kind](...more)}\n\n${close}`
    })
    .replace(/(<!-- from: (\S+?)(?:#(\S+))? -->\n```)(\w+)\n[\s\S]*?^```$/gm, (_, open, file, region, language) => {
      return `${open}${language}\n${snippet(page, file, region)}\n\`\`\``
    })
}

/** A file of the repository, or the lines between `// #region <name>` and `// #endregion`, moved to the left edge. */
function snippet(page, file, region) {
  const text = readFileSync(join(root, file), 'utf8').trimEnd()
  if (!region) return text
  const found = new RegExp(`^[ \\t]*// #region ${region}\\n([\\s\\S]*?)\\n[ \\t]*// #endregion`, 'm').exec(text)
  if (!found) throw new Error(`${page}: ${file} has no region "${region}"`)
  const lines = found[1].split('\n')
  const margin = Math.min(...lines.filter((line) => line.trim()).map((line) => /^ */.exec(line)[0].length))
  return lines.map((line) => line.slice(margin)).join('\n')
}

function table(head, rows) {
  const cells = (row) =>
    `| ${row.map((cell) => String(cell).replaceAll('\n', ' ').replaceAll('|', '\\|')).join(' | ')} |`
  return [cells(head), cells(head.map(() => '---')), ...rows.map(cells)].join('\n')
}

// ── errors ──

function problemTable(chosen) {
  const rows = Object.entries(PROBLEMS)
    .filter(([name, problem]) => !RESERVED.has(name) && chosen(problem, problem.title))
    .map(([name, { status, retryable, title, fix }]) => [
      `<a id="${name}"></a>${code(name)}`,
      status,
      retryable ? 'yes' : 'no',
      title,
      fix.replaceAll('<', '&lt;'),
    ])
  return table(['Code', 'HTTP', 'Repeat helps', 'What happened', 'What to do'], rows)
}

function raisedThoughReserved() {
  const files = readdirSync(join(root, 'src'), { recursive: true, encoding: 'utf8' })
  const text = files
    .filter((file) => /\.ts$/.test(file) && !/\.test\.ts$|(^|\/)fakes\//.test(file))
    .map((file) => readFileSync(join(root, 'src', file), 'utf8'))
    .join('\n')
  return [...RESERVED]
    .filter((name) => new RegExp(`UntildoneError\\(\\s*'${name}'`).test(text))
    .map((name) => `src raises ${name} by now: take it out of RESERVED in scripts/docs.mjs`)
}

// ── state machine ──

function edges() {
  return Object.entries(lifecycle.TRANSITIONS).flatMap(([from, row]) =>
    Object.entries(row).flatMap(([event, { to }]) => to.map((target) => ({ from, event, target }))),
  )
}

/** Without overrides: they lead from everywhere to every end, and would hide the rest. */
function diagram() {
  const merged = new Map()
  for (const { from, event, target } of edges().filter(({ event }) => event !== 'overridden')) {
    const key = `${from} --> ${target}`
    merged.set(key, [...(merged.get(key) ?? []), event])
  }
  const final = Object.keys(lifecycle.TRANSITIONS).filter((state) => lifecycle.isFinal(state))
  const lines = [
    'stateDiagram-v2',
    '    [*] --> queued: submitted',
    ...[...merged].map(([arrow, events]) => `    ${arrow}: ${events.join(', ')}`),
    ...final.map((state) => `    ${state} --> [*]`),
  ]
  return `\`\`\`mermaid\n${lines.join('\n')}\n\`\`\``
}

function transitions() {
  const rows = Object.entries(lifecycle.TRANSITIONS).flatMap(([from, row]) => {
    const events = Object.entries(row)
    if (events.length === 0) return [[code(from), 'none', 'nothing leads out of it']]
    return events.map(([event, { to }]) => [code(from), code(event), to.map(code).join(', ')])
  })
  return table(['State', 'Event', 'May lead to'], rows)
}

function statuses() {
  const samples = {
    'never claimed': { state: 'queued', startedAt: null },
    'paused before its first attempt': { state: 'waiting', waitKind: 'pause', startedAt: null },
    'between attempts': { state: 'queued' },
    'an attempt runs': { state: 'running' },
    'waits for time to pass': { state: 'waiting', waitKind: 'timer' },
    'waits for a job that it called': { state: 'waiting', waitKind: 'child' },
    'waits for an approval': { state: 'waiting', waitKind: 'approval' },
    'waits for a signal or a callback': { state: 'waiting', waitKind: 'signal' },
    'a person must look': { state: 'waiting', waitKind: 'review' },
    'paused after it had begun': { state: 'waiting', waitKind: 'pause' },
    'told to stop': { state: 'cancelling' },
    'its steps are being undone': { state: 'compensating' },
  }
  const rows = Object.entries(samples).map(([what, { state, waitKind = null, startedAt = 1 }]) => [
    what,
    waitKind ? `${code(state)} (${waitKind})` : code(state),
    code(lifecycle.statusOf({ state, waitKind, startedAt })),
    'no',
  ])
  const ends = STATUSES.filter((status) => lifecycle.isFinal(status))
  return table(
    ['Situation', 'State inside', 'Status outside', code('done')],
    [...rows, ...ends.map((status) => ['ended', code(status), code(status), 'yes'])],
  )
}

// ── HTTP ──

function endpoints() {
  const rows = routes.map((route) => [
    `[${code(`${route.method} ${route.path}`)}](#${anchorOf(`${route.method} ${route.path}`)})`,
    route.summary,
    scopeOf(route),
    Object.keys(route.responses).join(', '),
  ])
  return table(['Endpoint', 'What', 'Scope', 'Answers'], rows)
}

function scopeOf({ scope }) {
  if (scope === 'none') return 'none'
  return scope === 'any' ? 'any key' : scope.map(code).join(' or ')
}

function endpointDetails() {
  const document = openapi.buildOpenapi(routes, { base: '', version: '0' })
  return routes
    .map((route) => {
      const { parameters } = document.paths[route.path][route.method.toLowerCase()]
      const query = parameters.filter((one) => one.in === 'query')
      const headers = route.headers ?? []
      const lines = [`### ${route.method} ${route.path}`, '', route.description]
      if (query.length > 0)
        lines.push(
          '',
          table(
            ['Query', 'What'],
            query.map((one) => [code(one.name), one.description]),
          ),
        )
      if (headers.length > 0) lines.push('', `Headers: ${headers.map(code).join(', ')}.`)
      const own = route.problems.filter((name) => !RESERVED.has(name))
      if (own.length > 0)
        lines.push('', `Problems of its own: ${own.map((name) => `[${code(name)}](errors.md#${name})`).join(', ')}.`)
      return lines.join('\n')
    })
    .join('\n\n')
}

function limits() {
  const described = members('src/server/options.ts', 'Limits')
  const rows = described.map(({ name, text, fallback }) => {
    if (DEFAULT_LIMITS[name] === undefined) throw new Error(`Limits.${name} has no default`)
    return [code(name), text, fallback]
  })
  return table(['Limit', 'What', 'Default'], rows)
}

// ── options ──

function options(file, name) {
  const rows = members(file, name).map(({ name, type, text, fallback, optional }) => [
    code(name),
    code(type),
    text,
    fallback ?? (optional ? '' : 'required'),
  ])
  return table(['Option', 'Type', 'What', 'Default'], rows)
}

/** Members of an interface with their doc comments, as the sources say them. */
function members(file, name) {
  const source = ts.createSourceFile(file, readFileSync(join(root, file), 'utf8'), ts.ScriptTarget.Latest, true)
  const found = source.statements.find((node) => ts.isInterfaceDeclaration(node) && node.name.text === name)
  if (!found) throw new Error(`${file} has no interface ${name}`)
  return found.members.map((member) => {
    const [doc] = member.jsDoc ?? []
    const fallback = doc?.tags?.find((tag) => tag.tagName.text === 'default')
    return {
      name: member.name.getText(source),
      type: (member.type?.getText(source) ?? 'function').replace(/\s+/g, ' '),
      text: plain(ts.getTextOfJSDocComment(doc?.comment) ?? ''),
      fallback: fallback && plain(ts.getTextOfJSDocComment(fallback.comment) ?? ''),
      optional: member.questionToken !== undefined,
    }
  })
}

// ── command line ──

function commands() {
  return COMMANDS.map(({ usage, summary, details, options = [], examples }) => {
    const lines = [`### untildone ${usage.replace(/ [<[].*/, '')}`, '', `${code(`untildone ${usage}`)}: ${summary}.`]
    if (details) lines.push('', `\`\`\`text\n${details}\n\`\`\``)
    if (options.length > 0)
      lines.push(
        '',
        table(
          ['Option', 'What'],
          options.map(({ flags, text }) => [code(flags), text.replaceAll('<', '&lt;')]),
        ),
      )
    lines.push('', 'Examples:', '', ...examples.map(([line, what]) => `- ${code(line)}: ${what}`))
    return lines.join('\n')
  }).join('\n\n')
}

// ── checks ──

function brokenLinks(page, text) {
  const found = []
  for (const [, target] of withoutCode(text).matchAll(/\]\(([^)\s]+)\)/g)) {
    if (/^[a-z]+:/.test(target)) {
      found.push(`${page} links to ${target}: pages link to files of this repository only`)
      continue
    }
    const [path, anchor] = target.split('#')
    const file = path === '' ? join(root, page) : resolve(root, dirname(page), path)
    if (!existsSync(file)) found.push(`${page} links to ${target}, which does not exist`)
    else if (
      anchor &&
      statSync(file).isFile() &&
      !anchorsIn(file === join(root, page) ? text : readFileSync(file, 'utf8')).has(anchor)
    )
      found.push(`${page} links to ${target}: ${relative(root, file)} has no such heading`)
  }
  return found
}

function anchorsIn(text) {
  const headings = [...text.replace(/^```[\s\S]*?^```/gm, '').matchAll(/^#{1,6} (.+)$/gm)].map(([, heading]) =>
    anchorOf(heading),
  )
  return new Set([...headings, ...[...text.matchAll(/<a id="([^"]+)">/g)].map(([, id]) => id)])
}

/** Files and folders of the repository that a page names in code. */
function missingPaths(page, text) {
  const named = [...text.matchAll(/`((?:src|test|docs|examples|scripts|bench)\/[\w./-]*)`/g)].map(([, path]) => path)
  return [...new Set(named)]
    .filter((path) => !existsSync(join(root, path)))
    .map((path) => `${page} names ${path}, which does not exist`)
}

/** Commands of the product, in code and in blocks for a shell. */
function unknownCommands(page, text) {
  const words = COMMANDS.map(({ usage }) => usage.split(' ').filter((word) => /^[a-z]/.test(word)))
  const known = (first, second) =>
    words.some((word) => word[0] === first && (word.length === 1 || word[1] === second || second === undefined))
  const named = text.matchAll(/(?:`|npx |^)untildone ([a-z]+(?:-[a-z]+)*)(?: ([a-z]+)\b(?!=))?/gm)
  return [...named]
    .filter(([, first, second]) => !known(first, second))
    .map(([command]) => `${page} shows "${command.trim()}", which is no command`)
}

/** As GitHub makes them. */
function anchorOf(heading) {
  return heading
    .toLowerCase()
    .replace(/[^\p{L}\p{N}\s_-]/gu, '')
    .replace(/\s/g, '-')
}

/** Words of other vocabularies for a state of a job; code and its names are free to use them. */
function foreignWords(page, text) {
  const words =
    /\b(succe(?:ss|ssful|ssfully|eded|eds)|stuck|dead|zombies?|pending|in progress|aborted|terminated|discarded)\b/gi
  return [...new Set([...withoutCode(text).matchAll(words)].map(([word]) => word.toLowerCase()))].map(
    (word) => `${page} says "${word}": the words for people are ${STATUSES.join(', ')}`,
  )
}

function withoutCode(text) {
  return text.replace(/^```[\s\S]*?^```/gm, '').replace(/`[^`\n]*`/g, '')
}

/** What the code says is the code's to answer for. */
function withoutGenerated(text) {
  return text.replace(/<!-- generated: [\s\S]*?<!-- end -->/g, '')
}
