/**
 * The commands of README.md, run as they stand. Every fenced block of sh, bash, shell or console is marked by a comment
 * on the line before its fence, which readers do not see:
 *
 *   <!-- run: clone -->    in a copy of this repository
 *   <!-- run: package -->  in an empty folder; the path of the tarball stands for the one packed here
 *
 * An unmarked one fails. Blocks with one mark run in order, in one bash with one HOME that starts empty. In console blocks
 * only lines that begin with `$ ` run. A command that serves until it is stopped says so in a comment at its end:
 *
 *   npx untildone dev      # keeps running
 *
 * It gets a process group of its own, the next line waits until it has printed its address, and at the end it is told to
 * stop and must leave nothing behind. `npm test` would run itself, so `npm test -- --list` stands in for it.
 */
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { install, packFresh, portIsFree } from './support/consumer.js'
import { exec, must, processesIn } from './support/programs.js'

const ROOT = resolve(import.meta.dirname, '..')
const README = join(ROOT, 'README.md')
const SHELLS = /^(sh|bash|shell|console|zsh)$/
type Mark = 'clone' | 'package'

interface Block {
  line: number
  mark: Mark | null
  commands: string
}

function blocksOf(markdown: string): Block[] {
  const lines = markdown.split('\n')
  const found: Block[] = []
  for (let i = 0; i < lines.length; i++) {
    const fence = /^(\s*)(`{3,}|~{3,})\s*([\w-]*)/.exec(lines[i]!)
    if (!fence) continue
    const end = lines.findIndex((line, at) => at > i && line.trim() === fence[2])
    const body = lines.slice(i + 1, end === -1 ? undefined : end).map((line) => line.slice(fence[1]!.length))
    if (SHELLS.test(fence[3]!)) {
      const mark = /^\s*<!--\s*run:\s*(clone|package)\s*-->\s*$/.exec(lines[i - 1] ?? '')?.[1] as Mark | undefined
      const commands =
        fence[3] === 'console' ? body.filter((line) => line.startsWith('$ ')).map((line) => line.slice(2)) : body
      found.push({ line: i + 1, mark: mark ?? null, commands: commands.join('\n') })
    }
    i = end === -1 ? lines.length : end
  }
  return found
}

/** One bash script out of the blocks of a mark. */
function scriptOf(blocks: readonly Block[]): string {
  const lines = ['set -euo pipefail', 'set -m', 'servers=()', STOP, WAIT, "trap 'stop_servers; exit 130' TERM INT"]
  for (const { line, commands } of blocks) {
    lines.push(`echo "── README.md line ${line}"`)
    for (const command of commands.split('\n')) {
      const server = /^(.*\S)\s+#\s*keeps running\b/.exec(command)?.[1]
      if (server)
        lines.push(
          `${server} > "$HOME/server-\${#servers[@]}.log" 2>&1 < /dev/null &`,
          'servers+=($!)',
          'wait_for_server',
        )
      else lines.push(command.replace(/^(\s*npm (?:test|t|run test))\s*(#.*)?$/, '$1 -- --list'))
    }
  }
  return [...lines, 'stop_servers', ''].join('\n')
}

/** Each server has a process group of its own (set -m), so that npx's shell is told to stop as well. */
const STOP = `stop_servers() {
  for pid in "\${servers[@]}"; do kill -TERM -- "-$pid" 2>/dev/null || true; done
  for pid in "\${servers[@]}"; do wait "$pid" || true; done
  servers=()
}`
const WAIT = `wait_for_server() {
  local log="$HOME/server-$((\${#servers[@]} - 1)).log" tries=0
  until grep -qE 'https?://[A-Za-z0-9.-]+:[0-9]+' "$log"; do
    tries=$((tries + 1))
    if [ "$tries" -gt 300 ] || ! kill -0 "\${servers[\${#servers[@]}-1]}" 2>/dev/null; then
      echo "the server printed no address:"; cat "$log"; stop_servers; exit 1
    fi
    sleep 0.2
  done
}`

describe('the commands of the README', () => {
  const blocks = existsSync(README) ? blocksOf(readFileSync(README, 'utf8')) : []
  let folder: string

  beforeAll(() => {
    folder = realpathSync(mkdtempSync(join(tmpdir(), 'untildone readme-')))
    mkdirSync(join(folder, 'home'))
  })

  afterAll(() => {
    if (folder) rmSync(folder, { recursive: true, force: true })
  })

  it('are all marked, for a clone and for the package', () => {
    expect(existsSync(README), 'README.md').toBe(true)
    expect(
      blocks
        .filter(({ mark }) => mark === null)
        .map(({ line }) => `README.md line ${line}: no <!-- run: … --> before the fence`),
    ).toEqual([])
    expect(new Set(blocks.map(({ mark }) => mark))).toEqual(new Set(['clone', 'package']))
  })

  it('work in a clone', async ({ skip }) => {
    if (!(await portIsFree(4884))) skip('needs port 4884 to itself; enable: stop what listens there')
    const clone = join(folder, 'clone')
    const left = /^(node_modules|dist(-.*)?|coverage|\.git|\.untildone)$/
    cpSync(ROOT, clone, { recursive: true, filter: (path) => path === ROOT || !left.test(path.slice(ROOT.length + 1)) })
    // Hard links are quick, and `npm ci` in the copy would unlink them without touching ours.
    const linked = await exec('cp', ['-Rl', join(ROOT, 'node_modules'), join(clone, 'node_modules')], { cwd: folder })
    if (linked.code !== 0) cpSync(join(ROOT, 'node_modules'), join(clone, 'node_modules'), { recursive: true })
    await runAll('clone', clone, {})
  }, 600_000)

  it('work with the package in an empty folder', async ({ skip }) => {
    if (!(await portIsFree(4884))) skip('needs port 4884 to itself; enable: stop what listens there')
    const packed = await packFresh()
    try {
      const empty = join(folder, 'package')
      mkdirSync(empty)
      await runAll('package', empty, {
        tarball: packed.tarball,
        // Where neither the cache nor the registry has what it depends on, nothing of it can work.
        async failed() {
          const probe = join(packed.folder, 'probe')
          mkdirSync(probe)
          writeFileSync(join(probe, 'package.json'), '{"private":true}')
          const unreachable = await install(probe, [packed.tarball])
          if (unreachable) skip(unreachable)
        },
      })
    } finally {
      rmSync(packed.folder, { recursive: true, force: true })
    }
  }, 300_000)

  /** `failed` may find that it could not have worked here. */
  async function runAll(
    mark: Mark,
    cwd: string,
    { tarball, failed }: { tarball?: string; failed?: () => Promise<void> },
  ): Promise<void> {
    let script = scriptOf(blocks.filter((block) => block.mark === mark))
    if (tarball)
      script = script.replace(
        /^(\s*npm (?:i|install|add)\b.*?\s)\S*untildone-\d[^\s]*\.tgz(?=\s|$)/gm,
        `$1'${tarball}'`,
      )
    const cache = (await must('npm', ['config', 'get', 'cache'], { cwd: folder })).trim()
    const env = { HOME: join(folder, 'home'), npm_config_cache: cache, npm_config_prefer_offline: 'true' }
    const { code, stdout, stderr } = await exec('bash', ['-c', script], { cwd, env, timeoutMs: 580_000 })
    if (code !== 0) await failed?.()
    expect(code, `${stdout}\n${stderr}`).toBe(0)
    // Under load a server takes its time to finish what it has begun.
    await expect.poll(() => processesIn(cwd), { timeout: 25_000 }).toEqual([])
  }
})

describe('the reading of a README', () => {
  it('finds the blocks, their marks and their commands', () => {
    const markdown =
      '```sh\na\n```\n<!-- run: clone -->\n```console\n$ b\nwhat b says\n```\n```ts\nno\n```\n<!-- run: package -->\n~~~bash\nc\n~~~'
    expect(blocksOf(markdown)).toEqual([
      { line: 1, mark: null, commands: 'a' },
      { line: 5, mark: 'clone', commands: 'b' },
      { line: 13, mark: 'package', commands: 'c' },
    ])
  })

  it('starts what keeps running, goes on when it has printed its address, and stops it', async () => {
    const folder = realpathSync(mkdtempSync(join(tmpdir(), 'untildone-script-')))
    const serve = `node -e "console.log('at http://localhost:1'); process.on('SIGTERM', () => { console.log('bye'); process.exit(0) }); setInterval(() => {}, 1000)"`
    const blocks: Block[] = [
      { line: 1, mark: 'clone', commands: `mkdir sub\ncd sub\n${serve}   # keeps running, until Ctrl-C` },
      { line: 5, mark: 'clone', commands: 'pwd' },
    ]
    try {
      const { code, stdout, stderr } = await exec('bash', ['-c', scriptOf(blocks)], {
        cwd: folder,
        env: { HOME: folder },
      })
      expect(code, stderr).toBe(0)
      expect(stdout).toBe(`── README.md line 1\n── README.md line 5\n${folder}/sub\n`)
      expect(readFileSync(join(folder, 'server-0.log'), 'utf8')).toBe('at http://localhost:1\nbye\n')
      expect(processesIn(folder)).toEqual([])
    } finally {
      rmSync(folder, { recursive: true, force: true })
    }
  })

  it('fails with the first command that fails, and lists the tests instead of running them', async () => {
    const script = scriptOf([{ line: 1, mark: 'clone', commands: 'false\necho never' }])
    expect(await exec('bash', ['-c', script], { cwd: tmpdir() })).toMatchObject({
      code: 1,
      stdout: '── README.md line 1\n',
    })
    expect(scriptOf([{ line: 1, mark: 'clone', commands: 'npm test   # all of it' }])).toContain('npm test -- --list\n')
  })
})
